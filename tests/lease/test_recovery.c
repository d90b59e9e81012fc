// SPDX-License-Identifier: Apache-2.0
#include "life.h"

#include <errno.h>
#include <time.h>

#include "lease/journal.h"

static void put(const char *path)
{
	int fd = openat(run_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	(void)close(fd);
}

static void leaves_nothing_wherever_its_owner_is_killed(void **state)
{
	int steps = 0;

	(void)state;
	while (!live_and_die("web", steps, true)) {
		assert_int_equal(lease_recover(&opts, count_undone, NULL, &e), 0);
		assert_nothing_left();
		steps++;
	}
	/* started; written and taken, undone and marked, for each of four; freed */
	assert_int_equal(steps, 1 + 4 * 4 + 1);
	assert_nothing_left();
}

static void leaves_nothing_wherever_its_recovery_is_killed(void **state)
{
	bool over = false;
	int steps;

	(void)state;
	for (steps = 0; !over; steps++) {
		int left = steps;
		pid_t child;

		assert_true(live_and_die("web", -1, false));
		(void)fflush(NULL);
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			struct lease_opts with = opts;

			with.after_step = die_at_zero;
			with.data = &left;
			_exit(lease_recover(&with, NULL, NULL, NULL) < 0);
		}
		over = ended(child);
		assert_int_equal(lease_recover(&opts, NULL, NULL, &e), 0);
		assert_nothing_left();
	}
	assert_int_equal(steps, 4 * 2 + 1 + 1); /* the last of them was not killed */
}

static void does_not_touch_a_live_pod(void **state)
{
	struct lease *lease = begin(&opts, "live");
	pid_t qemu = shared->qemu;
	CLEANUP(buf_done) struct buf before = { 0 }, after = { 0 };

	(void)state;
	shared->qemu = 0;
	assert_int_equal(file_read(run_fd, "leases/live.journal", 1 << 16, &before, NULL), 0);
	assert_true(live_and_die("dead", -1, false));
	assert_int_equal(lease_recover(&opts, count_undone, NULL, &e), 0);
	assert_int_equal(shared->told, 4);
	assert_false(exists("pods/dead"));
	assert_false(exists("uids/90001"));
	assert_true(exists("pods/live/socket"));
	assert_true(exists("pods/live/qemu.lock"));
	assert_true(exists("uids/90000"));
	assert_true(exists("extra/live"));
	assert_int_equal(file_read(run_fd, "leases/live.journal", 1 << 16, &after, NULL), 0);
	assert_int_equal(before.len, after.len);
	assert_memory_equal(before.at, after.at, after.len);
	assert_int_equal(waitpid(qemu, NULL, WNOHANG), 0);
	assert_int_equal(waitpid(shared->qemu, NULL, WNOHANG), shared->qemu);
	shared->qemu = qemu;
	end(lease);
	assert_nothing_left();
}

static void is_safe_when_two_recover_at_once(void **state)
{
	enum { PODS = 12, RECOVERIES = 3 };
	pid_t children[RECOVERIES];
	int go[2];

	(void)state;
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	for (int i = 0; i < PODS; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "pod-%d", i);
		assert_true(live_and_die(name, -1, false));
		assert_int_equal(waitpid(shared->qemu, NULL, 0), shared->qemu);
	}
	shared->qemu = 0;
	for (int i = 0; i < RECOVERIES; i++) {
		(void)fflush(NULL);
		children[i] = fork();
		assert_true(children[i] >= 0);
		if (children[i] == 0) {
			char byte;

			(void)close(go[1]);
			(void)!read(go[0], &byte, 1); /* until all are there */
			_exit(lease_recover(&opts, count_undone, NULL, NULL) < 0);
		}
	}
	(void)close(go[0]);
	(void)close(go[1]);
	for (int i = 0; i < RECOVERIES; i++)
		assert_true(ended(children[i]));
	assert_int_equal(shared->told, PODS * 4); /* each step once */
	assert_nothing_left();
}

static long ms_since(const struct timespec *start)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
}

