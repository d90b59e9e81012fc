// SPDX-License-Identifier: Apache-2.0
#include "broker/back.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "attest/policy.h"
#include "attest/snp_verify.h"

enum {
	HTTP_OK = 200,
	HTTP_UNAUTHORIZED = 401,
	HTTP_UNAVAILABLE = 503,
};

/* What one request comes to. */
struct reply {
	unsigned status;
	const uint8_t *session; /* for the cookie; NULL */
	struct buf body;
};

static void reply_done(struct reply *reply)
{
	buf_done(&reply->body);
}
CLEANUP_FUNC(struct reply, reply_done)

void broker_back_done(struct broker_back *back)
{
	broker_rules_done(&back->rules);
	back->sessions = broker_sessions_free(back->sessions);
	back->store = broker_store_close(back->store);
	back->audit = broker_audit_close(back->audit);
	back->token_key = broker_token_key_free(back->token_key);
}

static int refuse(struct reply *reply, const char *variant, const struct attest_refusal *refusal)
{
	reply->status = HTTP_UNAUTHORIZED;
	reply->body.len = 0;
	return attest_kbs_error_print(variant, refusal->reason, refusal->text, &reply->body);
}

static int busy(struct reply *reply)
{
	struct attest_refusal refusal;
	int r;

	attest_refusal_set(&refusal, ATTEST_SESSION_UNKNOWN, "too many guests at once");
	r = refuse(reply, "Busy", &refusal);
	reply->status = HTTP_UNAVAILABLE;
	return r;
}

static int answer_auth(struct broker_back *back, const Broker__Request *request, int64_t now_s,
		       struct reply *reply)
{
	struct broker_session fresh = { .state = BROKER_WAITING, .begin_s = now_s };
	struct broker_session *place;
	struct attest_refusal refusal;
	struct err err = { 0 };
	int r = attest_kbs_auth_parse((struct bytes){ request->body.data, request->body.len },
				      &fresh.tee, &err);

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		attest_refusal_set(&refusal, ATTEST_MESSAGE_MALFORMED, "%s", err.msg);
		return refuse(reply, "RcarAuthFailed", &refusal);
	}
	if (back->random(fresh.id, sizeof(fresh.id)) < 0 ||
	    back->random(fresh.nonce, sizeof(fresh.nonce)) < 0)
		return -EIO;
	place = broker_sessions_place(back->sessions, now_s);
	if (!place)
		return busy(reply);
	fresh.end_s = now_s + BROKER_WAIT_S;
	*place = fresh;
	reply->status = HTTP_OK;
	reply->session = place->id;
	return attest_kbs_challenge_print(fresh.nonce, &reply->body);
}

/* Everything about one report. */
struct judgement {
	struct attest_kbs_request request;
	struct attest_verdict verdict;
	struct attest_refusal refusal;
	struct strv resources;
	bool is_parsed; /* there is a report */
};

static void judgement_done(struct judgement *j)
{
	attest_kbs_request_done(&j->request);
	attest_verdict_done(&j->verdict);
	strv_done(&j->resources);
}
CLEANUP_FUNC(struct judgement, judgement_done)

/* The refusal is set. 0; negative: no memory. */
static int deny(struct judgement *j, enum attest_reason reason, const char *text)
{
	attest_refusal_set(&j->refusal, reason, "%s", text);
	return 0;
}

static int add_resource(struct strv *resources, const char *uri)
{
	const char *resource = attest_kbs_uri_resource(uri);

	for (size_t i = 0; resource && i < resources->len; i++)
		if (strcmp(resources->at[i], resource) == 0)
			return 0;
	if (!resource) /* another broker's, or none */
		return 0;
	if (resources->len == BROKER_RESOURCES_MAX)
		return -E2BIG;
	return strv_add(resources, resource);
}

