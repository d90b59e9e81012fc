// SPDX-License-Identifier: Apache-2.0
#include "simtee/session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "base/text.h"
#include "rpc/conn.h"
#include "simtee/measure.h"
#include "sys/sock.h"
#include "sys/spawn.h"
#include "vmm/processor.h"

#define SERVICE "casemate.tee.v1.Processor"

enum {
	HEAD = 4, /* the length before a message */
	READ_MAX = 16 << 10,
	PORT_CALLS = 1, /* of a guest at once: it can't make others wait for its reports */
};

enum state { READING, MEASURING, RUNNING, ENDING };

/* What the child that measures says, in one piece. */
struct measured {
	int num;
	struct err err;
	uint8_t digest[ATTEST_LAUNCH_DIGEST];
};

struct session {
	struct session *next;
	struct session_table *table;
	enum state state;
	int fd; /* -1 once the launcher has gone */
	struct loop_source *source;
	struct loop_source *deadline;
	pid_t peer;
	uid_t uid;
	gid_t gid;
	struct buf in;
	int fds[REQUEST_FDS_MAX];
	size_t fd_count;
	struct request request;
	int measure_fd;
	pid_t measure_pid; /* -1: none */
	struct loop_source *measuring;
	struct report_facts facts;
	struct rpc_conn *port;
	int pidfd; /* QEMU's, -1: none */
	struct loop_source *exiting;
};

/* --- the end ---------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static void close_fds(struct session *session)
{
	for (size_t i = 0; i < session->fd_count; i++)
		(void)close(session->fds[i]);
	session->fd_count = 0;
}

static void stop_measuring(struct session *session)
{
	session->measuring = loop_source_free(session->measuring);
	close_fd(&session->measure_fd);
	if (session->measure_pid < 0)
		return;
	(void)kill(session->measure_pid, SIGKILL);
	while (waitpid(session->measure_pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	session->measure_pid = -1;
}

static void hang_up(struct session *session)
{
	session->deadline = loop_source_free(session->deadline);
	session->source = loop_source_free(session->source);
	close_fd(&session->fd);
}

static void session_free(struct session *session)
{
	struct session_table *table = session->table;
	struct session **at = &table->sessions;

	while (*at != session)
		at = &(*at)->next;
	*at = session->next;
	table->count--;
	stop_measuring(session);
	hang_up(session);
	close_fds(session);
	(void)loop_source_free(session->exiting);
	close_fd(&session->pidfd);
	(void)rpc_conn_free(session->port);
	request_done(&session->request);
	buf_done(&session->in);
	free(session);
	if (!table->sessions && table->on_empty)
		table->on_empty(table->data);
}

/* The launcher has gone: so does its VM. */
static void session_end(struct session *session)
{
	if (session->state != RUNNING) {
		session_free(session);
		return;
	}
	session->state = ENDING;
	hang_up(session);
	session->port = rpc_conn_free(session->port);
	(void)spawn_kill(session->pidfd, SIGKILL);
}

/* --- what it says ----------------------------------------------------------------------------- */

/* One line for the journal, with nothing in it that a terminal would obey. */
static void say(const struct session *session, const char *what, const char *text)
{
	CLEANUP(buf_done) struct buf quoted = { 0 };

	if (text_quote(&quoted, (struct bytes){ (const uint8_t *)text, strlen(text) }) < 0)
		return;
	(void)fprintf(stderr, "casemate-simtee: process %d of user %u: %s: %.*s\n",
		      (int)session->peer, session->uid, what, (int)quoted.len,
		      quoted.len ? (const char *)quoted.at : "");
}

/* Small, and the first that goes out: there is room for it, or else nobody listens. */
static int send_response(int fd, const Tee__LaunchResponse *response, int pidfd)
{
	cleanup_free uint8_t *packed = malloc(tee__launch_response__get_packed_size(response) + 1);
	size_t len;

	if (!packed)
		return -ENOMEM;
	len = tee__launch_response__pack(response, packed);
	return sock_send_msg(fd, (struct bytes){ packed, len }, &pidfd, pidfd >= 0, NULL);
}

void session_refuse(int fd, const struct err *err)
{
	Tee__LaunchResponse response = TEE__LAUNCH_RESPONSE__INIT;
	struct err copy = *err;

	response.num = err->num < 0 ? err->num : -EIO;
	response.code = (uint32_t)err->code;
	response.text = copy.msg;
	(void)send_response(fd, &response, -1);
}

