// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: from each device that could be the first a set is grown, always by the one that
 * is closest to all that are in it; the best of these sets is kept. That is not always the best
 * set there is, but it is where a set fits below one switch, one root complex or one node.
 */
#include "plan/choose.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "plan/choose_priv.h"
#include "route/class.h"

enum {
	PLAN_COST_UNKNOWN = 100,
	PLAN_STEPS_MAX = 1 << 24, /* pairs looked at for one choice, about */
};

enum plan_may { MAY_UNASKED, MAY, MAY_NOT };

/* What a device is to the set that grows. */
struct plan_far {
	unsigned int cost; /* of its pairs with the set's */
	bool is_out;	   /* farther than --near from one of them */
	enum plan_may may; /* be given at all; not of the set, but of the machine */
};

static const struct {
	const char *name;
	enum route_class most;
} nears[] = {
	[PLAN_NEAR_ANY] = { "any", ROUTE_SYS },
	[PLAN_NEAR_NODE] = { "node", ROUTE_NODE },
	[PLAN_NEAR_ROOT] = { "root", ROUTE_PHB },
	[PLAN_NEAR_SWITCH] = { "switch", ROUTE_PXB },
};

int plan_near_parse(const char *word, enum plan_near *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(nears); i++) {
		if (strcmp(word, nears[i].name) == 0) {
			*ret = (enum plan_near)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *plan_near_name(enum plan_near near)
{
	return nears[near].name;
}

bool plan_wish_is_empty(const struct plan_wish *wish)
{
	return wish->named_count == 0 && wish->gpus == 0 && wish->nics == 0 && wish->nvme == 0;
}

static bool set_has(const struct plan_set *set, int device)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->at[i] == device)
			return true;
	return false;
}

static unsigned int pair_cost(const struct plan_chooser *chooser, int a, int b)
{
	enum route_class class = route_class(chooser->machine, a, b);

	return class == ROUTE_UNKNOWN ? PLAN_COST_UNKNOWN : (unsigned int)class;
}

static bool is_of_kind(const struct plan_chooser *chooser, enum machine_kind kind, size_t index)
{
	const struct machine_device *device = &chooser->machine->devices[index];

	return device->kind == kind && (device->is_virtfn == PCI_YES) == chooser->wish->vf;
}

/* A unknown distance is near enough on paper: it is told with what is unknown. */
static bool is_near(const struct plan_chooser *chooser, unsigned int cost)
{
	return chooser->wish->near == PLAN_NEAR_ANY || cost == PLAN_COST_UNKNOWN ||
	       cost <= (unsigned int)nears[chooser->wish->near].most;
}

/* Takes a device into the set; what is left learns how far it is from it. */
static void set_add(const struct plan_chooser *chooser, struct plan_set *set, int device)
{
	set->cost += chooser->far[device].cost;
	set->at[set->count++] = device;
	for (size_t i = 0; i < chooser->machine->device_count; i++) {
		struct plan_far *far = &chooser->far[i];
		unsigned int cost;

		if (far->may == MAY_NOT)
			continue;
		cost = pair_cost(chooser, device, (int)i);
		far->cost += cost;
		far->is_out |= !is_near(chooser, cost);
	}
}

/* Whether a device could be given at all, with what it brings along; asked once of each. */
static bool may_be_given(const struct plan_chooser *chooser, int index)
{
	const struct machine_device *device = &chooser->machine->devices[index];
	struct plan_far *far = &chooser->far[index];
	struct plan_reasons reasons = { 0 }, unknown = { 0 };
	struct plan_chooser quiet = *chooser;
	struct plan_set alone = { .at = { index }, .count = 1 };
	struct plan_choice choice;
	char text[PLAN_REASON_MAX];

	if (far->may != MAY_UNASKED)
		return far->may == MAY;
	quiet.reasons = &reasons;
	quiet.unknown = &unknown;
	far->may = MAY_NOT;
	if ((device->group == MACHINE_NONE && chooser->machine->groups_known == PCI_YES) ||
	    plan_choose_refusal(chooser, index, text, sizeof(text)))
		return false;
	if (plan_choose_complete(&quiet, &alone, &choice) == 0 && reasons.count == 0)
		far->may = MAY;
	return far->may == MAY;
}

/* The one closest to the set, the lowest address of equals; MACHINE_NONE. */
static int nearest(const struct plan_chooser *chooser, const struct plan_set *set,
		   enum machine_kind kind)
{
	for (;;) {
		int best = MACHINE_NONE;

		for (size_t i = 0; i < chooser->machine->device_count; i++) {
			const struct plan_far *far = &chooser->far[i];

			if (far->may == MAY_NOT || far->is_out || !is_of_kind(chooser, kind, i) ||
			    (best != MACHINE_NONE && far->cost >= chooser->far[best].cost) ||
			    set_has(set, (int)i))
				continue;
			best = (int)i;
		}
		if (best == MACHINE_NONE || may_be_given(chooser, best))
			return best;
	}
}

