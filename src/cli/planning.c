// SPDX-License-Identifier: Apache-2.0
#include "cli/planning.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "cli/machine.h"
#include "lease/lease.h"
#include "lease/rundir.h"
#include "plan/plan.h"
#include "sys/file.h"
#include "sys/host.h"

/* The guest lies beside the programs in the build tree, and below lib/ when installed. */
static int find_guest(const struct config *config, int *ret_fd, char *ret_path, size_t size,
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

int planning_open_guest(const struct config *config, int *ret_fd, struct manifest *ret,
			struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	cleanup_close int guest_fd = -1;
	char path[4096];
	int r;

	r = find_guest(config, &guest_fd, path, sizeof(path), err);
	if (r < 0)
		return r;
	r = file_read(guest_fd, "manifest.json", MANIFEST_MAX, &text, err);
	if (r >= 0)
		r = manifest_parse(buf_bytes(&text), ret, err);
	if (r < 0)
		return err_recode(err, err_wrap(err, r, "read the guest in '%s'", path), ERR_HOST);
	*ret_fd = steal_fd(&guest_fd);
	return 0;
}

/* What could be in use without a pod: other kinds' drivers let go of everything. */
static bool may_be_used(const struct machine_device *device)
{
	enum { CLASS_STORAGE = 0x01, CLASS_NETWORK = 0x02 };
	const int class = device->class_code >> 16;

	return device->driver && (class == CLASS_STORAGE || class == CLASS_NETWORK);
}

static bool has_name(const struct strv *names, const char *name)
{
	for (size_t i = 0; i < names->len; i++)
		if (strcmp(names->at[i], name) == 0)
			return true;
	return false;
}

/* What live pods have, and the host uses. What cannot be looked at, the lease will refuse. */
static int find_taken(const struct config *config, struct arena *arena,
		      const struct machine *machine, struct plan_wish *wish)
{
	CLEANUP(strv_done) struct strv claims = { 0 };
	cleanup_close int run_fd = -1, proc_fd = -1, sysfs_fd = -1, dev_fd = -1;
	struct plan_taken *taken = arena_array(arena, machine->device_count + 1, sizeof(*taken));
	struct lease_opts opts;

	if (!taken)
		return -ENOMEM;
	if (lease_run_dir_look(config_text(config, CONFIG_RUN_DIR), &run_fd, NULL) == 0)
		(void)file_list(run_fd, "devices", &claims, NULL);
	if (file_open_dir(AT_FDCWD, "/proc", &proc_fd, NULL) < 0 ||
	    file_open_dir(AT_FDCWD, "/sys", &sysfs_fd, NULL) < 0 ||
	    file_open_dir(AT_FDCWD, "/dev", &dev_fd, NULL) < 0)
		return 0;
	opts = (struct lease_opts){
		.run_fd = run_fd, .proc_fd = proc_fd, .sysfs_fd = sysfs_fd, .dev_fd = dev_fd
	};
	for (size_t i = 0; i < machine->device_count; i++) {
		const struct machine_device *device = &machine->devices[i];
		char address[PCI_ADDRESS_TEXT];
		struct err err = { 0 };

		(void)pci_address_format(device->address, address);
		if ((!may_be_used(device) && !has_name(&claims, address)) ||
		    lease_device_busy(&opts, address, &err) != -EBUSY)
			continue;
		taken[wish->taken_count] =
			(struct plan_taken){ device->address, arena_strdup(arena, err.msg) };
		if (!taken[wish->taken_count++].by)
			return -ENOMEM;
	}
	wish->taken = taken;
	return 0;
}

static int parse_mode(const char *word, enum layout_mode *ret)
{
	static const char *const words[] = {
		[LAYOUT_AUTO] = "auto",
		[LAYOUT_REPLICATE] = "replicate",
		[LAYOUT_FLATTEN] = "flatten",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(word, words[i]) == 0) {
			*ret = (enum layout_mode)i;
			return 0;
		}
	}
	return word[0] ? -EINVAL : 0;
}

