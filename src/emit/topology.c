// SPDX-License-Identifier: Apache-2.0
#include "emit/topology.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "emit/topology_priv.h"

const char *const emit_acs_names[] = { "SV", "TB", "RR", "CR", "UF", "EC", "DT", NULL };

const char *emit_port_name(const struct machine_device *device)
{
	switch (device->express.type) {
	case PCI_ENDPOINT:
	case PCI_LEGACY_ENDPOINT:
		return "endpoint";
	case PCI_ROOT_PORT:
		return "root";
	case PCI_UPSTREAM_PORT:
		return "upstream";
	case PCI_DOWNSTREAM_PORT:
		return "downstream";
	case PCI_EXPRESS_TO_PCI:
		return "pcie-to-pci";
	case PCI_PCI_TO_EXPRESS:
		return "pci-to-pcie";
	case PCI_RC_ENDPOINT:
		return "integrated";
	case PCI_RC_EVENT_COLLECTOR:
		return "event-collector";
	default:
		return NULL;
	}
}

/* What is written; a failure to is kept, and nothing is written from then on. */
struct page {
	struct buf *buf;
	bool has_colour;
	int result;
};

static void put(struct page *page, const char *text)
{
	if (page->result >= 0)
		page->result = buf_add(page->buf, text, strlen(text));
}

