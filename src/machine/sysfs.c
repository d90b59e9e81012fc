// SPDX-License-Identifier: Apache-2.0
/*
 * A tree of files: /sys and /proc of a Linux host. Functions are found by their directories,
 * which lie in each other as the buses do (Documentation/ABI/testing/sysfs-bus-pci).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "machine/build_priv.h"
#include "machine/number_priv.h"

struct reader {
	struct machine_build *build;
	const struct machine_capture *capture;
	bool is_complete; /* what is not in the capture was not there */
	bool has_drivers; /* somebody looked for drivers */
	bool has_groups;
	struct err *err;
};

static int fail_memory(const struct reader *reader)
{
	return err_num(reader->err, -ENOMEM, "read a capture");
}

static struct bytes text_of(const struct reader *reader, const char *dir, const char *name)
{
	return machine_capture_text(reader->capture, dir, name);
}

static int64_t hex(const struct reader *reader, const char *dir, const char *name, int64_t max)
{
	return machine_number_hex(text_of(reader, dir, name), max);
}

static int64_t decimal(const struct reader *reader, const char *dir, const char *name, int64_t max)
{
	return machine_number_decimal(text_of(reader, dir, name), max);
}

/* A copy that lives as long as the machine; *ret is NULL where the capture has none. */
static int keep(const struct reader *reader, struct bytes text, const char **ret)
{
	*ret = NULL;
	if (!text.at)
		return 0;
	*ret = arena_strndup(reader->build->arena, (const char *)text.at, text.len);
	return *ret ? 0 : -ENOMEM;
}

/* "16.0 GT/s PCIe", "8 GT/s", "Unknown" */
static int32_t parse_speed(struct bytes text)
{
	static const struct {
		const char *text;
		int32_t mts;
	} speeds[] = {
		{ "2.5", 2500 },   { "5", 5000 },     { "5.0", 5000 },	 { "8", 8000 },
		{ "8.0", 8000 },   { "16", 16000 },   { "16.0", 16000 }, { "32", 32000 },
		{ "32.0", 32000 }, { "64.0", 64000 },
	};
	struct bytes word;
	size_t i;

	if (!machine_number_word(&text, " ", &word))
		return PCI_UNKNOWN;
	for (i = 0; i < ARRAY_SIZE(speeds); i++)
		if (bytes_is(word, speeds[i].text))
			return speeds[i].mts;
	return PCI_UNKNOWN;
}

static int32_t parse_width(struct bytes text)
{
	enum { NOT_KNOWN = 0xff }; /* as the kernel says it */
	int64_t width = machine_number_decimal(text, NOT_KNOWN);

	return width == NOT_KNOWN ? PCI_UNKNOWN : (int32_t)width;
}

static void fill(int32_t *value, int32_t more)
{
	if (*value == PCI_UNKNOWN)
		*value = more;
}

static void read_link(const struct reader *reader, const char *dir, struct pci_express *express)
{
	struct pci_link *link = &express->link;
	struct bytes speed = text_of(reader, dir, "max_link_speed");

	/* the kernel shows it for PCI Express only */
	if (speed.at && express->present == PCI_UNKNOWN)
		express->present = PCI_YES;
	fill(&link->max_speed, parse_speed(speed));
	fill(&link->max_width, parse_width(text_of(reader, dir, "max_link_width")));
	fill(&link->speed, parse_speed(text_of(reader, dir, "current_link_speed")));
	fill(&link->width, parse_width(text_of(reader, dir, "current_link_width")));
}

/* The kernel's ranges have sizes; where it shows none, the registers say what there is. */
static void read_bars(const struct reader *reader, const char *dir, const struct pci_config *config,
		      struct machine_device *device)
{
	struct pci_resources ranges;
	int i;

	memcpy(device->bars, config->bars, sizeof(device->bars));
	if (pci_resource_decode(text_of(reader, dir, "resource"), &ranges) < 0)
		return;
	device->bars_known = PCI_YES;
	device->rom_size = ranges.rom_size;
	memcpy(device->vf_bars, ranges.vf_bars, sizeof(device->vf_bars));
	for (i = 0; i < PCI_BAR_COUNT; i++) {
		if (ranges.bars[i].index < 0 && config->bars[i].index >= 0)
			device->bars_known = PCI_UNKNOWN;
		else
			device->bars[i] = ranges.bars[i];
	}
}

static void read_config(const struct reader *reader, const char *dir, struct pci_config *ret,
			struct machine_device *device)
{
	const struct machine_capture_entry *entry =
		machine_capture_at(reader->capture, dir, "config", MACHINE_CAPTURE_FILE);