/* Adds until the set has count more of a kind; false if there are too few. */
static bool grow(const struct plan_chooser *chooser, struct plan_set *set, enum machine_kind kind,
		 uint32_t count)
{
	while (count-- > 0) {
		int device = nearest(chooser, set, kind);

		if (device == MACHINE_NONE)
			return false;
		set_add(chooser, set, device);
	}
	return true;
}

/* A set with the named ones, as all begin; nothing is far from nothing. */
static void set_begin(const struct plan_chooser *chooser, const struct plan_set *named,
		      struct plan_set *ret)
{
	for (size_t i = 0; i < chooser->machine->device_count; i++)
		chooser->far[i] = (struct plan_far){ .may = chooser->far[i].may };
	*ret = (struct plan_set){ 0 };
	for (size_t i = 0; i < named->count; i++)
		set_add(chooser, ret, named->at[i]);
}

/* How good a set is; one that cannot be had at all comes last. */
static size_t burden(const struct plan_chooser *chooser, const struct plan_set *set)
{
	struct plan_reasons reasons = { 0 }, unknown = { 0 };
	struct plan_chooser quiet = *chooser;
	struct plan_choice choice;

	quiet.reasons = &reasons;
	quiet.unknown = &unknown;
	if (plan_choose_complete(&quiet, set, &choice) < 0)
		return SIZE_MAX;
	return reasons.count ? PLAN_HELD_MAX + reasons.count : choice.held_count;
}

/* The number of those of a kind, and of those that could be given besides the named ones. */
static void say_too_few(const struct plan_chooser *chooser, const struct plan_set *named,
			enum machine_kind kind, const char *name, uint32_t asked)
{
	size_t all = 0, free = 0;

	for (size_t i = 0; asked && i < chooser->machine->device_count; i++) {
		if (!is_of_kind(chooser, kind, i))
			continue;
		all++;
		free += !set_has(named, (int)i) && may_be_given(chooser, (int)i);
	}
	if (asked > free)
		plan_reasons_add(chooser->reasons, ERR_DEVICE_COUNT,
				 "%u %s%s asked for: this machine has %zu, and %zu can be given",
				 asked, name, chooser->wish->vf ? " VFs" : "s", all, free);
}

static bool is_better(const struct plan_set *a, const struct plan_set *b)
{
	if (b->count == 0)
		return true;
	if (a->held > PLAN_HELD_MAX || b->held > PLAN_HELD_MAX)
		if (a->held != b->held)
			return a->held < b->held;
	if (a->cost != b->cost)
		return a->cost < b->cost;
	return a->held < b->held;
}

/*
 * Those that are worth a try as the first: of the VFs of one PF, which are all at one place, one;
 * and not more than there is time for.
 */
static bool is_start(const struct plan_chooser *chooser, const struct plan_set *named,
		     enum machine_kind kind, size_t index, int *last_place)
{
	const int place = route_place(chooser->machine, (int)index);

	if (!is_of_kind(chooser, kind, index) || set_has(named, (int)index) ||
	    (chooser->wish->vf && place == *last_place) || !may_be_given(chooser, (int)index))
		return false;
	*last_place = place;
	return true;
}

/* The best set that grows from the named ones, and from each first device besides. */
static bool choose(const struct plan_chooser *chooser, const struct plan_set *named,
		   struct plan_set *ret)
{
	const struct plan_wish *wish = chooser->wish;
	const size_t devices = chooser->machine->device_count;
	const size_t count = named->count + wish->gpus + wish->nics + wish->nvme;
	const enum machine_kind first = wish->gpus   ? MACHINE_GPU
					: wish->nics ? MACHINE_NIC
						     : MACHINE_NVME;
	struct plan_set best = { 0 }, set;
	size_t left = PLAN_STEPS_MAX / (count * devices + 1) + 1;
	int last_place = MACHINE_NONE;

	for (size_t i = 0; i < devices && left > 0; i++) {
		if (!is_start(chooser, named, first, i, &last_place))
			continue;
		left--;
		set_begin(chooser, named, &set);
		if (chooser->far[i].is_out)
			continue;
		set_add(chooser, &set, (int)i);
		if (!grow(chooser, &set, MACHINE_GPU, wish->gpus - (first == MACHINE_GPU)) ||
		    !grow(chooser, &set, MACHINE_NIC, wish->nics - (first == MACHINE_NIC)) ||
		    !grow(chooser, &set, MACHINE_NVME, wish->nvme - (first == MACHINE_NVME)))
			continue;
		if (best.count && best.held <= PLAN_HELD_MAX && set.cost > best.cost)
			continue;
		set.held = burden(chooser, &set);
		if (is_better(&set, &best))
			best = set;
	}
	*ret = best;
	return best.count > 0;
}

