/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli - what the subcommands of `casemate` share: their table, exit statuses, and how they speak.
 *
 * Each subcommand is one file with one function of type cli_main, named in the table in main.c.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

#include "base/config.h"
#include "base/err.h"
#include "base/macro.h"
#include "cli/options.h"

enum {
	CLI_OK = 0,
	CLI_NO = 1,	      /* a well-formed no */
	CLI_USAGE = 2,	      /* bad usage or bad input */
	CLI_HOST = 3,	      /* the host or environment failed */
	CLI_RUN_FAILED = 125, /* run, exec: casemate's own failure */
	CLI_NOT_EXECUTABLE = 126,
	CLI_NOT_FOUND = 127,
};

/* argv[0] is the subcommand's name. Returns the exit status. */
typedef int cli_main(int argc, char **argv);

struct cli_command {
	const char *name;
	const char *usage;   /* what follows the name */
	const char *summary; /* one line; NULL: not for people */
	cli_main *main;
};

cli_main cli_config_main, cli_delete_main, cli_devices_main, cli_exec_main, cli_explain_main,
	cli_kill_main, cli_list_main, cli_logs_main, cli_measure_main, cli_plan_main,
	cli_policy_main, cli_prepare_main, cli_ps_main, cli_recover_main, cli_run_main,
	cli_state_main, cli_topology_main, cli_verify_main;

/* main.c: one line on stderr, "casemate: COMMAND: ..."; returns status. */
int cli_fail(const char *command, const struct err *err, int status);
int cli_usage(const char *command, const char *fmt, ...) PRINTF_LIKE(2, 3);
void cli_note(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Exit status of a command that is not run or exec. */
int cli_status(const struct err *err);

/*
 * main.c: for a command that is not run or exec. False: with *ret_status it is at its end, since
 * --help was asked for and given, or a flag was refused.
 */
bool cli_parse(enum options_command command, int argc, char **argv, struct options *ret,
	       int *ret_status);

/* main.c: prints the command's own line and options; for --help. */
int cli_help(const char *command, const char *options);

/* config_files.c: /etc/casemate/config.yaml, config.d/, then KEY=VALUE from flags. */
int cli_config_load(char *const *flags, size_t flag_count, struct config *ret, struct err *err);

#endif