	pci_config_decode(entry ? entry->data : (struct bytes){ 0 }, ret);
	device->is_multifunction = ret->is_multifunction;
	device->express = ret->express;
	device->bridge = ret->bridge;
	device->acs = ret->acs;
	device->ats = ret->ats;
	device->pasid = ret->pasid;
	device->p2p = ret->p2p;
	device->sriov = ret->sriov;
	device->vendor = ret->vendor;
	device->device = ret->device;
	device->subvendor = ret->subvendor;
	device->subdevice = ret->subdevice;
	device->class_code = ret->class_code;
	device->revision = ret->revision;
}

/* What the kernel says goes before what the registers do: it knows a VF's, and its quirks. */
static void prefer(int32_t *value, int64_t kernels)
{
	if (kernels >= 0)
		*value = (int32_t)kernels;
}

static void read_ids(const struct reader *reader, const char *dir, struct machine_device *device)
{
	int64_t revision = hex(reader, dir, "revision", 0xff);

	prefer(&device->vendor, hex(reader, dir, "vendor", 0xffff));
	prefer(&device->device, hex(reader, dir, "device", 0xffff));
	prefer(&device->subvendor, hex(reader, dir, "subsystem_vendor", 0xffff));
	prefer(&device->subdevice, hex(reader, dir, "subsystem_device", 0xffff));
	prefer(&device->class_code, hex(reader, dir, "class", 0xffffff));
	if (device->class_code >= 0)
		device->class_bits = 24;
	if (revision >= 0)
		device->revision = (int16_t)revision;
}

static void read_sriov(const struct reader *reader, const char *dir, struct machine_draft *draft)
{
	struct pci_sriov *sriov = &draft->device.sriov;
	int64_t total = decimal(reader, dir, "sriov_totalvfs", 0xffff);
	int64_t num = decimal(reader, dir, "sriov_numvfs", 0xffff);
	const char *physfn = machine_capture_link(reader->capture, dir, "physfn");

	if (total >= 0)
		sriov->present = PCI_YES;
	prefer(&sriov->total, total);
	prefer(&sriov->num, num);
	if (physfn && pci_address_parse_string(physfn, &draft->physfn) == 0)
		draft->is_vf = true;
	else if (reader->is_complete || draft->device.sriov.present == PCI_YES)
		draft->device.is_virtfn = PCI_NO;
}

static int read_driver(const struct reader *reader, const char *dir, struct machine_device *device)
{
	const char *driver = machine_capture_link(reader->capture, dir, "driver");
	struct bytes text;
	int r = 0;

	if (reader->has_drivers)
		device->driver_known = PCI_YES;
	if (driver)
		r = keep(reader, bytes_of(driver), &device->driver);
	text = text_of(reader, dir, "driver_override");
	if (r >= 0 && !bytes_is(text, "(null)") && text.len)
		r = keep(reader, text, &device->driver_override);
	text = text_of(reader, dir, "reset_method");
	if (r >= 0 && !text.at && reader->is_complete)
		text = bytes_of("");
	if (r >= 0)
		r = keep(reader, text, &device->reset_method);
	return r;
}

/* "pci0000:20": the root bus of a host bridge. */
static int32_t parse_root(const char *name)
{
	struct pci_address address;
	char text[PCI_ADDRESS_TEXT];

	if (strncmp(name, "pci", 3) != 0 ||
	    (size_t)snprintf(text, sizeof(text), "%s:00.0", name + 3) >= sizeof(text) ||
	    pci_address_parse_string(text, &address) < 0)
		return PCI_UNKNOWN;
	return address.bus;
}

/* Its place: the directory above is a bridge's, or the host bridge's. */
static void read_place(const char *dir, struct machine_draft *draft)
{
	const char *last = strrchr(dir, '/'), *above = memrchr(dir, '/', (size_t)(last - dir));
	char name[PCI_ADDRESS_TEXT] = "";

	if (strncmp(dir, "sys/bus/", 8) == 0)
		return;
	if (above && (size_t)(last - above) <= sizeof(name))
		memcpy(name, above + 1, (size_t)(last - above - 1));
	draft->has_parent = pci_address_parse_string(name, &draft->parent) == 0 ? PCI_YES : PCI_NO;
	if (draft->has_parent == PCI_NO)
		draft->root_bus = parse_root(name);
}

