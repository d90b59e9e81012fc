// SPDX-License-Identifier: Apache-2.0
#include "emit/pairs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "route/p2p.h"

static size_t count_devices(const struct machine *machine, bool is_all)
{
	size_t i, count = 0;

	for (i = 0; i < machine->device_count; i++)
		count += route_pairs_has(machine, (int)i, is_all);
	return count;
}

static json_t *word(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *address(const struct machine *machine, int device)
{
	char text[PCI_ADDRESS_TEXT];

	return json_string(pci_address_format(machine->devices[device].address, text));
}

/* Takes value, also if it cannot be set. False: no memory. */
static bool set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) == 0;
}

static json_t *pair_json(const struct machine *machine, const struct route_pair *pair)
{
	json_t *object = json_object(), *back;
	bool done;

	done = set(object, "a", address(machine, pair->a)) &&
	       set(object, "b", address(machine, pair->b)) &&
	       set(object, "class", word(route_class_name(pair->class))) &&
	       set(object, "route", word(route_way_name(pair->there.way))) &&
	       set(object, "reason", word(pair->there.reason));
	if (done && pair->back.way != pair->there.way) {
		back = json_object();
		done = set(back, "route", word(route_way_name(pair->back.way))) &&
		       set(back, "reason", word(pair->back.reason));
		if (done)
			done = set(object, "back", back);
		else
			json_decref(back);
	}
	if (done)
		return object;
	json_decref(object);
	return NULL;
}

int emit_pairs_json(const struct machine *machine, bool is_all, json_t **ret)
{
	struct route_pairs pairs = { .machine = machine, .is_all = is_all };
	struct route_pair pair;
	json_t *array;

	if (count_devices(machine, is_all) > EMIT_PAIRS_DEVICES_MAX)
		return -E2BIG;
	array = json_array();
	if (!array)
		return -ENOMEM;
	while (route_pairs_next(&pairs, &pair))
		if (json_array_append_new(array, pair_json(machine, &pair)) < 0) {
			json_decref(array);
			return -ENOMEM;
		}
	*ret = array;
	return 0;
}

/* What is written; a failure to is kept, and nothing is written from then on. */
struct page {
	const struct machine *machine;
	const struct emit_matrix_opts *opts;
	struct buf *buf;
	int result;
	int devices[EMIT_PAIRS_DEVICES_MAX];
	char labels[EMIT_PAIRS_DEVICES_MAX][16]; /* "GPU0", "NIC11" */
	int count;
};

static void putf(struct page *page, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void putf(struct page *page, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	if (page->result < 0)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	page->result = buf_add(page->buf, text, strlen(text));
}

static const char *prefix_of(enum machine_kind kind)
{
	switch (kind) {
	case MACHINE_GPU:
		return "GPU";
	case MACHINE_NIC:
		return "NIC";
	case MACHINE_NVME:
		return "NVME";
	case MACHINE_NVSWITCH:
		return "NVSW";
	case MACHINE_SWITCH_PORT:
	case MACHINE_ROOT_PORT:
	case MACHINE_BRIDGE:
	case MACHINE_OTHER:
	case MACHINE_KIND_COUNT:
		break;
	}
	return "DEV";
}

/* GPUs first, then NICs, then by kind; each kind by address. */
static void list_devices(struct page *page)
{
	const struct machine *machine = page->machine;
	int kind, number;
	size_t i;

	for (kind = 0; kind < MACHINE_KIND_COUNT; kind++) {
		number = 0;
		for (i = 0; i < machine->device_count; i++) {
			if (machine->devices[i].kind != (enum machine_kind)kind ||
			    !route_pairs_has(machine, (int)i, page->opts->is_all))
				continue;
			page->devices[page->count] = (int)i;
			(void)snprintf(page->labels[page->count], sizeof(page->labels[0]), "%s%d",
				       prefix_of((enum machine_kind)kind), number++);
			page->count++;
		}
	}
}

static const char *colour_of(enum route_class class)
{
	switch (class) {
	case ROUTE_PIX:
		return "1;32";
	case ROUTE_PXB:
		return "32";
	case ROUTE_PHB:
		return "33";
	case ROUTE_NODE:
	case ROUTE_SYS:
	case ROUTE_UNKNOWN:
	case ROUTE_CLASS_COUNT:
		break;
	}
	return "0";
}

static void put_cell(struct page *page, int row, int column)
{
	enum route_class class;
	const char *name;

	if (row == column) {
		putf(page, "  %-6s", " X");
		return;
	}
	class = route_class(page->machine, page->devices[row], page->devices[column]);
	name = route_class_name(class);
	if (page->opts->has_colour)
		putf(page, "  \033[%sm%-6s\033[0m", colour_of(class), name ? name : "?");
	else
		putf(page, "  %-6s", name ? name : "?");
}

static void put_rows(struct page *page)
{
	char address[PCI_ADDRESS_TEXT];
	int i, j;

	putf(page, "%-8s", "");
	for (i = 0; i < page->count; i++)
		putf(page, "  %-6s", page->labels[i]);
	putf(page, "  NUMA\n");
	for (i = 0; i < page->count; i++) {
		int numa = page->machine->devices[page->devices[i]].numa;

		putf(page, "%-8s", page->labels[i]);
		for (j = 0; j < page->count; j++)
			put_cell(page, i, j);
		if (numa >= 0)
			putf(page, "  %d\n", numa);
		else
			putf(page, "  ?\n");
	}
	putf(page, "\n");
	for (i = 0; i < page->count && page->result >= 0; i++) {
		const struct machine_device *device = &page->machine->devices[page->devices[i]];
		const char *name = device->name ? device->name : "";

		putf(page, "%-8s  %s%s", page->labels[i],
		     pci_address_format(device->address, address), *name ? "  " : "");
		if (page->result >= 0)
			page->result = text_quote(page->buf, (struct bytes){ (const uint8_t *)name,
									     strlen(name) });
		putf(page, "\n");
	}
}

static const char *const legend[] = {
	"PIX   at most one switch or bridge between them",
	"PXB   several switches, and no host bridge",
	"PHB   the same host bridge",
	"NODE  different host bridges of one NUMA node",
	"SYS   different NUMA nodes",
	"?     not known from what was read",
};

int emit_matrix(const struct machine *machine, const struct emit_matrix_opts *opts, struct buf *ret)
{
	cleanup_free struct page *page = NULL;
	size_t i;

	if (count_devices(machine, opts->is_all) > EMIT_PAIRS_DEVICES_MAX)
		return -E2BIG;
	page = calloc(1, sizeof(*page));
	if (!page)
		return -ENOMEM;
	*page = (struct page){ .machine = machine, .opts = opts, .buf = ret };
	list_devices(page);
	if (page->count == 0) {
		putf(page, opts->is_all ? "no devices\n" : "no GPUs and no NICs\n");
		return page->result;
	}
	put_rows(page);
	putf(page, "\n");
	for (i = 0; i < ARRAY_SIZE(legend); i++)
		putf(page, "%s\n", legend[i]);
	return page->result;
}
