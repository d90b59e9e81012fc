/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy - the agent policy: which containers a guest runs, for which broker, with which secrets.
 * What it does not list is refused.
 *
 * A policy is JSON, closed (a name that is not known is refused), and complete: a container of it
 * is all of a wire ContainerSpec. What is left out has the specification's default, and so allows
 * that only.
 *
 *	{"schema": 1,
 *	 "broker": {"url": "https://...", "key": "<SHA-256 of its public key, 64 hex digits>"},
 *	 "containers": [
 *	   {"name": "main",
 *	    "layers": [{"root": "<64>", "data_blocks": 9, "hash_start": 9}],
 *	    "process": {"args": ["sh"], "env": ["A=b"], "cwd": "/", "user": "", "terminal": false},
 *	    "hostname": "", "read_only": false, "no_new_privileges": true,
 *	    "resources": {"cpu_milli": 0, "memory_bytes": 0, "pids": 2048},
 *	    "capabilities": {"bounding": ["CAP_CHOWN"], "effective": [], "permitted": [],
 *	                     "inheritable": [], "ambient": []},
 *	    "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": "unlimited"}],
 *	    "devices": [{"vendor": "10de", "device": "2330", "class": "030200", "count": 8}],
 *	    "exec": [{"args": ["ps"], "env": [], "cwd": "", "user": "", "terminal": false}],
 *	    "secrets": [{"name": "model-key", "uri": "kbs:///default/model/key"}]}]}
 *
 * Layers are in their order, lowest first. Devices are by model and count; which of them, and in
 * what order, is the host's choice. "exec" may be "any"; without it there is none. "resources" and
 * "capabilities" may be null, which is what the specification means when it has none.
 *
 * How often a container is run is not said: any number of them may be of the same entry, as a host
 * can end a pod and begin it anew in any case.
 *
 * There is one canonical form: a KBS init-data document (TOML) with the JSON in one line, all
 * names, in the order above. The policy's digest is that of this document's bytes, and it is what
 * goes where the processor signs it (SNP: HOSTDATA; KBS binds init-data there, too), so any
 * spelling of a policy has the same digest.
 */
#ifndef ATTEST_POLICY_H
#define ATTEST_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/reason.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "wire/proto/agent.pb-c.h"

enum {
	ATTEST_POLICY_TEXT_MAX = 2 << 20, /* bytes, of either form */
	ATTEST_POLICY_CONTAINERS_MAX = 64,
	ATTEST_POLICY_EXECS_MAX = 256, /* of one container */
	ATTEST_POLICY_SECRETS_MAX = 64,
	ATTEST_POLICY_LAYERS_MAX = 128,
	ATTEST_POLICY_ARGS_MAX = 16384,
	ATTEST_POLICY_ENV_MAX = 4096,
	ATTEST_POLICY_STRING_MAX = (128 << 10) - 1, /* bytes of an argument or variable */
	ATTEST_POLICY_PATH_MAX = 4095,		    /* of cwd, user, URLs */
	ATTEST_POLICY_NAME_MAX = 64,
	ATTEST_POLICY_DEVICES_MAX = 128,
	ATTEST_POLICY_KEY_SIZE = 32,
};

struct attest_policy_secret {
	const char *name;
	const char *uri;
};

struct attest_policy_container {
	const char *name;	    /* for people */
	Agent__ContainerSpec *spec; /* devices sorted by vendor, device, class */
	bool exec_any;
	Agent__Process **execs;
	size_t exec_count;
	struct attest_policy_secret *secrets;
	size_t secret_count;
};

/* Zeroed: allows nothing. Everything in it lives in its arena. */
struct attest_policy {
	struct arena arena;
	const char *broker_url; /* NULL: none */
	uint8_t broker_key[ATTEST_POLICY_KEY_SIZE];
	struct attest_policy_container containers[ATTEST_POLICY_CONTAINERS_MAX];
	size_t container_count;
};

void attest_policy_done(struct attest_policy *policy);
CLEANUP_FUNC(struct attest_policy, attest_policy_done)

/*
 * Either form; of the document only the canonical one. *policy is empty before, and empty again
 * after an error.
 *
 *	-EINVAL   not JSON, or not as above, with the place
 *	-EBADMSG  a document that is not canonical
 *	-E2BIG    more than a limit
 *	-ENOMEM
 */
int attest_policy_parse(struct bytes text, struct attest_policy *policy, struct err *err);

/* Adds the JSON in one line, or the document, to *ret. -ENOMEM. */
int attest_policy_print(const struct attest_policy *policy, struct buf *ret);
int attest_policy_document(const struct attest_policy *policy, struct buf *ret);

/* len is 32 (SHA-256) or 48 (SHA-384: what TDX has room for). -ENOMEM, -EIO. */
int attest_policy_digest(const struct attest_policy *policy, size_t len, uint8_t *ret);

/*
 * Making one. Each copies what it is given. -EINVAL: text that is not UTF-8, a name or URL that
 * cannot be, a specification with a field that is not known; -E2BIG, -ENOMEM.
 */
int attest_policy_set_broker(struct attest_policy *policy, const char *url,
			     const uint8_t key[ATTEST_POLICY_KEY_SIZE], struct err *err);
int attest_policy_add(struct attest_policy *policy, const char *name,
		      const Agent__ContainerSpec *spec, struct err *err);
/* For the container added last. */
int attest_policy_add_exec(struct attest_policy *policy, const Agent__Process *process,
			   struct err *err);
int attest_policy_add_secret(struct attest_policy *policy, const char *name, const char *uri,
			     struct err *err);

/*
 * Is it allowed? 1: yes; 0: no, and *ret_refusal says why, held against the container that is
 * nearest; -ENOMEM, which is to be taken for a no. *ret_container is the place in containers[].
 *
 * All of it is compared, in the form it has on the wire: what a later version of the specification
 * adds, and what is unknown, differs from every container.
 */
int attest_policy_check(const struct attest_policy *policy, const Agent__ContainerSpec *spec,
			size_t *ret_container, struct attest_refusal *ret_refusal);
int attest_policy_check_exec(const struct attest_policy *policy, size_t container,
			     const Agent__Process *process, struct attest_refusal *ret_refusal);
bool attest_policy_check_secret(const struct attest_policy *policy, size_t container,
				const char *name, const char *uri,
				struct attest_refusal *ret_refusal);

#endif
