// SPDX-License-Identifier: Apache-2.0
#include "machine/capture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "pci/address.h"

const char *const machine_capture_device_names[] = {
	"vendor",
	"device",
	"subsystem_vendor",
	"subsystem_device",
	"class",
	"revision",
	"config",
	"resource",
	"numa_node",
	"max_link_speed",
	"max_link_width",
	"current_link_speed",
	"current_link_width",
	"driver_override",
	"reset_method",
	"sriov_totalvfs",
	"sriov_numvfs",
	"boot_vga",
	"driver",
	"iommu_group",
	"physfn",
	NULL,
};

const char *const machine_capture_patterns[] = {
	MACHINE_CAPTURE_MARK,
	"proc/cpuinfo",
	"proc/cmdline",
	"proc/meminfo",
	"proc/version",
	"proc/sys/kernel/osrelease",
	"sys/bus/pci/devices/*",
	"sys/class/iommu",
	"sys/class/iommu/*",
	"sys/kernel/iommu_groups",
	"sys/kernel/iommu_groups/#/type",
	"sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
	"sys/devices/system/cpu/online",
	"sys/devices/system/cpu/present",
	"sys/devices/system/cpu/cpu#/topology/physical_package_id",
	"sys/devices/system/cpu/cpu#/topology/die_id",
	"sys/devices/system/cpu/cpu#/topology/core_id",
	"sys/devices/system/node/online",
	"sys/devices/system/node/node#/cpulist",
	"sys/devices/system/node/node#/distance",
	"sys/devices/system/node/node#/meminfo",
	NULL,
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool machine_capture_matches(const char *pattern, const char *path)
{
	for (; *pattern; pattern++) {
		if (*pattern != '*' && *pattern != '#') {
			if (*path++ != *pattern)
				return false;
			continue;
		}
		if (!*path || *path == '/' || (*pattern == '#' && !is_digit(*path)))
			return false;
		while (*path && *path != '/' && (*pattern == '*' || is_digit(*path)))
			path++;
	}
	return !*path;
}

static bool is_listed(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

/* Is it one of the files of a PCI function's directory? */
static bool is_of_device(const char *path)
{
	const char *name = strrchr(path, '/'), *dir;
	struct pci_address address;

	if (!name || (strncmp(path, "sys/devices/", 12) != 0 &&
		      strncmp(path, "sys/bus/pci/devices/", 20) != 0))
		return false;
	dir = memrchr(path, '/', (size_t)(name - path));
	if (!dir ||
	    pci_address_parse((struct bytes){ (const uint8_t *)dir + 1, (size_t)(name - dir - 1) },
			      &address) < 0)
		return false;
	return is_listed(machine_capture_device_names, name + 1);
}

bool machine_capture_wants(const char *path)
{
	const char *const *pattern;

	for (pattern = machine_capture_patterns; *pattern; pattern++)
		if (machine_capture_matches(*pattern, path))
			return true;
	return is_of_device(path);
}

void machine_capture_done(struct machine_capture *capture)
{
	arena_done(&capture->arena);
	free(capture->entries);
	*capture = (struct machine_capture){ 0 };
}

static int fail_memory(struct err *err)
{
	return err_num(err, -ENOMEM, "keep a capture");
}

static bool is_path(const char *path)
{
	size_t len;

	do {
		len = strcspn(path, "/");
		if (!len || (len <= 2 && strspn(path, ".") >= len))
			return false;
		path += len;
	} while (*path++ == '/');
	return true;
}

static int grow(struct machine_capture *capture, struct err *err)
{
	size_t cap = capture->cap ? 2 * capture->cap : 256;
	struct machine_capture_entry *more;

	if (capture->count < capture->cap)
		return 0;
	if (capture->count >= MACHINE_CAPTURE_ENTRIES_MAX)
		return err_coded(err, ERR_USAGE, -E2BIG, "keep a capture: more than %d files",
				 MACHINE_CAPTURE_ENTRIES_MAX);
	more = reallocarray(capture->entries, cap, sizeof(*more));
	if (!more)
		return fail_memory(err);
	capture->entries = more;
	capture->cap = cap;
	return 0;
}

int machine_capture_add(struct machine_capture *capture, const char *path,
			enum machine_capture_kind kind, struct bytes data, struct err *err)
{
	struct machine_capture_entry entry = { .kind = kind };
	void *at;
	int r;

	if (strnlen(path, MACHINE_CAPTURE_PATH_MAX + 1) > MACHINE_CAPTURE_PATH_MAX)
		return err_coded(err, ERR_USAGE, -E2BIG,
				 "keep a capture: a path longer than %d characters",
				 MACHINE_CAPTURE_PATH_MAX);
	if (!is_path(path))
		return err_coded(err, ERR_USAGE, -EINVAL, "keep a capture: '%s' is no such path",
				 path);
	if (data.len > MACHINE_CAPTURE_FILE_MAX)
		return err_coded(err, ERR_USAGE, -E2BIG, "keep '%s': more than %d bytes", path,
				 MACHINE_CAPTURE_FILE_MAX);
	r = grow(capture, err);
	if (r < 0)
		return r;
	entry.path = arena_strdup(&capture->arena, path);
	at = arena_alloc(&capture->arena, data.len + 1);
	if (!entry.path || !at)
		return fail_memory(err);
	if (data.len)
		memcpy(at, data.at, data.len);
	entry.data = (struct bytes){ at, data.len };
	entry.order = capture->count;
	capture->entries[capture->count++] = entry;
	return 0;
}

int machine_capture_set_text(struct machine_capture *capture, struct bytes text, struct err *err)
{
	void *at;

	if (text.len > MACHINE_CAPTURE_TEXT_MAX)
		return err_coded(err, ERR_USAGE, -E2BIG, "keep a text: more than %d bytes",
				 MACHINE_CAPTURE_TEXT_MAX);
	at = arena_memdup(&capture->arena, text.at, text.len);
	if (!at)
		return fail_memory(err);
	capture->is_text = true;
	capture->text = (struct bytes){ at, text.len };
	return 0;
}

static int by_path(const void *a, const void *b)
{
	const struct machine_capture_entry *x = a, *y = b;
	int r = strcmp(x->path, y->path);

	return r ? r : (x->order > y->order) - (x->order < y->order);
}

void machine_capture_seal(struct machine_capture *capture)
{
	size_t i, kept = 0;

	if (!capture->count)
		return;
	qsort(capture->entries, capture->count, sizeof(*capture->entries), by_path);
	for (i = 0; i < capture->count; i++) {
		if (i + 1 < capture->count &&
		    strcmp(capture->entries[i].path, capture->entries[i + 1].path) == 0)
			continue;
		capture->entries[kept++] = capture->entries[i];
	}
	capture->count = kept;
}

size_t machine_capture_from(const struct machine_capture *capture, const char *path)
{
	size_t low = 0, high = capture->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(capture->entries[middle].path, path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct machine_capture_entry *machine_capture_find(const struct machine_capture *capture,
							 const char *path)
{
	size_t at = machine_capture_from(capture, path);

	if (at < capture->count && strcmp(capture->entries[at].path, path) == 0)
		return &capture->entries[at];
	return NULL;
}

const struct machine_capture_entry *machine_capture_at(const struct machine_capture *capture,
						       const char *dir, const char *name,
						       enum machine_capture_kind kind)
{
	char path[MACHINE_CAPTURE_PATH_MAX + 1];
	const struct machine_capture_entry *entry;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return NULL;
	entry = machine_capture_find(capture, path);
	return entry && entry->kind == kind ? entry : NULL;
}

struct bytes machine_capture_text(const struct machine_capture *capture, const char *dir,
				  const char *name)
{
	const struct machine_capture_entry *entry =
		machine_capture_at(capture, dir, name, MACHINE_CAPTURE_FILE);
	struct bytes text = { 0 };

	if (!entry || memchr(entry->data.at, 0, entry->data.len))
		return text;
	text = entry->data;
	while (text.len && strchr(" \t\r\n", text.at[text.len - 1]))
		text.len--;
	return text;
}

const char *machine_capture_link(const struct machine_capture *capture, const char *dir,
				 const char *name)
{
	const struct machine_capture_entry *entry =
		machine_capture_at(capture, dir, name, MACHINE_CAPTURE_LINK);
	const char *target, *last;

	if (!entry || !entry->data.len || memchr(entry->data.at, 0, entry->data.len))
		return NULL;
	target = (const char *)entry->data.at;
	last = strrchr(target, '/');
	return last ? last + 1 : target;
}
