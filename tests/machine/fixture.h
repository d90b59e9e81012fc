/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixture - a capture put together by hand, and what must hold of every machine.
 */
#ifndef TESTS_MACHINE_FIXTURE_H
#define TESTS_MACHINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "machine/machine.h"

static inline struct bytes text_bytes(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static inline void put(struct machine_capture *capture, const char *dir, const char *name,
		       const char *text)
{
	char path[MACHINE_CAPTURE_PATH_MAX + 1];

	(void)snprintf(path, sizeof(path), "%s%s%s", dir, *dir ? "/" : "", name);
	assert_int_equal(machine_capture_add(capture, path, MACHINE_CAPTURE_FILE, text_bytes(text),
					     NULL),
			 0);
}

static inline void put_link(struct machine_capture *capture, const char *dir, const char *name,
			    const char *target)
{
	char path[MACHINE_CAPTURE_PATH_MAX + 1];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(machine_capture_add(capture, path, MACHINE_CAPTURE_LINK,
					     text_bytes(target), NULL),
			 0);
}

/* A function's directory with its IDs: "10de:2330 030200". */
static inline void put_device(struct machine_capture *capture, const char *dir, const char *ids)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "0x%.4s\n", ids);
	put(capture, dir, "vendor", text);
	(void)snprintf(text, sizeof(text), "0x%.4s\n", ids + 5);
	put(capture, dir, "device", text);
	(void)snprintf(text, sizeof(text), "0x%.6s\n", ids + 10);
	put(capture, dir, "class", text);
}

static inline const struct machine_device *device_at(const struct machine *machine,
						     const char *address)
{
	struct pci_address at;
	int index;

	assert_int_equal(pci_address_parse_string(address, &at), 0);
	index = machine_find(machine, at);
	assert_int_not_equal(index, MACHINE_NONE);
	return &machine->devices[index];
}

static inline int index_at(const struct machine *machine, const char *address)
{
	return (int)(device_at(machine, address) - machine->devices);
}

static inline size_t count_kind(const struct machine *machine, enum machine_kind kind)
{
	size_t i, count = 0;

	for (i = 0; i < machine->device_count; i++)
		count += machine->devices[i].kind == kind;
	return count;
}

static inline void check_set(const struct machine_set *set, size_t limit)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		assert_true(set->at[i] >= 0 && (size_t)set->at[i] < limit);
		assert_true(!i || set->at[i] > set->at[i - 1]);
	}
}

static inline void check_device(const struct machine *machine, size_t index)
{
	const struct machine_device *device = &machine->devices[index], *parent = NULL;

	assert_true(device->parent >= MACHINE_NONE && device->parent < (int)machine->device_count);
	assert_true(device->root >= 0 && (size_t)device->root < machine->root_count);
	assert_true(device->group < (int)machine->group_count);
	assert_true(device->physfn < (int)machine->device_count);
	check_set(&device->children, machine->device_count);
	check_set(&device->virtfns, machine->device_count);
	if (index)
		assert_true(pci_address_cmp(machine->devices[index - 1].address, device->address) <
			    0);
	if (device->parent != MACHINE_NONE)
		parent = &machine->devices[device->parent];
	assert_int_equal(device->depth, parent ? parent->depth + 1 : 0);
	if (parent)
		assert_int_equal(device->root, parent->root);
	assert_true(machine_is_above(
		machine, device->parent == MACHINE_NONE ? (int)index : device->parent, (int)index));
}

/* What the header promises of any machine. */
static inline void check_machine(const struct machine *machine)
{
	size_t i, children = 0, members = 0, cpus = 0;

	for (i = 0; i < machine->device_count; i++) {
		check_device(machine, i);
		children += machine->devices[i].children.count;
		members += machine->devices[i].group != MACHINE_NONE;
	}
	for (i = 0; i < machine->root_count; i++) {
		check_set(&machine->roots[i].children, machine->device_count);
		assert_true(machine->roots[i].children.count > 0);
		children += machine->roots[i].children.count;
	}
	assert_int_equal(children, machine->device_count);
	for (i = 0; i < machine->group_count; i++) {
		check_set(&machine->groups[i].members, machine->device_count);
		assert_true(machine->groups[i].members.count > 0);
		members -= machine->groups[i].members.count;
	}
	assert_int_equal(members, 0);
	for (i = 0; i < machine->node_count; i++) {
		check_set(&machine->nodes[i].cpus, machine->cpu_count);
		assert_true(!i || machine->nodes[i].id > machine->nodes[i - 1].id);
		cpus += machine->nodes[i].cpus.count;
	}
	assert_true(cpus <= machine->cpu_count);
	for (i = 0; i < machine->cpu_count; i++)
		assert_true(machine->cpus[i].core < (int)machine->cpu_count);
}

#endif
