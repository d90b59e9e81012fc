// SPDX-License-Identifier: Apache-2.0
#include "prover/broker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "attest/jwe.h"
#include "attest/kbs.h"
#include "base/text.h"
#include "prover/http.h"
#include "prover/report.h"
#include "prover/tls.h"
#include "sys/host.h"

enum { READ_SIZE = 16 << 10, KEY_TRIES = 8 };

struct session {
	const struct broker_ask *ask;
	struct attest_refusal *refusal;
	struct http_url url;
	struct prover_tls *tls;
	bool is_over; /* the broker takes no more on this connection */
	char cookie[sizeof(ATTEST_KBS_COOKIE) + HTTP_COOKIE_MAX + 1];
	uint8_t private_key[ATTEST_JWK_SCALAR];
	struct attest_kbs_request request;
};

static void session_done(struct session *session)
{
	(void)prover_tls_free(session->tls);
	attest_kbs_request_done(&session->request);
	OPENSSL_cleanse(session->private_key, sizeof(session->private_key));
}
CLEANUP_FUNC(struct session, session_done)

static int refuse(struct session *session, enum attest_reason reason, int num, const char *why)
{
	attest_refusal_set(session->refusal, reason, "%.200s", why);
	return num;
}

static int malformed(struct session *session, const char *what, const struct err *err)
{
	char text[ATTEST_REFUSAL_TEXT];

	(void)snprintf(text, sizeof(text), "%s%s%.160s", what, err ? ": " : "",
		       err ? err->msg : "");
	return refuse(session, ATTEST_MESSAGE_MALFORMED, -EBADMSG, text);
}

/* One more piece of the answer. */
static int read_more(struct session *session, struct buf *in)
{
	ssize_t n;

	if (buf_reserve(in, READ_SIZE) < 0)
		return refuse(session, ATTEST_BROKER_UNREACHABLE, -ENOMEM, "no memory left");
	n = prover_tls_read(session->tls, in->at + in->len, READ_SIZE);
	if (n <= 0)
		return refuse(session, ATTEST_BROKER_UNREACHABLE, -EPIPE,
			      "the connection ended before the answer did");
	in->len += (size_t)n;
	return 0;
}

static int read_answer(struct session *session, struct http_head *ret_head, struct buf *in,
		       struct bytes *ret_body)
{
	size_t used;
	int r;

	while ((r = http_head_parse(buf_bytes(in), ATTEST_KBS_COOKIE, ret_head, &used)) == 0) {
		r = read_more(session, in);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return malformed(session, "the broker's answer is not HTTP as it is known here",
				 NULL);
	for (r = 0; in->len - used < ret_head->body_len && r == 0;)
		r = read_more(session, in);
	if (r < 0)
		return r;
	/* nothing else was asked for yet */
	if (in->len - used > ret_head->body_len)
		return malformed(session, "the broker said more than was asked", NULL);
	*ret_body = (struct bytes){ in->at + used, ret_head->body_len };
	return 0;
}

/* What a broker says that gives nothing: in its own words, made fit to be printed. */
static int take_no(struct session *session, unsigned status, struct bytes body)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct attest_kbs_error error = { 0 };
	enum attest_reason reason = ATTEST_RESOURCE_DENIED;

	if (attest_kbs_error_parse(body, &error, NULL) < 0)
		(void)snprintf(error.text, sizeof(error.text), "the broker answers with %u",
			       status);
	if (error.code[0] && attest_reason_find(error.code) < ATTEST_REASON_COUNT)
		reason = attest_reason_find(error.code);
	if (text_quote(&text, (struct bytes){ (const uint8_t *)error.text, strlen(error.text) }) <
		    0 ||
	    buf_add(&text, "", 1) < 0)
		return refuse(session, reason, -EACCES, "no memory left");
	return refuse(session, reason, -EACCES, (const char *)text.at);
}

/* body is inside in, which the caller wipes if it is worth it. */
static int exchange(struct session *session, const char *method, const char *path,
		    struct bytes content, struct buf *in, struct bytes *ret_body)
{
	const struct http_request request = {
		.method = method,
		.url = &session->url,
		.path = path,
		.cookie = session->cookie,
		.body = content,
	};
	CLEANUP(buf_done) struct buf text = { 0 };
	struct http_head head;
	int r;

	if (session->is_over)
		return refuse(session, ATTEST_BROKER_UNREACHABLE, -EPIPE,
			      "it closed the connection before all was asked");
	r = http_request_print(&request, &text);
	if (r < 0)
		return refuse(session, ATTEST_BROKER_UNREACHABLE, r, "no memory left");
	if (prover_tls_write(session->tls, buf_bytes(&text)) < 0)
		return refuse(session, ATTEST_BROKER_UNREACHABLE, -EPIPE,
			      "the connection ended before all was asked");
	r = read_answer(session, &head, in, ret_body);
	if (r < 0)
		return r;
	session->is_over = head.is_last;
	if (head.status != 200)
		return take_no(session, head.status, *ret_body);
	if (head.cookie[0])
		(void)snprintf(session->cookie, sizeof(session->cookie), ATTEST_KBS_COOKIE "=%s",
			       head.cookie);
	return 0;
}

