// SPDX-License-Identifier: Apache-2.0
#include "vmm/roms.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sys/file.h"

/* In the order in which QEMU looks, below the root. */
static const char *const folders[] = { "usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu" };

/*
 * By the beginning and the end of their names: all that QEMU's x86 machines and devices name in
 * 7.2 (Debian 12), 10.0 (its backports, Debian 13) and 10.1. bios*.bin and qboot.rom are loaded
 * when no -bios names something else.
 */
static const struct {
	const char *start, *end;
} patterns[] = {
	{ "efi-", ".rom" },	 { "kvmvapic", ".bin" }, { "linuxboot", ".bin" },
	{ "multiboot", ".bin" }, { "pvh", ".bin" },	 { "pxe-", ".rom" },
	{ "sgabios", ".bin" },	 { "vgabios", ".bin" },
};

void vmm_roms_done(struct vmm_roms *roms)
{
	for (size_t i = 0; i < roms->count; i++)
		buf_done(&roms->at[i].contents);
	roms->count = 0;
}

static bool is_rom(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		size_t start = strlen(patterns[i].start), end = strlen(patterns[i].end);

		if (len >= start + end && strncmp(name, patterns[i].start, start) == 0 &&
		    strcmp(name + len - end, patterns[i].end) == 0)
			return true;
	}
	return false;
}

static bool has(const struct vmm_roms *roms, const char *name)
{
	for (size_t i = 0; i < roms->count; i++)
		if (strcmp(roms->at[i].name, name) == 0)
			return true;
	return false;
}

static int add(struct vmm_roms *roms, int folder_fd, const char *name, struct err *err)
{
	struct vmm_rom *rom = &roms->at[roms->count];
	int r;

	if (roms->count == VMM_ROMS_MAX || strlen(name) > VMM_ROM_NAME_MAX)
		return err_set(err, -E2BIG,
			       "read QEMU's ROM '%s': more than %d, or too long a name", name,
			       VMM_ROMS_MAX);
	*rom = (struct vmm_rom){ 0 };
	(void)snprintf(rom->name, sizeof(rom->name), "%s", name);
	r = file_read(folder_fd, name, VMM_ROM_SIZE_MAX, &rom->contents, err);
	if (r < 0) {
		buf_done(&rom->contents);
		return err_wrap(err, r, "read QEMU's ROM");
	}
	roms->count++;
	return 0;
}

static int add_folder(struct vmm_roms *roms, int root_fd, const char *path, struct err *err)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	cleanup_close int folder_fd = -1;
	int r;

	r = file_open_dir(root_fd, path, &folder_fd, err);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = file_list(folder_fd, ".", &names, err);
	for (size_t i = 0; r == 0 && i < names.len; i++)
		if (is_rom(names.at[i]) && !has(roms, names.at[i]))
			r = add(roms, folder_fd, names.at[i], err);
	return r;
}

int vmm_roms_read(int root_fd, struct vmm_roms *ret, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++)
		r = add_folder(ret, root_fd, folders[i], err);
	if (r < 0)
		vmm_roms_done(ret);
	return r;
}
