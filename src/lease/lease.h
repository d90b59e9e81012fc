/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease - what a pod holds of the host that outlives a process, and how it is given back.
 *
 *	struct lease_opts opts = { .run_fd = run_fd, .proc_fd = proc_fd };
 *	struct lease *lease = NULL;
 *
 *	r = lease_recover(&opts, tell, NULL, NULL);	what dead pods left, first
 *	r = lease_open(&opts, "web", &lease, &err);	the name is ours, RUN/pods/web is there
 *	r = lease_uid(lease, first, count, &uid, &err);
 *	r = lease_process(lease, "qemu", &lock_fd, &err);
 *	...	the spawn request hands lock_fd to QEMU; the pod lives; QEMU has ended
 *	r = lease_undo(lease, &err);	all of it, in reverse; the name is free
 *	lease = lease_free(lease);
 *
 * How it works. In the run directory RUN there are
 *
 *	leases/NAME.journal	what pod NAME holds; the owner is who holds this file's lock
 *	pods/NAME/		its run directory, mode 0700
 *	uids/N			a claim (sys/file.h) of user id N by a pod
 *
 * Each step is written to the journal and synced before it is taken, and marked after it was
 * undone. The lock goes with its owner's last breath, so a journal whose lock can be had is a dead
 * pod's: lease_recover() undoes it, and lease_open() does for the name that it wants. Nobody else's
 * journal is touched, so live pods are safe, and so are two recoveries at once.
 *
 * A journal names its boot. After a restart of the host, steps whose effect ended with the kernel
 * (processes) are dropped; the others are undone.
 *
 * Every step is of a kind, a row of the table in kind.c: its name, how it is applied and undone,
 * whether it outlives a boot, and whether what was leased before it has to wait for its undoing (a
 * process: its user id and its directory are not given away while it runs). A new kind of thing to
 * lease is a new row there and a function here that words its argument for lease_step(); nothing
 * else changes. Rules for a row: undo must do for a step that was never taken, or half taken, or
 * undone before (a crash comes anywhere); it must look at the thing first, and touch only what is
 * still as the step left it; what it cannot undo it names in err, and is asked again by the next
 * recovery.
 *
 * Signals may interrupt, the calls go on. Calls block: for the disk, and lease_undo() and
 * lease_recover() also for a process that has not ended yet (LEASE_GRACE_MS, then it is killed,
 * then LEASE_KILL_MS). Not for two threads at once.
 */
#ifndef LEASE_LEASE_H
#define LEASE_LEASE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macro.h"

enum {
	LEASE_GRACE_MS = 2000,	   /* for a process whose parent has died to end by itself */
	LEASE_KILL_MS = 20000,	   /* for a killed one to let go of memory and devices */
	LEASE_RECOVERY_MS = 60000, /* lease_open() waits so long for a recovery that runs */
	LEASE_MAX_PROCESSES = 8,
};

struct lease_opts {
	int run_fd;	       /* the run directory; borrowed as long as the lease lives */
	int proc_fd;	       /* /proc, likewise */
	int grace_ms, kill_ms; /* 0: LEASE_GRACE_MS, LEASE_KILL_MS */
	/*
	 * NULL, or called after each write to the disk and after each step taken or undone, with a
	 * word for where that is. Tests end the process in it.
	 */
	void (*after_step)(void *data, const char *where);
	void *data;
};

struct lease;

/*
 * Takes a name (text_name_valid(), else -EINVAL) and makes its run directory. If a dead pod had
 * it, what that left is undone before.
 *
 *	-EEXIST  (ERR_NAME_TAKEN) a live pod has it
 *	-EBUSY   what a dead pod of that name left cannot be undone; the message says what
 */
int lease_open(const struct lease_opts *opts, const char *name, struct lease **ret,
	       struct err *err);

/* The pod's run directory; the lease's, and gone with it. */
int lease_dir(const struct lease *lease);

/*
 * Takes a user id that no other pod has, from count of them, the first free one. -ENOSPC (ERR_HOST)
 * if there is none. It stays taken until everything leased after it is undone, so also while a
 * process that runs under it has not ended.
 */
int lease_uid(struct lease *lease, uid_t first, uint32_t count, uid_t *ret, struct err *err);

/*
 * Says that a file of that name is going to be made in RUN: it is removed when the lease is undone,
 * if it is there. path is relative, without "..", -EINVAL if not. (What is in the run directory of
 * the pod goes with it, and needs no saying.)
 */
int lease_file(struct lease *lease, const char *path, struct err *err);

/*
 * Says that a process is going to be started. *ret_fd is a locked file, the lease's own, which the
 * process must inherit under any number and never close: as long as anyone holds it, the process
 * counts as there. Undoing waits for that, and kills who holds it if it lasts. name is one
 * valid name (-EINVAL) and new in this lease (-EEXIST). -E2BIG beyond LEASE_MAX_PROCESSES.
 */
int lease_process(struct lease *lease, const char *name, int *ret_fd, struct err *err);

/*
 * Undoes all steps, the last first, then frees the name. What cannot be undone is passed over (or,
 * if it is a process, ends the undoing), and stays in the journal for lease_recover(); the first
 * such is returned.
 */
int lease_undo(struct lease *lease, struct err *err);

/*
 * Lets go without undoing anything (after lease_undo() there is nothing left): to others the pod
 * is dead then. NULL is fine; returns NULL.
 */
struct lease *lease_free(struct lease *lease);
CLEANUP_PTR(struct lease, lease_free)

/* One step of a dead pod. */
struct lease_report {
	const char *pod;
	const char *kind; /* of the table, or "journal" */
	const char *arg;
	int num;	 /* 0: undone, 1: dropped, its boot is over; negative: it stays */
	const char *msg; /* why it stays, or NULL */
};
typedef void lease_report_fn(void *data, const struct lease_report *report);

/*
 * Undoes what dead pods left, and tells each step. 0 if nothing stays; else the first error, the
 * rest done all the same. A journal that is damaged is undone as far as it can be read and kept
 * as NAME.damaged, and one of a later version left alone; both are told as "journal".
 */
int lease_recover(const struct lease_opts *opts, lease_report_fn *tell, void *data,
		  struct err *err);

#endif
