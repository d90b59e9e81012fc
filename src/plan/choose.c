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
#include "route/class.h"
#include "route/reach.h"

enum { PLAN_COST_UNKNOWN = 100 };

struct plan_set {
	int at[LAYOUT_PASSED_MAX];
	size_t count;
	unsigned int cost; /* of all pairs */
	size_t held;
};

struct plan_chooser {
	const struct machine *machine;
	const struct plan_wish *wish;
	struct plan_reasons *reasons;
	struct plan_reasons *unknown;
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

static bool has_word(const char *words, const char *word)
{
	const size_t len = strlen(word);

	for (const char *at = words; at && len && (at = strstr(at, word)); at += len)
		if ((at == words || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			return true;
	return false;
}

/* Why a device is not to be had, or NULL. */
static const char *refusal(const struct plan_chooser *chooser, int index, char *ret, size_t size)
{
	const struct machine_device *device = &chooser->machine->devices[index];

	if (device->bridge.present == PCI_YES || device->kind == MACHINE_ROOT_PORT ||
	    device->kind == MACHINE_SWITCH_PORT || device->kind == MACHINE_BRIDGE)
		return "it is a bridge";
	for (size_t i = 0; i < chooser->wish->taken_count; i++)
		if (pci_address_cmp(chooser->wish->taken[i], device->address) == 0)
			return "another pod has it";
	if (device->driver && has_word(chooser->wish->keep_drivers, device->driver)) {
		(void)snprintf(ret, size,
			       "the host's driver '%s' has it, and keep_drivers says "
			       "that the host keeps those",
			       device->driver);
		return ret;
	}
	return NULL;
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

/* Of a device to a set; -1 if it is too far from one of its members. */
static int distance(const struct plan_chooser *chooser, const struct plan_set *set, int device)
{
	const enum plan_near near = chooser->wish->near;
	unsigned int sum = 0;

	for (size_t i = 0; i < set->count; i++) {
		unsigned int cost = pair_cost(chooser, set->at[i], device);

		if (near != PLAN_NEAR_ANY && cost > (unsigned int)nears[near].most)
			return -1;
		sum += cost;
	}
	return (int)sum;
}

static bool is_candidate(const struct plan_chooser *chooser, enum machine_kind kind, int index)
{
	const struct machine_device *device = &chooser->machine->devices[index];
	char text[PLAN_REASON_MAX];

	if (device->kind != kind || (device->is_virtfn == PCI_YES) != chooser->wish->vf)
		return false;
	/* Its VFs would go with its driver. */
	if (device->sriov.present == PCI_YES && device->sriov.num > 0)
		return false;
	if (device->group == MACHINE_NONE && chooser->machine->groups_known == PCI_YES)
		return false;
	return !refusal(chooser, index, text, sizeof(text));
}

/* The candidate closest to the set, the lowest address of equals; MACHINE_NONE. */
static int nearest(const struct plan_chooser *chooser, const struct plan_set *set,
		   enum machine_kind kind, unsigned int *ret_cost)
{
	int best = MACHINE_NONE, least = 0;

	for (size_t i = 0; i < chooser->machine->device_count; i++) {
		int cost;

		if (set_has(set, (int)i) || !is_candidate(chooser, kind, (int)i))
			continue;
		cost = distance(chooser, set, (int)i);
		if (cost >= 0 && (best == MACHINE_NONE || cost < least)) {
			best = (int)i;
			least = cost;
		}
	}
	*ret_cost = (unsigned int)least;
	return best;
}

/* Adds until the set has count more of a kind; false if there are too few. */
static bool grow(const struct plan_chooser *chooser, struct plan_set *set, enum machine_kind kind,
		 uint32_t count)
{
	unsigned int cost;

	while (count-- > 0) {
		int device = set->count < LAYOUT_PASSED_MAX ? nearest(chooser, set, kind, &cost)
							    : MACHINE_NONE;

		if (device == MACHINE_NONE)
			return false;
		set->at[set->count++] = device;
		set->cost += cost;
	}
	return true;
}

static bool grow_all(const struct plan_chooser *chooser, struct plan_set *set, size_t gpus,
		     size_t nics, size_t nvme)
{
	return grow(chooser, set, MACHINE_GPU, (uint32_t)gpus) &&
	       grow(chooser, set, MACHINE_NIC, (uint32_t)nics) &&
	       grow(chooser, set, MACHINE_NVME, (uint32_t)nvme);
}

static bool is_slot(const struct machine_device *a, const struct machine_device *b)
{
	return a->is_virtfn != PCI_YES && b->is_virtfn != PCI_YES && a->parent == b->parent &&
	       a->address.domain == b->address.domain && a->address.bus == b->address.bus &&
	       a->address.dev == b->address.dev;
}

static bool choice_has(const struct plan_choice *choice, int device)
{
	for (size_t i = 0; i < choice->given_count; i++)
		if (choice->given[i].device == device)
			return true;
	for (size_t i = 0; i < choice->held_count; i++)
		if (choice->held[i].device == device)
			return true;
	return false;
}

static const char *address(const struct plan_chooser *chooser, int device, char *ret)
{
	return pci_address_format(chooser->machine->devices[device].address, ret);
}

static void hold(const struct plan_chooser *chooser, struct plan_choice *choice, int device,
		 const char *why)
{
	char text[PCI_ADDRESS_TEXT], because[PLAN_REASON_MAX];
	const char *no = refusal(chooser, device, because, sizeof(because));

	if (choice_has(choice, device))
		return;
	if (no) {
		plan_reasons_add(chooser->reasons, ERR_DEVICE_HELD, "%s %s: %s",
				 address(chooser, device, text), why, no);
	} else if (choice->held_count == PLAN_HELD_MAX) {
		plan_reasons_add(chooser->reasons, ERR_DEVICE_HELD,
				 "more than %d devices would have to be held", PLAN_HELD_MAX);
	} else {
		struct plan_held *held = &choice->held[choice->held_count++];

		held->device = device;
		(void)snprintf(held->why, sizeof(held->why), "%s", why);
	}
}

static void give(const struct plan_chooser *chooser, struct plan_choice *choice, int device,
		 enum plan_part part)
{
	if (choice_has(choice, device))
		return;
	if (choice->given_count == LAYOUT_PASSED_MAX)
		plan_reasons_add(chooser->reasons, ERR_DEVICE_COUNT,
				 "more than %d functions for one pod", LAYOUT_PASSED_MAX);
	else
		choice->given[choice->given_count++] = (struct plan_given){ device, part };
}

/* The rest of a chosen device's group. */
static void add_group(const struct plan_chooser *chooser, struct plan_choice *choice, int chosen)
{
	const struct machine *machine = chooser->machine;
	const struct machine_device *device = &machine->devices[chosen];
	char text[PCI_ADDRESS_TEXT], because[PLAN_REASON_MAX], why[PLAN_REASON_MAX];
	const struct machine_set *members;

	if (device->group == MACHINE_NONE)
		return;
	members = &machine->groups[device->group].members;
	for (size_t i = 0; i < members->count; i++) {
		const struct machine_device *other = &machine->devices[members->at[i]];
		const bool is_bridge =
			other->bridge.present == PCI_YES || other->kind == MACHINE_ROOT_PORT ||
			other->kind == MACHINE_SWITCH_PORT || other->kind == MACHINE_BRIDGE;

		if (is_bridge || choice_has(choice, members->at[i]))
			continue;
		(void)snprintf(why, sizeof(why), "is in IOMMU group %d with %s",
			       machine->groups[device->group].id, address(chooser, chosen, text));
		if (is_slot(device, other) &&
		    !refusal(chooser, members->at[i], because, sizeof(because)))
			give(chooser, choice, members->at[i], PLAN_COMPANION);
		else
			hold(chooser, choice, members->at[i], why);
	}
}

/* What could pass the IOMMU by; what the machine does not tell is taken for a contact too. */
static int add_reachable(const struct plan_chooser *chooser, struct plan_choice *choice)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct route_contacts contacts;
	int given[LAYOUT_PASSED_MAX], r;

	for (size_t i = 0; i < choice->given_count; i++)
		given[i] = choice->given[i].device;
	r = route_reach_set(&arena, chooser->machine, given, choice->given_count, &contacts);
	for (size_t i = 0; r == 0 && i < contacts.count; i++) {
		const struct route_contact *contact = &contacts.at[i];

		if (contact->reach.direct == PCI_YES)
			hold(chooser, choice, contact->device, contact->reach.text);
		else
			plan_reasons_add(chooser->unknown, ERR_UNKNOWN, "whether %s",
					 contact->reach.text);
	}
	return r;
}

static int compare_given(const struct plan_given *a, const struct plan_given *b)
{
	return a->device - b->device;
}

static int compare_held(const struct plan_held *a, const struct plan_held *b)
{
	return a->device - b->device;
}

static void sort_choice(struct plan_choice *choice)
{
	for (size_t i = 1; i < choice->given_count; i++)
		for (size_t j = i;
		     j > 0 && compare_given(&choice->given[j - 1], &choice->given[j]) > 0; j--) {
			struct plan_given other = choice->given[j];

			choice->given[j] = choice->given[j - 1];
			choice->given[j - 1] = other;
		}
	for (size_t i = 1; i < choice->held_count; i++)
		for (size_t j = i;
		     j > 0 && compare_held(&choice->held[j - 1], &choice->held[j]) > 0; j--) {
			struct plan_held other = choice->held[j];

			choice->held[j] = choice->held[j - 1];
			choice->held[j - 1] = other;
		}
}

static int complete(const struct plan_chooser *chooser, const struct plan_set *set,
		    struct plan_choice *choice)
{
	int r;

	*choice = (struct plan_choice){ 0 };
	for (size_t i = 0; i < set->count; i++)
		give(chooser, choice, set->at[i], PLAN_CHOSEN);
	for (size_t i = 0; i < set->count; i++)
		add_group(chooser, choice, set->at[i]);
	r = add_reachable(chooser, choice);
	sort_choice(choice);
	return r;
}

/* How good a set is; one that cannot be had at all comes last. */
static size_t burden(const struct plan_chooser *chooser, const struct plan_set *set)
{
	struct plan_reasons reasons = { 0 }, unknown = { 0 };
	struct plan_chooser quiet = *chooser;
	struct plan_choice choice;

	quiet.reasons = &reasons;
	quiet.unknown = &unknown;
	if (complete(&quiet, set, &choice) < 0)
		return SIZE_MAX;
	return reasons.count ? PLAN_HELD_MAX + reasons.count : choice.held_count;
}

/* The number of those of a kind, and of those that could be given. */
static void say_too_few(const struct plan_chooser *chooser, enum machine_kind kind,
			const char *name, uint32_t asked)
{
	const struct plan_wish *wish = chooser->wish;
	size_t all = 0, free = 0;

	for (size_t i = 0; i < chooser->machine->device_count; i++) {
		const struct machine_device *device = &chooser->machine->devices[i];

		if (device->kind == kind && (device->is_virtfn == PCI_YES) == wish->vf)
			all++;
		if (is_candidate(chooser, kind, (int)i))
			free++;
	}
	for (size_t i = 0; i < wish->named_count; i++) {
		int named = machine_find(chooser->machine, wish->named[i]);

		if (named >= 0 && is_candidate(chooser, kind, named))
			free--;
	}
	if (asked == 0)
		return;
	if (asked > free)
		plan_reasons_add(chooser->reasons, ERR_DEVICE_COUNT,
				 "%u %s%s asked for: this machine has %zu, and %zu can be given",
				 asked, name, wish->vf ? " VFs" : "s", all, free);
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

/* The best set that grows from the named ones, and from each first device where none is named. */
static bool choose(const struct plan_chooser *chooser, const struct plan_set *named,
		   struct plan_set *ret)
{
	const struct plan_wish *wish = chooser->wish;
	const enum machine_kind first = wish->gpus   ? MACHINE_GPU
					: wish->nics ? MACHINE_NIC
						     : MACHINE_NVME;
	struct plan_set best = { 0 }, set;

	for (size_t i = 0; i < chooser->machine->device_count; i++) {
		if (set_has(named, (int)i) || !is_candidate(chooser, first, (int)i))
			continue;
		set = *named;
		set.cost = 0;
		if (distance(chooser, &set, (int)i) < 0 || set.count == LAYOUT_PASSED_MAX)
			continue;
		set.cost = (unsigned int)distance(chooser, &set, (int)i);
		set.at[set.count++] = (int)i;
		if (!grow_all(chooser, &set, wish->gpus - (first == MACHINE_GPU),
			      wish->nics - (first == MACHINE_NIC),
			      wish->nvme - (first == MACHINE_NVME)))
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
		no = refusal(chooser, device, because, sizeof(because));
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

static bool sets_limit(const struct plan_chooser *chooser, const struct plan_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		for (size_t j = 0; j < i; j++)
			if (pair_cost(chooser, set->at[i], set->at[j]) >
			    (unsigned int)nears[chooser->wish->near].most)
				return false;
	return true;
}

int plan_choose(const struct machine *machine, const struct plan_wish *wish,
		struct plan_choice *ret, struct plan_reasons *reasons, struct plan_reasons *unknown)
{
	const struct plan_chooser chooser = { machine, wish, reasons, unknown };
	const bool counts = wish->gpus || wish->nics || wish->nvme;
	struct plan_set named = { 0 }, set;
	int r;

	*ret = (struct plan_choice){ 0 };
	add_named(&chooser, &named);
	say_too_few(&chooser, MACHINE_GPU, "GPU", wish->gpus);
	say_too_few(&chooser, MACHINE_NIC, "NIC", wish->nics);
	say_too_few(&chooser, MACHINE_NVME, "NVMe disk", wish->nvme);
	if (reasons->count)
		return 0;
	set = named;
	if ((counts && !choose(&chooser, &named, &set)) ||
	    (wish->near != PLAN_NEAR_ANY && !sets_limit(&chooser, &set))) {
		plan_reasons_add(reasons, ERR_DEVICE_COUNT,
				 "%zu devices within one %s (--near): no such set is free",
				 named.count + wish->gpus + wish->nics + wish->nvme,
				 plan_near_name(wish->near));
		return 0;
	}
	r = complete(&chooser, &set, ret);
	if (r == 0)
		check_given(&chooser, ret);
	return r;
}
