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

enum {
	PLAN_COST_UNKNOWN = 100,
	PLAN_STEPS_MAX = 1 << 24, /* pairs looked at for one choice, about */
	CLASS_BRIDGE = 0x06,
};

enum plan_may { MAY_UNASKED, MAY, MAY_NOT };

/* What a device is to the set that grows. */
struct plan_far {
	unsigned int cost; /* of its pairs with the set's */
	bool is_out;	   /* farther than --near from one of them */
	enum plan_may may; /* be given at all; not of the set, but of the machine */
};

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
	struct plan_far *far; /* of each device */
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

/* What no pod gets, and what no pod need hold: it does no DMA of its own. */
static bool is_bridge(const struct machine_device *device)
{
	return device->bridge.present == PCI_YES || device->kind == MACHINE_ROOT_PORT ||
	       device->kind == MACHINE_SWITCH_PORT || device->kind == MACHINE_BRIDGE ||
	       (device->kind != MACHINE_NVSWITCH && device->class_code >> 16 == CLASS_BRIDGE);
}

/* Why a device is not to be had, or NULL. */
static const char *refusal(const struct plan_chooser *chooser, int index, char *ret, size_t size)
{
	const struct machine_device *device = &chooser->machine->devices[index];

	if (is_bridge(device))
		return "it is a bridge";
	for (size_t i = 0; i < chooser->wish->taken_count; i++)
		if (pci_address_cmp(chooser->wish->taken[i], device->address) == 0)
			return "a pod has it";
	if (device->driver && has_word(chooser->wish->keep_drivers, device->driver)) {
		(void)snprintf(ret, size,
			       "the host's driver '%s' has it, and keep_drivers says that the "
			       "host keeps those",
			       device->driver);
		return ret;
	}
	if (device->sriov.present == PCI_YES && device->sriov.num > 0) {
		(void)snprintf(ret, size,
			       "it has %d virtual functions, which would go with its "
			       "driver",
			       (int)device->sriov.num);
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

static int complete(const struct plan_chooser *chooser, const struct plan_set *set,
		    struct plan_choice *choice);

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
	    refusal(chooser, index, text, sizeof(text)))
		return false;
	if (complete(&quiet, &alone, &choice) == 0 && reasons.count == 0)
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

/* why has the device's address in it. */
static void hold(const struct plan_chooser *chooser, struct plan_choice *choice, int device,
		 const char *why)
{
	char text[PCI_ADDRESS_TEXT], because[PLAN_REASON_MAX];
	const char *no = refusal(chooser, device, because, sizeof(because));

	if (choice_has(choice, device))
		return;
	if (no) {
		plan_reasons_add(chooser->reasons, ERR_DEVICE_HELD, "%s; %s: %s", why,
				 address(chooser, device, text), no);
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
	char text[PCI_ADDRESS_TEXT], theirs[PCI_ADDRESS_TEXT];
	char because[PLAN_REASON_MAX], why[PLAN_REASON_MAX];
	const struct machine_set *members;

	if (device->group == MACHINE_NONE)
		return;
	members = &machine->groups[device->group].members;
	for (size_t i = 0; i < members->count; i++) {
		const struct machine_device *other = &machine->devices[members->at[i]];
		const char *no = refusal(chooser, members->at[i], because, sizeof(because));

		if (is_bridge(other) || choice_has(choice, members->at[i]))
			continue;
		if (!no && is_slot(device, other)) {
			give(chooser, choice, members->at[i], PLAN_COMPANION);
			continue;
		}
		/* one without a driver does no DMA, and no driver gets it while the group is ours */
		if (other->driver_known == PCI_YES && !other->driver)
			continue;
		(void)snprintf(why, sizeof(why), "%s is in IOMMU group %d with %s",
			       address(chooser, members->at[i], theirs),
			       machine->groups[device->group].id, address(chooser, chosen, text));
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
	size_t left = PLAN_STEPS_MAX / (count * devices) + 1;
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
						 address(chooser, set->at[j], a),
						 address(chooser, set->at[i], b));
		}
	}
	return is_kept;
}

static int make(const struct plan_chooser *chooser, struct plan_choice *ret)
{
	const struct plan_wish *wish = chooser->wish;
	const uint64_t count = (uint64_t)wish->gpus + wish->nics + wish->nvme;
	struct plan_set named = { 0 }, set;
	int r;

	if (wish->named_count + count > LAYOUT_PASSED_MAX) {
		plan_reasons_add(chooser->reasons, ERR_DEVICE_COUNT,
				 "%llu devices asked for: a pod has %d at most",
				 (unsigned long long)(wish->named_count + count),
				 LAYOUT_PASSED_MAX);
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
				 named.count + (size_t)count, plan_near_name(wish->near));
		return 0;
	}
	r = complete(chooser, &set, ret);
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