static void add_named(const struct plan_chooser *chooser, struct plan_set *set)
{
	const struct plan_wish *wish = chooser->wish;
	char text[PCI_ADDRESS_TEXT], because[PLAN_REASON_MAX];

	for (size_t i = 0; i < wish->named_count; i++) {
		int device = machine_find(chooser->machine, wish->named[i]);
		const char *no;

		(void)pci_address_format(wish->named[i], text);
		if (device == MACHINE_NONE) {
			plan_reasons_add(chooser->reasons, ERR_DEVICE_NONE,
					 "%s: this machine has no such device", text);
			continue;
		}
		no = plan_choose_refusal(chooser, device, because, sizeof(because));
		if (no)
			plan_reasons_add(chooser->reasons, ERR_DEVICE_HELD, "%s: %s", text, no);
		else if (set->count == LAYOUT_PASSED_MAX)
			plan_reasons_add(chooser->reasons, ERR_DEVICE_COUNT,
					 "%zu devices named: a pod has %d at most",
					 wish->named_count, LAYOUT_PASSED_MAX);
		else if (!set_has(set, device))
			set->at[set->count++] = device;
	}
}

/* What the given devices need of the host, and what is not known of it. */
static void check_given(const struct plan_chooser *chooser, const struct plan_choice *choice)
{
	const struct machine *machine = chooser->machine;
	char text[PCI_ADDRESS_TEXT];

	for (size_t i = 0; i < choice->given_count; i++) {
		const struct machine_device *device = &machine->devices[choice->given[i].device];

		(void)pci_address_format(device->address, text);
		if (device->group == MACHINE_NONE && machine->groups_known == PCI_YES)
			plan_reasons_add(chooser->reasons, ERR_DEVICE_HELD,
					 "%s: it has no IOMMU group: is the IOMMU off (firmware, "
					 "intel_iommu=on)?",
					 text);
		else if (device->group == MACHINE_NONE)
			plan_reasons_add(chooser->unknown, ERR_UNKNOWN, "%s: its IOMMU group",
					 text);
		if (device->bars_known != PCI_YES)
			plan_reasons_add(chooser->unknown, ERR_UNKNOWN, "%s: the size of its BARs",
					 text);
	}
}

/* Whether the named ones keep the limit; what is unknown of all pairs is told. */
static bool keeps_limit(const struct plan_chooser *chooser, const struct plan_set *set)
{
	char a[PCI_ADDRESS_TEXT], b[PCI_ADDRESS_TEXT];
	bool is_kept = true;

	for (size_t i = 0; i < set->count; i++) {
		for (size_t j = 0; j < i; j++) {
			const unsigned int cost = pair_cost(chooser, set->at[i], set->at[j]);

			is_kept &= is_near(chooser, cost);
			if (cost == PLAN_COST_UNKNOWN && chooser->wish->near != PLAN_NEAR_ANY)
				plan_reasons_add(chooser->unknown, ERR_UNKNOWN,
						 "how far %s is from %s",
						 plan_choose_address(chooser, set->at[j], a),
						 plan_choose_address(chooser, set->at[i], b));
		}
	}
	return is_kept;
}

static int make(const struct plan_chooser *chooser, struct plan_choice *ret)
{
	const struct plan_wish *wish = chooser->wish;
	const size_t count = (size_t)wish->gpus + wish->nics + wish->nvme;
	struct plan_set named = { 0 }, set;
	int r;

	if (wish->named_count + count > LAYOUT_PASSED_MAX) {
		plan_reasons_add(chooser->reasons, ERR_DEVICE_COUNT,
				 "%zu devices asked for: a pod has %d at most",
				 wish->named_count + count, LAYOUT_PASSED_MAX);
		return 0;
	}
	add_named(chooser, &named);
	say_too_few(chooser, &named, MACHINE_GPU, "GPU", wish->gpus);
	say_too_few(chooser, &named, MACHINE_NIC, "NIC", wish->nics);
	say_too_few(chooser, &named, MACHINE_NVME, "NVMe disk", wish->nvme);
	if (chooser->reasons->count)
		return 0;
	set = named;
	if ((count && !choose(chooser, &named, &set)) || !keeps_limit(chooser, &set)) {
		plan_reasons_add(chooser->reasons, ERR_DEVICE_COUNT,
				 "%zu devices within one %s (--near): no such set is free",
				 named.count + count, plan_near_name(wish->near));
		return 0;
	}
	r = plan_choose_complete(chooser, &set, ret);
	if (r == 0)
		check_given(chooser, ret);
	return r;
}

int plan_choose(const struct machine *machine, const struct plan_wish *wish,
		struct plan_choice *ret, struct plan_reasons *reasons, struct plan_reasons *unknown)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	const struct plan_chooser chooser = {
		.machine = machine,
		.wish = wish,
		.reasons = reasons,
		.unknown = unknown,
		.far = arena_array(&arena, machine->device_count + 1, sizeof(*chooser.far)),
	};

	*ret = (struct plan_choice){ 0 };
	return chooser.far ? make(&chooser, ret) : -ENOMEM;
}
