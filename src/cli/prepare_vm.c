// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/planning.h"
#include "cli/prepare.h"
#include "emit/qemu.h"
#include "plan/plan.h"
#include "sys/file.h"
#include "sys/kvm.h"

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

/* What the shim is to lease, the passed devices first. */
static int add_leased(struct prepare *prepare, const struct planning *planning, size_t index,
		      int device, struct err *err)
{
	const struct machine_device *host = &planning->machine->devices[device];
	Casemate__Leased *leased = arena_alloc(&prepare->arena, sizeof(*leased));
	char text[PCI_ADDRESS_TEXT];

	if (!leased)
		return err_num(err, -ENOMEM, "plan the devices");
	casemate__leased__init(leased);
	leased->address = arena_strdup(&prepare->arena, pci_address_format(host->address, text));
	leased->driver = arena_strdup(&prepare->arena, host->driver ? host->driver : "");
	if (index < planning->plan.choice.given_count)
		leased->guest = arena_strdup(
			&prepare->arena,
			pci_address_format(layout_guest_address(&planning->plan.layout, index),
					   text));
	leased->vendor = (uint32_t)host->vendor;
	leased->device = (uint32_t)host->device;
	leased->group = host->group == MACHINE_NONE ? -1
						    : planning->machine->groups[host->group].id;
	prepare->result.vm->leased[index] = leased;
	return leased->address && leased->driver && leased->guest
		       ? 0
		       : err_num(err, -ENOMEM, "plan the devices");
}

static int add_acs(struct prepare *prepare, const struct planning *planning, struct err *err)
{
	const struct plan_tune *tune = &planning->plan.tune;
	Casemate__Vm *vm = prepare->result.vm;
	char text[PCI_ADDRESS_TEXT];

	vm->acs = arena_array(&prepare->arena, tune->count + 1, sizeof(*vm->acs));
	for (size_t i = 0; vm->acs && i < tune->count; i++) {
		Casemate__PortAcs *acs = arena_alloc(&prepare->arena, sizeof(*acs));

		if (!acs)
			break;
		casemate__port_acs__init(acs);
		acs->port = arena_strdup(
			&prepare->arena,
			pci_address_format(planning->machine->devices[tune->at[i].port].address,
					   text));
		acs->set = PCI_ACS_DT;
		if (!acs->port)
			break;
		vm->acs[vm->n_acs++] = acs;
	}
	return vm->n_acs == tune->count ? 0 : err_num(err, -ENOMEM, "plan the ports' ACS");
}

static int add_model(struct prepare *prepare, const struct machine_device *host,
		     Agent__ContainerSpec *spec, struct err *err)
{
	Agent__Device *device = arena_alloc(&prepare->arena, sizeof(*device));

	if (!device)
		return err_num(err, -ENOMEM, "plan the devices");
	agent__device__init(device);
	device->vendor = (uint32_t)host->vendor;
	device->device = (uint32_t)host->device;
	device->class_code = (uint32_t)host->class_code;
	spec->devices[spec->n_devices++] = device;
	return 0;
}

/* A plan on paper may do without what is unknown: not this one. */
static int add_devices(struct prepare *prepare, const struct planning *planning,
		       Agent__ContainerSpec *spec, struct err *err)
{
	const struct plan *plan = &planning->plan;
	const struct plan_choice *choice = &plan->choice;
	const size_t count = choice->given_count + choice->held_count;
	Casemate__Vm *vm = prepare->result.vm;
	int r;

	r = plan_reasons_err(&plan->reasons, err);
	if (r == 0)
		r = plan_reasons_err(&plan->unknown, err);
	if (r < 0 || count == 0)
		return r;
	vm->leased = arena_array(&prepare->arena, count, sizeof(*vm->leased));
	spec->devices = arena_array(&prepare->arena, count, sizeof(*spec->devices));
	if (!vm->leased || !spec->devices)
		return err_num(err, -ENOMEM, "plan the devices");
	vm->n_leased = count;
	for (size_t i = 0; r == 0 && i < choice->given_count; i++) {
		r = add_leased(prepare, planning, i, choice->given[i].device, err);
		if (r == 0)
			r = add_model(prepare, &planning->machine->devices[choice->given[i].device],
				      spec, err);
	}
	for (size_t i = 0; r == 0 && i < choice->held_count; i++)
		r = add_leased(prepare, planning, choice->given_count + i, choice->held[i].device,
			       err);
	if (r == 0)
		r = add_acs(prepare, planning, err);
	/* all memory is pinned, the BARs are mapped besides; a 16th for tables and QEMU's own */
	vm->memlock_bytes = ((uint64_t)plan->layout.memory_mib << 20) + plan->space.bars;
	vm->memlock_bytes += vm->memlock_bytes / 16 + (64 << 20);
	return r;
}

