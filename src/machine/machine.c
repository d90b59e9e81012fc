// SPDX-License-Identifier: Apache-2.0
#include "machine/machine.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "machine/build_priv.h"

const char *machine_kind_name(enum machine_kind kind)
{
	static const char *const names[] = {
		[MACHINE_GPU] = "gpu",
		[MACHINE_NIC] = "nic",
		[MACHINE_NVME] = "nvme",
		[MACHINE_NVSWITCH] = "nvswitch",
		[MACHINE_SWITCH_PORT] = "switch-port",
		[MACHINE_ROOT_PORT] = "root-port",
		[MACHINE_BRIDGE] = "bridge",
		[MACHINE_OTHER] = "other",
	};

	static_assert(ARRAY_SIZE(names) == MACHINE_KIND_COUNT, "a name for each kind");
	return names[kind];
}

int machine_find(const struct machine *machine, struct pci_address address)
{
	size_t low = 0, high = machine->device_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int r = pci_address_cmp(machine->devices[middle].address, address);

		if (r == 0)
			return (int)middle;
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return MACHINE_NONE;
}

int machine_find_node(const struct machine *machine, int id)
{
	size_t i;

	for (i = 0; i < machine->node_count; i++)
		if (machine->nodes[i].id == id)
			return (int)i;
	return MACHINE_NONE;
}

bool machine_is_above(const struct machine *machine, int a, int b)
{
	while (b != MACHINE_NONE && b != a)
		b = machine->devices[b].parent;
	return b == a;
}

static bool has_text(struct bytes text, const char *word)
{
	return memmem(text.at, text.len, word, strlen(word));
}

/* The beginning tells; documents are read by what they are, not by what their files are called. */
static int decode_text(struct arena *arena, struct bytes text, struct machine **ret,
		       struct err *err)
{
	enum { HEAD = 4096 };
	struct bytes head = { text.at, text.len < HEAD ? text.len : HEAD };

	if (has_text(head, "<topology"))
		return machine_hwloc_decode(arena, text, ret, err);
	if (has_text(head, "<system"))
		return err_coded(err, ERR_UNSUPPORTED, -EOPNOTSUPP,
				 "read a capture: NCCL's XML is not read yet");
	if (has_text(head, "\nE: ") && text.len > 3 && memcmp(text.at, "P: ", 3) == 0)
		return err_coded(err, ERR_UNSUPPORTED, -EOPNOTSUPP,
				 "read a capture: udevadm's database is not read yet");
	if (has_text(head, ":00.0 "))
		return err_coded(err, ERR_UNSUPPORTED, -EOPNOTSUPP,
				 "read a capture: lspci's output is not read yet");
	return err_coded(err, ERR_USAGE, -EINVAL,
			 "read a capture: neither a host's files nor a document that is known");
}

int machine_decode(struct arena *arena, const struct machine_capture *capture, struct machine **ret,
		   struct err *err)
{
	if (capture->is_text)
		return decode_text(arena, capture->text, ret, err);
	return machine_sysfs_decode(arena, capture, ret, err);
}