/* The document is the guest's word for the digest that the processor signed: it was compared. */
static int read_policy(struct judgement *j)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	struct err err = { 0 };
	int r = attest_policy_parse(buf_bytes(&j->request.init_data), &policy, &err);

	for (size_t i = 0; r == 0 && i < policy.container_count; i++) {
		const struct attest_policy_container *c = &policy.containers[i];

		for (size_t k = 0; r == 0 && k < c->secret_count; k++)
			r = add_resource(&j->resources, c->secrets[k].uri);
	}
	if (r == -ENOMEM)
		return r;
	if (r == -E2BIG && !err.msg[0])
		return deny(j, ATTEST_POLICY_MALFORMED, "it lists too many secrets");
	return r < 0 ? deny(j, ATTEST_POLICY_MALFORMED, err.msg) : 1;
}

static bool any_allows_simulated(const struct broker_rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		if (rules->at[i]->expect.allow & ATTEST_ALLOW_SIMULATED)
			return true;
	return false;
}

/*
 * What holds for all rules: genuine, fresh, for this key, launched with this policy. What a rule
 * may allow is let pass here and looked at again for the resource.
 */
static int verify(struct broker_back *back, const struct broker_session *session, int64_t now_s,
		  struct judgement *j)
{
	struct attest_expect expect = { .allow = ATTEST_ALLOW_DEBUG | ATTEST_ALLOW_MIGRATION |
						 ATTEST_ALLOW_CXL,
					.has_report_data = true,
					.host_data_count = 1 };
	struct attest_roots roots = *attest_roots_amd();
	struct attest_snp_question question = {
		.report = { j->request.report, sizeof(j->request.report) },
		.certs = &j->request.certs,
		.roots = &roots,
		.expect = &expect,
		.memo = &back->memo,
		.now_s = now_s,
	};
	struct attest_snp_report report;
	int r;

	if (session->tee == ATTEST_KBS_SIM) {
		broker_rules_roots(&back->rules, &j->request.certs, &roots);
		if (any_allows_simulated(&back->rules))
			expect.allow |= ATTEST_ALLOW_SIMULATED;
	}
	r = attest_kbs_report_data(session->nonce, &j->request.key, expect.report_data);
	if (r == 0 && EVP_Digest(j->request.init_data.at, j->request.init_data.len,
				 expect.host_data[0], NULL, EVP_sha256(), NULL) != 1)
		r = -EIO;
	if (r == 0)
		r = attest_snp_verify(&question, &report, &j->verdict);
	if (r < 0)
		return r;
	if (!attest_verdict_is_ok(&j->verdict)) {
		broker_refusal_pick(&j->verdict, &j->refusal);
		return 0;
	}
	if (j->verdict.is_simulated != (session->tee == ATTEST_KBS_SIM))
		return deny(j, ATTEST_PRODUCT_MISMATCH, "the evidence is another TEE's");
	return 1;
}

/* 1: good; 0: the refusal says why not. */
static int judge(struct broker_back *back, const struct broker_session *session, struct bytes body,
		 int64_t now_s, struct judgement *j)
{
	struct err err = { 0 };
	int r = attest_kbs_request_parse(body, &j->request, &err);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return deny(j, ATTEST_MESSAGE_MALFORMED, err.msg);
	j->is_parsed = true;
	if (CRYPTO_memcmp(j->request.nonce, session->nonce, sizeof(session->nonce)) != 0)
		return deny(j, ATTEST_REPORT_DATA_MISMATCH, "the nonce is not this session's");
	if (j->request.init_data.len == 0)
		return deny(j, ATTEST_POLICY_MALFORMED, "there is no policy in the init-data");
	r = verify(back, session, now_s, j);
	return r == 1 ? read_policy(j) : r;
}

static int note(struct broker_back *back, const struct broker_decision *decision,
		const Broker__Request *request, int64_t now_s)
{
	struct broker_decision whole = *decision;

	whole.time_s = now_s;
	whole.peer = request->peer;
	whole.event = request->kind == BROKER_ATTEST ? "attest" : "resource";
	whole.resource = request->kind == BROKER_RESOURCE ? request->resource : NULL;
	return broker_audit_add(back->audit, &whole);
}

