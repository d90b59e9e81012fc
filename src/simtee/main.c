// SPDX-License-Identifier: Apache-2.0
/*
 * casemate-simtee [--qemu PATH] [--dir PATH] [--uid N] [--uid-first N --uid-count N]
 *                 (--socket PATH | --connection FD)
 *
 * The simulated secure processor (casemate-simtee(8)). Without --socket and --connection it takes
 * the one socket that a service manager passes (LISTEN_FDS).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/text.h"
#include "simtee/session.h"
#include "sys/file.h"
#include "sys/signals.h"
#include "sys/sock.h"

enum {
	LISTEN_FD = 3, /* where a service manager puts it */
	NOFILE = 65536,
	KEY_UID = 89999,
};

struct args {
	const char *qemu;
	const char *dir;
	const char *socket;
	uint64_t uid, uid_first, uid_count;
	uint64_t connection; /* UINT64_MAX: none */
};

struct simtee {
	struct session_table table;
	int listen_fd, signal_fd;
	struct loop_source *accepting, *signals;
	bool key_has_ended;
};

static const char usage[] =
	"usage: casemate-simtee [--qemu PATH] [--dir PATH] [--uid N] [--uid-first N --uid-count N]\n"
	"                       [--socket PATH | --connection FD]\n";

/* --- arguments -------------------------------------------------------------------------------- */

static int parse_number(const char *text, uint64_t *ret)
{
	return text_parse_uint(text, INT32_MAX, ret);
}

static int parse_option(int option, struct args *args)
{
	switch (option) {
	case 'q':
		args->qemu = optarg;
		return optarg[0] == '/' ? 0 : -EINVAL;
	case 'd':
		args->dir = optarg;
		return optarg[0] == '/' ? 0 : -EINVAL;
	case 's':
		args->socket = optarg;
		return optarg[0] == '/' ? 0 : -EINVAL;
	case 'u':
		return parse_number(optarg, &args->uid);
	case 'f':
		return parse_number(optarg, &args->uid_first);
	case 'n':
		return parse_number(optarg, &args->uid_count);
	case 'c':
		return parse_number(optarg, &args->connection);
	default:
		return -EINVAL;
	}
}

