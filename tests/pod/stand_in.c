// SPDX-License-Identifier: Apache-2.0
#include "stand_in.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/buf.h"
#include "sys/sock.h"

enum {
	DIED = 3,
	SOON_MS = 30,
	SLOW_END_US = 600000,
	FLOOD_BYTES = 64 << 10,
	LINE_MAX_BYTES = 64 << 10,
	CALLS_MAX = 8192, /* the agent's */
};

static bool is_mode(const struct stand_in *stand_in, const char *mode)
{
	return strcmp(stand_in->mode, mode) == 0;
}

static void write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

static void say(int fd, const char *text)
{
	write_all(fd, text, strlen(text));
}

bool stand_in_hangs(struct stand_in *stand_in, const char *step)
{
	const char *mode = stand_in->mode;

	if (strncmp(mode, "die-", 4) == 0 && strcmp(mode + 4, step) == 0) {
		say(STDERR_FILENO, "stand-in: dying on purpose\n");
		_exit(DIED);
	}
	return strncmp(mode, "hang-", 5) == 0 && strcmp(mode + 5, step) == 0;
}

static void on_later(void *data)
{
	struct stand_in *stand_in = data;
	char garbage[64];

	(void)stand_in_hangs(stand_in, "run");
	if (is_mode(stand_in, "slow-end")) { /* as of much memory, or devices that are reset */
		(void)close(stand_in->port_fd);
		(void)close(stand_in->qmp_fd);
		(void)close(stand_in->console_fd);
		(void)usleep(SLOW_END_US);
		_exit(DIED);
	}
	if (is_mode(stand_in, "shutdown")) {
		say(stand_in->qmp_fd, "{\"event\": \"SHUTDOWN\", \"timestamp\": {\"seconds\": 1, "
				      "\"microseconds\": 1}, \"data\": {\"guest\": true, "
				      "\"reason\": \"guest-shutdown\"}}\r\n");
		_exit(0);
	}
	memset(garbage, 0xff, sizeof(garbage));
	if (is_mode(stand_in, "garbage-run"))
		write_all(stand_in->port_fd, garbage, sizeof(garbage));
}

void stand_in_started(struct stand_in *stand_in)
{
	if (!stand_in->later)
		(void)loop_timer(stand_in->loop, SOON_MS, on_later, stand_in, &stand_in->later);
}

/* An answer without a call: an empty body, an odd stream, type response. */
static void flood_port(void *data, uint32_t events)
{
	static const char frame[10] = { 0, 0, 0, 0, 0, 0, 0x11, 0x11, 2, 0 };
	struct stand_in *stand_in = data;
	static char bytes[FLOOD_BYTES / 10 * 10];
	static size_t at;
	ssize_t n;

	(void)events;
	if (!bytes[8])
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = frame[i % sizeof(frame)];
	n = sock_write(stand_in->port_fd, bytes + at, sizeof(bytes) - at);
	if (n > 0)
		at = (at + (size_t)n) % sizeof(bytes);
}

static void flood_console(void *data, uint32_t events)
{
	struct stand_in *stand_in = data;
	char bytes[4096];

	(void)events;
	memset(bytes, 'x', sizeof(bytes));
	bytes[sizeof(bytes) - 1] = '\n';
	(void)sock_write(stand_in->console_fd, bytes, sizeof(bytes));
}

static void answer(struct stand_in *stand_in, const json_t *command)
{
	const char *name = json_string_value(json_object_get(command, "execute"));
	json_t *id = json_object_get(command, "id"), *reply;
	char *text;

	if (!name)
		_exit(2);
	(void)stand_in_hangs(stand_in, "qmp");
	if (strcmp(name, "blockdev-add") == 0 && stand_in_hangs(stand_in, "disk"))
		stand_in->qmp = loop_source_free(stand_in->qmp);
	if (!stand_in->qmp)
		return;
	if (strcmp(name, "blockdev-add") == 0 && is_mode(stand_in, "refuse-qmp"))
		reply = json_pack("{s:{s:s, s:s}, s:O}", "error", "class", "GenericError", "desc",
				  "no such luck", "id", id);
	else
		reply = json_pack("{s:{}, s:O}", "return", "id", id);
	text = json_dumps(reply, JSON_COMPACT);
	say(stand_in->qmp_fd, text);
	say(stand_in->qmp_fd, "\r\n");
	free(text);
	json_decref(reply);
	if (strcmp(name, "qmp_capabilities") == 0)
		say(stand_in->qmp_fd,
		    "{\"event\": \"VSERPORT_CHANGE\", \"timestamp\": {\"seconds\": "
		    "1, \"microseconds\": 1}, \"data\": {\"open\": true, \"id\": "
		    "\"port1\"}}\r\n");
}

