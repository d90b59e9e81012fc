// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"
#include "lease/lease.h"
#include "lease/rundir.h"
#include "sys/file.h"

struct told {
	json_t *array; /* NULL: for people */
	size_t count;
};

static void tell(void *data, const struct lease_report *report)
{
	const char *outcome = report->num == 0 ? "undone" : report->num > 0 ? "dropped" : "stays";
	struct told *told = data;

	told->count++;
	if (told->array)
		(void)json_array_append_new(
			told->array, json_pack("{s:s, s:s, s:s, s:s, s:s}", "pod", report->pod,
					       "kind", report->kind, "what", report->arg, "outcome",
					       outcome, "text", report->msg ? report->msg : ""));
	else
		(void)printf("%s: %s %s '%s'%s%s\n", report->pod, outcome, report->kind,
			     report->arg, report->msg ? ": " : "", report->msg ? report->msg : "");
}

static int recover(const struct config *config, struct told *told, struct err *err)
{
	cleanup_free char *path = NULL;
	cleanup_close int run_fd = -1, proc_fd = -1, sysfs_fd = -1, dev_fd = -1;
	struct lease_opts opts = { 0 };
	int r;

	r = lease_run_dir_open(config_text(config, CONFIG_RUN_DIR), &run_fd, &path, err);
	if (r >= 0)
		r = file_open_dir(AT_FDCWD, "/proc", &proc_fd, err);
	if (r >= 0)
		r = file_open_dir(AT_FDCWD, "/sys", &sysfs_fd, err);
	if (r >= 0)
		r = file_open_dir(AT_FDCWD, "/dev", &dev_fd, err);
	if (r < 0)
		return r;
	opts.run_fd = run_fd;
	opts.proc_fd = proc_fd;
	opts.sysfs_fd = sysfs_fd;
	opts.dev_fd = dev_fd;
	return lease_recover(&opts, tell, told, err);
}

int cli_recover_main(int argc, char **argv)
{
	CLEANUP(options_done) struct options options = { 0 };
	CLEANUP(config_done) struct config config = { 0 };
	struct told told = { 0 };
	struct err err = { 0 };
	int r, status;

	if (!cli_parse(OPTIONS_RECOVER, argc, argv, &options, &status))
		return status;
	if (options.word_count > 0)
		return cli_usage("recover", "'%s': not understood", options.words[0]);
	told.array = options.json ? json_array() : NULL;
	r = cli_config_load(options.config.at, options.config.len, &config, &err);
	if (r >= 0)
		r = recover(&config, &told, &err);
	if (options.json && json_dumpf(told.array, stdout, JSON_INDENT(2)) == 0)
		(void)putchar('\n');
	else if (r >= 0 && told.count == 0)
		(void)puts("nothing to recover");
	json_decref(told.array);
	return r < 0 ? cli_fail("recover", &err, cli_status(&err)) : CLI_OK;
}
