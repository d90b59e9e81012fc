/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build - puts together a machine out of what a reader of a capture has found.
 *
 * A reader (sysfs, hwloc) adds drafts in any order: functions that name each other by address,
 * nodes and CPUs by number. machine_build_finish() sorts them and makes the indexes.
 */
#ifndef MACHINE_BUILD_PRIV_H
#define MACHINE_BUILD_PRIV_H

#include "machine/machine.h"

struct machine_draft {
	struct machine_device device;
	size_t order;
	int8_t has_parent; /* PCI_YES: the next says which; PCI_NO: on a root bus; PCI_UNKNOWN: the
			    * bus numbers of the bridges tell */
	struct pci_address parent;
	int32_t root_bus; /* of its root complex, in its domain; PCI_UNKNOWN: the bus it is on */
	bool is_vf;
	struct pci_address physfn; /* of a VF */
	int group_id;		   /* the kernel's; PCI_UNKNOWN: none */
};

/* A set of CPU numbers. */
struct machine_mask {
	uint8_t bits[(MACHINE_CPU_ID_MAX + 1) / 8];
};

struct machine_node_draft {
	int id;
	int64_t memory_bytes;
	struct machine_mask *cpus; /* NULL: unknown */
	int32_t *distances;	   /* to the nodes, as their numbers ascend; NULL */
	size_t distance_count;
};

struct machine_build {
	struct arena *arena;
	struct machine *machine; /* .limits, .source, .groups_known: the reader's */
	struct machine_draft *drafts;
	size_t draft_count, draft_cap;
	struct machine_node_draft *nodes;
	size_t node_count, node_cap;
	struct machine_cpu *cpus; /* .core: any number that is the same for threads of a core */
	size_t cpu_count, cpu_cap;
};

/* All of it unknown. */
void machine_draft_init(struct machine_draft *draft);

int machine_build_start(struct arena *arena, const char *source, struct machine_build *ret);
void machine_build_done(struct machine_build *build);
CLEANUP_FUNC(struct machine_build, machine_build_done)

/* Copy what they are given. -E2BIG, -ENOMEM. Of two with one address or number the later stays. */
int machine_build_device(struct machine_build *build, const struct machine_draft *draft,
			 struct err *err);
int machine_build_node(struct machine_build *build, const struct machine_node_draft *node,
		       struct err *err);
int machine_build_cpu(struct machine_build *build, const struct machine_cpu *cpu, struct err *err);

/* -EINVAL if bridges lie below themselves. */
int machine_build_finish(struct machine_build *build, struct machine **ret, struct err *err);

/* cpus.c: nodes and CPUs, sorted, with what is dense of them. 0 or -ENOMEM. */
int machine_cpus_place(struct machine_build *build);

/* kind.c: kinds, and what kind of port a bridge is; parents, children and depths are made. */
void machine_kind_set(struct machine *machine);

/* The readers. */
int machine_sysfs_decode(struct arena *arena, const struct machine_capture *capture,
			 struct machine **ret, struct err *err);
int machine_hwloc_decode(struct arena *arena, struct bytes xml, struct machine **ret,
			 struct err *err);

/* host.c: CPUs, nodes and limits of a tree. */
int machine_host_decode(struct machine_build *build, const struct machine_capture *capture,
			struct err *err);

#endif
