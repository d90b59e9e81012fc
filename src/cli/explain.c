// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "attest/reason.h"
#include "base/text.h"
#include "cli/cli.h"

enum { CODES_MAX = 128 };

/* True if it is the one that was asked for; NULL asks for all. */
static bool show(const char *code, const char *name, const char *what, const char *todo)
{
	if (code && strcmp(code, name) != 0)
		return false;
	(void)printf("%s\n    %s\n    %s\n", name, what, todo);
	return true;
}

static int unknown(const char *name)
{
	const char *names[CODES_MAX], *near;
	size_t count = 0;

	for (; count < CODES_MAX && err_code_info(count); count++)
		names[count] = err_code_info(count)->name;
	for (size_t i = 0; count < CODES_MAX && attest_reason_info(i); i++)
		names[count++] = attest_reason_info(i)->name;
	near = text_nearest(name, names, count);
	return cli_usage("explain", "'%s': no such code%s%s%s", name,
			 near ? ": did you mean '" : "; without one, explain lists all",
			 near ? near : "", near ? "'?" : "");
}

int cli_explain_main(int argc, char **argv)
{
	CLEANUP(options_done) struct options options = { 0 };
	const char *code;
	bool found;
	int status;

	if (!cli_parse(OPTIONS_EXPLAIN, argc, argv, &options, &status))
		return status;
	if (options.word_count > 1)
		return cli_usage("explain", "one code at most");
	code = options.words[0];
	found = !code;
	for (size_t i = 0; err_code_info(i); i++) {
		const struct err_code_info *info = err_code_info(i);

		found = show(code, info->name, info->what, info->todo) || found;
	}
	for (size_t i = 0; attest_reason_info(i); i++) {
		const struct attest_reason_info *info = attest_reason_info(i);

		found = show(code, info->name, info->what, info->todo) || found;
	}
	return found ? CLI_OK : unknown(code);
}