static void refuse(struct session *session, const struct err *err)
{
	say(session, "refused", err->msg);
	session_refuse(session->fd, err);
	session_free(session);
}

static void send_end(struct session *session, int status)
{
	Tee__LaunchEnd end = TEE__LAUNCH_END__INIT;
	uint8_t packed[16];

	end.status = (uint32_t)status;
	if (tee__launch_end__get_packed_size(&end) <= sizeof(packed))
		(void)sock_send_msg(session->fd,
				    (struct bytes){ packed, tee__launch_end__pack(&end, packed) },
				    NULL, 0, NULL);
}

/* --- the guest's reports ---------------------------------------------------------------------- */

/* The call may outlive its connection, and then this answer reaches nobody. */
static void on_report(void *data, const uint8_t *report, struct bytes certificates)
{
	Tee__ReportResponse response = TEE__REPORT_RESPONSE__INIT;
	struct rpc_call *call = data;

	if (!report) {
		rpc_call_fail(call, RPC_UNAVAILABLE, "the processor makes no reports");
		return;
	}
	/* protobuf-c's messages have no const */
	memcpy(&response.report.data, &report, sizeof(report));
	response.report.len = ATTEST_SNP_REPORT_SIZE;
	memcpy(&response.certificates.data, &certificates.at, sizeof(certificates.at));
	response.certificates.len = certificates.len;
	rpc_call_reply(call, &response.base);
}

static void serve_report(void *data, struct rpc_call *call, struct bytes payload)
{
	const struct session *session = data;
	struct report_facts facts = session->facts;
	Tee__ReportRequest *request;
	bool is_sound;

	request = tee__report_request__unpack(NULL, payload.len, payload.at);
	is_sound = request && request->report_data.len == sizeof(facts.report_data);
	if (is_sound)
		memcpy(facts.report_data, request->report_data.data, sizeof(facts.report_data));
	if (request)
		tee__report_request__free_unpacked(request, NULL);
	if (!is_sound)
		rpc_call_fail(call, RPC_INVALID_ARGUMENT, "report data are 64 bytes");
	else if (key_ask(session->table->key, &facts, on_report, call) < 0)
		rpc_call_fail(call, RPC_UNAVAILABLE, "the processor makes no reports");
}

static const struct rpc_method methods[] = { { SERVICE, "Report", serve_report, NULL } };

/* The guest, or QEMU, has broken the protocol or hung up: it gets no more reports. */
static void on_port_close(void *data, struct rpc_conn *conn)
{
	struct session *session = data;

	session->port = rpc_conn_free(conn);
}

/* --- QEMU ------------------------------------------------------------------------------------- */

static void on_exit_of_qemu(void *data, uint32_t events)
{
	struct session *session = data;
	int status = 255, r;

	(void)events;
	r = spawn_wait(session->pidfd, 0, &status, NULL);
	if (r == -ETIMEDOUT)
		return;
	if (session->state == RUNNING)
		send_end(session, status);
	session_free(session);
}

static int spawn_qemu(struct session *session, int port_fd, pid_t *ret_pid,
		      enum spawn_isolation *ret_isolation, struct err *err)
{
	const Tee__LaunchRequest *message = session->request.message;
	const char *nodes[REQUEST_NODES_MAX + 1] = { NULL };
	struct spawn_fd fds[REQUEST_FDS_MAX + 1];
	CLEANUP(strv_done) struct strv argv = { 0 };
	struct spawn_request spawn = { .fds = fds,
				       .uid = message->uid,
				       .gid = message->gid,
				       .set_ids = true,
				       .isolate = true,
				       .die_with_parent = true,
				       .limits.memlock_bytes = message->memlock_bytes,
				       .limits.nofile = session->table->nofile,
				       .ret_isolation = ret_isolation };

	/* the message's lists have no NULL at their ends */
	for (size_t i = 0; i < message->n_argv; i++)
		if (strv_add(&argv, message->argv[i]) < 0)
			return err_num(err, -ENOMEM, "start QEMU");
	spawn.argv = argv.at;
	for (size_t i = 0; i < message->n_nodes; i++)
		nodes[i] = message->nodes[i];
	if (message->n_nodes)
		spawn.nodes = nodes;
	for (size_t i = 0; i < session->fd_count; i++)
		fds[spawn.fd_count++] =
			(struct spawn_fd){ session->fds[i], (int)message->targets[i] };
	fds[spawn.fd_count++] = (struct spawn_fd){ port_fd, (int)message->tee_target };
	return spawn_start(&spawn, ret_pid, &session->pidfd, err);
}

