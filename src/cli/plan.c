// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/planning.h"
#include "emit/plan.h"
#include "emit/qemu.h"
#include "plan/plan.h"

enum format { FORMAT_TREE, FORMAT_JSON, FORMAT_MATRIX, FORMAT_QEMU };

static const char *const formats[] = {
	[FORMAT_TREE] = "tree",
	[FORMAT_JSON] = "json",
	[FORMAT_MATRIX] = "matrix",
	[FORMAT_QEMU] = "qemu",
};

static int parse_format(const char *word, enum format *ret, struct err *err)
{
	const char *near;

	*ret = FORMAT_TREE;
	if (!word)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (strcmp(word, formats[i]) == 0) {
			*ret = (enum format)i;
			return 0;
		}
	}
	near = text_nearest(word, formats, ARRAY_SIZE(formats));
	return err_coded(err, ERR_USAGE, -EINVAL,
			 "--format '%s': none of tree, json, matrix, qemu%s%s%s", word,
			 near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int print_argv(const struct planning *planning, const struct config *config, struct err *err)
{
	CLEANUP(emit_qemu_done) struct emit_qemu emit = { 0 };
	int r;

	r = emit_qemu(&planning->plan.layout, config_text(config, CONFIG_QEMU), &emit, err);
	for (size_t i = 0; r == 0 && i < emit.argv.len; i++)
		(void)printf("%s\n", emit.argv.at[i]);
	return r;
}

/* NULL: out of memory. */
static json_t *launch(const struct planning *planning, const struct config *config)
{
	CLEANUP(emit_qemu_done) struct emit_qemu emit = { 0 };
	json_t *array;
	int r = 0;

	if (emit_qemu(&planning->plan.layout, config_text(config, CONFIG_QEMU), &emit, NULL) < 0)
		return NULL;
	array = json_array();
	for (size_t i = 0; r == 0 && i < emit.argv.len; i++)
		r = json_array_append_new(array, json_string(emit.argv.at[i]));
	if (r == 0)
		return json_pack("{s:o}", "argv", array);
	json_decref(array);
	return NULL;
}

static int print_json(const struct planning *planning, const struct config *config, bool has_guest,
		      struct err *err)
{
	json_t *json = NULL;
	int r;

	r = emit_plan_json(planning->machine, &planning->plan, &json);
	if (r == 0 && planning->plan.reasons.count == 0)
		r = json_object_set_new(json, "launch",
					has_guest ? launch(planning, config) : json_null());
	if (r == 0) {
		(void)json_dumpf(json, stdout, JSON_INDENT(2));
		(void)putchar('\n');
	}
	json_decref(json);
	return r < 0 ? err_num(err, -ENOMEM, "write the plan") : 0;
}

static int print(const struct planning *planning, const struct config *config, enum format format,
		 bool has_guest, struct err *err)
{
	const bool is_feasible = planning->plan.reasons.count == 0;
	CLEANUP(buf_done) struct buf text = { 0 };
	int r;

	if (format == FORMAT_JSON)
		return print_json(planning, config, has_guest, err);
	if (format == FORMAT_QEMU && is_feasible)
		return print_argv(planning, config, err);
	r = format == FORMAT_MATRIX ? emit_plan_matrix(planning->machine, &planning->plan, &text)
				    : emit_plan_text(planning->machine, &planning->plan, &text);
	if (r < 0)
		return err_num(err, r, "write the plan");
	return fwrite(text.at, 1, text.len, stdout) == text.len
		       ? 0
		       : err_coded(err, ERR_HOST, -EIO, "write to standard output");
}

/* KVM where nothing else is said: whether it works here is no part of a plan about devices. */
static int choose_accel(const struct options *options, const struct config *config,
			enum layout_accel *ret, struct err *err)
{
	CLEANUP(buf_done) struct buf word = { 0 };

	if (options->accel)
		return plan_accel_choose(options->accel, NULL, ret, err);
	if (config_format(config, CONFIG_ACCEL, &word) < 0 || buf_add(&word, "", 1) < 0)
		return err_num(err, -ENOMEM, "choose the accelerator");
	return plan_accel_choose((const char *)word.at, NULL, ret, err);
}

static int plan(const struct options *options, struct err *err)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	CLEANUP(config_done) struct config config = { 0 };
	Casemate__DeviceRequest devices = CASEMATE__DEVICE_REQUEST__INIT;
	struct manifest manifest = { 0 };
	cleanup_close int guest_fd = -1;
	struct planning_request request = {
		.config = &config,
		.cpu_milli = options->cpu_milli,
		.memory_bytes = options->memory_bytes,
		.guest = &manifest,
		.devices = &devices,
		.from = options->from,
	};
	struct planning *planning;
	enum format format;
	int r;

	options_fill_devices(options, &devices);
	r = parse_format(options->format, &format, err);
	if (r >= 0)
		r = cli_config_load(options->config.at, options->config.len, &config, err);
	if (r >= 0)
		r = choose_accel(options, &config, &request.accel, err);
	if (r >= 0)
		r = plan_tee_choose(options->tee ? options->tee : "", &request.tee, err);
	/* without a guest all but its command line can be said */
	if (r >= 0)
		r = planning_open_guest(&config, &guest_fd, &manifest,
					format == FORMAT_QEMU ? err : NULL);
	if (r < 0 && format != FORMAT_QEMU && err->num == 0)
		r = 0;
	if (r >= 0)
		r = planning_make(&request, &arena, &planning, err);
	if (r >= 0 && guest_fd < 0)
		plan_reasons_add(&planning->plan.unknown, ERR_UNKNOWN,
				 "the guest, and so how it is launched: `make` builds one");
	if (r >= 0)
		r = print(planning, &config, format, guest_fd >= 0, err);
	if (r < 0)
		return r;
	return planning->plan.reasons.count ? CLI_NO : CLI_OK;
}

int cli_plan_main(int argc, char **argv)
{
	CLEANUP(options_done) struct options options = { 0 };
	struct err err = { 0 };
	int r;

	r = options_parse(OPTIONS_PLAN, argc, argv, &options, &err);
	if (r >= 0 && options.help) {
		cleanup_free char *help = options_help(OPTIONS_PLAN);

		return cli_help("plan", help);
	}
	if (r >= 0 && options.word_count > 0)
		return cli_usage("plan", "'%s': not a flag", options.words[0]);
	if (r >= 0)
		r = plan(&options, &err);
	return r < 0 ? cli_fail("plan", &err, cli_status(&err)) : r;
}
