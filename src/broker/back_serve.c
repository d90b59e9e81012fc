// SPDX-License-Identifier: Apache-2.0
/*
 * How this works: what has come from the front is answered in one go, then the audit log is synced
 * once, then the answers leave. When the log cannot be written, none of them does.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include <openssl/crypto.h>

#include "broker/back.h"
#include "broker/broker.h"
#include "sys/file.h"
#include "sys/signals.h"
#include "sys/sock.h"

enum {
	BATCH_MAX = 64, /* requests that one sync is for */
	READ_SIZE = 256 << 10,
	HTTP_UNAVAILABLE = 503,
};

struct served {
	struct broker_back *back;
	int fd, signal_fd;
	const char *rules_path;
	struct buf in, out;
	uint64_t ids[BATCH_MAX];
	size_t id_count;
};

static void served_done(struct served *served)
{
	cleanup_close_fd(&served->signal_fd);
	buf_done(&served->in);
	buf_done(&served->out);
}
CLEANUP_FUNC(struct served, served_done)

static int add_failure(struct buf *out, uint64_t id)
{
	Broker__Answer answer = BROKER__ANSWER__INIT;
	static const char text[] = "{\"type\":\"https://github.com/confidential-containers/kbs/"
				   "errors/InternalError\",\"detail\":\"try again later\"}";
	uint8_t body[sizeof(text) - 1];

	memcpy(body, text, sizeof(body));
	answer.id = id;
	answer.status = HTTP_UNAVAILABLE;
	answer.body = (ProtobufCBinaryData){ .len = sizeof(body), .data = body };
	return broker_answer_add(&answer, out);
}

static int answer_frame(struct served *s, struct bytes frame, int64_t now_s, struct err *err)
{
	Broker__Request *request = NULL;
	int r = broker_request_parse(frame, &request, err);

	if (r < 0) /* the front is ours: it is broken, or no longer ours */
		return r;
	s->ids[s->id_count++] = request->id;
	r = broker_back_answer(s->back, request, now_s, &s->out);
	if (r < 0) {
		broker_say("answer a request: %s", strerrordesc_np(-r));
		r = add_failure(&s->out, request->id);
	}
	broker__request__free_unpacked(request, NULL);
	return r < 0 ? err_num(err, r, "answer a request") : 0;
}

static int flush(struct served *s, struct err *err)
{
	struct err why = { 0 };
	int r = broker_audit_sync(s->back->audit, &why);

	if (r < 0) {
		broker_say("%s: nothing is released", why.msg);
		OPENSSL_cleanse(s->out.at, s->out.len);
		s->out.len = 0;
		r = 0;
		for (size_t i = 0; r == 0 && i < s->id_count; i++)
			r = add_failure(&s->out, s->ids[i]);
	}
	s->id_count = 0;
	if (r == 0 && s->out.len > 0)
		r = file_write_all(s->fd, buf_bytes(&s->out), err);
	s->out.len = 0;
	return r;
}

static int answer_all(struct served *s, struct err *err)
{
	int64_t now_s = (int64_t)time(NULL);
	struct bytes frame;
	int r;

	while ((r = broker_frame_next(&s->in, &frame)) == 1) {
		r = answer_frame(s, frame, now_s, err);
		broker_frame_drop(&s->in, frame);
		if (r == 0 && s->id_count == BATCH_MAX)
			r = flush(s, err);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return err_num(err, r, "read the front's messages");
	return flush(s, err);
}

/* 1: go on; 0: the front has ended. */
static int read_front(struct served *s, struct err *err)
{
	ssize_t n;
	int r;

	if (buf_reserve(&s->in, READ_SIZE) < 0)
		return err_num(err, -ENOMEM, "read the front's messages");
	n = sock_read(s->fd, s->in.at + s->in.len, READ_SIZE);
	if (n == -EAGAIN)
		return 1;
	if (n <= 0)
		return n < 0 ? err_num(err, (int)n, "read the front's messages") : 0;
	s->in.len += (size_t)n;
	r = answer_all(s, err);
	return r < 0 ? r : 1;
}

static void reload(struct served *s)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct broker_rules rules = { 0 };
	struct err err = { 0 };
	int r = file_read(AT_FDCWD, s->rules_path, BROKER_RULES_TEXT_MAX, &text, &err);

	if (r >= 0)
		r = broker_rules_parse(buf_bytes(&text), &rules, &err);
	if (r < 0) {
		broker_say("read '%s' again: %s: the rules from before stay", s->rules_path,
			   err.msg);
		return;
	}
	broker_rules_done(&s->back->rules);
	s->back->rules = rules;
	broker_say("read '%s' again: %zu rules", s->rules_path, rules.count);
}

/* 1: go on. */
static int take_signal(struct served *s)
{
	int signal = signals_next(s->signal_fd);

	if (signal == SIGHUP)
		reload(s);
	return signal != SIGTERM && signal != SIGINT;
}

int broker_back_serve(struct broker_back *back, int fd, const char *rules_path, struct err *err)
{
	static const int signals[] = { SIGHUP, SIGTERM, SIGINT };
	CLEANUP(served_done)
	struct served s = { .back = back, .fd = fd, .signal_fd = -1, .rules_path = rules_path };
	struct pollfd polled[2] = { { .fd = fd, .events = POLLIN }, { .events = POLLIN } };
	int r = signals_watch(signals, ARRAY_SIZE(signals), &s.signal_fd, err);

	if (r < 0)
		return r;
	polled[1].fd = s.signal_fd;
	r = 1;
	while (r == 1) {
		if (poll(polled, ARRAY_SIZE(polled), -1) < 0 && errno != EINTR)
			return err_sys(err, "wait for the front");
		if (polled[1].revents)
			r = take_signal(&s);
		if (r == 1 && polled[0].revents)
			r = read_front(&s, err);
	}
	return r;
}