/* Commands come without newlines between them as well as with: jansson says where one ends. */
static void on_qmp(void *data, uint32_t events)
{
	struct stand_in *stand_in = data;
	char bytes[4096];
	json_error_t at;
	json_t *command;
	ssize_t n;

	(void)events;
	/* read(2) drops the descriptors that come along */
	n = sock_read(stand_in->qmp_fd, bytes, sizeof(bytes));
	if (n == 0) { /* QEMU goes on without, too */
		stand_in->qmp = loop_source_free(stand_in->qmp);
		return;
	}
	if (n < 0 || stand_in->line.len > LINE_MAX_BYTES ||
	    buf_add(&stand_in->line, bytes, (size_t)n) < 0)
		_exit(0);
	for (;;) {
		command = json_loadb((const char *)stand_in->line.at, stand_in->line.len,
				     JSON_DISABLE_EOF_CHECK, &at);
		if (!command)
			return;
		buf_drop(&stand_in->line, (size_t)at.position);
		answer(stand_in, command);
		json_decref(command);
	}
}

static void start_qmp(struct stand_in *stand_in)
{
	if (is_mode(stand_in, "hang-qmp"))
		return;
	say(stand_in->qmp_fd, "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 0, "
			      "\"major\": 10}, \"package\": \"\"}, \"capabilities\": []}}\r\n");
	if (loop_add(stand_in->loop, stand_in->qmp_fd, EPOLLIN, on_qmp, stand_in, &stand_in->qmp) <
	    0)
		_exit(2);
}

/* QEMU goes on without; so does this. */
static void on_port_closed(void *data, struct rpc_conn *conn)
{
	struct stand_in *stand_in = data;

	stand_in->conn = rpc_conn_free(conn);
}

static void start_agent(struct stand_in *stand_in)
{
	const struct rpc_conn_opts opts = { .methods = stand_in_methods,
					    .method_count = stand_in_method_count,
					    .data = stand_in,
					    .on_close = on_port_closed,
					    .max_calls = CALLS_MAX };
	char garbage[64];
	int r = 0;

	memset(garbage, 0xff, sizeof(garbage));
	if (is_mode(stand_in, "garbage-hello"))
		write_all(stand_in->port_fd, garbage, sizeof(garbage));
	if (is_mode(stand_in, "flood-port"))
		r = loop_add(stand_in->loop, stand_in->port_fd, EPOLLOUT, flood_port, stand_in,
			     &stand_in->flooding);
	else
		r = rpc_conn_new(stand_in->loop, stand_in->port_fd, &opts, &stand_in->conn);
	if (r == 0 && is_mode(stand_in, "flood-console"))
		r = loop_add(stand_in->loop, stand_in->console_fd, EPOLLOUT, flood_console,
			     stand_in, &stand_in->flooding);
	if (r < 0)
		_exit(2);
}

/* The descriptor of "socket,id=NAME,fd=N". */
static int find_fd(char **argv, const char *name)
{
	char head[32];
	int fd;

	(void)snprintf(head, sizeof(head), "socket,id=%s,fd=%%d", name);
	for (; *argv; argv++) {
		const size_t len = strlen(head) - 2;

		if (strncmp(*argv, head, len) != 0)
			continue;
		fd = (int)strtol(*argv + len, NULL, 10);
		return fd;
	}
	say(STDERR_FILENO, "stand-in: not QEMU's arguments\n");
	_exit(2);
}

int main(int argc, char **argv)
{
	static const char name[] = "stand-in-";
	struct stand_in stand_in = { .mode = "" };
	const char *base = argc > 0 ? strrchr(argv[0], '/') : NULL;

	if (base && strncmp(base + 1, name, strlen(name)) == 0)
		stand_in.mode = base + 1 + strlen(name);
	while (stand_in_hangs(&stand_in, "exec"))
		(void)pause();
	(void)signal(SIGPIPE, SIG_IGN);
	stand_in.qmp_fd = find_fd(argv, "qmp");
	stand_in.console_fd = find_fd(argv, "console");
	stand_in.port_fd = find_fd(argv, "port1");
	say(stand_in.console_fd, "stand-in: a kernel comes up\nstand-in: ");
	say(stand_in.console_fd, stand_in.mode[0] ? stand_in.mode : "all is well");
	say(stand_in.console_fd, "\n");
	if (loop_new(&stand_in.loop) < 0)
		return 2;
	start_qmp(&stand_in);
	start_agent(&stand_in);
	(void)loop_run(stand_in.loop);
	return 0;
}