static void waits_for_a_process_and_kills_it_if_it_stays(void **state)
{
	struct timespec start;

	(void)state;
	shared->survives = true;
	assert_true(live_and_die("web", -1, false));
	assert_int_equal(waitpid(shared->qemu, NULL, WNOHANG), 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	assert_int_equal(lease_recover(&opts, count_undone, NULL, &e), 0);
	assert_true(ms_since(&start) >= opts.grace_ms);
	assert_int_equal(shared->told, 4);
	assert_nothing_left();
}

static void note_last(void *data, const struct lease_report *report)
{
	CLEANUP(buf_done) struct buf line = { 0 };

	assert_int_equal(buf_addf(&line, "%s %s %s %d", report->pod, report->kind, report->arg,
				  report->num),
			 0);
	(void)snprintf(data, 128, "%.*s", (int)line.len, (const char *)line.at);
}

/* A process that cannot be found, let alone killed: what it may use is not given away. */
static void keeps_what_a_process_may_use_that_does_not_end(void **state)
{
	struct lease_opts blind = opts;
	char last[128] = "";

	(void)state;
	assert_int_equal(file_mkdir_p(run_fd, "proc/sys/kernel/random", 0700, NULL), 0);
	assert_int_equal(symlinkat("/proc/sys/kernel/random/boot_id", run_fd,
				   "proc/sys/kernel/random/boot_id"),
			 0);
	assert_int_equal(file_open_dir(run_fd, "proc", &blind.proc_fd, NULL), 0);
	blind.kill_ms = 100;
	shared->survives = true;
	assert_true(live_and_die("web", -1, false));
	assert_int_equal(lease_recover(&blind, note_last, last, &e), -EWOULDBLOCK);
	assert_string_equal(last, "web process qemu -11");
	assert_non_null(
		strstr(e.msg, "undo process 'qemu' of pod 'web': wait for the end of 'qemu'"));
	assert_true(exists("uids/90000"));
	assert_true(exists("pods/web/socket"));
	assert_true(exists("extra/web"));
	(void)close(blind.proc_fd);
	assert_int_equal(lease_recover(&opts, NULL, NULL, &e), 0);
	assert_nothing_left();
}

static void drops_processes_of_another_boot(void **state)
{
	static const char other[] = "00000000-1111-2222-3333-444444444444\n";
	struct lease_opts before = opts;
	char last[128] = "";
	int dir_fd, status;

	(void)state;
	assert_int_equal(file_mkdir_p(run_fd, "proc/sys/kernel/random", 0700, NULL), 0);
	assert_int_equal(file_open_dir(run_fd, "proc/sys/kernel/random", &dir_fd, NULL), 0);
	assert_int_equal(
		file_write_atomic(dir_fd, "boot_id",
				  (struct bytes){ (const uint8_t *)other, sizeof(other) - 1 }, 0600,
				  NULL),
		0);
	(void)close(dir_fd);
	assert_int_equal(file_open_dir(run_fd, "proc", &before.proc_fd, NULL), 0);
	opts.proc_fd = before.proc_fd;
	shared->survives = true;
	assert_true(live_and_die("web", -1, false));
	opts.proc_fd = proc_fd;
	/* The process that lives stands for another boot's: nobody asks for it. */
	assert_int_equal(lease_recover(&opts, note_last, last, &e), 0);
	assert_string_equal(last, "web dir web 0");
	assert_int_equal(waitpid(shared->qemu, &status, WNOHANG), 0);
	(void)kill(shared->qemu, SIGKILL);
	(void)usleep(100000);
	assert_nothing_left();
	(void)close(before.proc_fd);
}

/* Adds to, or changes, the journal of a pod that is dead. */
static void spoil_journal(const char *add, size_t flip_at)
{
	int fd = openat(run_fd, "leases/web.journal", O_RDWR | O_CLOEXEC);
	char byte;

	assert_true(fd >= 0);
	if (add)
		assert_int_equal(pwrite(fd, add, strlen(add), lseek(fd, 0, SEEK_END)), strlen(add));
	if (flip_at) {
		assert_int_equal(pread(fd, &byte, 1, (off_t)flip_at), 1);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)flip_at), 1);
	}
	(void)close(fd);
}

static void ignores_a_line_that_was_torn(void **state)
{
	(void)state;
	assert_true(live_and_die("web", -1, false));
	spoil_journal("0badc0de do 4 file ext", 0);
	assert_int_equal(lease_recover(&opts, count_undone, NULL, &e), 0);
	assert_int_equal(shared->told, 4);
	assert_nothing_left();
}