static void putf(struct page *page, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void putf(struct page *page, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put(page, text);
}

/* Text out of a capture. */
static void put_quoted(struct page *page, const char *text)
{
	if (page->result >= 0)
		page->result = text_quote(page->buf,
					  (struct bytes){ (const uint8_t *)text, strlen(text) });
}

static void put_colour(struct page *page, const char *sgr)
{
	if (page->has_colour)
		putf(page, "\033[%sm", sgr);
}

static const char *colour_of(enum machine_kind kind)
{
	switch (kind) {
	case MACHINE_GPU:
		return "1;32";
	case MACHINE_NIC:
		return "1;36";
	case MACHINE_NVME:
		return "1;35";
	case MACHINE_NVSWITCH:
		return "32";
	case MACHINE_SWITCH_PORT:
	case MACHINE_ROOT_PORT:
	case MACHINE_BRIDGE:
	case MACHINE_OTHER:
	case MACHINE_KIND_COUNT:
		break;
	}
	return "0";
}

/* 128 GiB, 16 MiB: binary units that leave a whole number. */
static void put_size(struct page *page, int64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	size_t unit = 0;

	while (bytes >= 1024 && bytes % 1024 == 0 && unit + 1 < ARRAY_SIZE(units)) {
		bytes /= 1024;
		unit++;
	}
	putf(page, "%lld %s", (long long)bytes, units[unit]);
}

/* About so much: one decimal of the largest unit. */
static void put_about(struct page *page, int64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
	int64_t tenths = bytes / 1024 * 10;
	size_t unit = 0;

	while (tenths >= 10240 && unit + 1 < ARRAY_SIZE(units)) {
		tenths /= 1024;
		unit++;
	}
	putf(page, "%lld.%lld %s", (long long)(tenths / 10), (long long)(tenths % 10), units[unit]);
}

static void put_rate(struct page *page, int32_t speed, int32_t width)
{
	if (width > 0)
		putf(page, "x%d", width);
	if (speed > 0)
		putf(page, "%s%d%s GT/s", width > 0 ? " " : "", speed / 1000,
		     speed % 1000 ? ".5" : "");
}

static void put_link(struct page *page, const struct machine_device *device)
{
	const struct pci_link *link = &device->express.link;
	bool is_less = link->width > 0 && link->speed > 0 &&
		       (link->width < link->max_width || link->speed < link->max_speed);

	if (link->max_speed > 0 || link->max_width > 0) {
		put(page, ", ");
		put_rate(page, link->max_speed, link->max_width);
		if (is_less) {
			put(page, " (now ");
			put_rate(page, link->speed, link->width);
			put(page, ")");
		}
	} else if (device->link_mbps > 0) {
		putf(page, ", %lld.%lld GB/s", (long long)(device->link_mbps / 1000),
		     (long long)(device->link_mbps / 100 % 10));
	}
}

/* What decides about peer-to-peer at this function: said where it can matter. */
static void put_acs(struct page *page, const struct machine_device *device)
{
	bool is_port = device->kind == MACHINE_ROOT_PORT || device->kind == MACHINE_SWITCH_PORT;
	int i;

	if (device->acs.present == PCI_NO && is_port)
		put(page, ", no ACS");
	if (device->acs.present != PCI_YES)
		return;
	put(page, ", ACS");
	if (device->acs.ctrl == 0)
		put(page, " off");
	for (i = 0; device->acs.ctrl > 0 && emit_acs_names[i]; i++)
		if (device->acs.ctrl & 1 << i)
			putf(page, " %s", emit_acs_names[i]);
}

static void put_features(struct page *page, const struct machine *machine,
			 const struct machine_device *device)
{
	char address[PCI_ADDRESS_TEXT];

	put_acs(page, device);
	if (device->ats.present == PCI_YES)
		put(page, device->ats.enabled == PCI_YES ? ", ATS" : ", ATS off");
	if (device->sriov.present == PCI_YES && device->sriov.total > 0)
		putf(page, ", %d of %d VFs", device->sriov.num < 0 ? 0 : device->sriov.num,
		     device->sriov.total);
	if (device->physfn != MACHINE_NONE)
		putf(page, ", VF of %s",
		     pci_address_format(machine->devices[device->physfn].address, address));
	if (device->p2p.present == PCI_YES)
		putf(page, ", P2P clique %d", device->p2p.clique);
}

static void put_largest_bar(struct page *page, const struct machine_device *device)
{
	int64_t largest = 0;
	int i;

	for (i = 0; i < PCI_BAR_COUNT; i++)
		if (device->bars[i].index >= 0 && device->bars[i].size > largest)
			largest = device->bars[i].size;
	if (largest < 1 << 20)
		return;
	put(page, ", BAR ");
	put_size(page, largest);
}

static void put_device(struct page *page, const struct machine *machine, int index)
{
	const struct machine_device *device = &machine->devices[index];
	const char *port = emit_port_name(device);
	char address[PCI_ADDRESS_TEXT];

	put(page, pci_address_format(device->address, address));
	put(page, " ");
	put_colour(page, colour_of(device->kind));
	put(page, machine_kind_name(device->kind));
	put_colour(page, "0");
	if (device->kind == MACHINE_SWITCH_PORT && port)
		putf(page, " %s", port);
	if (device->vendor >= 0 && device->device >= 0)
		putf(page, " [%04x:%04x]", (unsigned int)device->vendor,
		     (unsigned int)device->device);
	if (device->name) {
		put(page, " ");
		put_quoted(page, device->name);
	}
	if (device->numa >= 0 && device->numa != machine->roots[device->root].numa)
		putf(page, ", node %d", device->numa);
	if (device->group != MACHINE_NONE)
		putf(page, ", group %d", machine->groups[device->group].id);
	put_link(page, device);
	put_features(page, machine, device);
	put_largest_bar(page, device);
	if (device->driver) {
		put(page, ", ");
		put_quoted(page, device->driver);
	}
	put(page, "\n");
}

/* One level: where it stands among what is beside it. */
struct level {
	const struct machine_set *set;
	size_t next;
};

/* By hand instead of by recursion: depth is a capture's to choose, up to a limit. */
static void put_root(struct page *page, const struct machine *machine,
		     const struct machine_root *root)
{
	struct level levels[MACHINE_DEPTH_MAX + 2] = { { &root->children, 0 } };
	int depth = 0, i;

	while (depth >= 0) {
		struct level *level = &levels[depth];
		int index;

		if (level->next == level->set->count) {
			depth--;
			continue;
		}
		index = level->set->at[level->next++];
		for (i = 0; i < depth; i++)
			put(page, levels[i].next < levels[i].set->count ? " |  " : "    ");
		put(page, level->next < level->set->count ? " |- " : " `- ");
		put_device(page, machine, index);
		levels[++depth] = (struct level){ &machine->devices[index].children, 0 };
	}
}

static void put_count(struct page *page, int64_t count, const char *one)
{
	if (count >= 0)
		putf(page, ", %lld %s%s", (long long)count, one, count == 1 ? "" : "s");
}

static void put_host(struct page *page, const struct machine *machine)
{
	const struct machine_limits *limits = &machine->limits;

	put_quoted(page, limits->cpu_model ? limits->cpu_model : "CPU of unknown model");
	put_count(page, machine->package_count, "package");
	put_count(page, machine->core_count, "core");
	if (machine->cpu_count)
		put_count(page, (int64_t)machine->cpu_count, "CPU");
	if (limits->phys_bits >= 0)
		putf(page, ", %d physical address bits", limits->phys_bits);
	put(page, "\n");
	if (limits->kernel) {
		put(page, "Linux ");
		put_quoted(page, limits->kernel);
		put(page, ", ");
	}
	if (limits->has_iommu == PCI_YES)
		putf(page, "IOMMU%s%s", limits->iommu ? " " : "",
		     limits->iommu ? limits->iommu : "");
	else
		put(page, limits->has_iommu == PCI_NO ? "no IOMMU" : "IOMMU unknown");
	if (limits->has_acs_override == PCI_YES)
		put(page, ", groups not to be trusted: pcie_acs_override is set");
	put(page, "\n");
}

static void put_nodes(struct page *page, const struct machine *machine)
{
	size_t i, j;

	for (i = 0; i < machine->node_count; i++) {
		const struct machine_node *node = &machine->nodes[i];

		putf(page, "node %d", node->id);
		put_count(page, (int64_t)node->cpus.count, "CPU");
		if (node->memory_bytes >= 0) {
			put(page, ", ");
			put_about(page, node->memory_bytes);
		}
		if (node->distances)
			put(page, ", distances");
		for (j = 0; node->distances && j < machine->node_count; j++)
			putf(page, " %d", node->distances[j]);
		put(page, "\n");
	}
}

int emit_topology_tree(const struct machine *machine, const struct emit_topology_opts *opts,
		       struct buf *ret)
{
	struct page page = { .buf = ret, .has_colour = opts->has_colour };
	size_t i;

	put_host(&page, machine);
	put_nodes(&page, machine);
	for (i = 0; i < machine->root_count; i++) {
		const struct machine_root *root = &machine->roots[i];

		put(&page, "\n");
		put_colour(&page, "1");
		putf(&page, "%04x:%02x", root->domain, root->bus);
		put_colour(&page, "0");
		if (root->numa >= 0)
			putf(&page, " node %d", root->numa);
		put(&page, "\n");
		put_root(&page, machine, root);
	}
	return page.result;
}

static void put_no_group(struct page *page, const struct machine *machine)
{
	bool has_head = false;
	size_t i;

	for (i = 0; i < machine->device_count; i++) {
		if (machine->devices[i].group != MACHINE_NONE)
			continue;
		if (!has_head)
			put(page, "no group\n");
		has_head = true;
		put(page, "    ");
		put_device(page, machine, (int)i);
	}
}

int emit_topology_groups(const struct machine *machine, const struct emit_topology_opts *opts,
			 struct buf *ret)
{
	struct page page = { .buf = ret, .has_colour = opts->has_colour };
	size_t i, j;

	if (machine->groups_known != PCI_YES)
		put(&page, "the kernel's groups are not in this capture\n");
	for (i = 0; i < machine->group_count; i++) {
		const struct machine_group *group = &machine->groups[i];

		putf(&page, "group %d", group->id);
		if (group->type) {
			put(&page, " ");
			put_quoted(&page, group->type);
		}
		put(&page, "\n");
		for (j = 0; j < group->members.count; j++) {
			put(&page, "    ");
			put_device(&page, machine, group->members.at[j]);
		}
	}
	if (machine->groups_known == PCI_YES)
		put_no_group(&page, machine);
	return page.result;
}
