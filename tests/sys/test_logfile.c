// SPDX-License-Identifier: Apache-2.0
#include "../folder.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/logfile.h"

/* Records of one length, so that no file ends within one: half of BOUND is 64 of them. */
enum { RECORD = 16, BOUND = 128 * RECORD, FEW = 2, MANY = 20000 };

static struct logfile *begun_with(uint64_t max_bytes)
{
	struct logfile *log = NULL;

	assert_int_equal(logfile_open(folder_fd, "c", max_bytes, &log, NULL), 0);
	return log;
}

static struct logfile *begun(void)
{
	return begun_with(BOUND);
}

static struct logfile_reader *reading(void)
{
	struct logfile_reader *reader = NULL;

	assert_int_equal(logfile_reader_open(folder_fd, "c", &reader, NULL), 0);
	return reader;
}

static void add(struct logfile *log, int from, int to)
{
	char text[RECORD + 1];

	for (int i = from; i < to; i++) {
		(void)snprintf(text, sizeof(text), "%015d\n", i);
		logfile_add(log, (struct bytes){ (const uint8_t *)text, RECORD });
	}
}

/* Reads all there is: its numbers, first to last, rise, one by one or (with gaps) by leaps. */
static int read_all(struct logfile_reader *reader, int *first, int *last, bool gaps)
{
	char text[RECORD + 1] = { 0 };
	int count = 0;
	ssize_t n;

	while ((n = logfile_reader_read(reader, text, RECORD)) > 0) {
		int number = (int)strtol(text, NULL, 10);

		assert_int_equal(n, RECORD);
		if (count++ == 0)
			*first = number;
		else if (gaps)
			assert_true(number > *last);
		else
			assert_int_equal(number, *last + 1);
		*last = number;
	}
	assert_int_equal(n, 0);
	return count;
}

static void holds(int first, int count)
{
	struct logfile_reader *reader = reading();
	int from = 0, to = 0;

	assert_int_equal(read_all(reader, &from, &to, false), count);
	assert_int_equal(from, first);
	(void)logfile_reader_free(reader);
}

