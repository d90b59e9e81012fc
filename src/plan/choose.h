/* SPDX-License-Identifier: Apache-2.0 */
/*
 * choose - which of the machine's devices a pod gets, and what must be taken besides.
 *
 * What is named is taken. What is counted is chosen: the set whose members are closest to one
 * another and to what is named (route/class.h), of equals the one that needs the fewest others
 * held, of equals the one with the lowest addresses. The same machine and wish give the same set.
 *
 * Taken besides, so that nobody else uses it while the pod lives:
 *
 *	a companion	another function of a chosen slot, in the same IOMMU group (a GPU's audio):
 *			the pod gets it too
 *	held		any other device of such a group, and any that could reach a chosen one, or
 *			be reached by it, without passing the IOMMU (route/reach.h)
 */
#ifndef PLAN_CHOOSE_H
#define PLAN_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/machine.h"
#include "plan/layout.h"
#include "plan/reasons.h"

enum { PLAN_HELD_MAX = 64 };

/* How far apart the devices that are counted may be, and those named. */
enum plan_near {
	PLAN_NEAR_ANY,
	PLAN_NEAR_NODE,
	PLAN_NEAR_ROOT,	  /* one root complex */
	PLAN_NEAR_SWITCH, /* one switch, or switches below one root port */
	PLAN_NEAR_COUNT
};

/* A device that a pod or the host uses, and who: "pod 'web' has it". */
struct plan_taken {
	struct pci_address address;
	const char *by;
};

struct plan_wish {
	const struct pci_address *named;
	size_t named_count;
	uint32_t gpus, nics, nvme; /* besides those named */
	bool vf;		   /* the counts are of SR-IOV virtual functions, not of others */
	enum plan_near near;
	enum layout_mode mode;
	bool tune_acs;		  /* ports' ACS is set for them while the pod lives: plan/tune.h */
	bool no_peers;		  /* the devices' BARs are not mapped for one another */
	const char *keep_drivers; /* names with blanks between: a device that one of these drives
				   * is the host's and is not taken */
	const struct plan_taken *taken; /* not to be had just now */
	size_t taken_count;
};

enum plan_part {
	PLAN_CHOSEN,
	PLAN_COMPANION,
};

struct plan_given {
	int device; /* in machine.devices */
	enum plan_part part;
};

struct plan_held {
	int device;
	char why[PLAN_REASON_MAX]; /* "reaches 0000:21:00.0 below ..." */
};

/* Both by address. */
struct plan_choice {
	struct plan_given given[LAYOUT_PASSED_MAX];
	size_t given_count;
	struct plan_held held[PLAN_HELD_MAX];
	size_t held_count;
};

/* "any", "node", "root", "switch"; -EINVAL for another word. */
int plan_near_parse(const char *word, enum plan_near *ret);
const char *plan_near_name(enum plan_near near);

/* Whether anything is wished for at all. */
bool plan_wish_is_empty(const struct plan_wish *wish);

/*
 * What cannot be had is in reasons, and then *ret is of no use. unknown says what the machine does
 * not tell, and might be a reason: a plan on paper may do without, a pod not. 0 or -ENOMEM.
 */
int plan_choose(const struct machine *machine, const struct plan_wish *wish,
		struct plan_choice *ret, struct plan_reasons *reasons,
		struct plan_reasons *unknown);

#endif
