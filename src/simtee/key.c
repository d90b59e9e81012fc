// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: parent and child share a socket of whole messages. The child's first is a
 * struct hello; then each struct report_facts is answered by one struct answer. The parent has one
 * question under way at most, and the others in a list, so neither ever waits to write.
 */
#include "simtee/key.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "simtee/identity.h"
#include "sys/child.h"
#include "sys/file.h"
#include "sys/sock.h"
#include "vmm/processor.h"

enum {
	CERTIFICATES_MAX = 8 << 10,
	DIR_MODE = 0711, /* anybody may open root.pem, nobody may look what else there is */
	KEY_FD = 3,
};

struct hello {
	int num; /* negative errno: there is no key, and text says why */
	char text[sizeof(((struct err *)0)->msg)];
	uint32_t len;
	char certificates[CERTIFICATES_MAX];
};

struct answer {
	int num;
	uint8_t report[ATTEST_SNP_REPORT_SIZE];
};

struct ask {
	struct ask *next;
	struct report_facts facts;
	key_reply_fn *fn;
	void *data;
};

struct key {
	int fd;
	pid_t pid;
	struct loop_source *source;
	struct ask *first, **last; /* the first is under way */
	struct buf certificates;
	void (*on_end)(void *data);
	void *data;
};

/* --- the child -------------------------------------------------------------------------------- */

static int drop_caps(struct err *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    syscall(SYS_capset, &header, none) < 0)
		return err_sys(err, "drop capabilities");
	return 0;
}

/* Another user, without rights, of whom nobody may look into the memory. */
static int become(int dir_fd, uid_t uid, struct err *err)
{
	const struct rlimit none = { 0 };

	if (fchdir(dir_fd) < 0 || chroot(".") < 0)
		return err_sys(err, "enter the key's directory");
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_sys(err, "drop capabilities");
	if (setrlimit(RLIMIT_CORE, &none) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_sys(err, "become user %u", uid);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, "give up privileges");
	return drop_caps(err);
}

static int say_hello(int fd, int num, const struct err *err, const struct identity *identity)
{
	struct hello hello = { .num = num };

	(void)snprintf(hello.text, sizeof(hello.text), "%s", err->msg);
	if (num == 0 && identity->certificates.len <= sizeof(hello.certificates)) {
		hello.len = (uint32_t)identity->certificates.len;
		memcpy(hello.certificates, identity->certificates.at, hello.len);
	}
	return send(fd, &hello, sizeof(hello), MSG_NOSIGNAL) == sizeof(hello) ? 0 : -EPIPE;
}

static void serve(int fd, const struct identity *identity)
{
	struct report_facts facts;
	struct answer answer;

	for (;;) {
		ssize_t n = recv(fd, &facts, sizeof(facts), MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(facts))
			return;
		answer.num = identity_report(identity, &facts, answer.report);
		if (send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) != sizeof(answer))
			return;
	}
}

/* Does not return. */
static void run_child(int fd, int dir_fd, uid_t uid, pid_t parent)
{
	struct identity identity = { 0 };
	int none_fd, kept_dir_fd = -1, r;
	struct err err = { 0 };
	sigset_t empty;

	(void)prctl(PR_SET_NAME, "casemate-simkey");
	child_set_oom_score(-1000);
	fd = fcntl(fd, F_DUPFD, KEY_FD + 2);
	dir_fd = fcntl(dir_fd, F_DUPFD, KEY_FD + 2);
	none_fd = open("/dev/null", O_RDWR);
	if (fd < 0 || dir_fd < 0 || none_fd < 0)
		_exit(1);
	for (int i = 0; i < KEY_FD; i++)
		if (dup2(none_fd, i) < 0)
			_exit(1);
	if (dup2(fd, KEY_FD) < 0 || dup2(dir_fd, KEY_FD + 1) < 0 ||
	    close_range(KEY_FD + 2, ~0U, 0) < 0)
		_exit(1);
	fd = KEY_FD;
	kept_dir_fd = KEY_FD + 1;
	(void)sigemptyset(&empty);
	(void)sigprocmask(SIG_SETMASK, &empty, NULL);
	r = become(kept_dir_fd, uid, &err);
	if (r == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent))
		_exit(1);
	if (r == 0)
		r = identity_load(kept_dir_fd, &identity, &err);
	(void)close(kept_dir_fd);
	if (say_hello(fd, r, &err, &identity) == 0 && r == 0)
		serve(fd, &identity);
	identity_done(&identity);
	_exit(r < 0);
}

/* --- the parent ------------------------------------------------------------------------------- */

/* His own, closed to writers; or nobody's yet: root's and empty, as whoever ends halfway leaves. */
static int open_dir(const char *path, uid_t uid, int *ret_fd, struct err *err)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	cleanup_close int fd = -1;
	struct stat st;
	int r;

	r = file_mkdir_p(AT_FDCWD, path, 0755, err);
	if (r == 0)
		r = file_open_dir(AT_FDCWD, path, &fd, err);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "look at '%s'", path);
	if (st.st_uid == 0) {
		r = file_list(fd, ".", &names, err);
		if (r < 0)
			return r;
		if (names.len)
			return err_set(err, -EPERM, "keep the key in '%s': it is not empty", path);
		if (fchmod(fd, DIR_MODE) < 0 || fchown(fd, uid, uid) < 0)
			return err_sys(err, "give '%s' to user %u", path, uid);
	} else if (st.st_uid != uid || st.st_mode & 022) {
		return err_set(err, -EPERM, "keep the key in '%s': it is not user %u's alone", path,
			       uid);
	}
	*ret_fd = steal_fd(&fd);
	return 0;
}

