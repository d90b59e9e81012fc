/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm - can this machine run a guest on its own processor? Asked of the machine, not of a node:
 * /dev/kvm may exist and refuse every guest, or hang it.
 *
 * The answer takes the processor's flags, the device, its API's version, and a guest of a few
 * instructions, run in a child that gets KVM_DEADLINE_MS and is then killed and left: a process
 * stuck in the kernel never holds the caller up. It may be the host that stood still, so a guest that
 * hangs is tried KVM_TRIES times before that is believed.
 */
#ifndef SYS_KVM_H
#define SYS_KVM_H

#include <stdbool.h>

#include "base/bytes.h"

enum { KVM_DEADLINE_MS = 1500, KVM_TRIES = 2, KVM_CPUINFO_MAX = 64 << 10 };

enum kvm_answer {
	KVM_USABLE,
	KVM_NO_FLAG,   /* the processor has neither svm nor vmx (or hides it) */
	KVM_NO_DEVICE, /* there is no /dev/kvm */
	KVM_DENIED,    /* there is, but not for this user */
	KVM_BAD_API,   /* not KVM, or none of version 12 */
	KVM_NO_GUEST,  /* the guest could not be made, or did not do as told */
	KVM_HANGS,     /* the guest never came to its end in time */
	KVM_ANSWERS,
};

/*
 * proc_fd is a folder with a cpuinfo file, dev_fd one with the kvm node. *ret_fd, if wanted, is
 * the node opened for reading and writing (O_CLOEXEC, the caller's), and is written for
 * KVM_USABLE only. Needs no descriptor of its own to be free but two; any error is a "no".
 */
enum kvm_answer kvm_probe(int proc_fd, int dev_fd, int *ret_fd);

/* Why it is not used, for a person: "the processor has neither svm nor vmx". */
const char *kvm_answer_text(enum kvm_answer answer);

/* Does a cpuinfo file's flags line have svm or vmx as a word? Only whole lines are looked at. */
bool kvm_cpuinfo_has_flag(struct bytes cpuinfo);

#endif