/* Serves the port before QEMU is there: nothing is said on it that isn't heard. */
static int start(struct session *session, pid_t *ret_pid, enum spawn_isolation *ret_isolation,
		 struct err *err)
{
	const struct rpc_conn_opts opts = { .methods = methods,
					    .method_count = ARRAY_SIZE(methods),
					    .data = session,
					    .on_close = on_port_close,
					    .max_calls = PORT_CALLS };
	struct loop *loop = session->table->loop;
	int pair[2], r;

	if (RAND_bytes(session->facts.id, sizeof(session->facts.id)) != 1)
		return err_set(err, -EIO, "name the guest: libcrypto has no random bytes");
	r = sock_pair(SOCK_STREAM, pair);
	if (r == 0) {
		r = rpc_conn_new(loop, pair[0], &opts, &session->port);
		if (r < 0)
			(void)close(pair[1]);
	}
	if (r < 0)
		return err_num(err, r, "serve the guest's port");
	r = spawn_qemu(session, pair[1], ret_pid, ret_isolation, err);
	(void)close(pair[1]);
	if (r < 0)
		return r;
	session->state = RUNNING;
	r = loop_add(loop, session->pidfd, EPOLLIN, on_exit_of_qemu, session, &session->exiting);
	return r < 0 ? err_num(err, r, "watch QEMU") : 0;
}

static void launch(struct session *session)
{
	Tee__LaunchResponse response = TEE__LAUNCH_RESPONSE__INIT;
	enum spawn_isolation isolation = SPAWN_SHARED;
	char digest[2 * ATTEST_LAUNCH_DIGEST + 1];
	struct err err = { 0 };
	pid_t pid = 0;
	int r;

	r = start(session, &pid, &isolation, &err);
	close_fds(session);
	if (r < 0 && session->state == RUNNING) {
		/* it is our child, and nobody else would end it */
		(void)spawn_kill(session->pidfd, SIGKILL);
		(void)spawn_wait(session->pidfd, SESSION_STOP_MS, &(int){ 0 }, NULL);
		session->state = MEASURING;
	}
	if (r < 0) {
		refuse(session, &err);
		return;
	}
	text_hex(session->facts.launch_digest, sizeof(session->facts.launch_digest), digest);
	say(session, "launched", digest);
	request_done(&session->request);
	response.pid = pid;
	response.isolation = (uint32_t)isolation;
	if (send_response(session->fd, &response, session->pidfd) < 0)
		session_end(session);
}

/* --- measuring -------------------------------------------------------------------------------- */

static void on_measured(void *data, uint32_t events)
{
	struct session *session = data;
	struct measured measured;
	ssize_t n = sock_read(session->measure_fd, &measured, sizeof(measured));

	(void)events;
	stop_measuring(session);
	session->deadline = loop_source_free(session->deadline);
	if (n != sizeof(measured))
		measured.num = err_set(&measured.err, -EIO, "measure the launch: out of memory");
	if (measured.num < 0) {
		measured.err.msg[sizeof(measured.err.msg) - 1] = '\0';
		refuse(session, &measured.err);
		return;
	}
	memcpy(session->facts.launch_digest, measured.digest, sizeof(measured.digest));
	launch(session);
}

/* Does not return. */
static void measure(const struct session *session, int out_fd)
{
	struct measured measured = { 0 };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	measured.num = measure_launch(&session->request, session->fds, session->table->root_fd,
				      measured.digest, &measured.err);
	_exit(sock_write(out_fd, &measured, sizeof(measured)) != sizeof(measured));
}

static int start_measuring(struct session *session, struct err *err)
{
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "make a pipe");
	session->measure_fd = ends[0];
	session->measure_pid = fork();
	if (session->measure_pid == 0)
		measure(session, ends[1]);
	r = session->measure_pid < 0 ? err_sys(err, "fork") : 0;
	(void)close(ends[1]);
	if (r < 0)
		return r;
	session->state = MEASURING;
	r = loop_add(session->table->loop, session->measure_fd, EPOLLIN, on_measured, session,
		     &session->measuring);
	return r < 0 ? err_num(err, r, "watch the measuring") : 0;
}

/* --- the request ------------------------------------------------------------------------------ */

static void on_late(void *data)
{
	struct session *session = data;
	struct err err = { 0 };

	(void)err_set(&err, -ETIMEDOUT, "launch: %s takes too long",
		      session->state == READING ? "the request" : "measuring");
	refuse(session, &err);
}

