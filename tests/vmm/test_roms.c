// SPDX-License-Identifier: Apache-2.0
#include "folder.h"

#include <errno.h>

#include "base/macro.h"
#include "vmm/roms.h"

static void put(const char *path, const char *text)
{
	int fd = openat(folder_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(close(fd), 0);
}

static int set_up(void **state)
{
	assert_int_equal(folder_set_up(state), 0);
	assert_int_equal(file_mkdir_p(folder_fd, "usr/share/qemu", 0755, NULL), 0);
	assert_int_equal(file_mkdir_p(folder_fd, "usr/lib/ipxe/qemu", 0755, NULL), 0);
	return 0;
}

static const char *find(const struct vmm_roms *roms, const char *name)
{
	for (size_t i = 0; i < roms->count; i++)
		if (strcmp(roms->at[i].name, name) == 0)
			return (const char *)roms->at[i].contents.at;
	return NULL;
}

static void takes_what_qemu_would(void **state)
{
	static const char *const others[] = { "bios.bin",    "qboot.rom", "QEMU,VGA.bin",
					      "pvh.bin.bak", "xpvh.bin",  "slof.bin",
					      "efi-x.bin" };
	static const char *const names[] = { "kvmvapic.bin",	  "linuxboot.bin",
					     "linuxboot_dma.bin", "multiboot.bin",
					     "multiboot_dma.bin", "pvh.bin",
					     "sgabios.bin",	  "vgabios.bin",
					     "vgabios-virtio.bin" };
	CLEANUP(vmm_roms_done) struct vmm_roms roms = { 0 };
	char path[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		(void)snprintf(path, sizeof(path), "usr/share/qemu/%s", others[i]);
		put(path, "x");
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		(void)snprintf(path, sizeof(path), "usr/share/qemu/%s", names[i]);
		put(path, names[i]);
	}
	put("usr/lib/ipxe/qemu/efi-virtio.rom", "efi");
	put("usr/lib/ipxe/qemu/pxe-e1000.rom", "pxe");
	put("usr/lib/ipxe/qemu/pvh.bin", "a later directory's");
	assert_int_equal(vmm_roms_read(folder_fd, &roms, NULL), 0);
	assert_int_equal(roms.count, ARRAY_SIZE(names) + 2);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_memory_equal(find(&roms, names[i]), names[i], strlen(names[i]));
	assert_memory_equal(find(&roms, "efi-virtio.rom"), "efi", 3);
	assert_memory_equal(find(&roms, "pxe-e1000.rom"), "pxe", 3);
}

static void takes_the_first_of_a_name(void **state)
{
	CLEANUP(vmm_roms_done) struct vmm_roms one = { 0 };
	CLEANUP(vmm_roms_done) struct vmm_roms two = { 0 };

	(void)state;
	assert_int_equal(file_mkdir_p(folder_fd, "usr/share/seabios", 0755, NULL), 0);
	put("usr/share/seabios/vgabios.bin", "second");
	put("usr/lib/ipxe/qemu/vgabios.bin", "third");
	assert_int_equal(vmm_roms_read(folder_fd, &two, NULL), 0);
	assert_int_equal(two.count, 1);
	assert_memory_equal(find(&two, "vgabios.bin"), "second", 6);
	put("usr/share/qemu/vgabios.bin", "first");
	assert_int_equal(vmm_roms_read(folder_fd, &one, NULL), 0);
	assert_int_equal(one.count, 1);
	assert_memory_equal(find(&one, "vgabios.bin"), "first", 5);
}

static void follows_links_as_qemu_does(void **state)
{
	CLEANUP(vmm_roms_done) struct vmm_roms roms = { 0 };

	(void)state;
	put("usr/share/qemu/elsewhere", "linked");
	assert_int_equal(symlinkat("elsewhere", folder_fd, "usr/share/qemu/pvh.bin"), 0);
	assert_int_equal(vmm_roms_read(folder_fd, &roms, NULL), 0);
	assert_int_equal(roms.count, 1);
	assert_memory_equal(find(&roms, "pvh.bin"), "linked", 6);
}

static void one_that_cannot_be_read_is_an_error(void **state)
{
	struct vmm_roms roms = { 0 };
	struct err err = { 0 };
	int fd;

	(void)state;
	put("usr/share/qemu/kvmvapic.bin", "x");
	assert_int_equal(symlinkat("nowhere", folder_fd, "usr/share/qemu/pvh.bin"), 0);
	assert_int_equal(vmm_roms_read(folder_fd, &roms, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "pvh.bin"));
	assert_int_equal(roms.count, 0);
	assert_int_equal(unlinkat(folder_fd, "usr/share/qemu/pvh.bin", 0), 0);

	fd = openat(folder_fd, "usr/share/qemu/pvh.bin", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(fd, VMM_ROM_SIZE_MAX), 0);
	assert_int_equal(vmm_roms_read(folder_fd, &roms, NULL), 0);
	vmm_roms_done(&roms);
	assert_int_equal(ftruncate(fd, VMM_ROM_SIZE_MAX + 1), 0);
	assert_int_equal(vmm_roms_read(folder_fd, &roms, NULL), -EFBIG);
	assert_int_equal(close(fd), 0);
}

static void has_a_limit(void **state)
{
	struct vmm_roms roms = { 0 };
	char path[64];

	(void)state;
	for (int i = 0; i < VMM_ROMS_MAX; i++) {
		(void)snprintf(path, sizeof(path), "usr/share/qemu/pxe-%d.rom", i);
		put(path, "x");
	}
	assert_int_equal(vmm_roms_read(folder_fd, &roms, NULL), 0);
	assert_int_equal(roms.count, VMM_ROMS_MAX);
	vmm_roms_done(&roms);
	put("usr/share/qemu/pvh.bin", "x");
	assert_int_equal(vmm_roms_read(folder_fd, &roms, NULL), -E2BIG);
	assert_int_equal(roms.count, 0);
}

static void nothing_is_not_an_error(void **state)
{
	struct vmm_roms roms = { 0 };

	(void)state;
	assert_int_equal(file_remove_tree(folder_fd, "usr", NULL), 0);
	assert_int_equal(vmm_roms_read(folder_fd, &roms, NULL), 0);
	assert_int_equal(roms.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(takes_what_qemu_would, set_up, folder_tear_down),
		cmocka_unit_test_setup_teardown(takes_the_first_of_a_name, set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(follows_links_as_qemu_does, set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(one_that_cannot_be_read_is_an_error, set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(has_a_limit, set_up, folder_tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_not_an_error, set_up, folder_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
