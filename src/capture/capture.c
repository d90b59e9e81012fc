// SPDX-License-Identifier: Apache-2.0
#include "capture/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/macro.h"
#include "capture/archive_priv.h"
#include "pci/address.h"
#include "sys/file.h"
#include "sys/io.h"
#include "sys/tree.h"
#include "sys/walk.h"

/* The tree that is read, and where what is found in it lies on the host: "" or "sys/". */
struct source {
	int root_fd;
	const char *prefix;
	struct machine_capture *capture;
	struct buf data;
};

/* path in the tree; NULL if it is not below the prefix. */
static const char *below(const struct source *source, const char *path)
{
	size_t len = strlen(source->prefix);

	return strncmp(path, source->prefix, len) == 0 ? path + len : NULL;
}

static struct bytes found(const struct source *source)
{
	return buf_bytes(&source->data);
}

/*
 * Adds what is at a path, whatever it is. What cannot be read is left out: devices go, and some
 * files are for root alone.
 */
static int add_path(struct source *source, const char *path, struct err *err)
{
	const char *at = below(source, path);
	int r;

	if (!at)
		return 0;
	buf_drop(&source->data, source->data.len);
	r = tree_read_link(source->root_fd, at, &source->data, NULL);
	if (r >= 0)
		return machine_capture_add(source->capture, path, MACHINE_CAPTURE_LINK,
					   found(source), err);
	if (r != -EINVAL)
		return r == -ENOMEM ? err_num(err, r, "read '%s'", path) : 0;
	r = tree_read(source->root_fd, at, MACHINE_CAPTURE_FILE_MAX, &source->data, NULL);
	if (r >= 0)
		return machine_capture_add(source->capture, path, MACHINE_CAPTURE_FILE,
					   found(source), err);
	if (r == -EBADF || r == -EISDIR)
		return machine_capture_add(source->capture, path, MACHINE_CAPTURE_DIR,
					   (struct bytes){ 0 }, err);
	return r == -ENOMEM ? err_num(err, r, "read '%s'", path) : 0;
}

/* "a/b" and what follows a component of a pattern: its next one with its slash, or "". */
static size_t component(const char *pattern)
{
	return strcspn(pattern, "/");
}

/* Adds what a pattern stands for, from the directory `path` (ending in a slash, or "") on. */
static int add_pattern(struct source *source, const char *path, const char *pattern,
		       struct err *err)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	char part[MACHINE_CAPTURE_PATH_MAX + 1], next[MACHINE_CAPTURE_PATH_MAX + 1];
	size_t plain = strcspn(pattern, "*#"), len, i;
	int r = 0;

	if (!pattern[plain]) {
		if ((size_t)snprintf(next, sizeof(next), "%s%s", path, pattern) >= sizeof(next))
			return 0;
		return add_path(source, next, err);
	}
	/* what comes before the component with the wildcard is a directory to list */
	while (plain && pattern[plain - 1] != '/')
		plain--;
	len = component(pattern + plain);
	if ((size_t)snprintf(next, sizeof(next), "%s%.*s", path, (int)plain, pattern) >=
		    sizeof(next) ||
	    (size_t)snprintf(part, sizeof(part), "%.*s", (int)len, pattern + plain) >=
		    sizeof(part) ||
	    !below(source, next))
		return 0;
	if (tree_list(source->root_fd, *below(source, next) ? below(source, next) : ".", &names,
		      NULL) < 0)
		return 0;
	for (i = 0; i < names.len && r >= 0; i++) {
		char full[MACHINE_CAPTURE_PATH_MAX + 1];
		const char *rest = pattern + plain + len;

		if (!machine_capture_matches(part, names.at[i]) ||
		    (size_t)snprintf(full, sizeof(full), "%s%s%s", next, names.at[i],
				     *rest ? "/" : "") >= sizeof(full))
			continue;
		r = *rest ? add_pattern(source, full, rest + 1, err) : add_path(source, full, err);
	}
	return r;
}

