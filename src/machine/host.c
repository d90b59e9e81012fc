// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "machine/build_priv.h"
#include "machine/number_priv.h"

#define CPU_DIR "sys/devices/system/cpu"
#define NODE_DIR "sys/devices/system/node"

static struct bytes line_of(struct bytes *text)
{
	const uint8_t *end = memchr(text->at, '\n', text->len);
	struct bytes line = { text->at, end ? (size_t)(end - text->at) : text->len };
	size_t used = line.len + !!end;

	*text = (struct bytes){ text->at + used, text->len - used };
	return line;
}

static struct bytes trimmed(struct bytes text)
{
	while (text.len && (*text.at == ' ' || *text.at == '\t')) {
		text.at++;
		text.len--;
	}
	while (text.len && (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
		text.len--;
	return text;
}

/* The first "name: value" of a file like /proc/cpuinfo; .at is NULL if there is none. */
static struct bytes value_of(struct bytes text, const char *name)
{
	while (text.len) {
		struct bytes line = line_of(&text);
		const uint8_t *colon = memchr(line.at, ':', line.len);
		size_t len = colon ? (size_t)(colon - line.at) : 0;

		if (colon && bytes_is(trimmed((struct bytes){ line.at, len }), name))
			return trimmed((struct bytes){ colon + 1, line.len - len - 1 });
	}
	return (struct bytes){ 0 };
}

static int8_t has_word(struct bytes text, const char *name)
{
	struct bytes word;

	if (!text.at)
		return PCI_UNKNOWN;
	while (machine_number_word(&text, " ", &word))
		if (bytes_is(word, name))
			return PCI_YES;
	return PCI_NO;
}

/* "131072 kB" in bytes */
static int64_t parse_kib(struct bytes text)
{
	struct bytes word;
	int64_t kib;

	if (!machine_number_word(&text, " ", &word) || !bytes_is(trimmed(text), "kB"))
		return PCI_UNKNOWN;
	kib = machine_number_decimal(word, INT64_MAX / 1024);
	return kib < 0 ? PCI_UNKNOWN : kib * 1024;
}

/* A copy in the arena; false for no memory. */
static bool keep(struct machine_build *build, struct bytes text, const char **ret)
{
	*ret = NULL;
	if (text.at)
		*ret = arena_strndup(build->arena, (const char *)text.at, text.len);
	return *ret || !text.at;
}

/* "46 bits physical, 48 bits virtual" */
static void parse_address_bits(struct bytes text, struct machine_limits *limits)
{
	enum { BITS_MAX = 64 };
	struct bytes word;

	if (!machine_number_word(&text, " ", &word))
		return;
	limits->phys_bits = (int)machine_number_decimal(word, BITS_MAX);
	while (machine_number_word(&text, " ", &word) && !bytes_is(word, "physical,"))
		;
	if (machine_number_word(&text, " ", &word))
		limits->virt_bits = (int)machine_number_decimal(word, BITS_MAX);
}

static bool read_cpuinfo(struct machine_build *build, const struct machine_capture *capture)
{
	struct bytes text = machine_capture_text(capture, "proc", "cpuinfo");
	struct machine_limits *limits = &build->machine->limits;
	struct bytes flags;

	if (!text.at)
		return true;
	flags = value_of(text, "flags");
	limits->has_svm = has_word(flags, "svm");
	limits->has_vmx = has_word(flags, "vmx");
	parse_address_bits(value_of(text, "address sizes"), limits);
	return keep(build, value_of(text, "vendor_id"), &limits->cpu_vendor) &&
	       keep(build, value_of(text, "model name"), &limits->cpu_model);
}

static bool read_kernel(struct machine_build *build, const struct machine_capture *capture)
{
	struct bytes release = machine_capture_text(capture, "proc/sys/kernel", "osrelease");
	struct bytes version = machine_capture_text(capture, "proc", "version");
	struct bytes cmdline = machine_capture_text(capture, "proc", "cmdline"), rest, word;
	struct machine_limits *limits = &build->machine->limits;
	int i;

	/* "Linux version 6.12.95-amd64 (...)" */
	for (i = 0; !release.at && i < 3 && machine_number_word(&version, " ", &word); i++)
		if (i == 2)
			release = word;
	if (cmdline.at)
		limits->has_acs_override = PCI_NO;
	for (rest = cmdline; machine_number_word(&rest, " ", &word);)
		if (word.len > 18 && memcmp(word.at, "pcie_acs_override=", 18) == 0)
			limits->has_acs_override = PCI_YES;
	return keep(build, release, &limits->kernel) && keep(build, cmdline, &limits->cmdline);
}

/* The drivers of IOMMUs register their units by these names. */
static void read_iommu(struct machine_build *build, const struct machine_capture *capture)
{
	static const struct {
		const char *unit, *name;
	} names[] = { { "dmar", "intel" }, { "ivhd", "amd" }, { "smmu", "smmu" } };
	static const char dir[] = "sys/class/iommu/";
	struct machine_limits *limits = &build->machine->limits;
	size_t i, j;

	for (i = machine_capture_from(capture, dir); i < capture->count; i++) {
		const char *path = capture->entries[i].path;

		if (strncmp(path, dir, sizeof(dir) - 1) != 0)
			break;
		limits->has_iommu = PCI_YES;
		for (j = 0; j < ARRAY_SIZE(names) && !limits->iommu; j++)
			if (strncmp(path + sizeof(dir) - 1, names[j].unit, strlen(names[j].unit)) ==
			    0)
				limits->iommu = names[j].name;
	}
	for (i = 0; i < build->draft_count && limits->has_iommu != PCI_YES; i++)
		if (build->drafts[i].group_id >= 0)
			limits->has_iommu = PCI_YES;
	if (limits->has_iommu == PCI_UNKNOWN && machine_capture_find(capture, MACHINE_CAPTURE_MARK))
		limits->has_iommu = PCI_NO;
}

static void read_unsafe(struct machine_build *build, const struct machine_capture *capture)
{
	struct bytes text = machine_capture_text(capture, "sys/module/vfio_iommu_type1/parameters",
						 "allow_unsafe_interrupts");

	if (bytes_is(text, "Y"))
		build->machine->limits.unsafe_interrupts = PCI_YES;
	else if (bytes_is(text, "N"))
		build->machine->limits.unsafe_interrupts = PCI_NO;
}

/* The number behind a prefix in a path, and where its directory's name ends; PCI_UNKNOWN. */
static int number_in(const char *path, const char *prefix, int64_t max, size_t *ret_len)
{
	size_t skip = strlen(prefix), digits;

	if (strncmp(path, prefix, skip) != 0)
		return PCI_UNKNOWN;
	digits = strspn(path + skip, "0123456789");
	if (!digits || path[skip + digits] != '/')
		return PCI_UNKNOWN;
	*ret_len = skip + digits;
	return (int)machine_number_decimal((struct bytes){ (const uint8_t *)path + skip, digits },
					   max);
}

static int read_distances(struct machine_build *build, struct bytes text,
			  struct machine_node_draft *node)
{
	int32_t list[MACHINE_NODES_MAX];
	struct bytes word;
	size_t count = 0;

	while (count < MACHINE_NODES_MAX && machine_number_word(&text, " ", &word))
		list[count++] = (int32_t)machine_number_decimal(word, INT32_MAX);
	node->distances = arena_memdup(build->arena, list, count * sizeof(list[0]));
	node->distance_count = count;
	return node->distances ? 0 : -ENOMEM;
}

static int read_node(struct machine_build *build, const struct machine_capture *capture,
		     const char *dir, int id, struct err *err)
{
	struct machine_node_draft node = { .id = id, .memory_bytes = PCI_UNKNOWN };
	struct bytes text = machine_capture_text(capture, dir, "cpulist");
	char name[48];

	if (text.at) {
		node.cpus = arena_alloc(build->arena, sizeof(*node.cpus));
		if (!node.cpus)
			return err_num(err, -ENOMEM, "read a capture");
		if (!machine_number_list(text, node.cpus))
			node.cpus = NULL;
	}
	text = machine_capture_text(capture, dir, "meminfo");
	(void)snprintf(name, sizeof(name), "Node %d MemTotal", id);
	if (text.at)
		node.memory_bytes = parse_kib(value_of(text, name));
	text = machine_capture_text(capture, dir, "distance");
	if (text.at && read_distances(build, text, &node) < 0)
		return err_num(err, -ENOMEM, "read a capture");
	return machine_build_node(build, &node, err);
}

static int read_nodes(struct machine_build *build, const struct machine_capture *capture,
		      struct err *err)
{
	static const char prefix[] = NODE_DIR "/node";
	char dir[MACHINE_CAPTURE_PATH_MAX + 1];
	int id, last = PCI_UNKNOWN, r = 0;
	size_t i, len;

	for (i = machine_capture_from(capture, prefix); i < capture->count && r >= 0; i++) {
		const char *path = capture->entries[i].path;

		if (strncmp(path, prefix, sizeof(prefix) - 1) != 0)
			break;
		id = number_in(path, prefix, MACHINE_NODE_ID_MAX, &len);
		if (id < 0 || id == last)
			continue;
		memcpy(dir, path, len);
		dir[len] = '\0';
		r = read_node(build, capture, dir, id, err);
		last = id;
	}
	return r;
}

static int read_cpu(struct machine_build *build, const struct machine_capture *capture, int id,
		    int8_t is_online, struct err *err)
{
	enum { CORES_MAX = 1 << 20, DIES_MAX = 1 << 10 };
	struct machine_cpu cpu = { .id = id, .node = MACHINE_NONE, .is_online = is_online };
	char dir[64];
	int64_t core, die;

	(void)snprintf(dir, sizeof(dir), CPU_DIR "/cpu%d/topology", id);
	cpu.package = (int)machine_number_decimal(
		machine_capture_text(capture, dir, "physical_package_id"), INT32_MAX);
	core = machine_number_decimal(machine_capture_text(capture, dir, "core_id"), CORES_MAX - 1);
	die = machine_number_decimal(machine_capture_text(capture, dir, "die_id"), DIES_MAX - 1);
	/* numbers of cores may start again with each die */
	cpu.core = core < 0 ? PCI_UNKNOWN : (int)((die < 0 ? 0 : die) * CORES_MAX + core);
	return machine_build_cpu(build, &cpu, err);
}

/* Those that are present; where no list says, those that have a directory. */
static void list_cpus(const struct machine_capture *capture, struct machine_mask *ret)
{
	static const char prefix[] = CPU_DIR "/cpu";
	struct bytes text = machine_capture_text(capture, CPU_DIR, "present");
	size_t i, len;
	int id;

	if (text.at && machine_number_list(text, ret))
		return;
	memset(ret, 0, sizeof(*ret));
	for (i = machine_capture_from(capture, prefix); i < capture->count; i++) {
		if (strncmp(capture->entries[i].path, prefix, sizeof(prefix) - 1) != 0)
			break;
		id = number_in(capture->entries[i].path, prefix, MACHINE_CPU_ID_MAX, &len);
		if (id >= 0)
			machine_mask_set(ret, id);
	}
}

static int read_cpus(struct machine_build *build, const struct machine_capture *capture,
		     struct err *err)
{
	struct machine_mask *present = arena_alloc(build->arena, sizeof(*present));
	struct machine_mask *online = arena_alloc(build->arena, sizeof(*online));
	struct bytes text = machine_capture_text(capture, CPU_DIR, "online");
	bool has_online;
	int id, r = 0;

	if (!present || !online)
		return err_num(err, -ENOMEM, "read a capture");
	has_online = text.at && machine_number_list(text, online);
	list_cpus(capture, present);
	for (id = 0; id <= MACHINE_CPU_ID_MAX && r >= 0; id++) {
		int8_t is_online = has_online ? machine_mask_has(online, id) : PCI_UNKNOWN;

		if (machine_mask_has(present, id))
			r = read_cpu(build, capture, id, is_online, err);
	}
	return r;
}

int machine_host_decode(struct machine_build *build, const struct machine_capture *capture,
			struct err *err)
{
	struct bytes meminfo = machine_capture_text(capture, "proc", "meminfo");
	int r;

	if (meminfo.at)
		build->machine->limits.memory_bytes = parse_kib(value_of(meminfo, "MemTotal"));
	if (!read_cpuinfo(build, capture) || !read_kernel(build, capture))
		return err_num(err, -ENOMEM, "read a capture");
	read_iommu(build, capture);
	read_unsafe(build, capture);
	r = read_nodes(build, capture, err);
	return r < 0 ? r : read_cpus(build, capture, err);
}
