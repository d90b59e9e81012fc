// SPDX-License-Identifier: Apache-2.0
#include "emit/plan.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "plan/guest.h"
#include "plan/plan.h"
#include "route/class.h"

/* A plan with the machine that its guest will see. */
struct emit_plan {
	const struct machine *host;
	const struct plan *plan;
	struct arena arena;
	struct machine guest;
	int passed[LAYOUT_PASSED_MAX]; /* of plan->choice.given: in guest.devices */
};

static void emit_plan_done(struct emit_plan *emit)
{
	arena_done(&emit->arena);
}
CLEANUP_FUNC(struct emit_plan, emit_plan_done)

static int make_guest(struct emit_plan *emit)
{
	return plan_guest(&emit->arena, emit->host, &emit->plan->choice, &emit->plan->layout,
			  &emit->guest, emit->passed);
}

static json_t *address(struct pci_address address)
{
	char text[PCI_ADDRESS_TEXT];

	return json_string(pci_address_format(address, text));
}

static json_t *class_word(enum route_class class)
{
	const char *name = route_class_name(class);

	return name ? json_string(name) : json_null();
}

/* What a list has so far, when there is no memory for the rest. */
static json_t *drop(json_t *array)
{
	json_decref(array);
	return NULL;
}

static json_t *reasons(const struct plan_reasons *reasons)
{
	json_t *array = json_array();

	for (size_t i = 0; i < reasons->count; i++)
		if (json_array_append_new(array, json_pack("{s:s, s:s}", "code",
							   err_code_name(reasons->at[i].code),
							   "text", reasons->at[i].text)) < 0)
			return drop(array);
	return array;
}

static json_t *texts(const struct plan_reasons *reasons)
{
	json_t *array = json_array();

	for (size_t i = 0; i < reasons->count; i++)
		if (json_array_append_new(array, json_string(reasons->at[i].text)) < 0)
			return drop(array);
	return array;
}

static json_t *devices(const struct emit_plan *emit)
{
	const struct plan *plan = emit->plan;
	json_t *array = json_array();

	for (size_t i = 0; i < plan->choice.given_count; i++) {
		const struct plan_given *given = &plan->choice.given[i];
		const struct machine_device *device = &emit->host->devices[given->device];

		if (json_array_append_new(
			    array,
			    json_pack("{s:o, s:o, s:s, s:s}", "host", address(device->address),
				      "guest", address(layout_guest_address(&plan->layout, i)),
				      "kind", machine_kind_name(device->kind), "part",
				      given->part == PLAN_CHOSEN ? "chosen" : "companion")) < 0)
			return drop(array);
	}
	return array;
}

static json_t *held(const struct emit_plan *emit)
{
	const struct plan_choice *choice = &emit->plan->choice;
	json_t *array = json_array();

	for (size_t i = 0; i < choice->held_count; i++)
		if (json_array_append_new(
			    array,
			    json_pack("{s:o, s:s}", "host",
				      address(emit->host->devices[choice->held[i].device].address),
				      "why", choice->held[i].why)) < 0)
			return drop(array);
	return array;
}

static json_t *acs(const struct emit_plan *emit)
{
	const struct plan_tune *tune = &emit->plan->tune;
	json_t *array = json_array();

	for (size_t i = 0; i < tune->count; i++)
		if (json_array_append_new(
			    array, json_pack("{s:o, s:[s], s:s}", "port",
					     address(emit->host->devices[tune->at[i].port].address),
					     "set", "DT", "why", tune->at[i].why)) < 0)
			return drop(array);
	return array;
}

static json_t *pairs(const struct emit_plan *emit)
{
	const struct plan_choice *choice = &emit->plan->choice;
	json_t *array = json_array();

	for (size_t i = 0; i < choice->given_count; i++) {
		for (size_t j = i + 1; j < choice->given_count; j++) {
			const int a = choice->given[i].device, b = choice->given[j].device;

			if (json_array_append_new(
				    array,
				    json_pack("{s:o, s:o, s:o, s:o}", "a",
					      address(emit->host->devices[a].address), "b",
					      address(emit->host->devices[b].address), "host_class",
					      class_word(route_class(emit->host, a, b)),
					      "guest_class",
					      class_word(route_class(&emit->guest, emit->passed[i],
								     emit->passed[j])))) < 0)
				return drop(array);
		}
	}
	return array;
}

