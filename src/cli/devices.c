// SPDX-License-Identifier: Apache-2.0
/*
 * devices list: what could be given to pods, and who has it. devices vfs: the virtual functions of
 * one device, held by this process: they are a lease, and go with it as a pod's do.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/machine.h"
#include "lease/lease.h"
#include "lease/rundir.h"
#include "sys/file.h"
#include "sys/loop.h"
#include "sys/signals.h"

enum { VFS_MAX = 65535 }; /* NumVFs has 16 bits (PCI Express 6.0, 9.3.3.7) */

/* The places that a lease looks at and changes. */
struct places {
	int run_fd, proc_fd, sysfs_fd, dev_fd;
};

static void places_done(struct places *places)
{
	const int fds[] = { places->run_fd, places->proc_fd, places->sysfs_fd, places->dev_fd };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}
CLEANUP_FUNC(struct places, places_done)

static int open_places(const struct config *config, bool may_make, struct places *ret,
		       struct err *err)
{
	const char *configured = config_text(config, CONFIG_RUN_DIR);
	cleanup_free char *path = NULL;
	int r;

	r = may_make ? lease_run_dir_open(configured, &ret->run_fd, &path, err)
		     : lease_run_dir_look(configured, &ret->run_fd, err);
	if (r == -ENOENT && !may_make)
		r = 0;
	if (r >= 0)
		r = file_open_dir(AT_FDCWD, "/proc", &ret->proc_fd, err);
	if (r >= 0)
		r = file_open_dir(AT_FDCWD, "/sys", &ret->sysfs_fd, err);
	if (r >= 0)
		r = file_open_dir(AT_FDCWD, "/dev", &ret->dev_fd, err);
	return r;
}

static struct lease_opts opts_of(const struct places *places)
{
	return (struct lease_opts){ .run_fd = places->run_fd,
				    .proc_fd = places->proc_fd,
				    .sysfs_fd = places->sysfs_fd,
				    .dev_fd = places->dev_fd };
}

/* --- list --------------------------------------------------------------------------------- */

static bool is_listed(const struct machine_device *device)
{
	return device->bridge.present != PCI_YES && device->kind != MACHINE_BRIDGE &&
	       device->kind != MACHINE_ROOT_PORT && device->kind != MACHINE_SWITCH_PORT &&
	       device->group != MACHINE_NONE;
}

static json_t *vfs_of(const struct machine_device *device)
{
	return device->sriov.present == PCI_YES && device->sriov.num >= 0
		       ? json_integer(device->sriov.num)
		       : json_null();
}

static int tell(const struct machine *machine, const struct machine_device *device,
		const char *held_by, json_t *array)
{
	const char *driver = device->driver ? device->driver : "-";
	const int group = machine->groups[device->group].id;
	char address[PCI_ADDRESS_TEXT];

	(void)pci_address_format(device->address, address);
	if (array)
		return json_array_append_new(
			array,
			json_pack("{s:s, s:s, s:s?, s:i, s:o, s:s?}", "address", address, "kind",
				  machine_kind_name(device->kind), "driver", device->driver,
				  "group", group, "vfs", vfs_of(device), "held_by", held_by));
	(void)printf("%-13s %-9s %-16s %5d  %s\n", address, machine_kind_name(device->kind), driver,
		     group, held_by ? held_by : "-");
	return 0;
}

static int list(const struct config *config, json_t *array, struct err *err)
{
	CLEANUP(places_done) struct places places = { -1, -1, -1, -1 };
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine;
	struct lease_opts opts;
	int r = open_places(config, false, &places, err);

	if (r >= 0)
		r = cli_machine_load(NULL, &arena, NULL, &machine, err);
	if (r < 0)
		return r;
	opts = opts_of(&places);
	for (size_t i = 0; r >= 0 && i < machine->device_count; i++) {
		const struct machine_device *device = &machine->devices[i];
		char address[PCI_ADDRESS_TEXT];
		struct err held = { 0 };

		if (!is_listed(device))
			continue;
		r = lease_device_busy(&opts, pci_address_format(device->address, address), &held);
		if (r < 0 && r != -EBUSY)
			return err_wrap(err, err_set(err, r, "%.300s", held.msg), "list devices");
		r = tell(machine, device, r < 0 ? held.msg : NULL, array);
	}
	return r < 0 ? err_num(err, -ENOMEM, "list devices") : 0;
}

/* --- vfs ---------------------------------------------------------------------------------- */

static void on_signal(void *data, uint32_t events)
{
	(void)events;
	loop_stop(data);
}

