// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static int show(const struct config *config)
{
	static const char *const sources[] = { "default", "file", "annotation", "flag" };

	for (size_t i = 0; config_key(i); i++) {
		CLEANUP(buf_done) struct buf value = { 0 };

		if (config_format(config, (enum config_key)i, &value) < 0)
			return CLI_HOST;
		(void)printf("%s: \"%.*s\"  # %s\n", config_key(i)->name, (int)value.len,
			     (const char *)value.at, sources[config->values[i].source]);
	}
	return CLI_OK;
}

static int keys(void)
{
	for (size_t i = 0; config_key(i); i++) {
		const struct config_key_info *key = config_key(i);

		(void)printf("%-20s %-12s %-4s %s\n", key->name,
			     key->fallback[0] ? key->fallback : "\"\"",
			     key->pod_may_set ? "pod" : "node", key->doc);
	}
	return CLI_OK;
}

int cli_config_main(int argc, char **argv)
{
	CLEANUP(config_done) struct config config = { 0 };
	CLEANUP(options_done) struct options options = { 0 };
	struct err err = { 0 };
	const char *what;
	int r, status;

	if (!cli_parse(OPTIONS_CONFIG, argc, argv, &options, &status))
		return status;
	if (options.word_count != 1)
		return cli_usage("config", "one of show, keys, check is needed");
	what = options.words[0];
	if (strcmp(what, "keys") == 0)
		return keys();
	if (strcmp(what, "show") != 0 && strcmp(what, "check") != 0)
		return cli_usage("config", "'%s': not one of show, keys, check", what);
	r = cli_config_load(options.config.at, options.config.len, &config, &err);
	if (r < 0)
		return cli_fail("config", &err, cli_status(&err));
	return strcmp(what, "show") == 0 ? show(&config) : CLI_OK;
}
