// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: for each given device the switches above it, from the root complex down, are its
 * way. Devices are placed from the top: at each level those that share the next switch of their
 * ways go below one switch of the guest, if they are two slots or more; what is a slot of its own
 * goes below a port. Buses are numbered as firmware does: depth first, in the order of slots.
 */
#include "plan/tree.h"

#include <assert.h>
#include <string.h>

#include "base/macro.h"
#include "route/class.h"
#include "route/p2p.h"

enum {
	VENDOR_AMD = 0x1002,
	VENDOR_NVIDIA = 0x10de,
	TREE_BUSES = 256,
	TREE_SLOTS = 32, /* of a bus below a PXB, or inside a switch */
};

/* Devices that share a slot in the guest, and the switches above them. */
struct tree_card {
	int members[8]; /* indexes into choice.given */
	size_t member_count;
	int way[MACHINE_DEPTH_MAX]; /* machine indexes; from the root complex down */
	size_t depth;
	int bus;  /* the bridge whose bus the slot is on; MACHINE_NONE: a root bus */
	int root; /* of machine.roots */
};

struct tree {
	const struct machine *machine;
	const struct plan_choice *choice;
	struct layout *layout;
	struct plan_reasons *reasons;
	struct tree_card cards[LAYOUT_PASSED_MAX];
	size_t card_count;
	uint8_t slots[LAYOUT_BRIDGES_MAX]; /* used so far, of the bus below each */
};

static bool is_switch(const struct machine_device *device)
{
	return device->kind == MACHINE_BRIDGE ||
	       (device->kind == MACHINE_SWITCH_PORT && device->express.type != PCI_DOWNSTREAM_PORT);
}

/*
 * A chipset may have a controller beside the upstream port of its switch, on one bus. There is one
 * switch between it and what is below, as there is if it is below too, which a guest can have.
 */
static int find_beside(const struct tree *tree, int place)
{
	const struct machine_device *devices = tree->machine->devices;
	const int parent = devices[place].parent;

	if (parent == MACHINE_NONE)
		return MACHINE_NONE;
	for (size_t i = 0; i < tree->machine->device_count; i++)
		if (devices[i].parent == parent && devices[i].kind == MACHINE_SWITCH_PORT &&
		    is_switch(&devices[i]))
			return (int)i;
	return MACHINE_NONE;
}

static void find_way(const struct tree *tree, struct tree_card *card, int device)
{
	const struct machine_device *devices = tree->machine->devices;
	const int place = route_place(tree->machine, device);
	int beside;

	card->bus = devices[place].parent;
	card->root = devices[place].root;
	beside = find_beside(tree, place);
	if (beside != MACHINE_NONE)
		card->way[card->depth++] = beside;
	for (int at = card->bus; at != MACHINE_NONE; at = devices[at].parent)
		if (is_switch(&devices[at]) && card->depth < MACHINE_DEPTH_MAX)
			card->way[card->depth++] = at;
	for (size_t i = 0; i < card->depth / 2; i++) {
		int other = card->way[i];

		card->way[i] = card->way[card->depth - 1 - i];
		card->way[card->depth - 1 - i] = other;
	}
}

/* The card that the device's slot has already; a VF has one of its own. */
static struct tree_card *find_card(struct tree *tree, const struct machine_device *device)
{
	if (device->is_virtfn == PCI_YES)
		return NULL;
	for (size_t i = 0; i < tree->card_count; i++) {
		const int first = tree->choice->given[tree->cards[i].members[0]].device;
		const struct machine_device *other = &tree->machine->devices[first];

		if (tree->cards[i].member_count < ARRAY_SIZE(tree->cards[i].members) &&
		    other->is_virtfn != PCI_YES && other->parent == device->parent &&
		    pci_address_is_slot(other->address, device->address))
			return &tree->cards[i];
	}
	return NULL;
}

static void make_cards(struct tree *tree)
{
	for (size_t i = 0; i < tree->choice->given_count; i++) {
		const int index = tree->choice->given[i].device;
		struct tree_card *card = find_card(tree, &tree->machine->devices[index]);

		if (!card) {
			card = &tree->cards[tree->card_count++];
			find_way(tree, card, index);
		}
		card->members[card->member_count++] = (int)i;
	}
}

static int add_bridge(struct tree *tree, enum layout_bridge_kind kind, int parent, uint8_t slot,
		      uint8_t function)
{
	struct layout *layout = tree->layout;

	if (layout->bridge_count == LAYOUT_BRIDGES_MAX) {
		plan_reasons_add(tree->reasons, ERR_DEVICE_COUNT,
				 "the guest would need more than %d bridges", LAYOUT_BRIDGES_MAX);
		return 0;
	}
	layout->bridges[layout->bridge_count] = (struct layout_bridge){
		.kind = kind,
		.parent = (int16_t)parent,
		.slot = slot,
		.function = function,
		.node = LAYOUT_NONE,
	};
	return (int)layout->bridge_count++;
}

