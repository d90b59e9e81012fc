// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/launch.h"
#include "cli/measure.h"
#include "cli/planning.h"
#include "cli/request.h"
#include "oci/json.h"
#include "sys/file.h"

enum { ARGS_MAX = 4096, PLAN_MAX = 4 << 20 };

/* What a plan in a file says: its arguments, and which firmware goes with them. */
struct written {
	json_t *root;
	char *argv[ARGS_MAX];
	size_t argc;
	bool has_devices;
};

static void written_done(struct written *written)
{
	json_decref(written->root);
}
CLEANUP_FUNC(struct written, written_done)

/* Borrows the strings from the document. */
static int read_args(const struct oci_json *plan, struct written *ret, struct err *err)
{
	struct oci_json launch = oci_json_get(plan, "launch");
	struct oci_json argv = oci_json_get(&launch, "argv");
	int r;

	r = oci_json_list(&argv, ARGS_MAX, &ret->argc, err);
	if (r >= 0 && ret->argc == 0)
		r = oci_json_fail(&argv, ERR_USAGE, -EINVAL, err,
				  "is not there: the plan is not possible, or had no guest");
	for (size_t i = 0; r >= 0 && i < ret->argc; i++) {
		struct oci_json item = oci_json_item(&argv, i);
		const char *text = json_string_value(item.value);

		if (!text)
			return oci_json_fail(&item, ERR_USAGE, -EINVAL, err, "is not a string");
		memcpy(&ret->argv[i], &text, sizeof(text));
	}
	return r;
}

static int read_plan(const char *path, struct written *ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct oci_json plan, tee, devices;
	size_t count = 0;
	int r;

	r = file_read(AT_FDCWD, path, PLAN_MAX, &text, err);
	if (r < 0)
		return err_recode(err, err_wrap(err, r, "--plan"), ERR_USAGE);
	r = oci_json_load(buf_bytes(&text), path, &ret->root, err);
	if (r < 0)
		return r;
	plan = oci_json_root(ret->root, path);
	tee = oci_json_get(&plan, "tee");
	if (!json_is_string(tee.value) || strcmp(json_string_value(tee.value), "sim") != 0)
		return oci_json_fail(&tee, ERR_USAGE, -EINVAL, err, "is not \"sim\"");
	devices = oci_json_get(&plan, "devices");
	r = oci_json_list(&devices, LAYOUT_PASSED_MAX, &count, err);
	ret->has_devices = count > 0;
	return r < 0 ? r : read_args(&plan, ret, err);
}

/* The guest's kernel and the firmware are those that are installed here. */
static int measure_plan(const struct options *options, uint8_t ret[ATTEST_LAUNCH_DIGEST],
			struct err *err)
{
	CLEANUP(config_done) struct config config = { 0 };
	CLEANUP(written_done) struct written written = { 0 };
	cleanup_close int guest_fd = -1, kernel_fd = -1, firmware_fd = -1;
	struct manifest manifest;
	const char *firmware;
	int r;

	r = cli_config_load(options->config.at, options->config.len, &config, err);
	if (r >= 0)
		r = read_plan(options->plan, &written, err);
	if (r < 0 && err)
		err->code = ERR_USAGE; /* what reads JSON takes it for an image's */
	if (r >= 0)
		r = planning_open_guest(&config, &guest_fd, &manifest, err);
	if (r < 0)
		return r;
	firmware = config_text(&config,
			       written.has_devices ? CONFIG_FIRMWARE_DEVICES : CONFIG_FIRMWARE);
	kernel_fd = openat(guest_fd, manifest.kernel_file, O_RDONLY | O_CLOEXEC);
	if (kernel_fd < 0)
		return err_sys(err, "open the guest's kernel '%s'", manifest.kernel_file);
	firmware_fd = open(firmware, O_RDONLY | O_CLOEXEC);
	if (firmware_fd < 0)
		return err_sys(err, "open '%s'", firmware);
	return launch_measure(&(struct launch){ .kernel_fd = kernel_fd,
						.firmware_fd = firmware_fd,
						.argv = written.argv,
						.argc = written.argc },
			      ret, err);
}

/* The way of `casemate run`, for a container that asks for nothing else than its VM. */
static int measure_request(const struct options *options, uint8_t ret[ATTEST_LAUNCH_DIGEST],
			   struct err *err)
{
	CLEANUP(request_done) struct request request = { 0 };
	Casemate__PrepareRequest asked = CASEMATE__PREPARE_REQUEST__INIT;
	struct prepare prepare = { .progress_fd = -1, .request = &asked, .is_dry = true };
	int r;

	casemate__prepare_result__init(&prepare.result);
	r = request_make_vm(options, &request, err);
	if (r < 0)
		return r;
	asked.request = &request.message;
	asked.with_vm = true;
	r = prepare_vm_alone(&prepare, err);
	if (r >= 0)
		r = launch_measure_prepared(&prepare, ret, err);
	prepare_done(&prepare);
	return r;
}

int measure_sim(const struct options *options, uint8_t ret[ATTEST_LAUNCH_DIGEST], struct err *err)
{
	return options->plan ? measure_plan(options, ret, err) : measure_request(options, ret, err);
}
