// SPDX-License-Identifier: Apache-2.0
#include "agent/command.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "sys/tree.h"

struct head {
	char at[COMMAND_HEAD_MAX + 1]; /* a NUL behind it */
	size_t len;
};

/* False: there is none such that may be executed. */
static bool read_head(int root_fd, const char *path, struct head *ret)
{
	cleanup_close int fd = -1;
	struct stat st;
	ssize_t len;

	if (tree_open(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd) < 0 ||
	    fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return false;
	len = read(fd, ret->at, COMMAND_HEAD_MAX);
	if (len < 0)
		return false;
	ret->at[len] = '\0';
	ret->len = (size_t)len;
	return true;
}

/* As execvp() finds it, but that an empty folder is none. */
static bool find_head(int root_fd, const struct command *command, struct head *ret)
{
	char path[COMMAND_PATH_MAX + 1];
	size_t len;
	int made;

	if (command->name[0] == '/')
		return read_head(root_fd, command->name, ret);
	if (strchr(command->name, '/')) {
		made = snprintf(path, sizeof(path), "%s/%s", command->cwd, command->name);
		return made < (int)sizeof(path) && read_head(root_fd, path, ret);
	}
	for (const char *at = command->path; *at; at += len + (at[len] == ':')) {
		len = strcspn(at, ":");
		if (len == 0 || len > COMMAND_PATH_MAX)
			continue;
		made = snprintf(path, sizeof(path), "%.*s/%s", (int)len, at, command->name);
		if (made < (int)sizeof(path) && read_head(root_fd, path, ret))
			return true;
	}
	return false;
}

/* The kernel has no other format, and no other machine's. */
static bool is_program(const struct head *head)
{
	Elf64_Ehdr elf;

	if (head->len < sizeof(elf))
		return false;
	memcpy(&elf, head->at, sizeof(elf));
	return memcmp(elf.e_ident, ELFMAG, SELFMAG) == 0 && elf.e_ident[EI_CLASS] == ELFCLASS64 &&
	       elf.e_machine == EM_X86_64;
}

/* The interpreter's path, as load_script() of the kernel takes it, cut off in head; NULL: none. */
static const char *interpreter_of(struct head *head)
{
	char *at = head->at + 2;
	size_t len;

	if (head->len < 2 || memcmp(head->at, "#!", 2) != 0)
		return NULL;
	at += strspn(at, " \t");
	len = strcspn(at, " \t\n");
	if (len == 0 || at + len == head->at + COMMAND_HEAD_MAX)
		return NULL;
	at[len] = '\0';
	return at;
}

int command_check(int root_fd, const struct command *command, struct err *err)
{
	cleanup_close int fd = -1;
	const char *interpreter;
	struct head head;

	if (!find_head(root_fd, command, &head) || is_program(&head))
		return 0;
	interpreter = interpreter_of(&head);
	if (!interpreter)
		return err_set(err, -ENOEXEC, "run '%.128s': exec format error", command->name);
	/* a relative one begins where the process does: not worth a look */
	if (interpreter[0] == '/' && tree_open(root_fd, interpreter, O_PATH, 0, &fd) == -ENOENT)
		return err_set(err, -ENOENT, "run '%.128s': its interpreter '%.128s' is not there",
			       command->name, interpreter);
	return 0;
}