static int add_device(struct source *source, const char *dir, struct err *err)
{
	const char *const *name;
	char path[MACHINE_CAPTURE_PATH_MAX + 1];
	int r = 0;

	for (name = machine_capture_device_names; *name && r >= 0; name++)
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, *name) < sizeof(path))
			r = add_path(source, path, err);
	return r;
}

/* A function's directory, and those of the bridges it lies in: dir loses its end on the way. */
static int add_dirs(struct strv *dirs, char *dir)
{
	struct pci_address address;
	char *last = strrchr(dir, '/');
	int r = 0;

	for (; last && r >= 0; last = strrchr(dir, '/')) {
		if (pci_address_parse_string(last + 1, &address) == 0)
			r = strv_add(dirs, dir);
		*last = '\0';
	}
	return r;
}

/*
 * Every function has a link in one directory, that says where among the buses it is. Captures do
 * not always have those of bridges, but their directories.
 */
static int list_devices(const struct source *source, struct strv *ret)
{
	static const char dir[] = "sys/bus/pci/devices/", up[] = "../../../devices/";
	char path[MACHINE_CAPTURE_PATH_MAX + 1];
	size_t i;
	int r = 0;

	for (i = 0; i < source->capture->count && r >= 0; i++) {
		const struct machine_capture_entry *entry = &source->capture->entries[i];
		const char *target = (const char *)entry->data.at;

		if (strncmp(entry->path, dir, sizeof(dir) - 1) != 0)
			continue;
		if (entry->kind != MACHINE_CAPTURE_LINK)
			r = strv_add(ret, entry->path);
		else if (strncmp(target, up, sizeof(up) - 1) == 0 &&
			 (size_t)snprintf(path, sizeof(path), "sys/devices/%s",
					  target + sizeof(up) - 1) < sizeof(path))
			r = add_dirs(ret, path);
	}
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_devices(struct source *source, struct err *err)
{
	CLEANUP(strv_done) struct strv dirs = { 0 };
	size_t i;
	int r;

	r = list_devices(source, &dirs);
	if (r < 0)
		return err_num(err, r, "list PCI functions");
	if (dirs.len)
		qsort(dirs.at, dirs.len, sizeof(*dirs.at), by_name);
	for (i = 0; i < dirs.len && r >= 0; i++)
		if (!i || strcmp(dirs.at[i], dirs.at[i - 1]) != 0)
			r = add_device(source, dirs.at[i], err);
	return r;
}

static int add_tree(struct source *source, struct err *err)
{
	const char *const *pattern;
	int r = 0;

	for (pattern = machine_capture_patterns; *pattern && r >= 0; pattern++)
		r = add_pattern(source, "", *pattern, err);
	return r < 0 ? r : add_devices(source, err);
}

static int finish(int r, struct machine_capture *capture, struct machine_capture *ret)
{
	if (r < 0)
		return r;
	machine_capture_seal(capture);
	*ret = *capture;
	*capture = (struct machine_capture){ 0 };
	return 0;
}

int capture_read_host(int root_fd, struct machine_capture *ret, struct err *err)
{
	static const char version[] = "1\n";
	CLEANUP(machine_capture_done) struct machine_capture capture = { 0 };
	struct source source = { .root_fd = root_fd, .prefix = "", .capture = &capture };
	int r;

	r = machine_capture_add(&capture, MACHINE_CAPTURE_MARK, MACHINE_CAPTURE_FILE,
				(struct bytes){ (const uint8_t *)version, sizeof(version) - 1 },
				err);
	if (r >= 0)
		r = add_tree(&source, err);
	buf_done(&source.data);
	return finish(r, &capture, ret);
}

static bool has_dir(int dir_fd, const char *name)
{
	cleanup_close int fd = -1;

	return tree_open(dir_fd, name, O_RDONLY | O_DIRECTORY, 0, &fd) >= 0;
}

/* The directory that a host's files are in: this one, or the only one in it. */
static int find_root(int dir_fd, const char *path, struct source *source, struct err *err)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	size_t i;
	int r, fd;

	source->prefix = "";
	if (!has_dir(dir_fd, "sys") && has_dir(dir_fd, "bus") && has_dir(dir_fd, "devices"))
		source->prefix = "sys/";
	r = tree_open(dir_fd, ".", O_RDONLY | O_DIRECTORY, 0, &source->root_fd);
	if (r < 0)
		return err_num(err, r, "read '%s'", path);
	if (*source->prefix || has_dir(dir_fd, "sys"))
		return 0;
	r = file_list(dir_fd, ".", &names, err);
	if (r < 0)
		return r;
	for (i = 0; i < names.len; i++) {
		if (tree_open(dir_fd, names.at[i], O_RDONLY | O_DIRECTORY, 0, &fd) < 0)
			continue;
		if (has_dir(fd, "sys")) {
			(void)close(source->root_fd);
			source->root_fd = fd;
			return 0;
		}
		(void)close(fd);
	}
	return err_coded(err, ERR_USAGE, -EINVAL,
			 "read '%s': no directory 'sys' in it, or one below", path);
}

