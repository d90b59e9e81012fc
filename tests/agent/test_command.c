// SPDX-License-Identifier: Apache-2.0
#include "agent/command.h"

#include <elf.h>
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

#include "base/macro.h"
#include "sys/file.h"

static char folder[] = "/tmp/casemate-test-XXXXXX";
static int root_fd;

static void put_bytes(const char *name, const void *bytes, size_t len, mode_t mode)
{
	int fd = openat(root_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

static void put(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text), 0755);
}

static void put_elf(const char *name, int class, int machine, size_t len)
{
	Elf64_Ehdr elf = { .e_machine = (Elf64_Half)machine };

	memcpy(elf.e_ident, ELFMAG, SELFMAG);
	elf.e_ident[EI_CLASS] = (unsigned char)class;
	put_bytes(name, &elf, len, 0755);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	root_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)mkdirat(root_fd, "bin", 0755);
	(void)mkdirat(root_fd, "srv", 0755);
	put_elf("bin/sh", ELFCLASS64, EM_X86_64, sizeof(Elf64_Ehdr));
	return root_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	cleanup_close int tmp_fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	(void)close(root_fd);
	return file_remove_tree(tmp_fd, strrchr(folder, '/') + 1, NULL);
}

static int check(const char *name, const char *words)
{
	const struct command command = { name, "/srv", "/nonesuch:/bin::/srv" };
	struct err err = { 0 };
	int r = command_check(root_fd, &command, &err);

	assert_int_equal(err.num, r);
	if (words && !strstr(err.msg, words))
		fail_msg("'%s': '%s', not '%s'", name, err.msg, words);
	return r;
}

static void programs_and_scripts_can_be_run(void **state)
{
	(void)state;
	put("srv/script", "#!/bin/sh\necho\n");
	put("srv/spaced", "#! \t/bin/sh -e\n");
	put("srv/bare", "#!/bin/sh");
	put("srv/relative", "#!sh\n");
	assert_int_equal(check("/bin/sh", NULL), 0);
	assert_int_equal(check("sh", NULL), 0);
	assert_int_equal(check("../bin/sh", NULL), 0);
	assert_int_equal(check("./script", NULL), 0);
	assert_int_equal(check("script", NULL), 0);
	assert_int_equal(check("/srv/spaced", NULL), 0);
	assert_int_equal(check("/srv/bare", NULL), 0);
	assert_int_equal(check("/srv/relative", NULL), 0);
}

static void what_is_of_no_format_is_refused_with_its_name(void **state)
{
	(void)state;
	put("srv/text", "echo\n");
	put("srv/empty", "");
	put("srv/hash", "#");
	put("srv/nobody", "#! \t\n/bin/sh");
	put_elf("srv/arm", ELFCLASS64, EM_AARCH64, sizeof(Elf64_Ehdr));
	put_elf("srv/i386", ELFCLASS32, EM_386, sizeof(Elf64_Ehdr));
	put_elf("srv/short", ELFCLASS64, EM_X86_64, sizeof(Elf64_Ehdr) - 1);
	assert_int_equal(check("/srv/text", "run '/srv/text': exec format error"), -ENOEXEC);
	assert_int_equal(check("text", "run 'text'"), -ENOEXEC);
	assert_int_equal(check("./text", "run './text'"), -ENOEXEC);
	assert_int_equal(check("/srv/empty", NULL), -ENOEXEC);
	assert_int_equal(check("/srv/hash", NULL), -ENOEXEC);
	assert_int_equal(check("/srv/nobody", NULL), -ENOEXEC);
	assert_int_equal(check("/srv/arm", NULL), -ENOEXEC);
	assert_int_equal(check("/srv/i386", NULL), -ENOEXEC);
	assert_int_equal(check("/srv/short", NULL), -ENOEXEC);
}

