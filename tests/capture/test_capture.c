// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture/capture.h"
#include "sys/file.h"

#define GPU "sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0"

static struct machine_capture capture, again;
static char dir[64];
static int dir_fd = -1;

static int setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/casemate-capture-XXXXXX");
	assert_non_null(mkdtemp(dir));
	return file_open_dir(AT_FDCWD, dir, &dir_fd, NULL);
}

static int teardown(void **state)
{
	cleanup_close int tmp_fd = -1;

	(void)state;
	machine_capture_done(&capture);
	machine_capture_done(&again);
	close(dir_fd);
	assert_int_equal(file_open_dir(AT_FDCWD, "/tmp", &tmp_fd, NULL), 0);
	return file_remove_tree(tmp_fd, strrchr(dir, '/') + 1, NULL);
}

static void write_file(const char *path, const char *text)
{
	cleanup_free char *parent = strdup(path);
	cleanup_close int fd = -1;

	assert_non_null(parent);
	*strrchr(parent, '/') = '\0';
	assert_int_equal(file_mkdir_p(dir_fd, parent, 0755, NULL), 0);
	fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(
		file_write_all(fd, (struct bytes){ (const uint8_t *)text, strlen(text) }, NULL), 0);
}

static void write_link(const char *path, const char *target)
{
	cleanup_free char *parent = strdup(path);

	assert_non_null(parent);
	*strrchr(parent, '/') = '\0';
	assert_int_equal(file_mkdir_p(dir_fd, parent, 0755, NULL), 0);
	assert_int_equal(symlinkat(target, dir_fd, path), 0);
}

/* A host of one GPU below a bridge that has no link of its own. */
static void make_tree(void)
{
	write_file(GPU "/vendor", "0x10de\n");
	write_file(GPU "/device", "0x2330\n");
	write_file(GPU "/vpd", "not ours to read");
	write_link(GPU "/driver", "../../../../bus/pci/drivers/nvidia");
	write_file("sys/devices/pci0000:00/0000:00:01.0/vendor", "0x8086\n");
	write_link("sys/bus/pci/devices/0000:01:00.0",
		   "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0");
	write_file("sys/devices/system/cpu/cpu0/topology/core_id", "0\n");
	write_file("sys/devices/system/cpu/cpufreq/topology/core_id", "0\n");
	write_file("proc/cpuinfo", "processor\t: 0\n");
	write_file("sys/kernel/iommu_groups/3/type", "DMA\n");
}

static void assert_text(const char *parent, const char *name, const char *text)
{
	struct bytes found = machine_capture_text(&capture, parent, name);

	assert_non_null(found.at);
	assert_int_equal(found.len, strlen(text));
	assert_memory_equal(found.at, text, found.len);
}

static void assert_tree(void)
{
	assert_text(GPU, "vendor", "0x10de");
	assert_text("sys/devices/pci0000:00/0000:00:01.0", "vendor", "0x8086");
	assert_text("sys/devices/system/cpu/cpu0/topology", "core_id", "0");
	assert_text("sys/kernel/iommu_groups/3", "type", "DMA");
	assert_text("proc", "cpuinfo", "processor\t: 0");
	assert_string_equal(machine_capture_link(&capture, GPU, "driver"), "nvidia");
	assert_null(machine_capture_find(&capture, GPU "/vpd"));
	assert_null(
		machine_capture_find(&capture, "sys/devices/system/cpu/cpufreq/topology/core_id"));
}

static void reads_a_host_and_says_that_it_looked_for_all(void **state)
{
	(void)state;
	make_tree();
	assert_int_equal(capture_read_host(dir_fd, &capture, NULL), 0);
	assert_tree();
	assert_non_null(machine_capture_find(&capture, MACHINE_CAPTURE_MARK));
}

static void reads_a_directory_that_somebody_kept(void **state)
{
	(void)state;
	make_tree();
	assert_int_equal(capture_read_path(AT_FDCWD, dir, &capture, NULL), 0);
	assert_tree();
	assert_null(machine_capture_find(&capture, MACHINE_CAPTURE_MARK));
}

static void reads_what_lies_one_directory_below(void **state)
{
	(void)state;
	make_tree();
	assert_int_equal(mkdirat(dir_fd, "host", 0755), 0);
	assert_int_equal(renameat(dir_fd, "sys", dir_fd, "host/sys"), 0);
	assert_int_equal(renameat(dir_fd, "proc", dir_fd, "host/proc"), 0);
	assert_int_equal(capture_read_path(AT_FDCWD, dir, &capture, NULL), 0);
	assert_tree();
}

static void reads_the_root_of_a_sysfs(void **state)
{
	(void)state;
	make_tree();
	assert_int_equal(capture_read_path(dir_fd, "sys", &capture, NULL), 0);
	assert_text(GPU, "vendor", "0x10de");
	assert_null(machine_capture_find(&capture, "proc/cpuinfo"));
}

static void no_link_leads_out_of_the_directory(void **state)
{
	(void)state;
	make_tree();
	assert_int_equal(mkdirat(dir_fd, "host", 0755), 0);
	assert_int_equal(renameat(dir_fd, "sys", dir_fd, "host/sys"), 0);
	assert_int_equal(renameat(dir_fd, "proc", dir_fd, "host/proc"), 0);
	write_file("outside/vendor", "0x1234\n");
	write_link("host/sys/devices/pci0000:00/0000:00:02.0", "../../../../outside");
	write_link("host/sys/bus/pci/devices/0000:00:02.0",
		   "../../../devices/pci0000:00/0000:00:02.0");
	write_link("host/sys/bus/pci/devices/0000:00:03.0", "../../../../../outside");
	write_link("host/sys/devices/system/node", "../../../../outside");
	assert_int_equal(capture_read_path(dir_fd, "host", &capture, NULL), 0);
	assert_tree();
	assert_null(machine_capture_find(&capture, "sys/devices/pci0000:00/0000:00:02.0/vendor"));
	assert_null(machine_capture_find(&capture, "sys/bus/pci/devices/0000:00:03.0/vendor"));
}

