/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sock - unix sockets: pairs, names below a directory, messages that carry descriptors; and
 * read(2) and write(2) that a signal doesn't interrupt, for whoever waits in the loop. Every
 * descriptor made here is close-on-exec.
 */
#ifndef SYS_SOCK_H
#define SYS_SOCK_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum { SOCK_FDS_MAX = 253 }; /* of one message: the kernel's SCM_MAX_FD */

/* type: SOCK_STREAM or SOCK_SEQPACKET, SOCK_NONBLOCK if wanted. */
int sock_pair(int type, int ret_fds[2]);

/*
 * Stream sockets by a name below a directory (O_PATH will do); the directory's own path may be
 * of any length, as /proc/self/fd stands in for it. -ENAMETOOLONG: a name over some 75 bytes.
 *
 * sock_listen() makes the name, for this user only (0600), and a socket that doesn't block;
 * sock_listen_for_all() for everybody (0666). Whoever finds the name can connect: it is there only
 * once somebody listens. -EADDRINUSE: the name exists, in use or left over. Who listens removes it.
 * sock_connect() blocks until there is room in the listener's queue; -ENOENT: no such name;
 * -ECONNREFUSED: nobody listens there.
 */
int sock_listen(int dir_fd, const char *name, int *ret_fd, struct err *err);
int sock_listen_for_all(int dir_fd, const char *name, int *ret_fd, struct err *err);
int sock_connect(int dir_fd, const char *name, int *ret_fd, struct err *err);

/* The next connection: -EAGAIN if none waits (any longer). What it returns doesn't block. */
int sock_accept(int listen_fd, int *ret_fd);

/*
 * A message on a blocking stream socket: a length (32 bits, big-endian), then the payload; the
 * descriptors travel with the first byte. The sender keeps its own.
 *
 * Receiving: -ENODATA: the peer closed between messages; -EPIPE: in the middle of one;
 * -EMSGSIZE: a payload above max; -E2BIG: more than max_fds descriptors. After those two the
 * stream is of no more use. On success the payload is added to ret_payload and the caller owns
 * fds[0 .. *ret_count); on failure nothing is kept, and what was received is closed.
 * Sending: -E2BIG: above SOCK_FDS_MAX or 32 bits; -EPIPE: the peer has gone.
 */
int sock_send_msg(int fd, struct bytes payload, const int *fds, size_t count, struct err *err);
int sock_recv_msg(int fd, size_t max, struct buf *ret_payload, int *fds, size_t max_fds,
		  size_t *ret_count, struct err *err);

/*
 * One read or write of any descriptor: the bytes moved, perhaps fewer than asked for; reading, 0
 * is the end; -EAGAIN: none now, of one that doesn't block; or what else read(2), write(2) say.
 * A socket whose peer has gone is -EPIPE without SIGPIPE.
 */
ssize_t sock_read(int fd, void *at, size_t size);
ssize_t sock_write(int fd, const void *at, size_t len);

/*
 * As sock_write() on a stream socket, without ever waiting; passed_fd, if it is not -1, travels with
 * the first byte. The sender keeps its own.
 */
ssize_t sock_write_fd(int fd, const void *at, size_t len, int passed_fd);

/*
 * As sock_read() on a socket, without ever waiting; descriptors that come along are added to fds,
 * of which *count are there already and max may be. -E2BIG: there were more, or the kernel had to
 * drop some: those received are closed, those from before stay.
 */
ssize_t sock_read_fds(int fd, void *at, size_t size, int *fds, size_t max, size_t *count);

/* Who connected, or made the pair, as the kernel saw him then. */
int sock_peer(int fd, pid_t *ret_pid, uid_t *ret_uid, gid_t *ret_gid);

/* A read or write of a blocking socket that takes longer fails from now on, with -EAGAIN. */
int sock_set_timeout(int fd, unsigned int ms);

/* Its reads and writes don't block from now on; those of others with the same open file too. */
int sock_set_nonblock(int fd);

#endif
