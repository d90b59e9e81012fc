// SPDX-License-Identifier: Apache-2.0
/*
 * The file pci.ids (the PCI ID Repository's): a vendor's line begins with four hexadecimal digits
 * and two blanks, its devices' lines, indented by one tab, follow; those with two are subsystems.
 * Behind the vendors come other lists, the first with a line that begins with a word.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "machine/machine.h"
#include "machine/number_priv.h"

enum { NAME_MAX_LEN = 160 };

struct wish {
	int32_t vendor, device;
	size_t index;
	struct bytes vendor_name, name;
};

static int by_id(const void *a, const void *b)
{
	const struct wish *x = a, *y = b;

	if (x->vendor != y->vendor)
		return x->vendor < y->vendor ? -1 : 1;
	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

/* The number at the start of a line, and the name behind it. */
static int32_t parse_line(struct bytes line, struct bytes *ret_name)
{
	if (line.len < 7 || line.at[4] != ' ' || line.at[5] != ' ')
		return PCI_UNKNOWN;
	*ret_name = (struct bytes){ line.at + 6, line.len - 6 };
	if (ret_name->len > NAME_MAX_LEN)
		ret_name->len = NAME_MAX_LEN;
	return (int32_t)machine_number_hex((struct bytes){ line.at, 4 }, 0xffff);
}

/* The first wish that is not before a pair of IDs. */
static size_t first_wish(const struct wish *wishes, size_t count, int32_t vendor, int32_t device)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct wish *wish = &wishes[middle];

		if (wish->vendor < vendor || (wish->vendor == vendor && wish->device < device))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void look_up(struct bytes text, struct wish *wishes, size_t count)
{
	struct bytes vendor_name = { 0 }, name;
	int32_t vendor = PCI_UNKNOWN, id;
	size_t i;

	while (text.len) {
		const uint8_t *end = memchr(text.at, '\n', text.len);
		struct bytes line = { text.at, end ? (size_t)(end - text.at) : text.len };
		bool is_device = line.len && line.at[0] == '\t';

		text = (struct bytes){ line.at + line.len + !!end, text.len - line.len - !!end };
		if (!line.len || line.at[0] == '#')
			continue;
		if (is_device)
			line = (struct bytes){ line.at + 1, line.len - 1 };
		id = parse_line(line, &name);
		/* a list of something else has begun */
		if (!is_device && id < 0)
			return;
		if (!is_device) {
			vendor = id;
			vendor_name = name;
		}
		if (id < 0 || vendor < 0 || !is_device)
			continue;
		for (i = first_wish(wishes, count, vendor, id);
		     i < count && wishes[i].vendor == vendor && wishes[i].device == id; i++) {
			wishes[i].vendor_name = vendor_name;
			wishes[i].name = name;
		}
	}
}

int machine_name(struct arena *arena, struct machine *machine, struct bytes pci_ids)
{
	struct wish *wishes = arena_array(arena, machine->device_count, sizeof(*wishes));
	size_t i, count = 0;

	if (!wishes)
		return -ENOMEM;
	for (i = 0; i < machine->device_count; i++) {
		const struct machine_device *device = &machine->devices[i];

		if (!device->name && device->vendor >= 0 && device->device >= 0)
			wishes[count++] = (struct wish){ .vendor = device->vendor,
							 .device = device->device,
							 .index = i };
	}
	if (!count)
		return 0;
	qsort(wishes, count, sizeof(*wishes), by_id);
	look_up(pci_ids, wishes, count);
	for (i = 0; i < count; i++) {
		const struct wish *wish = &wishes[i];
		const char **name = &machine->devices[wish->index].name;

		if (!wish->name.at || memchr(wish->name.at, 0, wish->name.len) ||
		    memchr(wish->vendor_name.at, 0, wish->vendor_name.len))
			continue;
		*name = arena_printf(arena, "%.*s %.*s", (int)wish->vendor_name.len,
				     (const char *)wish->vendor_name.at, (int)wish->name.len,
				     (const char *)wish->name.at);
		if (!*name)
			return -ENOMEM;
	}
	return 0;
}