static void what_cannot_be_read_is_left_out(void **state)
{
	char path[96];

	(void)state;
	make_tree();
	/* a pipe that nobody writes to, a directory in the place of a file, a file too large */
	assert_int_equal(mkfifoat(dir_fd, GPU "/class", 0644), 0);
	assert_int_equal(mkdirat(dir_fd, GPU "/revision", 0755), 0);
	write_file("proc/cmdline", "x");
	(void)snprintf(path, sizeof(path), "%s/proc/cmdline", dir);
	assert_int_equal(truncate(path, MACHINE_CAPTURE_FILE_MAX + 1), 0);
	assert_int_equal(capture_read_host(dir_fd, &capture, NULL), 0);
	assert_tree();
	assert_null(machine_capture_text(&capture, GPU, "class").at);
	assert_null(machine_capture_text(&capture, "proc", "cmdline").at);
}

static void assert_same(void)
{
	size_t i;

	assert_int_equal(capture.count, again.count);
	for (i = 0; i < capture.count; i++) {
		assert_string_equal(capture.entries[i].path, again.entries[i].path);
		assert_int_equal(capture.entries[i].kind, again.entries[i].kind);
		assert_int_equal(capture.entries[i].data.len, again.entries[i].data.len);
		assert_memory_equal(capture.entries[i].data.at, again.entries[i].data.at,
				    capture.entries[i].data.len);
	}
}

static void what_is_saved_is_read_again(void **state)
{
	static const char *const names[] = { "c.tar", "c.tar.gz", "c.tar.bz2", "c.tar.xz",
					     "c.tar.zst" };
	CLEANUP(buf_done) struct buf first = { 0 }, second = { 0 };
	size_t i;

	(void)state;
	make_tree();
	assert_int_equal(capture_read_host(dir_fd, &capture, NULL), 0);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(capture_save(&capture, dir_fd, names[i], NULL), 0);
		assert_int_equal(capture_read_path(dir_fd, names[i], &again, NULL), 0);
		assert_same();
		machine_capture_done(&again);
		buf_done(&first);
		buf_done(&second);
		assert_int_equal(file_read(dir_fd, names[i], 1 << 20, &first, NULL), 0);
		assert_int_equal(capture_save(&capture, dir_fd, names[i], NULL), 0);
		assert_int_equal(file_read(dir_fd, names[i], 1 << 20, &second, NULL), 0);
		assert_int_equal(first.len, second.len);
		assert_memory_equal(first.at, second.at, first.len);
	}
}

static void a_name_must_say_how_it_is_packed(void **state)
{
	struct err err = { 0 };

	(void)state;
	make_tree();
	assert_int_equal(capture_read_host(dir_fd, &capture, NULL), 0);
	assert_int_equal(capture_save(&capture, dir_fd, "c.zip", &err), -EINVAL);
	assert_int_equal(err.code, ERR_USAGE);
	assert_int_equal(capture_save(&capture, dir_fd, ".tar", NULL), -EINVAL);
}

static void a_text_is_kept_as_it_is(void **state)
{
	(void)state;
	write_file("./x.xml", "<topology/>");
	assert_int_equal(capture_read_path(dir_fd, "x.xml", &capture, NULL), 0);
	assert_true(capture.is_text);
	assert_int_equal(capture.text.len, 11);
	assert_int_equal(capture_save(&capture, dir_fd, "y.xml", NULL), 0);
	assert_int_equal(capture_read_path(dir_fd, "y.xml", &again, NULL), 0);
	assert_memory_equal(again.text.at, "<topology/>", 11);
}

static void a_cut_archive_is_refused(void **state)
{
	CLEANUP(buf_done) struct buf whole = { 0 };
	struct err err = { 0 };

	(void)state;
	make_tree();
	assert_int_equal(capture_read_host(dir_fd, &capture, NULL), 0);
	assert_int_equal(capture_save(&capture, dir_fd, "c.tar.gz", NULL), 0);
	assert_int_equal(file_read(dir_fd, "c.tar.gz", 1 << 20, &whole, NULL), 0);
	assert_int_equal(file_write_atomic(dir_fd, "cut.tar.gz",
					   (struct bytes){ whole.at, whole.len / 2 }, 0600, NULL),
			 0);
	assert_int_equal(capture_read_path(dir_fd, "cut.tar.gz", &again, &err), -EINVAL);
	assert_int_equal(err.code, ERR_USAGE);
	assert_int_equal(again.count, 0);
}

static void nothing_of_a_host_is_refused(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "empty", 0755), 0);
	assert_int_equal(capture_read_path(dir_fd, "empty", &capture, &err), -EINVAL);
	assert_int_equal(err.code, ERR_USAGE);
	assert_int_equal(capture_read_path(dir_fd, "none", &capture, &err), -ENOENT);
	assert_int_equal(err.code, ERR_USAGE);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_a_host_and_says_that_it_looked_for_all),
		TEST(reads_a_directory_that_somebody_kept),
		TEST(reads_what_lies_one_directory_below),
		TEST(reads_the_root_of_a_sysfs),
		TEST(no_link_leads_out_of_the_directory),
		TEST(what_cannot_be_read_is_left_out),
		TEST(what_is_saved_is_read_again),
		TEST(a_name_must_say_how_it_is_packed),
		TEST(a_text_is_kept_as_it_is),
		TEST(a_cut_archive_is_refused),
		TEST(nothing_of_a_host_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