/* A port for one slot or one switch: on a switch's bus a downstream one, else a root port. */
static int add_port(struct tree *tree, int above)
{
	bool is_inner;
	uint8_t slot;

	assert(above >= 0);
	if (tree->reasons->count)
		return 0;
	is_inner = tree->layout->bridges[above].kind == LAYOUT_UPSTREAM;
	slot = tree->slots[above]++;
	if (slot >= TREE_SLOTS)
		plan_reasons_add(tree->reasons, ERR_DEVICE_COUNT,
				 "more than %d slots or switches below one bridge of the guest",
				 TREE_SLOTS);
	return add_bridge(tree, is_inner ? LAYOUT_DOWNSTREAM : LAYOUT_ROOT_PORT, above, slot, 0);
}

static int add_switch(struct tree *tree, int above)
{
	return add_bridge(tree, LAYOUT_UPSTREAM, add_port(tree, above), 0, 0);
}

/*
 * The host's function numbers, if function 0 is among them: a guest looks at no other function of
 * a slot without it.
 */
static void pass_card(struct tree *tree, const struct tree_card *card, int port)
{
	struct layout *layout = tree->layout;
	bool has_zero = false;

	for (size_t i = 0; i < card->member_count; i++) {
		const int index = tree->choice->given[card->members[i]].device;
		const struct machine_device *device = &tree->machine->devices[index];

		has_zero |= device->is_virtfn != PCI_YES && device->address.fn == 0;
	}
	for (size_t i = 0; i < card->member_count; i++) {
		const int index = tree->choice->given[card->members[i]].device;
		const struct machine_device *device = &tree->machine->devices[index];

		layout->passed[card->members[i]] = (struct layout_passed){
			.host = device->address,
			.parent = (int16_t)port,
			.function = has_zero ? device->address.fn : (uint8_t)i,
			.is_multifunction = card->member_count > 1,
			/* amdgpu reads its video BIOS there; firmware would run all others */
			.has_rom = device->kind == MACHINE_GPU && device->vendor == VENDOR_AMD,
			.clique = LAYOUT_NONE,
		};
	}
	layout->passed_count += card->member_count;
}

/* Those of cards[] whose next switch is the same as the first's: moved to the front. */
static size_t gather(struct tree_card **cards, size_t count, size_t level)
{
	size_t same = 1;

	for (size_t i = 1; i < count; i++) {
		struct tree_card *card = cards[i];

		if (card->depth == level || card->way[level] != cards[0]->way[level])
			continue;
		/* the others keep their order */
		memmove(&cards[same + 1], &cards[same], (i - same) * sizeof(cards[0]));
		cards[same++] = card;
	}
	return same;
}

/* Cards that have come to the end of their way on one bus: the VFs of a PF, conventional slots. */
static size_t gather_bus(struct tree_card **cards, size_t count, size_t level)
{
	size_t same = 1;

	for (size_t i = 1; i < count; i++) {
		struct tree_card *card = cards[i];

		if (card->depth != level || card->bus != cards[0]->bus || card->bus == MACHINE_NONE)
			continue;
		memmove(&cards[same + 1], &cards[same], (i - same) * sizeof(cards[0]));
		cards[same++] = card;
	}
	return same;
}

static void place(struct tree *tree, struct tree_card **cards, size_t count, size_t level,
		  int above);

/* Below the guest's switch or root bus `above`: all of cards[], which share a next switch. */
static void place_switch(struct tree *tree, struct tree_card **cards, size_t count, size_t level,
			 int above)
{
	const bool is_kept = above != LAYOUT_NONE &&
			     tree->layout->bridges[above].kind == LAYOUT_UPSTREAM;

	if (count > 1)
		place(tree, cards, count, level + 1, add_switch(tree, above));
	else if (is_kept)
		pass_card(tree, cards[0], add_port(tree, add_switch(tree, above)));
	else
		pass_card(tree, cards[0], add_port(tree, above));
}

/* Below a root bus two slots of one host bus need a switch; inside a switch ports will do. */
static void place_bus(struct tree *tree, struct tree_card **cards, size_t count, int above)
{
	const bool is_kept = tree->layout->bridges[above].kind == LAYOUT_UPSTREAM;

	if (count > 1 && !is_kept)
		above = add_switch(tree, above);
	for (size_t i = 0; i < count; i++)
		pass_card(tree, cards[i], add_port(tree, above));
}

/* All of cards[] share their ways up to level, which is the guest's bridge `above`. */
static void place(struct tree *tree, struct tree_card **cards, size_t count, size_t level,
		  int above)
{
	while (count > 0 && tree->reasons->count == 0) {
		size_t same;

		if (cards[0]->depth == level) {
			same = gather_bus(cards, count, level);
			place_bus(tree, cards, same, above);
		} else {
			same = gather(cards, count, level);
			place_switch(tree, cards, same, level, above);
		}
		cards += same;
		count -= same;
	}
}