static int set_deadline(struct session *session, uint64_t ms)
{
	session->deadline = loop_source_free(session->deadline);
	return loop_timer(session->table->loop, ms, on_late, session, &session->deadline);
}

static void take_request(struct session *session)
{
	const struct session_table *table = session->table;
	struct bytes text = { session->in.at + HEAD, session->in.len - HEAD };
	struct err err = { 0 };
	int r;

	r = request_open(text, session->fd_count, table->qemu, &session->request, &err);
	if (r == 0)
		r = request_allow(&session->request, &table->rules, session->uid, session->gid,
				  &err);
	if (r == 0) {
		buf_done(&session->in);
		memcpy(session->facts.host_data, session->request.message->host_data.data,
		       sizeof(session->facts.host_data));
		r = set_deadline(session, PROCESSOR_MEASURE_MS);
		if (r < 0)
			(void)err_num(&err, r, "set a deadline");
	}
	if (r == 0)
		r = start_measuring(session, &err);
	if (r < 0)
		refuse(session, &err);
}

/* Another piece of the request: 1 once it is all there. */
static int add_piece(struct session *session, const uint8_t *piece, size_t len, struct err *err)
{
	uint32_t wanted;

	if (buf_add(&session->in, piece, len) < 0)
		return err_num(err, -ENOMEM, "read the request");
	if (session->in.len < HEAD)
		return 0;
	wanted = bytes_be32(buf_bytes(&session->in), 0);
	if (wanted > REQUEST_SIZE_MAX || session->in.len - HEAD > wanted)
		return err_set(err, -EMSGSIZE, "read the request: %s",
			       wanted > REQUEST_SIZE_MAX ? "it is too large" : "more follows it");
	return session->in.len - HEAD == wanted;
}

static void on_input(void *data, uint32_t events)
{
	struct session *session = data;
	uint8_t piece[READ_MAX];
	struct err err = { 0 };
	ssize_t n;
	int r;

	(void)events;
	n = sock_read_fds(session->fd, piece, sizeof(piece), session->fds, REQUEST_FDS_MAX,
			  &session->fd_count);
	if (n == -EAGAIN)
		return;
	if (n == -E2BIG && session->state == READING) {
		(void)err_set(&err, -E2BIG, "read the request: more than %d descriptors",
			      REQUEST_FDS_MAX);
		refuse(session, &err);
		return;
	}
	/* One request: after it there is nothing to be said but the end. */
	if (n <= 0 || session->state != READING) {
		session_end(session);
		return;
	}
	r = add_piece(session, piece, (size_t)n, &err);
	if (r < 0)
		refuse(session, &err);
	else if (r > 0)
		take_request(session);
}

/* --- all of them ------------------------------------------------------------------------------ */

static bool is_one_too_many(const struct session_table *table, uid_t uid)
{
	size_t of_user = 0;

	for (const struct session *at = table->sessions; at; at = at->next)
		of_user += at->uid == uid;
	return table->count >= SESSIONS_MAX || (uid != 0 && of_user >= SESSIONS_OF_USER_MAX);
}

void session_new(struct session_table *table, int take_fd)
{
	struct session *session = malloc(sizeof(*session));

	if (!session) {
		(void)close(take_fd);
		return;
	}
	*session = (struct session){
		.table = table, .fd = take_fd, .measure_fd = -1, .measure_pid = -1, .pidfd = -1
	};
	if (sock_peer(take_fd, &session->peer, &session->uid, &session->gid) < 0 ||
	    is_one_too_many(table, session->uid)) {
		(void)close(take_fd);
		free(session);
		return;
	}
	session->next = table->sessions;
	table->sessions = session;
	table->count++;
	if (loop_add(table->loop, take_fd, EPOLLIN, on_input, session, &session->source) < 0 ||
	    set_deadline(session, PROCESSOR_REQUEST_MS) < 0)
		session_free(session);
}

void session_end_all(struct session_table *table)
{
	table->on_empty = NULL;
	for (struct session *at = table->sessions; at; at = at->next)
		if (at->pidfd >= 0)
			(void)spawn_kill(at->pidfd, SIGKILL);
	while (table->sessions) {
		if (table->sessions->pidfd >= 0)
			(void)spawn_wait(table->sessions->pidfd, SESSION_STOP_MS, &(int){ 0 },
					 NULL);
		session_free(table->sessions);
	}
}