static const char *bridge_kind(enum layout_bridge_kind kind)
{
	static const char *const names[] = {
		[LAYOUT_PXB] = "root-complex",
		[LAYOUT_ROOT_PORT] = "root-port",
		[LAYOUT_UPSTREAM] = "upstream-port",
		[LAYOUT_DOWNSTREAM] = "downstream-port",
	};

	return names[kind];
}

/* A root complex has no address in the guest: its root bus, "0000:05". */
static const char *bridge_name(const struct layout *layout, size_t index, char *ret)
{
	const struct layout_bridge *bridge = &layout->bridges[index];

	if (bridge->kind == LAYOUT_PXB)
		(void)snprintf(ret, PCI_ADDRESS_TEXT, "0000:%02x", bridge->bus);
	else
		(void)pci_address_format(
			(struct pci_address){ .bus = layout_bus(layout, bridge->parent),
					      .dev = bridge->slot,
					      .fn = bridge->function },
			ret);
	return ret;
}

static json_t *ports(const struct layout *layout)
{
	json_t *array = json_array();

	for (size_t i = 0; i < layout->bridge_count; i++) {
		const struct layout_bridge *bridge = &layout->bridges[i];
		json_t *node = bridge->node == LAYOUT_NONE ? json_null()
							   : json_integer(bridge->node);
		char name[PCI_ADDRESS_TEXT];

		if (json_array_append_new(array, json_pack("{s:s, s:s, s:i, s:o}", "kind",
							   bridge_kind(bridge->kind), "address",
							   bridge_name(layout, i, name), "bus",
							   bridge->bus, "node", node)) < 0)
			return drop(array);
	}
	return array;
}

static json_t *nodes(const struct layout *layout)
{
	json_t *array = json_array();

	for (size_t i = 0; i < layout->node_count; i++) {
		const struct layout_node *node = &layout->nodes[i];

		if (json_array_append_new(array,
					  json_pack("{s:i, s:i, s:i, s:i}", "host", node->host,
						    "memory_mib", (int)node->memory_mib,
						    "first_cpu", (int)node->cpu_first, "cpus",
						    (int)node->cpu_count)) < 0)
			return drop(array);
	}
	return array;
}

static bool has_peers(const struct layout *layout)
{
	return layout->passed_count > 0 && layout->passed[0].has_peers;
}

int emit_plan_json(const struct machine *host, const struct plan *plan, json_t **ret)
{
	CLEANUP(emit_plan_done) struct emit_plan emit = { .host = host, .plan = plan };
	const struct layout *layout = &plan->layout;
	const bool is_feasible = plan->reasons.count == 0;
	json_t *json;

	json = json_pack("{s:i, s:b, s:o, s:o}", "schema", 1, "feasible", is_feasible, "reasons",
			 reasons(&plan->reasons), "unknown", texts(&plan->unknown));
	if (json && is_feasible &&
	    (make_guest(&emit) < 0 ||
	     json_object_update_new(
		     json,
		     json_pack(
			     "{s:s, s:s, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:I, s:I, s:I}, "
			     "s:i, s:i}",
			     "mode", layout->mode == LAYOUT_REPLICATE ? "replicate" : "flatten",
			     "tee", plan_tee_name(layout->tee), "notes", texts(&plan->notes),
			     "peer_to_peer", has_peers(layout), "devices", devices(&emit), "held",
			     held(&emit), "acs", acs(&emit), "pairs", pairs(&emit), "ports",
			     ports(layout), "nodes", nodes(layout), "windows", "high_bytes",
			     (json_int_t)plan->space.high, "low_bytes", (json_int_t)plan->space.low,
			     "bar_bytes", (json_int_t)plan->space.bars, "cpus", (int)layout->vcpus,
			     "memory", (int)layout->memory_mib)) < 0)) {
		json_decref(json);
		json = NULL;
	}
	if (!json)
		return -ENOMEM;
	*ret = json;
	return 0;
}

