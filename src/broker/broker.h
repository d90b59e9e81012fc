/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker - what the program's parts share: how it speaks, and its commands.
 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <stdbool.h>

#include "base/err.h"
#include "base/macro.h"
#include "oci/yaml.h"

enum {
	BROKER_OK = 0,
	BROKER_FAILED = 1,
	BROKER_USAGE = 2,
	BROKER_RULES_TEXT_MAX = OCI_YAML_MAX_SIZE,
};

/* One line on stderr, "casemate-broker: ...", with nothing that moves a cursor. */
void broker_say(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Words behind the command, and its flags. */
struct broker_args {
	char **words;
	int count;
	bool json;
	bool remove;
	const char *listen;
	const char *at;
	unsigned front_uid;
	bool has_front_uid;
};

/* Each gives the status to exit with, and has said what went wrong. */
int broker_serve_main(const struct broker_args *args);
int broker_explain_main(const struct broker_args *args);
int broker_put_main(const struct broker_args *args);
int broker_list_main(const struct broker_args *args);
int broker_audit_main(const struct broker_args *args);
int broker_key_main(const struct broker_args *args);

#endif