static void a_script_whose_interpreter_is_not_there_is_refused(void **state)
{
	char line[COMMAND_HEAD_MAX] = "#!/";

	(void)state;
	put("srv/lost", "#!/usr/bin/python9 -u\n");
	put("srv/windows", "#!/bin/sh\r\necho\r\n");
	assert_int_equal(check("/srv/lost", "interpreter '/usr/bin/python9' is not there"),
			 -ENOENT);
	assert_int_equal(check("/srv/windows", "'/bin/sh\r'"), -ENOENT);
	/* the kernel looks at so much of the line, and no more */
	memset(line + 3, 'x', sizeof(line) - 3);
	memcpy(line + 100, "/", 1);
	line[sizeof(line) - 1] = '\n';
	put_bytes("srv/long", line, sizeof(line), 0755);
	assert_int_equal(check("/srv/long", "is not there"), -ENOENT);
	line[sizeof(line) - 1] = 'x';
	put_bytes("srv/long", line, sizeof(line), 0755);
	assert_int_equal(check("/srv/long", "format"), -ENOEXEC);
	put_bytes("srv/long", line, sizeof(line) - 1, 0755);
	assert_int_equal(check("/srv/long", "is not there"), -ENOENT);
	put("srv/deep", "#!/srv/../../../bin/sh\n");
	assert_int_equal(check("/srv/deep", NULL), 0);
}

static void what_crun_tells_by_itself_is_left_to_it(void **state)
{
	(void)state;
	put_bytes("srv/plain", "echo\n", 5, 0644);
	assert_int_equal(mkfifoat(root_fd, "srv/fifo", 0755), 0);
	assert_int_equal(check("/srv/plain", NULL), 0);
	assert_int_equal(check("/srv/fifo", NULL), 0);
	assert_int_equal(check("/srv", NULL), 0);
	assert_int_equal(check("/srv/none", NULL), 0);
	assert_int_equal(check("none", NULL), 0);
	assert_int_equal(check("", NULL), 0);
}

/* One that may not be executed does not hide one further on, as with execvp(). */
static void the_first_that_may_be_executed_counts(void **state)
{
	(void)state;
	put_bytes("bin/twice", "echo\n", 5, 0644);
	put("srv/twice", "#!/bin/sh\n");
	assert_int_equal(check("twice", NULL), 0);
	put("bin/twice", "echo\n");
	assert_int_equal(check("twice", NULL), -ENOEXEC);
}

/* A link cannot lead out of the root: there is a /bin/sh outside, too. */
static void links_stay_inside(void **state)
{
	(void)state;
	put("srv/inside", "text\n");
	assert_int_equal(symlinkat("/srv/inside", root_fd, "srv/link"), 0);
	assert_int_equal(symlinkat("/proc/self/exe", root_fd, "srv/out"), 0);
	assert_int_equal(check("/srv/link", NULL), -ENOEXEC);
	assert_int_equal(check("/srv/out", NULL), 0);
}

static void a_long_path_is_no_harm(void **state)
{
	static char path[3 * COMMAND_PATH_MAX], name[COMMAND_PATH_MAX + 8] = "./";
	const struct command in_path = { "text", "/srv", path };
	const struct command in_cwd = { name, "/srv", "" };

	(void)state;
	put("srv/text", "echo\n");
	memset(path, 'x', sizeof(path) - 6);
	memcpy(path + 2 * COMMAND_PATH_MAX, ":/srv:", 6);
	memset(name + 2, 'y', sizeof(name) - 3);
	assert_int_equal(command_check(root_fd, &in_path, NULL), -ENOEXEC);
	assert_int_equal(command_check(root_fd, &in_cwd, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_and_scripts_can_be_run),
		cmocka_unit_test(what_is_of_no_format_is_refused_with_its_name),
		cmocka_unit_test(a_script_whose_interpreter_is_not_there_is_refused),
		cmocka_unit_test(what_crun_tells_by_itself_is_left_to_it),
		cmocka_unit_test(the_first_that_may_be_executed_counts),
		cmocka_unit_test(links_stay_inside),
		cmocka_unit_test(a_long_path_is_no_harm),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
