// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "cli/prepare.h"
#include "emit/qemu.h"
#include "plan/plan.h"
#include "sys/file.h"
#include "sys/host.h"
#include "sys/kvm.h"

/* The guest lies beside the programs in the build tree, and below lib/ when installed. */
static int open_guest(const struct config *config, int *ret_fd, char *ret_path, size_t size,
		      struct err *err)
{
	const char *chosen = config_text(config, CONFIG_GUEST_DIR);
	static const char *const below[] = { "guest", "../lib/casemate/guest" };
	char folder[3072];
	int r;

	if (chosen[0]) {
		(void)snprintf(ret_path, size, "%s", chosen);
		return file_open_dir(AT_FDCWD, chosen, ret_fd, err);
	}
	r = host_program_dir(folder, sizeof(folder), err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		(void)snprintf(ret_path, size, "%s/%s", folder, below[i]);
		if (file_open_dir(AT_FDCWD, ret_path, ret_fd, NULL) >= 0 &&
		    faccessat(*ret_fd, "manifest.json", R_OK, 0) == 0)
			return 0;
	}
	return err_coded(err, ERR_HOST, -ENOENT,
			 "find the guest: no manifest.json in '%s' or '%s/%s': `make` builds it, "
			 "guest_dir names another folder",
			 ret_path, folder, below[0]);
}

static int add_fd(struct prepare *prepare, int fd, enum layout_role role)
{
	Casemate__Vm *vm = prepare->result.vm;

	prepare->fds[prepare->fd_count++] = fd;
	vm->targets[vm->n_targets++] = (uint32_t)emit_target(role);
	return 0;
}

static int add_sealed(struct prepare *prepare, int dir_fd, const char *path, enum layout_role role,
		      struct err *err)
{
	cleanup_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	int sealed_fd, r;

	if (fd < 0)
		return err_sys(err, "open '%s'", path);
	r = file_memfd_sealed(fd, role == LAYOUT_ROLE_KERNEL ? "kernel" : "firmware", &sealed_fd,
			      err);
	return r < 0 ? r : add_fd(prepare, sealed_fd, role);
}

static int add_base(struct prepare *prepare, int dir_fd, const char *file, struct err *err)
{
	int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "open the base image '%s'", file);
	return add_fd(prepare, fd, LAYOUT_ROLE_BASE);
}

/* auto falls back to TCG, and says so; a KVM that hangs guests counts as none. */
static int choose_accel(struct prepare *prepare, enum layout_accel *ret, int *ret_kvm_fd,
			struct err *err)
{
	const char *wanted = prepare->request->request->accel;
	cleanup_close int proc_fd = -1, dev_fd = -1;
	CLEANUP(buf_done) struct buf word = { 0 };
	enum kvm_answer answer = KVM_NO_DEVICE;
	bool usable;
	char note[256];
	int r;

	if (!wanted[0]) {
		if (config_format(&prepare->config, CONFIG_ACCEL, &word) < 0 ||
		    buf_add(&word, "", 1) < 0)
			return err_num(err, -ENOMEM, "choose the accelerator");
		wanted = (const char *)word.at;
	}
	if (strcmp(wanted, "tcg") != 0 && file_open_dir(AT_FDCWD, "/proc", &proc_fd, NULL) >= 0 &&
	    file_open_dir(AT_FDCWD, "/dev", &dev_fd, NULL) >= 0)
		answer = kvm_probe(proc_fd, dev_fd, ret_kvm_fd);
	usable = answer == KVM_USABLE;
	r = plan_accel_choose(wanted, usable ? NULL : kvm_answer_text(answer), ret, err);
	if (r < 0)
		return r;
	if (*ret == LAYOUT_TCG && strcmp(wanted, "tcg") != 0) {
		(void)snprintf(note, sizeof(note),
			       "KVM cannot be used here (%s): the VM runs under TCG, many times "
			       "slower; --accel tcg says it is meant",
			       kvm_answer_text(answer));
		prepare_note(prepare, note);
	}
	return 0;
}

static int read_manifest(int dir_fd, struct manifest *ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	int r;

	r = file_read(dir_fd, "manifest.json", MANIFEST_MAX, &text, err);
	return r < 0 ? r : manifest_parse(buf_bytes(&text), ret, err);
}

static int lend_argv(struct prepare *prepare, struct emit_qemu *emit, struct err *err)
{
	Casemate__Vm *vm = prepare->result.vm;

	vm->argv = arena_array(&prepare->arena, emit->argv.len, sizeof(*vm->argv));
	for (size_t i = 0; vm->argv && i < emit->argv.len; i++) {
		vm->argv[i] = arena_strdup(&prepare->arena, emit->argv.at[i]);
		if (!vm->argv[i])
			return err_num(err, -ENOMEM, "plan the VM");
	}
	vm->n_argv = emit->argv.len;
	return vm->argv ? 0 : err_num(err, -ENOMEM, "plan the VM");
}