static void undoes_what_it_can_read_of_a_damaged_journal(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	char last[128] = "";
	const char *line;

	(void)state;
	assert_true(live_and_die("web", -1, false));
	assert_int_equal(file_read(run_fd, "leases/web.journal", 1 << 16, &text, NULL), 0);
	line = memmem(text.at, text.len, "do 3 process", 12);
	assert_non_null(line);
	spoil_journal("1aaa262c undone 2\n", 0); /* a good line at the end */
	spoil_journal(NULL, (size_t)(line - (char *)text.at));
	assert_int_equal(waitpid(shared->qemu, NULL, 0), shared->qemu);
	shared->qemu = 0;
	assert_int_equal(lease_recover(&opts, note_last, last, &e), -EBADMSG);
	assert_string_equal(last, "web journal web.journal -74");
	assert_non_null(strstr(e.msg, "it is damaged, and kept as 'leases/web.damaged'"));
	assert_false(exists("pods/web"));
	assert_false(exists("uids/90000"));
	assert_false(exists("leases/web.journal"));
	assert_true(exists("leases/web.damaged"));
	assert_int_equal(lease_recover(&opts, NULL, NULL, &e), 0);
}

/* A journal with a step that this version knows nothing of, and one of a later format. */
static void leaves_alone_what_it_does_not_know(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct lease *lease = NULL;
	char last[128] = "";
	int dir_fd;

	(void)state;
	assert_int_equal(file_mkdir_p(run_fd, "leases", 0700, NULL), 0);
	assert_int_equal(file_open_dir(run_fd, "leases", &dir_fd, NULL), 0);
	assert_int_equal(lease_journal_boot(&text, "00"), 0);
	assert_int_equal(lease_journal_do(&text, 0, "warp", "core"), 0);
	assert_int_equal(file_write_atomic(dir_fd, "a.journal", buf_bytes(&text), 0600, NULL), 0);
	text.len = 0;
	assert_int_equal(buf_addf(&text, "%s", "2a2b23d1 boot 2 00\n"), 0);
	assert_int_equal(file_write_atomic(dir_fd, "b.journal", buf_bytes(&text), 0600, NULL), 0);
	(void)close(dir_fd);

	assert_int_equal(lease_recover(&opts, note_last, last, &e), -EPROTONOSUPPORT);
	assert_string_equal(last, "b journal b.journal -93");
	assert_string_equal(e.msg,
			    "undo warp 'core' of pod 'a': this version knows nothing of the kind");
	assert_int_equal(lease_open(&opts, "a", &lease, &e), -EBUSY);
	assert_int_equal(lease_open(&opts, "b", &lease, &e), -EBUSY);
	assert_string_equal(e.msg, "take the name 'b': read 'b.journal': a later version wrote it");
	assert_true(exists("leases/a.journal"));
	assert_true(exists("leases/b.journal"));
}

static void recovers_where_nothing_ever_was(void **state)
{
	(void)state;
	assert_int_equal(lease_recover(&opts, NULL, NULL, &e), 0);
	assert_int_equal(file_mkdir_p(run_fd, "leases", 0700, NULL), 0);
	put("leases/README");
	put("leases/-.journal");
	put("leases/.journal");
	assert_int_equal(lease_recover(&opts, NULL, NULL, &e), 0);
	assert_int_equal(count_in("leases"), 3); /* none of ours */
	put("leases/web.journal");		 /* of one that died before its first word */
	assert_int_equal(lease_recover(&opts, count_undone, NULL, &e), 0);
	assert_int_equal(count_in("leases"), 3);
	assert_null(lease_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_A_RUN_DIR(leaves_nothing_wherever_its_owner_is_killed),
		WITH_A_RUN_DIR(leaves_nothing_wherever_its_recovery_is_killed),
		WITH_A_RUN_DIR(does_not_touch_a_live_pod),
		WITH_A_RUN_DIR(is_safe_when_two_recover_at_once),
		WITH_A_RUN_DIR(waits_for_a_process_and_kills_it_if_it_stays),
		WITH_A_RUN_DIR(keeps_what_a_process_may_use_that_does_not_end),
		WITH_A_RUN_DIR(drops_processes_of_another_boot),
		WITH_A_RUN_DIR(ignores_a_line_that_was_torn),
		WITH_A_RUN_DIR(undoes_what_it_can_read_of_a_damaged_journal),
		WITH_A_RUN_DIR(leaves_alone_what_it_does_not_know),
		WITH_A_RUN_DIR(recovers_where_nothing_ever_was),
	};

	return run_lives("lease/recovery", tests);
}
