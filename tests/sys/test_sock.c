// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/sock.h"

#define BYTES(text) ((struct bytes){ (const uint8_t *)(text), sizeof(text) - 1 })

static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void assert_cloexec(int fd)
{
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void a_name_can_be_listened_on_and_connected_to(void **state)
{
	char dir[] = "/tmp/test-sock-XXXXXX", deep[200];
	int dir_fd, listen_fd = -1, client_fd = -1, server_fd = -1;
	struct err err = { 0 };
	struct stat st;
	char byte = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	/* a path that is longer than a socket's address may be */
	(void)snprintf(deep, sizeof(deep), "%s/%0120d", dir, 7);
	assert_int_equal(mkdir(deep, 0700), 0);
	dir_fd = open(deep, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir_fd >= 0);

	assert_int_equal(sock_connect(dir_fd, "s", &client_fd, &err), -ENOENT);
	assert_string_equal(err.msg, "connect to 's': No such file or directory");
	assert_int_equal(sock_listen(dir_fd, "s", &listen_fd, &err), 0);
	assert_int_equal(fstatat(dir_fd, "s", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	assert_int_equal(sock_accept(listen_fd, &server_fd), -EAGAIN);
	assert_int_equal(sock_connect(dir_fd, "s", &client_fd, &err), 0);
	assert_int_equal(sock_accept(listen_fd, &server_fd), 0);
	assert_cloexec(listen_fd);
	assert_cloexec(client_fd);
	assert_cloexec(server_fd);
	assert_int_equal(sock_read(server_fd, &byte, 1), -EAGAIN);
	assert_int_equal(sock_write(client_fd, "x", 1), 1);
	assert_int_equal(sock_read(server_fd, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	(void)close(client_fd);
	assert_int_equal(sock_read(server_fd, &byte, 1), 0);
	assert_int_equal(sock_write(server_fd, "x", 1), -EPIPE);
	(void)close(server_fd);

	(void)close(listen_fd);
	assert_int_equal(sock_connect(dir_fd, "s", &client_fd, &err), -ECONNREFUSED);
	assert_int_equal(sock_listen(dir_fd, "s", &listen_fd, &err), -EADDRINUSE);
	(void)unlinkat(dir_fd, "s", 0);
	(void)close(dir_fd);
	(void)rmdir(deep);
	(void)rmdir(dir);
}

static void refuses_names_that_do_not_fit(void **state)
{
	struct err err = { 0 };
	char name[109];
	int fd = -1;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(sock_listen(3, name, &fd, &err), -ENAMETOOLONG);
	assert_int_equal(sock_connect(3, name, &fd, NULL), -ENAMETOOLONG);
	assert_int_equal(fd, -1);
}

static void messages_carry_bytes_and_descriptors(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };
	int pair[2], sent[SOCK_FDS_MAX], got[SOCK_FDS_MAX], before = count_fds();
	struct stat a, b;
	size_t count = 77;

	(void)state;
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	assert_cloexec(pair[0]);
	for (int i = 0; i < SOCK_FDS_MAX; i++)
		sent[i] = i % 2 ? pair[0] : pair[1];

	assert_int_equal(sock_send_msg(pair[0], BYTES("one"), sent, SOCK_FDS_MAX, NULL), 0);
	assert_int_equal(sock_send_msg(pair[0], BYTES(""), NULL, 0, NULL), 0);
	assert_int_equal(sock_send_msg(pair[0], BYTES("three"), sent, 1, NULL), 0);

	assert_int_equal(sock_recv_msg(pair[1], 3, &buf, got, SOCK_FDS_MAX, &count, NULL), 0);
	assert_int_equal(count, SOCK_FDS_MAX);
	assert_int_equal(fstat(pair[0], &a), 0);
	assert_int_equal(fstat(got[1], &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	for (size_t i = 0; i < count; i++) {
		assert_cloexec(got[i]);
		(void)close(got[i]);
	}
	assert_int_equal(sock_recv_msg(pair[1], 0, &buf, got, 0, &count, NULL), 0);
	assert_int_equal(count, 0);
	assert_int_equal(sock_recv_msg(pair[1], 5, &buf, got, 1, &count, NULL), 0);
	assert_int_equal(count, 1);
	(void)close(got[0]);
	assert_int_equal(buf.len, 8);
	assert_memory_equal(buf.at, "onethree", 8);

	(void)close(pair[0]);
	assert_int_equal(sock_recv_msg(pair[1], 5, &buf, got, 1, &count, NULL), -ENODATA);
	(void)close(pair[1]);
	assert_int_equal(count_fds(), before);
}

static void a_refused_message_leaves_nothing_open(void **state)
{
	CLEANUP(buf_done) struct buf buf = { 0 };
	int pair[2], fds[SOCK_FDS_MAX + 1] = { 0 }, open_now;
	struct err err = { 0 };
	size_t count = 77;

	(void)state;
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	open_now = count_fds();
	assert_int_equal(sock_send_msg(pair[0], BYTES("abcd"), fds, SOCK_FDS_MAX + 1, &err),
			 -E2BIG);

	assert_int_equal(sock_send_msg(pair[0], BYTES("abcd"), fds, 2, NULL), 0);
	assert_int_equal(sock_recv_msg(pair[1], 3, &buf, fds, 2, &count, &err), -EMSGSIZE);
	assert_string_equal(err.msg, "receive a message: 4 bytes, at most 3 are taken");
	assert_int_equal(sock_recv_msg(pair[1], 4, &buf, fds, 2, &count, &err), -EMSGSIZE);
	(void)close(pair[0]);
	(void)close(pair[1]);

	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(sock_send_msg(pair[0], BYTES("abcd"), fds, 2, NULL), 0);
	assert_int_equal(sock_recv_msg(pair[1], 4, &buf, fds, 1, &count, &err), -E2BIG);
	assert_string_equal(err.msg, "receive a message: 2 descriptors, at most 1 are taken");
	(void)close(pair[0]);
	(void)close(pair[1]);
	assert_int_equal(count_fds(), open_now - 2);
	assert_int_equal(buf.len, 0);
	assert_int_equal(count, 77);
}

static void an_end_within_a_message_is_no_end(void **state)
{
	static const char raw[] = "\0\0\0\4abcd";

	(void)state;
	for (size_t len = 1; len < 8; len++) {
		CLEANUP(buf_done) struct buf buf = { 0 };
		int pair[2];
		size_t count;

		assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
		assert_int_equal(sock_write(pair[0], raw, len), len);
		(void)close(pair[0]);
		assert_int_equal(sock_recv_msg(pair[1], 4, &buf, NULL, 0, &count, NULL), -EPIPE);
		assert_int_equal(buf.len, 0);
		(void)close(pair[1]);
	}
}

static void descriptors_of_half_a_length_are_closed(void **state)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = {
			      .cmsg_len = CMSG_LEN(sizeof(int)),
			      .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS,
		      } };
	struct iovec part = { (char[]){ 0, 0 }, 2 };
	struct msghdr msg = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int pair[2], fd, open_now;
	size_t count;

	(void)state;
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	memcpy(CMSG_DATA(&control.head), &pair[0], sizeof(int));
	assert_int_equal(sendmsg(pair[0], &msg, 0), 2);
	assert_int_equal(shutdown(pair[0], SHUT_WR), 0);
	open_now = count_fds();
	assert_int_equal(sock_recv_msg(pair[1], 4, &(struct buf){ 0 }, &fd, 1, &count, NULL),
			 -EPIPE);
	assert_int_equal(count_fds(), open_now);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

static void on_signal(int number)
{
	(void)number;
}

/* Signals cut sendmsg(2) into parts, once the socket is full. */
static int send_interrupted(int fd, struct bytes payload)
{
	const struct sigaction action = { .sa_handler = on_signal };
	const struct itimerval often = { { .tv_usec = 1000 }, { .tv_usec = 1000 } };

	if (sigaction(SIGALRM, &action, NULL) < 0 || setitimer(ITIMER_REAL, &often, NULL) < 0)
		return -1;
	return sock_send_msg(fd, payload, &fd, 1, NULL);
}

static void large_messages_pass_in_parts(void **state)
{
	enum { SIZE = 3 << 20 };
	cleanup_free uint8_t *data = malloc(SIZE);
	CLEANUP(buf_done) struct buf buf = { 0 };
	int pair[2], status = 0;
	size_t count;
	pid_t pid;

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i < SIZE; i++)
		data[i] = (uint8_t)(i * 31 >> 3);
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	pid = fork();
	if (pid == 0)
		_exit(send_interrupted(pair[0], (struct bytes){ data, SIZE }) != 0);
	(void)usleep(20000);
	assert_int_equal(sock_recv_msg(pair[1], SIZE, &buf, pair, 1, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(buf.len, SIZE);
	assert_memory_equal(buf.at, data, SIZE);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

static void sending_to_nobody_is_an_error_and_no_signal(void **state)
{
	struct err err = { 0 };
	int pair[2];

	(void)state;
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	(void)close(pair[1]);
	assert_int_equal(sock_send_msg(pair[0], BYTES("x"), NULL, 0, &err), -EPIPE);
	assert_string_equal(err.msg, "send a message: Broken pipe");
	(void)close(pair[0]);
}

static void a_descriptor_can_be_made_not_to_block(void **state)
{
	int pair[2];
	char byte;

	(void)state;
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(sock_set_nonblock(pair[0]), 0);
	assert_int_equal(sock_read(pair[0], &byte, 1), -EAGAIN);
	(void)close(pair[0]);
	(void)close(pair[1]);
	assert_int_equal(sock_set_nonblock(pair[0]), -EBADF);
	assert_int_equal(sock_pair(-1, pair), -EINVAL);
}

static void a_piece_comes_with_its_descriptors(void **state)
{
	int pair[2], fds[4], count_before = count_fds();
	size_t count = 0;
	char piece[8];

	(void)state;
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(sock_read_fds(pair[0], piece, 8, fds, 4, &count), -EAGAIN);
	assert_int_equal(sock_write_fd(pair[1], "ab", 2, STDIN_FILENO), 2);
	assert_int_equal(sock_read_fds(pair[0], piece, 1, fds, 4, &count), 1);
	assert_int_equal(count, 1);
	assert_cloexec(fds[0]);
	assert_int_equal(sock_read_fds(pair[0], piece, 8, fds, 4, &count), 1);
	assert_int_equal(count, 1);
	assert_int_equal(piece[0], 'b');
	assert_int_equal(sock_write_fd(pair[1], "c", 1, STDIN_FILENO), 1);
	assert_int_equal(sock_read_fds(pair[0], piece, 8, fds, 2, &count), 1);
	assert_int_equal(count, 2);
	/* one more than there is room for: those from before stay */
	assert_int_equal(sock_write_fd(pair[1], "d", 1, STDIN_FILENO), 1);
	assert_int_equal(sock_read_fds(pair[0], piece, 8, fds, 2, &count), -E2BIG);
	assert_int_equal(count, 2);
	assert_cloexec(fds[0]);
	assert_cloexec(fds[1]);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
	assert_int_equal(close(pair[1]), 0);
	assert_int_equal(sock_read_fds(pair[0], piece, 8, fds, 4, &count), 0);
	assert_int_equal(close(pair[0]), 0);
	assert_int_equal(count_fds(), count_before);
}

static void the_kernel_says_who_the_peer_is(void **state)
{
	int pair[2];
	pid_t pid;
	uid_t uid;
	gid_t gid;

	(void)state;
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(sock_peer(pair[0], &pid, &uid, &gid), 0);
	assert_int_equal(pid, getpid());
	assert_int_equal(uid, geteuid());
	assert_int_equal(gid, getegid());
	assert_int_equal(close(pair[0]), 0);
	assert_int_equal(close(pair[1]), 0);
	assert_int_equal(sock_peer(pair[0], &pid, &uid, &gid), -EBADF);
}

static void a_wait_can_be_limited(void **state)
{
	struct buf payload = { 0 };
	size_t count;
	int pair[2], none;

	(void)state;
	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(sock_set_timeout(pair[0], 20), 0);
	assert_int_equal(sock_recv_msg(pair[0], 10, &payload, &none, 0, &count, NULL), -EAGAIN);
	assert_int_equal(close(pair[0]), 0);
	assert_int_equal(close(pair[1]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_can_be_listened_on_and_connected_to),
		cmocka_unit_test(refuses_names_that_do_not_fit),
		cmocka_unit_test(messages_carry_bytes_and_descriptors),
		cmocka_unit_test(a_refused_message_leaves_nothing_open),
		cmocka_unit_test(an_end_within_a_message_is_no_end),
		cmocka_unit_test(descriptors_of_half_a_length_are_closed),
		cmocka_unit_test(large_messages_pass_in_parts),
		cmocka_unit_test(sending_to_nobody_is_an_error_and_no_signal),
		cmocka_unit_test(a_descriptor_can_be_made_not_to_block),
		cmocka_unit_test(a_piece_comes_with_its_descriptors),
		cmocka_unit_test(the_kernel_says_who_the_peer_is),
		cmocka_unit_test(a_wait_can_be_limited),
	};

	return cmocka_run_group_tests_name("sys/sock", tests, NULL, NULL);
}