static int refuse_unknown(struct broker_back *back, const Broker__Request *request, int64_t now_s,
			  struct reply *reply)
{
	struct broker_decision decision = { .verdict = "refused" };
	struct attest_refusal refusal;
	int r;

	attest_refusal_set(&refusal, ATTEST_SESSION_UNKNOWN,
			   "it is not known, is over, or its nonce was used");
	decision.refusal = &refusal;
	r = note(back, &decision, request, now_s);
	return r < 0 ? r : refuse(reply, "TokenNotFound", &refusal);
}

static int begin_session(struct broker_back *back, struct broker_session *session,
			 struct judgement *j, int64_t now_s, struct reply *reply)
{
	CLEANUP(buf_done) struct buf token = { 0 };
	int r = broker_token_make(back->token_key, session->tee, &j->request, &j->verdict, now_s,
				  &token);

	if (r < 0)
		return r;
	if (EVP_Digest(token.at, token.len, session->token, NULL, EVP_sha256(), NULL) != 1)
		return -EIO;
	r = attest_kbs_token_print((const char *)token.at, &reply->body);
	if (r < 0)
		return r;
	session->state = BROKER_ATTESTED;
	session->begin_s = now_s;
	session->end_s = now_s + BROKER_LIFE_S;
	session->key = j->request.key;
	memcpy(session->report, j->request.report, sizeof(session->report));
	session->certs = j->request.certs;
	j->request.certs = (struct attest_certs){ 0 };
	session->resources = j->resources;
	j->resources = (struct strv){ 0 };
	reply->status = HTTP_OK;
	return 0;
}

static int answer_attest(struct broker_back *back, const Broker__Request *request, int64_t now_s,
			 struct reply *reply)
{
	CLEANUP(judgement_done) struct judgement j = { 0 };
	struct broker_decision decision = { .judgement = &j.verdict };
	struct broker_session *session = NULL;
	int r;

	if (request->session.len > 0)
		session = broker_sessions_find(back->sessions, BROKER_WAITING,
					       request->session.data, now_s);
	if (!session)
		return refuse_unknown(back, request, now_s, reply);
	if (!broker_sessions_make_room(back->sessions, now_s))
		return busy(reply);
	decision.tee = attest_kbs_tee_name(session->tee);
	r = judge(back, session, (struct bytes){ request->body.data, request->body.len }, now_s,
		  &j);
	if (r == 1)
		r = begin_session(back, session, &j, now_s, reply) < 0 ? -EIO : 1;
	if (r != 1) /* the nonce has had its one report */
		broker_session_clear(session);
	if (r < 0)
		return r;
	decision.report = j.is_parsed ? j.request.report : NULL;
	decision.verdict = r == 1 ? "accepted" : "refused";
	decision.refusal = r == 1 ? NULL : &j.refusal;
	if (r == 0 && refuse(reply, "AttestationError", &j.refusal) < 0)
		return -ENOMEM;
	r = note(back, &decision, request, now_s);
	if (r < 0)
		broker_session_clear(session);
	return r;
}

static int wrap(const struct broker_back *back, const struct broker_session *session,
		struct bytes secret, struct buf *ret)
{
	struct attest_jwe_random random;
	int r = -ERANGE;

	while (r == -ERANGE) {
		r = back->random(&random, sizeof(random));
		if (r == 0)
			r = attest_jwe_wrap(&session->key, &random, secret, ret);
	}
	OPENSSL_cleanse(&random, sizeof(random));
	return r;
}

/* 1: body is the wrapped secret; 0: refusal. */
static int release(struct broker_back *back, const struct broker_session *session,
		   const char *resource, struct reply *reply, struct attest_refusal *refusal)
{
	CLEANUP(buf_done) struct buf secret = { 0 };
	struct err err = { 0 };
	int r = buf_reserve(&secret, BROKER_SECRET_MAX); /* so that no copy is left behind */

	if (r == 0)
		r = broker_store_get(back->store, resource, &secret, &err);
	if (r == 1)
		r = wrap(back, session, buf_bytes(&secret), &reply->body) < 0 ? -EIO : 1;
	if (secret.at)
		OPENSSL_cleanse(secret.at, secret.cap);
	if (r == 0)
		attest_refusal_set(refusal, ATTEST_RESOURCE_DENIED, BROKER_DENIED);
	return r;
}

