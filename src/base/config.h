/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config - the one table of configuration keys, and a set of their values.
 *
 * Files, annotations, flags, the man page and `casemate config` all work from this table.
 *
 *	struct config cfg;
 *
 *	config_init(&cfg);
 *	r = config_set(&cfg, "start_timeout_tcg", "3m", CONFIG_NODE, &err);
 *	deadline_ms = config_number(&cfg, CONFIG_START_TIMEOUT_TCG);
 *	config_done(&cfg);
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { CONFIG_TEXT_MAX = 4095 }; /* bytes of a path or string */

enum config_key {
	CONFIG_ACCEL,		  /* enum config_accel */
	CONFIG_START_TIMEOUT_KVM, /* ms */
	CONFIG_START_TIMEOUT_TCG, /* ms */
	CONFIG_DEFAULT_CPUS,
	CONFIG_DEFAULT_MEMORY, /* bytes */
	CONFIG_DEFAULT_PIDS,   /* 0: no limit */
	CONFIG_LAYER_MAX_SIZE, /* bytes */
	CONFIG_LAYER_MAX_ENTRIES,
	CONFIG_LOG_SIZE, /* bytes */
	CONFIG_UID_FIRST,
	CONFIG_UID_COUNT,
	CONFIG_GUEST_DIR,
	CONFIG_QEMU,
	CONFIG_FIRMWARE,
	CONFIG_FIRMWARE_DEVICES,
	CONFIG_KEEP_DRIVERS,
	CONFIG_PEER_TO_PEER,
	CONFIG_CACHE_DIR,
	CONFIG_RUN_DIR,
	CONFIG_SIMTEE_SOCKET,
	CONFIG_SIMTEE,
	CONFIG_SIMTEE_DIR,
	CONFIG_SIMTEE_UID,
	CONFIG_KEY_COUNT
};

enum config_accel {
	CONFIG_ACCEL_AUTO,
	CONFIG_ACCEL_KVM,
	CONFIG_ACCEL_TCG,
};

enum config_type {
	CONFIG_BOOL, /* true, false */
	CONFIG_INT,
	CONFIG_SIZE,	 /* bytes: "512MiB" */
	CONFIG_DURATION, /* ms: "30s" */
	CONFIG_ENUM,	 /* one of words */
	CONFIG_PATH,	 /* absolute, or empty */
	CONFIG_WORDS,	 /* letters, digits, '_' and '-', with single blanks between */
};

/* Where a value came from, the weakest first: a stronger one is never replaced by a weaker. */
enum config_source {
	CONFIG_DEFAULT,
	CONFIG_NODE, /* a file of the node's */
	CONFIG_POD,  /* an annotation */
	CONFIG_FLAG, /* the command line of the user whose process this is: may set every key */
};

struct config_key_info {
	const char *name;
	enum config_type type;
	bool pod_may_set;	  /* the node and the command line may set every key */
	uint64_t min, max;	  /* of a number; bytes and ms where it is a size or a duration */
	const char *const *words; /* of CONFIG_ENUM, NULL at the end; else NULL */
	const char *fallback;	  /* the default, as it would be written */
	const char *doc;	  /* one line for the man page */
};

struct config_value {
	uint64_t number;
	char *text; /* of CONFIG_PATH, else NULL */
	enum config_source source;
};

struct config {
	struct config_value values[CONFIG_KEY_COUNT];
};

/* The table; NULL from CONFIG_KEY_COUNT on. */
const struct config_key_info *config_key(size_t i);

/* Sets every key to its default. config_done() leaves an empty cfg, good for config_init(). */
void config_init(struct config *cfg);
void config_done(struct config *cfg);
CLEANUP_FUNC(struct config, config_done)

/*
 * Sets a key by name from text. Does nothing, and succeeds, if the key already has a value from
 * a stronger source. On an error cfg is as it was and err has the code ERR_CONFIG:
 *
 *	-ENOENT  there is no such key; the message names the nearest one
 *	-EPERM   source is CONFIG_POD and the key is the node's alone
 *	-EINVAL  the value is not of the key's type
 *	-ERANGE  the value is outside the key's range
 *	-ENOMEM
 */
int config_set(struct config *cfg, const char *name, const char *value, enum config_source source,
	       struct err *err);

/* The value of a key that is a number (for CONFIG_ENUM: the word's place; for a bool: 0 or 1). */
uint64_t config_number(const struct config *cfg, enum config_key key);

/* The value of a key that is a path; "" if it is empty. It lives until it is set again. */
const char *config_text(const struct config *cfg, enum config_key key);

/* Adds the value as one would write it: config_set() of it changes nothing. 0 or -ENOMEM. */
int config_format(const struct config *cfg, enum config_key key, struct buf *ret);

#endif