static void replicate(struct tree *tree)
{
	struct tree_card *cards[LAYOUT_PASSED_MAX];
	uint8_t slot = PLAN_PORT_SLOT_FIRST;

	for (size_t root = 0; root < tree->machine->root_count; root++) {
		size_t count = 0;
		int pxb;

		for (size_t i = 0; i < tree->card_count; i++)
			if (tree->cards[i].root == (int)root)
				cards[count++] = &tree->cards[i];
		if (count == 0 || tree->reasons->count)
			continue;
		if (slot > PLAN_PORT_SLOT_LAST) {
			plan_reasons_add(tree->reasons, ERR_DEVICE_COUNT,
					 "devices of more than %d root complexes",
					 PLAN_PORT_SLOT_LAST - PLAN_PORT_SLOT_FIRST + 1);
			return;
		}
		pxb = add_bridge(tree, LAYOUT_PXB, LAYOUT_NONE, slot++, 0);
		place(tree, cards, count, 0, pxb);
	}
}

static void flatten(struct tree *tree)
{
	const size_t most = (PLAN_PORT_SLOT_LAST - PLAN_PORT_SLOT_FIRST + 1) * 8;

	if (tree->card_count > most) {
		plan_reasons_add(tree->reasons, ERR_DEVICE_COUNT, "%zu slots: bus 0 has %zu ports",
				 tree->card_count, most);
		return;
	}
	for (size_t i = 0; i < tree->card_count; i++)
		pass_card(tree, &tree->cards[i],
			  add_bridge(tree, LAYOUT_ROOT_PORT, LAYOUT_NONE,
				     (uint8_t)(PLAN_PORT_SLOT_FIRST + i / 8), (uint8_t)(i % 8)));
}

/* As firmware: each bus's bridges in order, each with all that is below it before the next. */
static void number(struct tree *tree, int above, unsigned int *last)
{
	struct layout *layout = tree->layout;

	for (size_t i = 0; i < layout->bridge_count; i++) {
		if (layout->bridges[i].parent != above || layout->bridges[i].kind == LAYOUT_PXB)
			continue;
		layout->bridges[i].bus = (uint8_t)++ * last;
		number(tree, (int)i, last);
	}
}

static void number_all(struct tree *tree)
{
	unsigned int last = 0;

	number(tree, LAYOUT_NONE, &last);
	for (size_t i = 0; i < tree->layout->bridge_count; i++) {
		if (tree->layout->bridges[i].kind != LAYOUT_PXB)
			continue;
		tree->layout->bridges[i].bus = (uint8_t)++last;
		number(tree, (int)i, &last);
	}
	if (last >= TREE_BUSES)
		plan_reasons_add(tree->reasons, ERR_DEVICE_COUNT,
				 "the guest's tree has %u buses: there are %d", last + 1,
				 TREE_BUSES);
}

static enum layout_mode choose_mode(const struct machine *machine, const struct plan_choice *choice)
{
	size_t talkers = 0;

	for (size_t i = 0; i < choice->given_count; i++) {
		const enum machine_kind kind = machine->devices[choice->given[i].device].kind;

		if (kind == MACHINE_GPU || kind == MACHINE_NIC || kind == MACHINE_NVME)
			talkers++;
	}
	return talkers > 1 ? LAYOUT_REPLICATE : LAYOUT_FLATTEN;
}

static bool is_nvidia(const struct machine_device *device)
{
	return device->kind == MACHINE_GPU && device->vendor == VENDOR_NVIDIA;
}

/* Whether all NVIDIA GPUs reach one another, by whatever way; at least two there have to be. */
static bool is_clique(const struct machine *machine, const struct plan_choice *choice)
{
	struct route_p2p p2p;
	size_t count = 0;

	for (size_t i = 0; i < choice->given_count; i++) {
		const int from = choice->given[i].device;

		if (!is_nvidia(&machine->devices[from]))
			continue;
		count++;
		for (size_t j = 0; j < choice->given_count; j++) {
			const int to = choice->given[j].device;

			if (i == j || !is_nvidia(&machine->devices[to]))
				continue;
			/* QEMU maps BARs through an IOMMU, which is there when it runs */
			route_p2p(machine, from, to, PCI_YES, &p2p);
			if (p2p.way == ROUTE_BLOCKED || p2p.way == ROUTE_WAY_UNKNOWN)
				return false;
		}
	}
	return count > 1;
}

void plan_peers(const struct machine *machine, const struct plan_choice *choice, bool has_peers,
		struct layout *layout)
{
	const bool has_clique = has_peers && is_clique(machine, choice);

	for (size_t i = 0; i < layout->passed_count; i++) {
		const struct machine_device *device = &machine->devices[choice->given[i].device];

		layout->passed[i].has_peers = has_peers;
		layout->passed[i].clique = has_clique && is_nvidia(device) ? 0 : LAYOUT_NONE;
	}
}

void plan_tree(const struct machine *machine, const struct plan_choice *choice,
	       enum layout_mode mode, struct layout *layout, struct plan_reasons *reasons)
{
	struct tree tree = {
		.machine = machine, .choice = choice, .layout = layout, .reasons = reasons
	};

	layout->mode = mode == LAYOUT_AUTO ? choose_mode(machine, choice) : mode;
	make_cards(&tree);
	if (layout->mode == LAYOUT_REPLICATE)
		replicate(&tree);
	else
		flatten(&tree);
	if (reasons->count == 0)
		number_all(&tree);
}
