// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "capture/capture.h"
#include "cli/cli.h"
#include "cli/machine.h"
#include "emit/groups.h"
#include "emit/pairs.h"
#include "emit/topology.h"

enum format { FORMAT_TREE, FORMAT_JSON, FORMAT_MATRIX, FORMAT_GROUPS, FORMAT_COUNT };

static const char *const formats[] = { "tree", "json", "matrix", "groups" };

struct asked {
	const char *from;
	const char *save;
	enum format format;
	bool is_all; /* endpoints, in pairs and matrix */
};

static int add_pairs(const struct machine *machine, bool is_all, json_t *topology, struct err *err)
{
	json_t *pairs;
	int r = emit_pairs_json(machine, is_all, &pairs);

	if (r == -E2BIG)
		return err_coded(err, ERR_USAGE, r, "list pairs: more than %d devices",
				 EMIT_PAIRS_DEVICES_MAX);
	if (r >= 0 && json_object_set_new(topology, "pairs", pairs) < 0)
		r = -ENOMEM;
	if (r >= 0)
		r = emit_groups_json(machine, topology);
	return r < 0 ? err_num(err, r, "write a topology") : 0;
}

static int print_json(const struct machine *machine, bool is_all, struct err *err)
{
	json_t *topology = emit_topology_json(machine);
	int r;

	if (!topology)
		return err_num(err, -ENOMEM, "write a topology");
	r = add_pairs(machine, is_all, topology, err);
	if (r < 0) {
		json_decref(topology);
		return r;
	}
	r = json_dumpf(topology, stdout, JSON_INDENT(2));
	json_decref(topology);
	if (r < 0 || putchar('\n') == EOF)
		return err_coded(err, ERR_HOST, -EIO, "write to standard output");
	return 0;
}

static int write_text(const struct machine *machine, const struct asked *asked, struct buf *text)
{
	const bool has_colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	const struct emit_topology_opts opts = { .has_colour = has_colour };
	const struct emit_matrix_opts matrix = { .is_all = asked->is_all,
						 .has_colour = has_colour };
	int r;

	switch (asked->format) {
	case FORMAT_MATRIX:
		return emit_matrix(machine, &matrix, text);
	case FORMAT_GROUPS:
		r = emit_topology_groups(machine, &opts, text);
		return r < 0 ? r : emit_groups_notes(machine, text);
	case FORMAT_TREE:
	case FORMAT_JSON:
	case FORMAT_COUNT:
		break;
	}
	return emit_topology_tree(machine, &opts, text);
}

static int print_text(const struct machine *machine, const struct asked *asked, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	int r = write_text(machine, asked, &text);

	if (r == -E2BIG)
		return err_coded(err, ERR_USAGE, r, "draw a matrix: more than %d devices",
				 EMIT_PAIRS_DEVICES_MAX);
	if (r < 0)
		return err_num(err, r, "write a topology");
	if (fwrite(text.at, 1, text.len, stdout) != text.len)
		return err_coded(err, ERR_HOST, -EIO, "write to standard output");
	return 0;
}

static int topology(const struct asked *asked, struct err *err)
{
	CLEANUP(machine_capture_done) struct machine_capture capture = { 0 };
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine;
	int r;

	r = cli_machine_load(asked->from, &arena, &capture, &machine, err);
	if (r >= 0 && asked->save)
		r = capture_save(&capture, AT_FDCWD, asked->save, err);
	if (r < 0)
		return r;
	if (asked->format == FORMAT_JSON)
		return print_json(machine, asked->is_all, err);
	return print_text(machine, asked, err);
}

static int parse_format(const char *word, enum format *ret, struct err *err)
{
	const char *near;
	size_t i;

	for (i = 0; word && i < FORMAT_COUNT; i++) {
		if (strcmp(word, formats[i]) == 0) {
			*ret = (enum format)i;
			return 0;
		}
	}
	if (!word)
		return 0;
	near = text_nearest(word, formats, FORMAT_COUNT);
	return err_coded(err, ERR_USAGE, -EINVAL,
			 "--format '%s': none of tree, json, matrix, groups%s%s%s", word,
			 near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

int cli_topology_main(int argc, char **argv)
{
	CLEANUP(options_done) struct options options = { 0 };
	struct asked asked = { 0 };
	struct err err = { 0 };
	int status;

	if (!cli_parse(OPTIONS_TOPOLOGY, argc, argv, &options, &status))
		return status;
	if (options.word_count > 0)
		return cli_usage("topology", "'%s': not understood: a capture is --from '%s'",
				 options.words[0], options.words[0]);
	asked = (struct asked){ .from = options.from,
				.save = options.save,
				.is_all = options.all_pairs };
	if (parse_format(options.format, &asked.format, &err) < 0 || topology(&asked, &err) < 0)
		return cli_fail("topology", &err, cli_status(&err));
	return CLI_OK;
}