static void keeps_the_last_half_and_never_more_than_all(void **state)
{
	struct logfile *log = begun();
	struct stat st, old;

	(void)state;
	assert_int_equal(fstatat(folder_fd, "c.log", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	add(log, 0, 64);
	holds(0, 64);
	add(log, 64, 65);
	holds(0, 65);
	add(log, 65, 128);
	holds(0, 128);
	add(log, 128, 129);
	holds(64, 65);
	add(log, 129, 1000);
	holds(896, 104);
	assert_int_equal(fstatat(folder_fd, "c.log", &st, 0), 0);
	assert_int_equal(fstatat(folder_fd, "c.log.1", &old, 0), 0);
	assert_true(st.st_size + old.st_size <= BOUND);
	assert_int_equal(faccessat(folder_fd, "c.log.new", F_OK, 0), -1);
	(void)logfile_free(log);
}

static void cuts_what_is_larger_than_the_bound(void **state)
{
	static char text[5 * BOUND];
	struct logfile *log = begun();
	struct logfile_reader *reader;
	char last[BOUND + 1];
	ssize_t n, len = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	logfile_add(log, (struct bytes){ (const uint8_t *)text, sizeof(text) - 1 });
	reader = reading();
	while ((n = logfile_reader_read(reader, last + len, sizeof(last) - (size_t)len)) > 0)
		len += n;
	assert_int_equal(len, BOUND - 1);
	assert_memory_equal(last, text + sizeof(text) - 1 - len, (size_t)len);
	(void)logfile_reader_free(reader);
	(void)logfile_free(log);
}

static void is_not_there(void **state)
{
	struct logfile_reader *reader = NULL;

	(void)state;
	assert_int_equal(logfile_reader_open(folder_fd, "none", &reader, NULL), -ENOENT);
	assert_null(reader);
}

static void is_followed(void **state)
{
	struct logfile *log = begun();
	struct logfile_reader *reader = reading();
	int first = 0, last = 0;

	(void)state;
	assert_int_equal(read_all(reader, &first, &last, false), 0);
	add(log, 0, 10);
	assert_int_equal(read_all(reader, &first, &last, false), 10);
	add(log, 10, 100); /* one file further */
	assert_int_equal(read_all(reader, &first, &last, false), 90);
	assert_int_equal(first, 10);
	add(log, 100, 200); /* two: nothing is lost */
	assert_int_equal(read_all(reader, &first, &last, false), 100);
	assert_int_equal(first, 100);
	add(log, 200, 400); /* more: what was open and what is kept */
	assert_int_equal(read_all(reader, &first, &last, true), 56 + 80);
	assert_int_equal(first, 200);
	assert_int_equal(last, 399);
	assert_int_equal(unlinkat(folder_fd, "c.log", 0), 0);
	assert_int_equal(read_all(reader, &first, &last, false), 0);
	(void)logfile_reader_free(reader);
	(void)logfile_free(log);
}

/* The states that the writer passes through, or is killed in, while it begins a file anew. */
static void is_read_between_two_files(void **state)
{
	struct logfile *log = begun();

	(void)state;
	add(log, 0, 128);
	assert_int_equal(unlinkat(folder_fd, "c.log.1", 0), 0);
	holds(64, 64);
	assert_int_equal(linkat(folder_fd, "c.log", folder_fd, "c.log.1", 0), 0);
	holds(64, 64);
	add(log, 128, 129);
	holds(64, 65);
	(void)logfile_free(log);
}

static void goes_on_once_a_file_can_be_made(void **state)
{
	struct logfile *log = begun();

	(void)state;
	add(log, 0, 64);
	assert_int_equal(mkdirat(folder_fd, "c.log.new", 0700), 0);
	add(log, 64, 70);
	holds(0, 64);
	assert_int_equal(unlinkat(folder_fd, "c.log.new", AT_REMOVEDIR), 0);
	add(log, 64, 70);
	holds(0, 70);
	(void)logfile_free(log);
}

/* Every reader begins while file follows file. */
static void is_read_while_it_is_written(void **state)
{
	struct logfile *log = begun_with(2 * RECORD);
	struct logfile_reader *reader;
	int status = 0, first = 0, last = 0, reads = 0;
	bool ended = false;
	pid_t writer = fork();

	(void)state;
	assert_true(writer >= 0);
	if (writer == 0) {
		add(log, 0, MANY);
		_exit(0);
	}
	while (!ended) {
		ended = waitpid(writer, &status, WNOHANG) == writer;
		reader = reading();
		(void)read_all(reader, &first, &last, true);
		(void)logfile_reader_free(reader);
		reads++;
	}
	assert_int_equal(status, 0);
	assert_true(reads > 1);
	holds(MANY - 2, 2);
	(void)logfile_free(log);
}

/* The writer is never further ahead than what is kept, so a reader that follows gets it all. */
static void loses_nothing_to_a_reader_that_keeps_up(void **state)
{
	struct logfile *log = begun_with(2 * FEW * RECORD);
	struct logfile_reader *reader = reading();
	int status = 0, next = 0, pipe_fds[2];
	char text[RECORD + 1] = { 0 };
	pid_t writer;

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	writer = fork();
	assert_true(writer >= 0);
	if (writer == 0) {
		(void)close(pipe_fds[1]);
		for (int i = 0; i < MANY; i++) {
			add(log, i, i + 1);
			if (i >= FEW - 1 && read(pipe_fds[0], text, 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	while (next < MANY) {
		ssize_t n = logfile_reader_read(reader, text, RECORD);

		assert_true(n == 0 || n == RECORD);
		if (n == 0)
			continue;
		assert_int_equal(strtol(text, NULL, 10), next++);
		assert_int_equal(write(pipe_fds[1], "", 1), 1);
	}
	assert_int_equal(waitpid(writer, &status, 0), writer);
	assert_int_equal(status, 0);
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
	(void)logfile_reader_free(reader);
	(void)logfile_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_last_half_and_never_more_than_all),
		cmocka_unit_test(cuts_what_is_larger_than_the_bound),
		cmocka_unit_test(is_not_there),
		cmocka_unit_test(is_followed),
		cmocka_unit_test(is_read_between_two_files),
		cmocka_unit_test(goes_on_once_a_file_can_be_made),
		cmocka_unit_test(is_read_while_it_is_written),
		cmocka_unit_test(loses_nothing_to_a_reader_that_keeps_up),
	};

	return cmocka_run_group_tests_name("sys/logfile", tests, folder_set_up, folder_tear_down);
}
