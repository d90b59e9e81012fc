// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"

enum { CODES_MAX = 64 };

static int unknown(const char *name)
{
	const char *names[CODES_MAX], *near;
	size_t count = 0;

	for (; count < CODES_MAX && err_code_info(count); count++)
		names[count] = err_code_info(count)->name;
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

		if (code && strcmp(code, info->name) != 0)
			continue;
		(void)printf("%s\n    %s\n    %s\n", info->name, info->what, info->todo);
		found = true;
	}
	return found ? CLI_OK : unknown(code);
}