static int parse(int argc, char **argv, struct args *args)
{
	static const struct option options[] = {
		{ "qemu", required_argument, NULL, 'q' },
		{ "dir", required_argument, NULL, 'd' },
		{ "uid", required_argument, NULL, 'u' },
		{ "uid-first", required_argument, NULL, 'f' },
		{ "uid-count", required_argument, NULL, 'n' },
		{ "socket", required_argument, NULL, 's' },
		{ "connection", required_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	int option, r = 0;

	while (r == 0 && (option = getopt_long(argc, argv, "", options, NULL)) != -1)
		r = parse_option(option, args);
	if (r < 0 || optind != argc || (args->socket && args->connection != UINT64_MAX) ||
	    args->uid == 0 || (args->uid_count && args->uid_first == 0))
		return -EINVAL;
	/* the key's user is nobody else's */
	if (args->uid >= args->uid_first && args->uid - args->uid_first < args->uid_count)
		return -EINVAL;
	return 0;
}

/* --- the socket ------------------------------------------------------------------------------- */

/* As sd_listen_fds(3) has it. */
static int take_passed(int *ret_fd, struct err *err)
{
	const char *pid_text = getenv("LISTEN_PID"), *count_text = getenv("LISTEN_FDS");
	uint64_t pid = 0, count = 0;

	if (!pid_text || !count_text || parse_number(pid_text, &pid) < 0 ||
	    parse_number(count_text, &count) < 0 || pid != (uint64_t)getpid() || count != 1)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "listen: no --socket, no --connection, and none was passed");
	if (fcntl(LISTEN_FD, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(err, "take the socket that was passed");
	*ret_fd = LISTEN_FD;
	return sock_set_nonblock(LISTEN_FD);
}

static int listen_there(int dir_fd, const char *name, int *ret_fd, struct err *err)
{
	cleanup_close int other_fd = -1;
	int r = sock_listen_for_all(dir_fd, name, ret_fd, err);

	if (r != -EADDRINUSE || sock_connect(dir_fd, name, &other_fd, NULL) != -ECONNREFUSED)
		return r;
	/* left over: the one who made it has gone */
	if (unlinkat(dir_fd, name, 0) < 0)
		return err_sys(err, "remove '%s'", name);
	return sock_listen_for_all(dir_fd, name, ret_fd, err);
}

/* For everybody to connect to, in a directory that only root may change. */
static int listen_at(const char *path, int *ret_fd, struct err *err)
{
	cleanup_close int dir_fd = -1;
	cleanup_free char *dir = strdup(path);
	char *name = dir ? strrchr(dir, '/') : NULL;
	struct stat st;
	int r;

	if (!name)
		return err_num(err, -ENOMEM, "listen on '%s'", path);
	*name++ = '\0';
	r = file_mkdir_p(AT_FDCWD, dir[0] ? dir : "/", 0755, err);
	if (r == 0)
		r = file_open_dir(AT_FDCWD, dir[0] ? dir : "/", &dir_fd, err);
	if (r < 0)
		return r;
	if (fstat(dir_fd, &st) < 0)
		return err_sys(err, "look at '%s'", dir);
	if (st.st_uid != 0 || st.st_mode & 022)
		return err_set(err, -EPERM, "listen on '%s': others may write to its directory",
			       path);
	return listen_there(dir_fd, name, ret_fd, err);
}

/* --- running ---------------------------------------------------------------------------------- */

static void on_accept(void *data, uint32_t events)
{
	struct simtee *simtee = data;
	int fd;

	(void)events;
	if (sock_accept(simtee->listen_fd, &fd) == 0)
		session_new(&simtee->table, fd);
}

static void on_signal(void *data, uint32_t events)
{
	struct simtee *simtee = data;

	(void)events;
	if (signals_next(simtee->signal_fd) > 0)
		loop_stop(simtee->table.loop);
}

static void on_empty(void *data)
{
	loop_stop(data);
}

/* Without its key it is no processor: the service manager starts it anew. */
static void on_key_end(void *data)
{
	struct simtee *simtee = data;

	simtee->key_has_ended = true;
	loop_stop(simtee->table.loop);
}

/* Each VM has dozens of descriptors on their way through here. */
static void raise_nofile(struct simtee *simtee)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	simtee->table.nofile = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max < NOFILE ? limit.rlim_max : NOFILE;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int prepare(struct simtee *simtee, const struct args *args, struct err *err)
{
	static const int ends[] = { SIGTERM, SIGINT, SIGHUP };
	int r;

	if (geteuid() != 0)
		return err_coded(err, ERR_HOST, -EPERM, "be the processor: only root may");
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return err_set(err, -EIO, "prepare libcrypto");
	r = file_open_dir(AT_FDCWD, "/", &simtee->table.root_fd, err);
	if (r < 0)
		return r;
	r = loop_new(&simtee->table.loop);
	if (r < 0)
		return err_num(err, r, "make the event loop");
	r = key_start(simtee->table.loop, args->dir, (uid_t)args->uid, on_key_end, simtee,
		      &simtee->table.key, err);
	if (r < 0)
		return r;
	raise_nofile(simtee);
	r = signals_watch(ends, ARRAY_SIZE(ends), &simtee->signal_fd, err);
	if (r < 0)
		return r;
	r = loop_add(simtee->table.loop, simtee->signal_fd, EPOLLIN, on_signal, simtee,
		     &simtee->signals);
	return r < 0 ? err_num(err, r, "watch for signals") : 0;
}

static int open_socket(struct simtee *simtee, const struct args *args, struct err *err)
{
	int r;

	if (args->connection != UINT64_MAX) {
		simtee->table.on_empty = on_empty;
		simtee->table.data = simtee->table.loop;
		session_new(&simtee->table, (int)args->connection);
		return simtee->table.count ? 0 : err_set(err, -EIO, "serve the connection");
	}
	r = args->socket ? listen_at(args->socket, &simtee->listen_fd, err)
			 : take_passed(&simtee->listen_fd, err);
	if (r < 0)
		return r;
	r = loop_add(simtee->table.loop, simtee->listen_fd, EPOLLIN, on_accept, simtee,
		     &simtee->accepting);
	return r < 0 ? err_num(err, r, "watch the socket") : 0;
}

static int run(struct simtee *simtee, const struct args *args, struct err *err)
{
	int r = prepare(simtee, args, err);

	if (r < 0) {
		if (args->connection != UINT64_MAX)
			session_refuse((int)args->connection, err);
		return r;
	}
	r = open_socket(simtee, args, err);
	if (r == 0)
		r = loop_run(simtee->table.loop);
	if (r == 0 && simtee->key_has_ended)
		r = err_set(err, -EPIPE, "the key's process has ended");
	if (args->socket && simtee->listen_fd >= 0)
		(void)unlink(args->socket);
	return r;
}

static void finish(struct simtee *simtee)
{
	session_end_all(&simtee->table);
	(void)loop_source_free(simtee->accepting);
	(void)loop_source_free(simtee->signals);
	(void)key_free(simtee->table.key);
	(void)loop_free(simtee->table.loop);
}

int main(int argc, char **argv)
{
	struct args args = { .qemu = "/usr/bin/qemu-system-x86_64",
			     .dir = "/var/lib/casemate-simtee",
			     .uid = KEY_UID,
			     .connection = UINT64_MAX };
	struct simtee simtee = { .listen_fd = -1, .signal_fd = -1, .table.root_fd = -1 };
	struct err err = { 0 };
	int r;

	if (parse(argc, argv, &args) < 0) {
		(void)fputs(usage, stderr);
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(022);
	simtee.table.qemu = args.qemu;
	simtee.table.rules = (struct request_rules){ .key_uid = (uid_t)args.uid,
						     .uid_first = (uid_t)args.uid_first,
						     .uid_count = (uint32_t)args.uid_count };
	r = run(&simtee, &args, &err);
	finish(&simtee);
	if (r < 0)
		(void)fprintf(stderr, "casemate-simtee: %s (%s)\n", err.msg,
			      err_code_name(err.code));
	return r < 0 ? 1 : 0;
}
