// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "emit/topology.h"
#include "emit/topology_priv.h"

/* A value that is missing for want of memory is an error that waits: looked at once, at the end. */
struct out {
	bool failed;
};

static void set(struct out *out, json_t *object, const char *key, json_t *value)
{
	/* takes value, also if it cannot be set */
	if (json_object_set_new(object, key, value) < 0)
		out->failed = true;
}

static void add(struct out *out, json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) < 0)
		out->failed = true;
}

/* From -1 on: null; the rest as it is. */
static json_t *number(int64_t value)
{
	return value < 0 ? json_null() : json_integer(value);
}

static json_t *yes_no(int value)
{
	if (value == PCI_UNKNOWN)
		return json_null();
	return value ? json_true() : json_false();
}

/* What is no UTF-8 is written with escapes, as for a terminal. */
static json_t *text(const char *value)
{
	CLEANUP(buf_done) struct buf quoted = { 0 };
	json_t *string;

	if (!value)
		return json_null();
	string = json_string(value);
	if (string ||
	    text_quote(&quoted, (struct bytes){ (const uint8_t *)value, strlen(value) }) < 0)
		return string;
	return json_stringn((const char *)quoted.at, quoted.len);
}

/* IDs as sysfs writes them: "0x10de". */
static json_t *hex(int32_t value, int digits)
{
	char word[16];

	if (value < 0)
		return json_null();
	(void)snprintf(word, sizeof(word), "0x%0*x", digits, (unsigned int)value);
	return json_string(word);
}

static json_t *address(const struct machine *machine, int index)
{
	char word[PCI_ADDRESS_TEXT];

	if (index == MACHINE_NONE)
		return json_null();
	return json_string(pci_address_format(machine->devices[index].address, word));
}

static json_t *bars(struct out *out, const struct machine_device *device)
{
	json_t *array = json_array(), *object;
	int i;

	for (i = 0; i < PCI_BAR_COUNT; i++) {
		const struct pci_bar *bar = &device->bars[i];

		if (bar->index < 0)
			continue;
		object = json_object();
		set(out, object, "index", number(bar->index));
		set(out, object, "size", number(bar->size));
		set(out, object, "prefetchable", yes_no(bar->prefetchable));
		set(out, object, "bits", number(bar->bits));
		set(out, object, "io", yes_no(bar->is_io));
		set(out, object, "start", number(bar->start));
		add(out, array, object);
	}
	return array;
}

static json_t *acs_bits(struct out *out, int32_t bits)
{
	json_t *array;
	int i;

	if (bits < 0)
		return json_null();
	array = json_array();
	for (i = 0; emit_acs_names[i]; i++)
		if (bits & 1 << i)
			add(out, array, json_string(emit_acs_names[i]));
	return array;
}

/* null: unknown; false: not there; else an object. */
static json_t *acs(struct out *out, const struct pci_acs *acs)
{
	json_t *object;

	if (acs->present != PCI_YES)
		return yes_no(acs->present);
	object = json_object();
	set(out, object, "capable", acs_bits(out, acs->cap));
	set(out, object, "enabled", acs_bits(out, acs->ctrl));
	return object;
}

static json_t *ats(struct out *out, const struct pci_ats *ats)
{
	json_t *object;

	if (ats->present != PCI_YES)
		return yes_no(ats->present);
	object = json_object();
	set(out, object, "enabled", yes_no(ats->enabled));
	return object;
}

static json_t *sriov(struct out *out, const struct pci_sriov *sriov)
{
	json_t *object;

	if (sriov->present != PCI_YES)
		return yes_no(sriov->present);
	object = json_object();
	set(out, object, "total", number(sriov->total));
	set(out, object, "num", number(sriov->num));
	set(out, object, "offset", number(sriov->offset));
	set(out, object, "stride", number(sriov->stride));
	return object;
}

static json_t *link_of(struct out *out, const struct machine_device *device)
{
	const struct pci_link *link = &device->express.link;
	json_t *object;

	if (link->max_speed < 0 && link->max_width < 0 && link->speed < 0 && link->width < 0 &&
	    device->link_mbps < 0)
		return json_null();
	object = json_object();
	set(out, object, "speed_mts", number(link->speed));
	set(out, object, "width", number(link->width));
	set(out, object, "max_speed_mts", number(link->max_speed));
	set(out, object, "max_width", number(link->max_width));
	set(out, object, "mb_per_s", number(device->link_mbps));
	return object;
}

