/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options - the table of flags, which options_flags.c has and options.c works with.
 */
#ifndef CLI_OPTIONS_PRIV_H
#define CLI_OPTIONS_PRIV_H

#include <stdbool.h>
#include <stddef.h>

enum { OPTIONS_FLAGS_MAX = 128 };

enum option {
	OPT_INTERACTIVE,
	OPT_TTY,
	OPT_DETACH,
	OPT_RM,
	OPT_NAME,
	OPT_POD,
	OPT_ENV,
	OPT_ENV_FILE,
	OPT_USER,
	OPT_WORKDIR,
	OPT_ENTRYPOINT,
	OPT_HOSTNAME,
	OPT_READ_ONLY,
	OPT_CPUS,
	OPT_MEMORY,
	OPT_PIDS_LIMIT,
	OPT_NETWORK,
	OPT_ACCEL,
	OPT_ALL,
	OPT_FORCE,
	OPT_FOLLOW,
	OPT_JSON,
	OPT_DEVICE,
	OPT_GPUS,
	OPT_NICS,
	OPT_NVME,
	OPT_VF,
	OPT_NEAR,
	OPT_MODE,
	OPT_TUNE_ACS,
	OPT_FROM,
	OPT_FORMAT,
	OPT_ALL_PAIRS,
	OPT_SAVE,
	OPT_TEE,
	OPT_VCPUS,
	OPT_VCPU_TYPE,
	OPT_FIRMWARE,
	OPT_FIRMWARE_HASH,
	OPT_KERNEL,
	OPT_INITRD,
	OPT_APPEND,
	OPT_GUEST_FEATURES,
	OPT_VMM,
	OPT_EVIDENCE,
	OPT_COLLATERAL,
	OPT_AT,
	OPT_NONCE,
	OPT_POLICY,
	OPT_SECRET,
	OPT_EXEC,
	OPT_BROKER,
	OPT_BROKER_KEY,
	OPT_REFERENCE,
	OPT_ADD,
	OPT_PLAN,
	OPT_CONFIG,
	OPT_HELP,
	OPT_ABSENT,
};

struct flag {
	const char *name;
	char letter; /* 0: it has none */
	bool has_value;
	enum option option;
	unsigned int commands;
	const char *help; /* NULL: not shown */
};

extern const struct flag options_flags[];
extern const size_t options_flag_count; /* OPTIONS_FLAGS_MAX at most */

#endif
