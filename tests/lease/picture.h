/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picture - lives of pods that take devices, and a picture of the devices before, which what they
 * leave is compared with.
 */
#ifndef TESTS_LEASE_PICTURE_H
#define TESTS_LEASE_PICTURE_H

#include "kernel.h"

enum { STRANGER = 90000 };

static struct buf before, after;

static inline int setup_picture(void **state)
{
	(void)kernel_setup(state);
	before.len = 0;
	kernel_picture(&before);
	return 0;
}

static inline int teardown_picture(void **state)
{
	buf_done(&before);
	buf_done(&after);
	return kernel_teardown(state);
}

static inline void assert_as_before(void)
{
	after.len = 0;
	kernel_picture(&after);
	assert_string_equal((const char *)after.at, (const char *)before.at);
	assert_no_claims();
}

static inline uid_t pod_uid(void)
{
	return geteuid() == 0 ? STRANGER : geteuid();
}

/* As a pod does it; negative if a step goes wrong, and then *err says why. */
static inline int take(struct lease *lease, struct err *err)
{
	const struct lease_device wants[] = { wanted(NVME), wanted(GPU), wanted(EDU),
					      wanted(KEPT) };
	int r = lease_vfs(lease, PF, 2, err);

	if (r == 0)
		r = lease_acs(lease, PORT, 0, 0x0c, err);
	if (r == 0)
		r = lease_devices(lease, wants, ARRAY_SIZE(wants), err);
	for (int group = 7; r == 0 && group <= 9; group++)
		r = lease_group(lease, group, pod_uid(), getegid(), err);
	return r;
}

static inline struct lease *open_pod(const char *name)
{
	struct lease *lease = NULL;

	assert_int_equal(lease_open(&opts, name, &lease, &e), 0);
	return lease;
}

static inline void end_pod(struct lease *lease)
{
	assert_int_equal(lease_undo(lease, &e), 0);
	lease_free(lease);
}

/* A life of a pod with devices, killed after so many steps; true if it was over before. */
static inline bool devices_live_and_die(int steps, bool with_end)
{
	struct lease_opts with = opts;
	pid_t child;

	with.after_step = die_at_zero;
	with.data = &steps;
	(void)fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct lease *lease = NULL;
		int lock_fd;

		if (lease_open(&with, "web", &lease, NULL) < 0 || take(lease, NULL) < 0 ||
		    lease_process(lease, "qemu", &lock_fd, NULL) < 0)
			_exit(10);
		start_qemu(lock_fd);
		if (with_end)
			end(lease);
		_exit(0);
	}
	return ended(child);
}

static inline void refuse(struct lease *lease, const struct lease_device *wants, size_t count,
			  int num, const char *why)
{
	e = (struct err){ 0 };
	assert_int_equal(lease_devices(lease, wants, count, &e), num);
	if (!strstr(e.msg, why))
		fail_msg("'%s' is not in '%s'", why, e.msg);
}

#define WITH_A_PICTURE(test) cmocka_unit_test_setup_teardown(test, setup_picture, teardown_picture)

#endif