/* Names may be of a capture, and so of anybody. */
static int add_device(const struct emit_plan *emit, int index, const char *more, struct buf *ret)
{
	const struct machine_device *device = &emit->host->devices[index];
	char text[PCI_ADDRESS_TEXT];
	int r;

	r = buf_addf(ret, "  %s  %-11s %s%s", pci_address_format(device->address, text),
		     machine_kind_name(device->kind), more, device->name ? "  " : "");
	if (r == 0 && device->name)
		r = text_quote(ret, (struct bytes){ (const uint8_t *)device->name,
						    strlen(device->name) });
	return r < 0 ? r : buf_addf(ret, "\n");
}

static int add_refusal(const struct plan *plan, struct buf *ret)
{
	int r = buf_addf(ret, "not possible\n");

	for (size_t i = 0; r == 0 && i < plan->reasons.count; i++)
		r = buf_addf(ret, "  %s (%s)\n", plan->reasons.at[i].text,
			     err_code_name(plan->reasons.at[i].code));
	return r;
}

static int add_texts(const char *title, const struct plan_reasons *reasons, struct buf *ret)
{
	int r = reasons->count ? buf_addf(ret, "%s\n", title) : 0;

	for (size_t i = 0; r == 0 && i < reasons->count; i++)
		r = buf_addf(ret, "  %s\n", reasons->at[i].text);
	return r;
}

static int add_unknown(const struct plan *plan, struct buf *ret)
{
	return add_texts("unknown", &plan->unknown, ret);
}

static int depth_of(const struct layout *layout, int bridge)
{
	int depth = 0;

	for (; bridge != LAYOUT_NONE; bridge = layout->bridges[bridge].parent)
		depth++;
	return depth;
}

static int add_passed(const struct emit_plan *emit, int port, struct buf *ret)
{
	const struct layout *layout = &emit->plan->layout;
	char guest[PCI_ADDRESS_TEXT], host[PCI_ADDRESS_TEXT];
	int r = 0;

	for (size_t i = 0; r == 0 && i < layout->passed_count; i++)
		if (layout->passed[i].parent == port)
			r = buf_addf(ret, "%*s%s  %s, the host's %s\n",
				     2 + 2 * depth_of(layout, port), "",
				     pci_address_format(layout_guest_address(layout, i), guest),
				     machine_kind_name(
					     emit->host->devices[emit->plan->choice.given[i].device]
						     .kind),
				     pci_address_format(layout->passed[i].host, host));
	return r;
}

/* All below one bridge, in its order; its own depth is bounded by the host's. */
static int add_tree(const struct emit_plan *emit, int above, struct buf *ret)
{
	const struct layout *layout = &emit->plan->layout;
	char text[PCI_ADDRESS_TEXT], node[32] = "";
	int r = 0;

	for (size_t i = 0; r == 0 && i < layout->bridge_count; i++) {
		const struct layout_bridge *bridge = &layout->bridges[i];

		if (bridge->parent != above)
			continue;
		if (bridge->node != LAYOUT_NONE)
			(void)snprintf(node, sizeof(node), ", node %d", bridge->node);
		else
			node[0] = '\0';
		r = buf_addf(ret, "%*s%s  %s%s\n", 2 * depth_of(layout, (int)i), "",
			     bridge_name(layout, i, text), bridge_kind(bridge->kind), node);
		if (r == 0)
			r = add_passed(emit, (int)i, ret);
		if (r == 0)
			r = add_tree(emit, (int)i, ret);
	}
	return r;
}

static int add_held(const struct emit_plan *emit, struct buf *ret)
{
	const struct plan_choice *choice = &emit->plan->choice;
	char more[PLAN_REASON_MAX + 4];
	int r = choice->held_count ? buf_addf(ret, "held besides\n") : 0;

	for (size_t i = 0; r == 0 && i < choice->held_count; i++) {
		(void)snprintf(more, sizeof(more), "%s", choice->held[i].why);
		r = add_device(emit, choice->held[i].device, more, ret);
	}
	return r;
}