static int read_dir(int dir_fd, const char *path, struct machine_capture *capture, struct err *err)
{
	struct source source = { .root_fd = -1, .capture = capture };
	int r;

	r = find_root(dir_fd, path, &source, err);
	if (r >= 0)
		r = add_tree(&source, err);
	if (source.root_fd >= 0)
		(void)close(source.root_fd);
	buf_done(&source.data);
	return r;
}

static int read_text(int dir_fd, const char *path, struct machine_capture *capture, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	int r;

	r = file_read(dir_fd, path, MACHINE_CAPTURE_TEXT_MAX, &text, err);
	if (r == -EFBIG)
		return err_recode(err, -E2BIG, ERR_USAGE);
	return r < 0 ? r : machine_capture_set_text(capture, buf_bytes(&text), err);
}

int capture_read_path(int dir_fd, const char *path, struct machine_capture *ret, struct err *err)
{
	enum { HEAD = 512 };
	CLEANUP(machine_capture_done) struct machine_capture capture = { 0 };
	cleanup_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	uint8_t head[HEAD];
	struct stat st;
	size_t len;
	int r;

	if (fd < 0)
		return err_recode(err, err_sys(err, "read '%s'", path), ERR_USAGE);
	r = io_stat(fd, &st, err);
	if (r < 0)
		return r;
	if (S_ISDIR(st.st_mode))
		return finish(read_dir(fd, path, &capture, err), &capture, ret);
	if (!S_ISREG(st.st_mode))
		return finish(read_text(dir_fd, path, &capture, err), &capture, ret);
	r = io_read_at(fd, 0, head, HEAD, &len, err);
	if (r < 0)
		return err_wrap(err, r, "read '%s'", path);
	if (capture_archive_is((struct bytes){ head, len }))
		r = capture_archive_read(fd, path, &capture, err);
	else
		r = read_text(dir_fd, path, &capture, err);
	return finish(r, &capture, ret);
}

int capture_save(const struct machine_capture *capture, int dir_fd, const char *path,
		 struct err *err)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	CLEANUP(buf_done) struct buf data = { 0 };
	cleanup_free char *dir = NULL;
	cleanup_close int fd = -1;
	int r;

	dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	if (!dir)
		return err_num(err, -ENOMEM, "write '%s'", path);
	if (capture->is_text)
		r = buf_add(&data, capture->text.at, capture->text.len);
	else
		r = capture_archive_write(capture, path, &data, err);
	if (r < 0)
		return r;
	r = file_open_dir(dir_fd, dir, &fd, err);
	if (r >= 0)
		r = file_write_atomic(fd, name, buf_bytes(&data), 0644, err);
	return r;
}