static int make_wish(const struct planning_request *request, struct arena *arena,
		     struct plan_wish *ret, struct err *err)
{
	const Casemate__DeviceRequest *devices = request->devices;
	struct pci_address *named = arena_array(arena, devices->n_named + 1, sizeof(*named));

	if (!named)
		return err_num(err, -ENOMEM, "plan the devices");
	*ret = (struct plan_wish){
		.named = named,
		.gpus = devices->gpus,
		.nics = devices->nics,
		.nvme = devices->nvme,
		.vf = devices->vf,
		.tune_acs = devices->tune_acs,
		.no_peers = !config_number(request->config, CONFIG_PEER_TO_PEER),
		.keep_drivers = config_text(request->config, CONFIG_KEEP_DRIVERS),
	};
	for (size_t i = 0; i < devices->n_named; i++)
		if (pci_address_parse_string(devices->named[i], &named[ret->named_count++]) < 0)
			return err_coded(err, ERR_USAGE, -EINVAL,
					 "--device '%s': not a PCI address", devices->named[i]);
	if (devices->near[0] && plan_near_parse(devices->near, &ret->near) < 0)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--near '%s': none of switch, root, node, any", devices->near);
	if (parse_mode(devices->mode, &ret->mode) < 0)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--mode '%s': none of auto, replicate, flatten", devices->mode);
	return 0;
}

static int make_vm(const struct planning_request *request, struct plan *plan, struct err *err)
{
	struct plan_request vm = {
		.cpu_milli = request->cpu_milli,
		.memory_bytes = request->memory_bytes,
		.accel = request->accel,
		.tee = request->tee,
		.guest = request->guest,
	};
	struct sysinfo info;

	if (!vm.cpu_milli)
		vm.cpu_milli = (uint32_t)config_number(request->config, CONFIG_DEFAULT_CPUS) * 1000;
	if (!vm.memory_bytes)
		vm.memory_bytes = config_number(request->config, CONFIG_DEFAULT_MEMORY);
	if (!request->from) {
		vm.host_cpus = (uint32_t)get_nprocs();
		if (sysinfo(&info) == 0)
			vm.host_memory_bytes = (uint64_t)info.totalram * info.mem_unit;
	}
	return plan_make(&vm, &plan->layout, err);
}

static void begin_choice(const struct planning_request *request)
{
	cleanup_close int run_fd = -1;

	if (lease_run_dir_look(config_text(request->config, CONFIG_RUN_DIR), &run_fd, NULL) == 0)
		(void)lease_choice_begin(run_fd, request->ret_choice_fd);
}

int planning_make(const struct planning_request *request, struct arena *arena,
		  struct planning **ret, struct err *err)
{
	struct planning *planning = arena_alloc(arena, sizeof(*planning));
	struct plan_wish wish;
	int r;

	if (!planning)
		return err_num(err, -ENOMEM, "plan the VM");
	r = make_vm(request, &planning->plan, err);
	if (r < 0)
		return r;
	*ret = planning;
	if (!request->devices)
		return 0;
	r = make_wish(request, arena, &wish, err);
	if (r < 0 || (plan_wish_is_empty(&wish) && !request->from))
		return r;
	/* before anything of the host is read; without it the lease refuses what has been taken */
	if (request->ret_choice_fd && (wish.gpus || wish.nics || wish.nvme))
		begin_choice(request);
	r = cli_machine_load(request->from, arena, NULL, &planning->machine, err);
	if (r < 0)
		return r;
	if (!request->from)
		r = find_taken(request->config, arena, planning->machine, &wish);
	if (r < 0)
		return err_num(err, r, "plan the devices");
	r = plan_devices(planning->machine, &wish, &planning->plan);
	return r < 0 ? err_num(err, r, "plan the devices") : 0;
}