static json_t *device_json(struct out *out, const struct machine *machine, size_t index)
{
	const struct machine_device *device = &machine->devices[index];
	bool is_whole = device->class_bits == 24;
	json_t *object = json_object();
	int group = device->group;

	set(out, object, "address", address(machine, (int)index));
	set(out, object, "class",
	    hex(device->class_code < 0 || is_whole ? device->class_code : device->class_code >> 8,
		is_whole ? 6 : 4));
	set(out, object, "vendor", hex(device->vendor, 4));
	set(out, object, "device", hex(device->device, 4));
	set(out, object, "subsystem_vendor", hex(device->subvendor, 4));
	set(out, object, "subsystem_device", hex(device->subdevice, 4));
	set(out, object, "name", text(device->name));
	set(out, object, "kind", json_string(machine_kind_name(device->kind)));
	set(out, object, "port", text(emit_port_name(device)));
	set(out, object, "deduced", device->is_port_deduced ? json_true() : json_false());
	set(out, object, "numa", number(device->numa));
	set(out, object, "group",
	    group == MACHINE_NONE ? json_null() : json_integer(machine->groups[group].id));
	set(out, object, "parent", address(machine, device->parent));
	set(out, object, "root", number(device->root));
	set(out, object, "bars", bars(out, device));
	set(out, object, "bars_known", yes_no(device->bars_known == PCI_YES));
	set(out, object, "acs", acs(out, &device->acs));
	set(out, object, "ats", ats(out, &device->ats));
	set(out, object, "sriov", sriov(out, &device->sriov));
	set(out, object, "physfn", address(machine, device->physfn));
	set(out, object, "link", link_of(out, device));
	set(out, object, "driver", text(device->driver));
	set(out, object, "reset_methods", text(device->reset_method));
	return object;
}

static json_t *cpu_list(const struct machine *machine, const struct machine_node *node)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; array && i < node->cpus.count; i++)
		if (json_array_append_new(array, json_integer(machine->cpus[node->cpus.at[i]].id)) <
		    0)
			break;
	if (array && i < node->cpus.count) {
		json_decref(array);
		return NULL;
	}
	return array;
}

static json_t *nodes(struct out *out, const struct machine *machine)
{
	json_t *array = json_array(), *object, *distances;
	size_t i, j;

	for (i = 0; i < machine->node_count; i++) {
		const struct machine_node *node = &machine->nodes[i];

		object = json_object();
		distances = node->distances ? json_array() : json_null();
		for (j = 0; node->distances && j < machine->node_count; j++)
			add(out, distances, number(node->distances[j]));
		set(out, object, "id", json_integer(node->id));
		set(out, object, "cpus", cpu_list(machine, node));
		set(out, object, "memory", number(node->memory_bytes));
		set(out, object, "distances", distances);
		add(out, array, object);
	}
	return array;
}

static json_t *roots(struct out *out, const struct machine *machine)
{
	json_t *array = json_array(), *object;
	char bus[24];
	size_t i;

	for (i = 0; i < machine->root_count; i++) {
		const struct machine_root *root = &machine->roots[i];

		(void)snprintf(bus, sizeof(bus), "%04x:%02x", root->domain, root->bus);
		object = json_object();
		set(out, object, "bus", json_string(bus));
		set(out, object, "numa", number(root->numa));
		add(out, array, object);
	}
	return array;
}

static json_t *host(struct out *out, const struct machine *machine)
{
	const struct machine_limits *limits = &machine->limits;
	json_t *object = json_object();

	set(out, object, "source", text(machine->source));
	set(out, object, "kernel", text(limits->kernel));
	set(out, object, "command_line", text(limits->cmdline));
	set(out, object, "cpu_vendor", text(limits->cpu_vendor));
	set(out, object, "cpu_model", text(limits->cpu_model));
	set(out, object, "cpus",
	    machine->cpu_count ? json_integer((json_int_t)machine->cpu_count) : json_null());
	set(out, object, "cores", number(machine->core_count));
	set(out, object, "packages", number(machine->package_count));
	set(out, object, "physical_bits", number(limits->phys_bits));
	set(out, object, "virtual_bits", number(limits->virt_bits));
	set(out, object, "svm", yes_no(limits->has_svm));
	set(out, object, "vmx", yes_no(limits->has_vmx));
	set(out, object, "memory", number(limits->memory_bytes));
	set(out, object, "iommu", yes_no(limits->has_iommu));
	set(out, object, "iommu_kind", text(limits->iommu));
	set(out, object, "unsafe_interrupts", yes_no(limits->unsafe_interrupts));
	set(out, object, "acs_override", yes_no(limits->has_acs_override));
	set(out, object, "nodes", nodes(out, machine));
	set(out, object, "roots", roots(out, machine));
	return object;
}

static json_t *groups(struct out *out, const struct machine *machine)
{
	json_t *array = json_array(), *object, *members;
	size_t i, j;

	for (i = 0; i < machine->group_count; i++) {
		const struct machine_group *group = &machine->groups[i];

		members = json_array();
		for (j = 0; j < group->members.count; j++)
			add(out, members, address(machine, group->members.at[j]));
		object = json_object();
		set(out, object, "id", json_integer(group->id));
		set(out, object, "source", json_string("kernel"));
		set(out, object, "type", text(group->type));
		set(out, object, "members", members);
		add(out, array, object);
	}
	return array;
}

json_t *emit_topology_json(const struct machine *machine)
{
	json_t *object = json_object(), *devices = json_array();
	struct out out = { 0 };
	size_t i;

	for (i = 0; i < machine->device_count; i++)
		add(&out, devices, device_json(&out, machine, i));
	set(&out, object, "schema", json_integer(1));
	set(&out, object, "machine", host(&out, machine));
	set(&out, object, "devices", devices);
	set(&out, object, "groups", groups(&out, machine));
	if (!out.failed)
		return object;
	json_decref(object);
	return NULL;
}