/*
 * To who has no business to know what there is: the same where no rule, no secret, or nothing in
 * the guest's own policy names the resource. The audit log tells them apart.
 */
static int refuse_resource(struct reply *reply, const struct attest_refusal *refusal)
{
	struct attest_refusal told = *refusal;

	if (told.reason == ATTEST_POLICY_SECRET)
		attest_refusal_set(&told, ATTEST_RESOURCE_DENIED, BROKER_DENIED);
	return refuse(reply, "PolicyDeny", &told);
}

static struct broker_session *find_attested(struct broker_back *back,
					    const Broker__Request *request, int64_t now_s)
{
	uint8_t token[BROKER_DIGEST_SIZE];

	if (request->token[0]) {
		if (EVP_Digest(request->token, strlen(request->token), token, NULL, EVP_sha256(),
			       NULL) != 1)
			return NULL;
		return broker_sessions_find_token(back->sessions, token, now_s);
	}
	if (request->session.len == 0)
		return NULL;
	return broker_sessions_find(back->sessions, BROKER_ATTESTED, request->session.data, now_s);
}

static int answer_resource(struct broker_back *back, const Broker__Request *request, int64_t now_s,
			   struct reply *reply)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	struct broker_session *session = find_attested(back, request, now_s);
	struct broker_decision decision = { .judgement = &verdict };
	struct broker_evidence evidence = { .memo = &back->memo, .now_s = now_s };
	const struct broker_rule *rule = NULL;
	struct attest_refusal refusal;
	int r;

	if (!session || session->answers++ >= BROKER_ANSWERS_MAX)
		return refuse_unknown(back, request, now_s, reply);
	evidence.tee = session->tee;
	evidence.report = session->report;
	evidence.certs = &session->certs;
	evidence.resources = &session->resources;
	r = broker_rules_judge(&back->rules, request->resource, &evidence, &rule, &verdict,
			       &refusal);
	if (r == 1)
		r = release(back, session, request->resource, reply, &refusal);
	if (r < 0)
		return r;
	reply->status = HTTP_OK;
	if (r == 0 && refuse_resource(reply, &refusal) < 0)
		return -ENOMEM;
	decision.tee = attest_kbs_tee_name(session->tee);
	decision.report = session->report;
	decision.verdict = r == 1 ? "released" : "refused";
	decision.refusal = r == 1 ? NULL : &refusal;
	return note(back, &decision, request, now_s);
}

int broker_back_answer(struct broker_back *back, const Broker__Request *request, int64_t now_s,
		       struct buf *out)
{
	CLEANUP(reply_done) struct reply reply = { 0 };
	Broker__Answer answer = BROKER__ANSWER__INIT;
	int r;

	switch ((enum broker_kind)request->kind) {
	case BROKER_AUTH:
		r = answer_auth(back, request, now_s, &reply);
		break;
	case BROKER_ATTEST:
		r = answer_attest(back, request, now_s, &reply);
		break;
	case BROKER_RESOURCE:
		r = answer_resource(back, request, now_s, &reply);
		break;
	case BROKER_KIND_COUNT:
	default:
		r = -EINVAL;
	}
	if (r < 0)
		return r;
	answer.id = request->id;
	answer.status = reply.status;
	answer.body = (ProtobufCBinaryData){ .len = reply.body.len, .data = reply.body.at };
	if (reply.session)
		answer.session =
			(ProtobufCBinaryData){ .len = BROKER_SESSION_SIZE,
					       .data = (uint8_t *)(uintptr_t)reply.session };
	return broker_answer_add(&answer, out);
}