/* A name of its own for each device, that no other holder can have at the same time. */
static void name_of(const char *address, char ret[static TEXT_NAME_MAX + 1])
{
	(void)snprintf(ret, TEXT_NAME_MAX + 1, "vfs-%s", address);
	for (char *at = ret; *at; at++)
		if (*at == ':')
			*at = '-';
}

/* Signals are waited for from the start, so that none comes between taking and giving back. */
static int hold(struct lease *lease, const char *address, unsigned int count, struct err *err)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP };
	CLEANUP(loop_free) struct loop *loop = NULL;
	struct loop_source *source = NULL;
	cleanup_close int signal_fd = -1;
	int r = loop_new(&loop);

	if (r >= 0)
		r = signals_watch(ending, ARRAY_SIZE(ending), &signal_fd, err);
	if (r >= 0)
		r = loop_add(loop, signal_fd, EPOLLIN, on_signal, loop, &source);
	if (r < 0)
		return err_num(err, r, "watch for signals");
	r = lease_vfs(lease, address, count, err);
	if (r >= 0) {
		(void)printf("%s has %u virtual functions\n", address, count);
		(void)fflush(stdout);
		r = loop_run(loop);
	}
	(void)loop_source_free(source);
	return r;
}

static int vfs(const struct config *config, const char *address, unsigned int count,
	       struct err *err)
{
	CLEANUP(places_done) struct places places = { -1, -1, -1, -1 };
	CLEANUP(lease_free) struct lease *lease = NULL;
	char name[TEXT_NAME_MAX + 1];
	struct err undone = { 0 };
	struct lease_opts opts;
	int r = open_places(config, true, &places, err), last;

	if (r < 0)
		return r;
	opts = opts_of(&places);
	name_of(address, name);
	(void)lease_recover(&opts, NULL, NULL, NULL);
	r = lease_open(&opts, name, &lease, err);
	if (r < 0)
		return r;
	r = hold(lease, address, count, err);
	last = lease_undo(lease, &undone);
	return r < 0 || last >= 0 ? r : err_coded(err, ERR_HOST, last, "%.400s", undone.msg);
}

/* --- words -------------------------------------------------------------------------------- */

static int vfs_main(const struct options *options, const struct config *config)
{
	struct pci_address address;
	char text[PCI_ADDRESS_TEXT];
	struct err err = { 0 };
	uint64_t count;

	if (options->word_count != 3)
		return cli_usage("devices", "vfs: an ADDRESS and a NUMBER are needed");
	if (pci_address_parse_string(options->words[1], &address) < 0)
		return cli_usage("devices", "vfs '%s': not a PCI address", options->words[1]);
	if (text_parse_uint(options->words[2], VFS_MAX, &count) < 0 || count == 0)
		return cli_usage("devices", "vfs '%s': not a number from 1 to %d",
				 options->words[2], VFS_MAX);
	if (vfs(config, pci_address_format(address, text), (unsigned int)count, &err) < 0)
		return cli_fail("devices", &err, cli_status(&err));
	return CLI_OK;
}

static int list_main(const struct options *options, const struct config *config)
{
	json_t *array = options->json ? json_array() : NULL;
	struct err err = { 0 };
	int r;

	if (options->word_count != 1)
		return cli_usage("devices", "'%s': not understood", options->words[1]);
	if (!array)
		(void)printf("%-13s %-9s %-16s %5s  %s\n", "ADDRESS", "KIND", "DRIVER", "GROUP",
			     "HELD BY");
	r = list(config, array, &err);
	if (r >= 0 && array && json_dumpf(array, stdout, JSON_INDENT(2)) == 0)
		(void)putchar('\n');
	json_decref(array);
	return r < 0 ? cli_fail("devices", &err, cli_status(&err)) : CLI_OK;
}

int cli_devices_main(int argc, char **argv)
{
	CLEANUP(options_done) struct options options = { 0 };
	CLEANUP(config_done) struct config config = { 0 };
	struct err err = { 0 };
	int status;

	if (!cli_parse(OPTIONS_DEVICES, argc, argv, &options, &status))
		return status;
	if (cli_config_load(options.config.at, options.config.len, &config, &err) < 0)
		return cli_fail("devices", &err, cli_status(&err));
	if (options.word_count > 0 && strcmp(options.words[0], "list") == 0)
		return list_main(&options, &config);
	if (options.word_count > 0 && strcmp(options.words[0], "vfs") == 0)
		return vfs_main(&options, &config);
	return cli_usage("devices", "say what: list, or vfs ADDRESS NUMBER");
}
