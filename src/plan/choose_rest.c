// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "plan/choose_priv.h"
#include "route/reach.h"

enum { CLASS_BRIDGE = 0x06 };

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

const char *plan_choose_refusal(const struct plan_chooser *chooser, int index, char *ret,
				size_t size)
{
	const struct machine_device *device = &chooser->machine->devices[index];

	if (is_bridge(device))
		return "it is a bridge";
	for (size_t i = 0; i < chooser->wish->taken_count; i++)
		if (pci_address_cmp(chooser->wish->taken[i].address, device->address) == 0)
			return chooser->wish->taken[i].by;
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

static bool is_slot(const struct machine_device *a, const struct machine_device *b)
{
	return a->is_virtfn != PCI_YES && b->is_virtfn != PCI_YES && a->parent == b->parent &&
	       pci_address_is_slot(a->address, b->address);
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

const char *plan_choose_address(const struct plan_chooser *chooser, int device, char *ret)
{
	return pci_address_format(chooser->machine->devices[device].address, ret);
}

/* why has the device's address in it. */
static void hold(const struct plan_chooser *chooser, struct plan_choice *choice, int device,
		 const char *why)
{
	char text[PCI_ADDRESS_TEXT], because[PLAN_REASON_MAX];
	const char *no = plan_choose_refusal(chooser, device, because, sizeof(because));

	if (choice_has(choice, device))
		return;
	if (no) {
		plan_reasons_add(chooser->reasons, ERR_DEVICE_HELD, "%s; %s: %s", why,
				 plan_choose_address(chooser, device, text), no);
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
		const char *no =
			plan_choose_refusal(chooser, members->at[i], because, sizeof(because));

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
			       plan_choose_address(chooser, members->at[i], theirs),
			       machine->groups[device->group].id,
			       plan_choose_address(chooser, chosen, text));
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

/* Both kinds of entry begin with the device. */
static int by_device(const void *a, const void *b)
{
	const int *left = a, *right = b;

	return *left - *right;
}

static void sort_choice(struct plan_choice *choice)
{
	qsort(choice->given, choice->given_count, sizeof(*choice->given), by_device);
	qsort(choice->held, choice->held_count, sizeof(*choice->held), by_device);
}

int plan_choose_complete(const struct plan_chooser *chooser, const struct plan_set *set,
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
