// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "machine/machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lines of "PATH=BYTES" are a file each, of "PATH>TARGET" a link. */
static void add_line(struct machine_capture *capture, const uint8_t *line, size_t len)
{
	size_t name = 0;
	char path[256];

	while (name < len && name < sizeof(path) - 1 && line[name] != '=' && line[name] != '>')
		name++;
	memcpy(path, line, name);
	path[name] = '\0';
	if (name < len)
		(void)machine_capture_add(capture, path,
					  line[name] == '>' ? MACHINE_CAPTURE_LINK
							    : MACHINE_CAPTURE_FILE,
					  (struct bytes){ line + name + 1, len - name - 1 }, NULL);
}

/* A tree is a tree: everything is below its root, no deeper than there may be bridges. */
static void check(const struct machine *machine)
{
	size_t i, children = 0;

	for (i = 0; i < machine->device_count; i++) {
		const struct machine_device *device = &machine->devices[i];

		if (machine_find(machine, device->address) != (int)i ||
		    device->depth > MACHINE_DEPTH_MAX || device->root < 0)
			abort();
		children += device->children.count;
	}
	for (i = 0; i < machine->root_count; i++)
		children += machine->roots[i].children.count;
	if (children != machine->device_count)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(machine_capture_done) struct machine_capture capture = { 0 };
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct machine *machine;
	const uint8_t *end;

	for (; size; data += (end - data) + 1) {
		end = memchr(data, '\n', size);
		if (!end)
			break;
		add_line(&capture, data, (size_t)(end - data));
		size -= (size_t)(end - data) + 1;
	}
	machine_capture_seal(&capture);
	if (machine_decode(&arena, &capture, &machine, NULL) < 0)
		return 0;
	check(machine);
	if (machine_name(&arena, machine, (struct bytes){ data, size }) < 0)
		abort();
	return 0;
}