static int plan(struct prepare *prepare, Agent__ContainerSpec *spec,
		const struct manifest *manifest, int *ret_kvm_fd, int *ret_choice_fd,
		struct err *err)
{
	struct planning_request request = {
		.config = &prepare->config,
		.cpu_milli = spec->resources->cpu_milli,
		.memory_bytes = spec->resources->memory_bytes,
		.guest = manifest,
		.devices = prepare->request->request->devices,
		.tee = prepare->tee,
		.ret_choice_fd = prepare->is_dry ? NULL : ret_choice_fd,
	};
	struct planning *planning;
	int r;

	r = choose_accel(prepare, &request.accel, ret_kvm_fd, err);
	if (r >= 0)
		r = planning_make(&request, &prepare->arena, &planning, err);
	if (r >= 0)
		r = add_devices(prepare, planning, spec, err);
	for (size_t i = 0; r >= 0 && i < planning->plan.notes.count; i++)
		prepare_note(prepare, planning->plan.notes.at[i].text);
	return r < 0 ? r : make_argv(prepare, &planning->plan.layout, err);
}

static int add_descriptors(struct prepare *prepare, int guest_fd, const struct manifest *manifest,
			   int kvm_fd, struct err *err)
{
	int r;

	r = add_sealed(prepare, guest_fd, manifest->kernel_file, LAYOUT_ROLE_KERNEL, err);
	if (r >= 0)
		r = add_sealed(prepare, AT_FDCWD,
			       config_text(&prepare->config, prepare->result.vm->n_leased
								     ? CONFIG_FIRMWARE_DEVICES
								     : CONFIG_FIRMWARE),
			       LAYOUT_ROLE_FIRMWARE, err);
	if (r >= 0)
		r = add_base(prepare, guest_fd, manifest->base_file, err);
	if (r >= 0 && prepare->result.vm->kvm)
		r = add_fd(prepare, kvm_fd, LAYOUT_ROLE_KVM);
	return r < 0 ? err_recode(err, r, ERR_HOST) : 0;
}

int prepare_vm(struct prepare *prepare, Agent__ContainerSpec *spec, struct err *err)
{
	Casemate__Vm *vm = arena_alloc(&prepare->arena, sizeof(*vm));
	cleanup_close int guest_fd = -1;
	struct manifest manifest;
	int kvm_fd = -1, choice_fd = -1, r;

	if (!vm)
		return err_num(err, -ENOMEM, "plan the VM");
	casemate__vm__init(vm);
	prepare->result.vm = vm;
	vm->targets = arena_array(&prepare->arena, LAYOUT_ROLES, sizeof(*vm->targets));
	if (!vm->targets)
		return err_num(err, -ENOMEM, "plan the VM");
	r = planning_open_guest(&prepare->config, &guest_fd, &manifest, err);
	if (r < 0)
		return r;
	vm->tee = prepare->told_tee;
	vm->guest = arena_strdup(&prepare->arena, manifest.version);
	r = plan(prepare, spec, &manifest, &kvm_fd, &choice_fd, err);
	if (r >= 0)
		r = add_descriptors(prepare, guest_fd, &manifest, kvm_fd, err);
	if (r >= 0 && choice_fd >= 0) {
		prepare->fds[prepare->fd_count++] = choice_fd;
		vm->has_choice = true;
	}
	return r;
}