static int make_argv(struct prepare *prepare, const struct layout *layout, struct err *err)
{
	CLEANUP(emit_qemu_done) struct emit_qemu emit = { 0 };
	Casemate__Vm *vm = prepare->result.vm;
	int r;

	r = emit_qemu(layout, config_text(&prepare->config, CONFIG_QEMU), &emit, err);
	if (r >= 0)
		r = lend_argv(prepare, &emit, err);
	if (r < 0)
		return r;
	vm->agent_target = (uint32_t)emit_target(LAYOUT_ROLE_AGENT);
	vm->qmp_target = (uint32_t)emit_target(LAYOUT_ROLE_QMP);
	vm->console_target = (uint32_t)emit_target(LAYOUT_ROLE_CONSOLE);
	vm->vcpus = layout->vcpus;
	vm->memory_mib = layout->memory_mib;
	vm->kvm = layout->accel == LAYOUT_KVM;
	vm->start_timeout_ms = (uint32_t)config_number(
		&prepare->config, vm->kvm ? CONFIG_START_TIMEOUT_KVM : CONFIG_START_TIMEOUT_TCG);
	vm->uid_first = (uint32_t)config_number(&prepare->config, CONFIG_UID_FIRST);
	vm->uid_count = (uint32_t)config_number(&prepare->config, CONFIG_UID_COUNT);
	vm->log_bytes = config_number(&prepare->config, CONFIG_LOG_SIZE);
	return 0;
}

static int plan(struct prepare *prepare, const Agent__ContainerSpec *spec,
		const struct manifest *manifest, int *ret_kvm_fd, struct err *err)
{
	const struct config *config = &prepare->config;
	uint64_t cpus = config_number(config, CONFIG_DEFAULT_CPUS);
	struct plan_request request = { .guest = manifest, .host_cpus = (uint32_t)get_nprocs() };
	struct sysinfo info;
	struct layout layout;
	int r;

	r = choose_accel(prepare, &request.accel, ret_kvm_fd, err);
	if (r < 0)
		return r;
	request.cpu_milli = spec->resources->cpu_milli ? spec->resources->cpu_milli
						       : (uint32_t)cpus * 1000;
	request.memory_bytes = spec->resources->memory_bytes;
	if (sysinfo(&info) == 0)
		request.host_memory_bytes = (uint64_t)info.totalram * info.mem_unit;
	r = plan_make(&request, &layout, err);
	return r < 0 ? r : make_argv(prepare, &layout, err);
}

static int add_descriptors(struct prepare *prepare, int guest_fd, const struct manifest *manifest,
			   int kvm_fd, struct err *err)
{
	int r;

	r = add_sealed(prepare, guest_fd, manifest->kernel_file, LAYOUT_ROLE_KERNEL, err);
	if (r >= 0)
		r = add_sealed(prepare, AT_FDCWD, config_text(&prepare->config, CONFIG_FIRMWARE),
			       LAYOUT_ROLE_FIRMWARE, err);
	if (r >= 0)
		r = add_base(prepare, guest_fd, manifest->base_file, err);
	if (r >= 0 && prepare->result.vm->kvm)
		r = add_fd(prepare, kvm_fd, LAYOUT_ROLE_KVM);
	return r < 0 ? err_recode(err, r, ERR_HOST) : 0;
}

int prepare_vm(struct prepare *prepare, const Agent__ContainerSpec *spec, struct err *err)
{
	Casemate__Vm *vm = arena_alloc(&prepare->arena, sizeof(*vm));
	cleanup_close int guest_fd = -1;
	struct manifest manifest;
	char path[4096];
	int kvm_fd = -1, r;

	if (!vm)
		return err_num(err, -ENOMEM, "plan the VM");
	casemate__vm__init(vm);
	prepare->result.vm = vm;
	vm->targets = arena_array(&prepare->arena, LAYOUT_ROLES, sizeof(*vm->targets));
	if (!vm->targets)
		return err_num(err, -ENOMEM, "plan the VM");
	r = open_guest(&prepare->config, &guest_fd, path, sizeof(path), err);
	if (r < 0)
		return r;
	r = read_manifest(guest_fd, &manifest, err);
	if (r < 0)
		return err_recode(err, err_wrap(err, r, "read the guest in '%s'", path), ERR_HOST);
	vm->guest = arena_strdup(&prepare->arena, manifest.version);
	r = plan(prepare, spec, &manifest, &kvm_fd, err);
	return r < 0 ? r : add_descriptors(prepare, guest_fd, &manifest, kvm_fd, err);
}
