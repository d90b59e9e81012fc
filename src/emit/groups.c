// SPDX-License-Identifier: Apache-2.0
#include "emit/groups.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "route/groups.h"
#include "route/p2p.h"
#include "route/reach.h"

/* Takes value, also if it cannot be set. False: no memory. */
static bool set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) == 0;
}

static json_t *address(const struct machine *machine, int device)
{
	char text[PCI_ADDRESS_TEXT];

	return json_string(pci_address_format(machine->devices[device].address, text));
}

static json_t *group_json(const struct machine *machine, const struct route_groups *groups,
			  size_t index)
{
	const struct machine_set *members = &groups->groups[index].members;
	json_t *object = json_object(), *array = json_array();
	bool done = array != NULL;
	size_t i;

	for (i = 0; done && i < members->count; i++)
		done = json_array_append_new(array, address(machine, members->at[i])) == 0;
	if (!done) {
		json_decref(array);
		json_decref(object);
		return NULL;
	}
	if (set(object, "members", array) && set(object, "id", json_integer((json_int_t)index)) &&
	    set(object, "source", json_string("computed")))
		return object;
	json_decref(object);
	return NULL;
}

int emit_groups_json(const struct machine *machine, json_t *topology)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	json_t *array = json_object_get(topology, "groups");
	json_t *devices = json_object_get(topology, "devices");
	struct route_groups groups;
	size_t i, j;

	if (machine->group_count > 0)
		return 0;
	if (route_groups(&arena, machine, &groups) < 0)
		return -ENOMEM;
	for (i = 0; i < groups.count; i++) {
		const struct machine_set *members = &groups.groups[i].members;

		if (!groups.groups[i].is_certain)
			continue;
		if (json_array_append_new(array, group_json(machine, &groups, i)) < 0)
			return -ENOMEM;
		for (j = 0; j < members->count; j++)
			if (!set(json_array_get(devices, (size_t)members->at[j]), "group",
				 json_integer((json_int_t)i)))
				return -ENOMEM;
	}
	return 0;
}

/* What is written; a failure to is kept, and nothing is written from then on. */
struct page {
	const struct machine *machine;
	const struct route_groups *groups;
	struct buf *buf;
	int result;
};

static void putf(struct page *page, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void putf(struct page *page, const char *fmt, ...)
{
	char text[ROUTE_TEXT + 32];
	va_list ap;

	if (page->result < 0)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	page->result = buf_add(page->buf, text, strlen(text));
}

static void put_members(struct page *page, const struct machine_set *members)
{
	const struct machine *machine = page->machine;
	char text[PCI_ADDRESS_TEXT];
	size_t i;

	for (i = 0; i < members->count; i++) {
		const struct machine_device *device = &machine->devices[members->at[i]];

		putf(page, "    %s %s\n", pci_address_format(device->address, text),
		     machine_kind_name(device->kind));
	}
}

static void put_computed(struct page *page)
{
	const struct route_groups *groups = page->groups;
	size_t i, doubts = 0;

	for (i = 0; i < groups->count; i++) {
		if (!groups->groups[i].is_certain) {
			doubts += groups->groups[i].members.count;
			continue;
		}
		putf(page, "computed group %zu\n", i);
		put_members(page, &groups->groups[i].members);
	}
	if (doubts > 0)
		putf(page,
		     "%zu devices in groups that cannot be computed: what their "
		     "configuration space says is not in the capture\n",
		     doubts);
}

static void put_differences(struct page *page)
{
	const struct machine *machine = page->machine;
	char text[PCI_ADDRESS_TEXT];
	size_t i;

	for (i = 0; i < machine->device_count; i++) {
		const struct machine_device *device = &machine->devices[i];

		if (route_groups_differ(machine, page->groups, (int)i) != PCI_YES)
			continue;
		putf(page,
		     "%s is in group %d with others than Linux 6.12 would put there from its "
		     "configuration space\n",
		     pci_address_format(device->address, text), machine->groups[device->group].id);
	}
}

/* The kernel's, else the computed one. */
static bool is_one_group(const struct page *page, size_t a, size_t b)
{
	int first = page->machine->devices[a].group, second = page->machine->devices[b].group;

	if (first != MACHINE_NONE && second != MACHINE_NONE)
		return first == second;
	return page->groups->of[a] == page->groups->of[b];
}

static void put_reach(struct page *page)
{
	const struct machine *machine = page->machine;
	struct route_reach reach;
	size_t i, j, endpoints = 0;

	for (i = 0; i < machine->device_count; i++)
		endpoints += route_pairs_has(machine, (int)i, true);
	if (endpoints > EMIT_GROUPS_DEVICES_MAX) {
		putf(page, "%zu endpoints: who reaches whom past the IOMMU is not listed\n",
		     endpoints);
		return;
	}
	for (i = 0; i < machine->device_count; i++)
		for (j = 0; j < machine->device_count; j++) {
			if (is_one_group(page, i, j))
				continue;
			route_reach(machine, (int)i, (int)j, &reach);
			if (reach.direct == PCI_YES)
				putf(page, "past the IOMMU: %s\n", reach.text);
		}
}

int emit_groups_notes(const struct machine *machine, struct buf *ret)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct route_groups groups;
	struct page page = { .machine = machine, .groups = &groups, .buf = ret };

	if (route_groups(&arena, machine, &groups) < 0)
		return -ENOMEM;
	if (machine->group_count == 0)
		put_computed(&page);
	else
		put_differences(&page);
	put_reach(&page);
	return page.result;
}