static int add_acs(const struct emit_plan *emit, struct buf *ret)
{
	const struct plan_tune *tune = &emit->plan->tune;
	int r = tune->count ? buf_addf(ret, "ACS set while the pod lives\n") : 0;
	char text[PCI_ADDRESS_TEXT];

	for (size_t i = 0; r == 0 && i < tune->count; i++)
		r = buf_addf(ret, "  %s  DT: %s\n",
			     pci_address_format(emit->host->devices[tune->at[i].port].address,
						text),
			     tune->at[i].why);
	return r;
}

int emit_plan_text(const struct machine *host, const struct plan *plan, struct buf *ret)
{
	CLEANUP(emit_plan_done) struct emit_plan emit = { .host = host, .plan = plan };
	const struct layout *layout = &plan->layout;
	char more[64], guest[PCI_ADDRESS_TEXT];
	int r;

	if (plan->reasons.count) {
		r = add_refusal(plan, ret);
		return r < 0 ? r : add_unknown(plan, ret);
	}
	r = buf_addf(ret, "%u vCPUs, %u MiB%s%s%s", layout->vcpus, layout->memory_mib,
		     layout->tee == LAYOUT_TEE_NONE ? "" : ", tee ",
		     layout->tee == LAYOUT_TEE_NONE ? "" : plan_tee_name(layout->tee),
		     layout->passed_count ? "\ndevices\n" : "\n");
	for (size_t i = 0; r == 0 && i < plan->choice.given_count; i++) {
		(void)snprintf(more, sizeof(more), "%s%s",
			       pci_address_format(layout_guest_address(layout, i), guest),
			       plan->choice.given[i].part == PLAN_COMPANION ? " (companion)" : "");
		r = add_device(&emit, plan->choice.given[i].device, more, ret);
	}
	if (r == 0)
		r = add_held(&emit, ret);
	if (r == 0)
		r = add_acs(&emit, ret);
	if (r == 0 && layout->passed_count)
		r = buf_addf(ret, "the guest's tree (%s%s)\n",
			     layout->mode == LAYOUT_REPLICATE ? "replicate" : "flatten",
			     has_peers(layout) ? "" : ", no peer-to-peer");
	if (r == 0)
		r = add_tree(&emit, LAYOUT_NONE, ret);
	if (r == 0)
		r = add_texts("notes", &plan->notes, ret);
	return r < 0 ? r : add_unknown(plan, ret);
}

static int add_cell(const struct emit_plan *emit, size_t i, size_t j, struct buf *ret)
{
	const struct plan_choice *choice = &emit->plan->choice;
	const char *host, *guest;
	char cell[16];

	if (i == j)
		return buf_addf(ret, "  %-9s", "X");
	host = route_class_name(
		route_class(emit->host, choice->given[i].device, choice->given[j].device));
	guest = route_class_name(route_class(&emit->guest, emit->passed[i], emit->passed[j]));
	host = host ? host : "?";
	guest = guest ? guest : "?";
	(void)snprintf(cell, sizeof(cell), "%s%s%s", guest, strcmp(host, guest) ? "/" : "",
		       strcmp(host, guest) ? host : "");
	return buf_addf(ret, "  %-9s", cell);
}

int emit_plan_matrix(const struct machine *host, const struct plan *plan, struct buf *ret)
{
	CLEANUP(emit_plan_done) struct emit_plan emit = { .host = host, .plan = plan };
	const struct plan_choice *choice = &plan->choice;
	char text[PCI_ADDRESS_TEXT];
	int r;

	if (plan->reasons.count)
		return emit_plan_text(host, plan, ret);
	r = make_guest(&emit);
	if (r == 0)
		r = buf_addf(ret, "%-12s", "");
	for (size_t i = 0; r == 0 && i < choice->given_count; i++)
		r = buf_addf(ret, "  %-9s",
			     pci_address_format(layout_guest_address(&plan->layout, i), text) + 5);
	for (size_t i = 0; r == 0 && i < choice->given_count; i++) {
		r = buf_addf(ret, "\n%-12s",
			     pci_address_format(host->devices[choice->given[i].device].address,
						text));
		for (size_t j = 0; r == 0 && j < choice->given_count; j++)
			r = add_cell(&emit, i, j, ret);
	}
	return r < 0 ? r
		     : buf_addf(ret, "\nrows: the host's addresses, columns: the guest's; "
				     "GUEST/HOST where they differ\n");
}