static void answer_first(struct key *key, const uint8_t *report)
{
	struct ask *ask = key->first;

	key->first = ask->next;
	if (!key->first)
		key->last = &key->first;
	ask->fn(ask->data, report, buf_bytes(&key->certificates));
	free(ask);
}

static void fail_all(struct key *key)
{
	while (key->first)
		answer_first(key, NULL);
}

static bool send_first(struct key *key)
{
	const struct report_facts *facts = &key->first->facts;

	return send(key->fd, facts, sizeof(*facts), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(*facts);
}

static void end(struct key *key)
{
	key->source = loop_source_free(key->source);
	(void)close(key->fd);
	key->fd = -1;
	fail_all(key);
	key->on_end(key->data);
}

static void on_answer(void *data, uint32_t events)
{
	struct key *key = data;
	struct answer answer;
	ssize_t n;

	(void)events;
	n = recv(key->fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(answer) || !key->first) {
		end(key);
		return;
	}
	answer_first(key, answer.num == 0 ? answer.report : NULL);
	if (key->first && !send_first(key))
		end(key);
}

static int hear_hello(struct key *key, struct err *err)
{
	struct pollfd ready = { .fd = key->fd, .events = POLLIN };
	struct hello hello;
	int r;

	do
		r = poll(&ready, 1, PROCESSOR_KEY_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return err_set(err, -ETIMEDOUT, "wait for the processor's key");
	if (recv(key->fd, &hello, sizeof(hello), MSG_DONTWAIT | MSG_TRUNC) != sizeof(hello))
		return err_set(err, -EPIPE, "wait for the processor's key: its process has ended");
	if (hello.num < 0)
		return err_coded(err, ERR_HOST, hello.num, "%.*s", (int)sizeof(hello.text) - 1,
				 hello.text);
	if (hello.len == 0 || hello.len > sizeof(hello.certificates))
		return err_set(err, -EPROTO, "wait for the processor's key: no certificates");
	r = buf_add(&key->certificates, hello.certificates, hello.len);
	return r < 0 ? err_num(err, r, "keep the processor's certificates") : 0;
}

static int start_child(struct key *key, const char *dir, uid_t uid, struct err *err)
{
	cleanup_close int dir_fd = -1;
	pid_t self = getpid();
	int pair[2], r;

	r = open_dir(dir, uid, &dir_fd, err);
	if (r < 0)
		return r;
	r = sock_pair(SOCK_SEQPACKET, pair);
	if (r < 0)
		return err_num(err, r, "make the key's socket");
	key->fd = pair[0];
	key->pid = fork();
	if (key->pid == 0)
		run_child(pair[1], dir_fd, uid, self);
	r = key->pid < 0 ? err_sys(err, "fork") : 0;
	(void)close(pair[1]);
	return r;
}

int key_start(struct loop *loop, const char *dir, uid_t uid, void (*on_end)(void *data), void *data,
	      struct key **ret, struct err *err)
{
	CLEANUP(key_free) struct key *key = malloc(sizeof(*key));
	int r;

	if (!key)
		return err_num(err, -ENOMEM, "start the key's process");
	*key = (struct key){ .fd = -1, .pid = -1, .on_end = on_end, .data = data };
	key->last = &key->first;
	r = start_child(key, dir, uid, err);
	if (r == 0)
		r = hear_hello(key, err);
	if (r < 0)
		return r;
	r = loop_add(loop, key->fd, EPOLLIN, on_answer, key, &key->source);
	if (r < 0)
		return err_num(err, r, "watch the key's process");
	*ret = steal_ptr(&key);
	return 0;
}

struct key *key_free(struct key *key)
{
	if (!key)
		return NULL;
	(void)loop_source_free(key->source);
	if (key->fd >= 0)
		(void)close(key->fd);
	key->fd = -1;
	fail_all(key);
	if (key->pid > 0) {
		(void)kill(key->pid, SIGKILL);
		while (waitpid(key->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	buf_done(&key->certificates);
	free(key);
	return NULL;
}

int key_ask(struct key *key, const struct report_facts *facts, key_reply_fn *fn, void *data)
{
	struct ask *ask;
	bool is_idle = !key->first;

	if (key->fd < 0)
		return -EPIPE;
	ask = malloc(sizeof(*ask));
	if (!ask)
		return -ENOMEM;
	*ask = (struct ask){ .facts = *facts, .fn = fn, .data = data };
	*key->last = ask;
	key->last = &ask->next;
	/* what can't be sent is seen by on_answer(): the other end has gone */
	if (is_idle)
		(void)send_first(key);
	return 0;
}