static int read_device(const struct reader *reader, const char *dir, struct pci_address address)
{
	struct machine_draft draft;
	struct machine_device *device = &draft.device;
	struct pci_config config;
	const char *group;
	int r;

	machine_draft_init(&draft);
	device->address = address;
	read_config(reader, dir, &config, device);
	read_ids(reader, dir, device);
	read_link(reader, dir, &device->express);
	read_bars(reader, dir, &config, device);
	read_sriov(reader, dir, &draft);
	read_place(dir, &draft);
	device->numa = (int)decimal(reader, dir, "numa_node", MACHINE_NODE_ID_MAX);
	device->is_boot_vga = (int8_t)decimal(reader, dir, "boot_vga", 1);
	group = machine_capture_link(reader->capture, dir, "iommu_group");
	if (group)
		draft.group_id = (int)machine_number_decimal(bytes_of(group), INT32_MAX);
	r = read_driver(reader, dir, device);
	if (r >= 0)
		r = keep(reader, bytes_of(dir), &device->sysfs);
	if (r < 0)
		return fail_memory(reader);
	return machine_build_device(reader->build, &draft, reader->err);
}

/* The directory of a function, if it is its file `vendor`; false. */
static bool is_device(const struct machine_capture_entry *entry, char *ret_dir,
		      struct pci_address *ret)
{
	const char *name = strrchr(entry->path, '/'), *last;
	size_t len;

	if (!name || strcmp(name, "/vendor") != 0 || strncmp(entry->path, "sys/", 4) != 0)
		return false;
	len = (size_t)(name - entry->path);
	memcpy(ret_dir, entry->path, len);
	ret_dir[len] = '\0';
	last = strrchr(ret_dir, '/');
	return last && pci_address_parse_string(last + 1, ret) == 0;
}

/* Of two directories for one function, the one that the bus's link means. */
static bool is_linked(const struct reader *reader, const char *dir)
{
	static const char from[] = "sys/devices/", up[] = "../../../devices/";
	const struct machine_capture_entry *link =
		machine_capture_at(reader->capture, "sys/bus/pci/devices", strrchr(dir, '/') + 1,
				   MACHINE_CAPTURE_LINK);
	const char *target = link ? (const char *)link->data.at : NULL;

	if (!target || strncmp(target, up, sizeof(up) - 1) != 0)
		return true;
	return strncmp(dir, from, sizeof(from) - 1) == 0 &&
	       strcmp(dir + sizeof(from) - 1, target + sizeof(up) - 1) == 0;
}

static int read_devices(const struct reader *reader)
{
	size_t i, end = machine_capture_from(reader->capture, "sys0");
	char dir[MACHINE_CAPTURE_PATH_MAX + 1];
	struct pci_address address;
	int r = 0;

	for (i = machine_capture_from(reader->capture, "sys/"); i < end && r >= 0; i++)
		if (is_device(&reader->capture->entries[i], dir, &address) &&
		    is_linked(reader, dir))
			r = read_device(reader, dir, address);
	return r;
}

/* What a capture has of one kind, it was made to have of that kind. */
static void look_around(struct reader *reader)
{
	const struct machine_capture *capture = reader->capture;
	size_t i;

	reader->is_complete = machine_capture_find(capture, MACHINE_CAPTURE_MARK);
	reader->has_drivers = reader->has_groups = reader->is_complete;
	for (i = 0; i < capture->count; i++) {
		const char *name = strrchr(capture->entries[i].path, '/');

		if (!name || strncmp(capture->entries[i].path, "sys/devices/", 12) != 0)
			continue;
		reader->has_drivers |= strcmp(name, "/driver") == 0 ||
				       strcmp(name, "/driver_override") == 0;
		reader->has_groups |= strcmp(name, "/iommu_group") == 0;
	}
}

static int read_group_types(const struct reader *reader, struct machine *machine)
{
	char dir[64];
	size_t i;

	for (i = 0; i < machine->group_count; i++) {
		(void)snprintf(dir, sizeof(dir), "sys/kernel/iommu_groups/%d",
			       machine->groups[i].id);
		if (keep(reader, text_of(reader, dir, "type"), &machine->groups[i].type) < 0)
			return fail_memory(reader);
	}
	return 0;
}

int machine_sysfs_decode(struct arena *arena, const struct machine_capture *capture,
			 struct machine **ret, struct err *err)
{
	CLEANUP(machine_build_done) struct machine_build build = { 0 };
	struct reader reader = { .build = &build, .capture = capture, .err = err };
	struct machine *machine;
	int r;

	if (machine_build_start(arena, "sysfs", &build) < 0)
		return fail_memory(&reader);
	look_around(&reader);
	build.machine->groups_known = reader.has_groups ? PCI_YES : PCI_UNKNOWN;
	r = read_devices(&reader);
	if (r >= 0)
		r = machine_host_decode(&build, capture, err);
	if (r >= 0 && !build.draft_count && !build.cpu_count)
		r = err_coded(err, ERR_USAGE, -EINVAL,
			      "read a capture: no PCI function and no CPU in it");
	if (r >= 0)
		r = machine_build_finish(&build, &machine, err);
	if (r >= 0)
		r = read_group_types(&reader, machine);
	if (r < 0)
		return r;
	*ret = machine;
	return 0;
}