static int get_nonce(struct session *session)
{
	CLEANUP(buf_done) struct buf text = { 0 }, in = { 0 };
	struct err err = { 0 };
	struct bytes body;
	int r = attest_kbs_auth_print(ATTEST_KBS_SIM, &text);

	if (r < 0)
		return refuse(session, ATTEST_BROKER_UNREACHABLE, r, "no memory left");
	r = exchange(session, "POST", ATTEST_KBS_AUTH, buf_bytes(&text), &in, &body);
	if (r < 0)
		return r;
	if (attest_kbs_challenge_parse(body, session->request.nonce, &err) < 0)
		return malformed(session, "the broker's challenge", &err);
	return session->cookie[0] ? 0 : malformed(session, "the broker began no session", NULL);
}

/* A key for this conversation; all but one in 2^32 of random numbers are one. */
static int make_key(struct session *session)
{
	int r = -ERANGE;

	for (int i = 0; i < KEY_TRIES && r == -ERANGE; i++) {
		r = host_random(session->private_key, sizeof(session->private_key));
		if (r == 0)
			r = attest_jwk_make(session->private_key, &session->request.key);
	}
	return r < 0 ? refuse(session, ATTEST_REPORT_UNAVAILABLE, r, "no key could be made") : 0;
}

static int get_report(struct session *session)
{
	CLEANUP(buf_done) struct buf certificates = { 0 };
	struct attest_kbs_request *request = &session->request;
	uint8_t data[ATTEST_SNP_DATA_SIZE];
	struct err err = { 0 };
	int r = attest_kbs_report_data(request->nonce, &request->key, data);

	if (r < 0)
		return refuse(session, ATTEST_REPORT_UNAVAILABLE, r, "no hash could be made");
	r = report_get(data, session->ask->document, request->report, &certificates,
		       session->refusal);
	if (r < 0)
		return r;
	r = attest_certs_add(&request->certs, buf_bytes(&certificates), &err);
	if (r < 0)
		return refuse(session, ATTEST_REPORT_UNAVAILABLE, r, err.msg);
	r = buf_add(&request->init_data, session->ask->document.at, session->ask->document.len);
	return r < 0 ? refuse(session, ATTEST_REPORT_UNAVAILABLE, r, "no memory left") : 0;
}

static int attest(struct session *session)
{
	CLEANUP(buf_done) struct buf text = { 0 }, in = { 0 }, token = { 0 };
	struct err err = { 0 };
	struct bytes body;
	int r = attest_kbs_request_print(&session->request, &text, &err);

	if (r < 0)
		return refuse(session, ATTEST_EVIDENCE_MALFORMED, r, err.msg);
	r = exchange(session, "POST", ATTEST_KBS_ATTEST, buf_bytes(&text), &in, &body);
	if (r < 0)
		return r;
	/* the session is what is used; that there is a token says that the answer is one */
	return attest_kbs_token_parse(body, &token, &err) < 0
		       ? malformed(session, "the broker's token", &err)
		       : 0;
}

static int get_secret(struct session *session, const char *uri, struct buf *ret)
{
	const char *resource = attest_kbs_uri_resource(uri);
	char path[sizeof(ATTEST_KBS_RESOURCE) + ATTEST_KBS_RESOURCE_MAX];
	CLEANUP(buf_done) struct buf in = { 0 };
	struct err err = { 0 };
	struct bytes body;
	int r;

	if (!resource || !attest_kbs_resource_valid(resource))
		return refuse(session, ATTEST_POLICY_SECRET, -EINVAL,
			      "a secret's address is kbs:///REPOSITORY/TYPE/TAG");
	(void)snprintf(path, sizeof(path), ATTEST_KBS_RESOURCE "%s", resource);
	r = exchange(session, "GET", path, (struct bytes){ 0 }, &in, &body);
	if (r < 0)
		return r;
	r = attest_jwe_unwrap(session->private_key, body, ret, &err);
	return r < 0 ? malformed(session, "the broker's secret", &err) : 0;
}

static int connect_to(struct session *session)
{
	char name[HTTP_HOST_MAX + 1];
	int r = http_url_parse(session->ask->url, &session->url);

	if (r < 0)
		return refuse(session, ATTEST_BROKER_UNREACHABLE, r,
			      "the policy's address of it is not https://HOST[:PORT]");
	r = prover_tls_connect(
		&(struct prover_tls_opts){
			.in_fd = session->ask->in_fd,
			.out_fd = session->ask->out_fd,
			.name = http_url_name(&session->url, name) ? name : NULL,
			.key = session->ask->key,
		},
		&session->tls, session->refusal);
	return r == -ENOMEM ? refuse(session, ATTEST_BROKER_UNREACHABLE, r, "no memory left") : r;
}

int broker_ask(const struct broker_ask *ask, struct buf *ret_secrets,
	       struct attest_refusal *ret_refusal)
{
	CLEANUP(session_done) struct session session = { .ask = ask, .refusal = ret_refusal };
	int r = connect_to(&session);

	if (r == 0)
		r = get_nonce(&session);
	if (r == 0)
		r = make_key(&session);
	if (r == 0)
		r = get_report(&session);
	if (r == 0)
		r = attest(&session);
	for (size_t i = 0; i < ask->uri_count && r == 0; i++)
		r = get_secret(&session, ask->uris[i], &ret_secrets[i]);
	return r;
}
