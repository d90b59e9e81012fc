// SPDX-License-Identifier: Apache-2.0
/* The process that has the secrets, asked by a front that may say anything, on a clock of ours. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../attest/made.h"
#include "../folder.h"
#include "attest/policy.h"
#include "base/text.h"
#include "broker/back.h"

#define SECRET "the-canary"
#define RESOURCE "default/model/key"
#define POLICY                                                                                    \
	"{\"schema\":1,\"containers\":[{\"name\":\"main\",\"layers\":[{\"root\":\"11111111111111" \
	"11111111111111111111111111111111111111111111111111\",\"data_blocks\":9,"                 \
	"\"hash_start\":9}],\"process\":{\"args\":[\"sh\"]},\"secrets\":[%s]}]}"

static int counter(void *at, size_t len)
{
	static uint32_t count = 1;

	memset(at, 0, len);
	for (size_t i = 0; i + sizeof(count) <= len; i += sizeof(count)) {
		memcpy((uint8_t *)at + i, &count, sizeof(count));
		count += 7;
	}
	return 0;
}

static int no_chance(void *at, size_t len)
{
	(void)at;
	(void)len;
	return -EIO;
}

struct guest {
	uint8_t session[BROKER_SESSION_SIZE];
	uint8_t nonce[ATTEST_KBS_NONCE];
	uint8_t key[ATTEST_JWK_SCALAR];
	char token[8192];
};

/* One broker, one processor, one policy. */
struct scene {
	struct broker_back back;
	EVP_PKEY *key;
	struct attest_kbs_request request; /* all but nonce, key and report */
	int64_t now_s;
	/* the last answer */
	uint32_t status;
	struct buf body;
	struct attest_kbs_error error;
};

static struct scene scene;

static void set_policy(const char *secrets)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 };
	struct err err = { 0 };

	assert_int_equal(buf_addf(&text, POLICY, secrets), 0);
	if (attest_policy_parse(buf_bytes(&text), &policy, &err) < 0)
		fail_msg("%s", err.msg);
	scene.request.init_data.len = 0;
	assert_int_equal(attest_policy_document(&policy, &scene.request.init_data), 0);
}

static void make_chip(void)
{
	struct made_cert root = { .name = "root",
				  .issuer = "root",
				  .from_s = MADE_NOW - 1,
				  .to_s = MADE_NOW + MADE_YEAR,
				  .is_ca = true };
	struct made_cert chip, ask;
	uint8_t report[ATTEST_SNP_REPORT_SIZE];

	scene.key = EVP_EC_gen("P-384");
	root.key = root.issuer_key = scene.key;
	ask = chip = root;
	ask.name = chip.issuer = attest_snp_names(ATTEST_SNP_SIM)->ask;
	chip.name = attest_snp_names(ATTEST_SNP_SIM)->vcek;
	chip.is_ca = false;
	made_report(report);
	(void)made_extensions("casemate-sim", report + 0x1a0, 64, chip.extensions);
	scene.request.certs.at[0] = made_cert(&chip);
	scene.request.certs.at[1] = made_cert(&ask);
	scene.request.certs.at[2] = made_cert(&root);
	scene.request.certs.count = 3;
}

static void make_rules(void)
{
	uint8_t report[ATTEST_SNP_REPORT_SIZE], policy[32], root[ATTEST_ROOT_SIZE];
	char launch_hex[97], policy_hex[65], root_hex[65];
	CLEANUP(buf_done) struct buf text = { 0 };

	made_report(report);
	made_digest(scene.request.certs.at[2], root);
	assert_int_equal(EVP_Digest(scene.request.init_data.at, scene.request.init_data.len, policy,
				    NULL, EVP_sha256(), NULL),
			 1);
	text_hex(report + 0x90, 48, launch_hex);
	text_hex(policy, 32, policy_hex);
	text_hex(root, 32, root_hex);
	assert_int_equal(buf_addf(&text,
				  "rules:\n  - resource: " RESOURCE "\n    policies: [%s]\n"
				  "    launch_digests: [%s]\n    allow: [simulated]\n"
				  "    sim_roots: [%s]\n",
				  policy_hex, launch_hex, root_hex),
			 0);
	assert_int_equal(broker_rules_parse(buf_bytes(&text), &scene.back.rules, NULL), 0);
}

static int set_up(void **state)
{
	struct broker_store *writer = NULL;

	assert_int_equal(folder_set_up(state), 0);
	scene = (struct scene){ .now_s = MADE_NOW };
	scene.back.random = counter;
	make_chip();
	set_policy("{\"name\":\"k\",\"uri\":\"kbs:///" RESOURCE "\"}");
	make_rules();
	assert_int_equal(broker_store_open(folder_path, true, &writer, NULL), 0);
	assert_int_equal(broker_store_put(writer, RESOURCE,
					  (struct bytes){ (const uint8_t *)SECRET, strlen(SECRET) },
					  NULL),
			 0);
	writer = broker_store_close(writer);
	assert_int_equal(broker_store_open(folder_path, false, &scene.back.store, NULL), 0);
	assert_int_equal(broker_audit_open(folder_path, BROKER_AUDIT_MAX, &scene.back.audit, NULL),
			 0);
	assert_int_equal(broker_sessions_new(&scene.back.sessions), 0);
	return broker_token_key_new(&scene.back.token_key);
}

static int tear_down(void **state)
{
	broker_back_done(&scene.back);
	EVP_PKEY_free(scene.key);
	attest_kbs_request_done(&scene.request);
	buf_done(&scene.body);
	return folder_tear_down(state);
}

/* Status and body are kept; the session, if one was given, is the guest's. */
static int ask(Broker__Request *request, struct guest *guest)
{
	CLEANUP(buf_done) struct buf out = { 0 };
	char peer[] = "1.2.3.4:5";
	Broker__Answer *answer = NULL;
	struct bytes frame;
	int r;

	request->id = 42;
	request->peer = peer;
	r = broker_back_answer(&scene.back, request, scene.now_s, &out);
	if (r < 0) {
		assert_int_equal(out.len, 0);
		return r;
	}
	assert_int_equal(broker_frame_next(&out, &frame), 1);
	assert_int_equal(broker_answer_parse(frame, &answer, NULL), 0);
	assert_int_equal(answer->id, 42);
	scene.status = answer->status;
	scene.body.len = 0;
	assert_int_equal(buf_add(&scene.body, answer->body.data, answer->body.len), 0);
	if (answer->session.len > 0)
		memcpy(guest->session, answer->session.data, sizeof(guest->session));
	broker__answer__free_unpacked(answer, NULL);
	assert_null(memmem(scene.body.at, scene.body.len, SECRET, strlen(SECRET)));
	if (scene.status != 200)
		assert_int_equal(attest_kbs_error_parse(buf_bytes(&scene.body), &scene.error, NULL),
				 0);
	return 0;
}

static void begin(struct guest *guest)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	Broker__Request request = BROKER__REQUEST__INIT;

	*guest = (struct guest){ .key = { 9 } };
	assert_int_equal(attest_kbs_auth_print(ATTEST_KBS_SIM, &text), 0);
	request.body = (ProtobufCBinaryData){ .len = text.len, .data = text.at };
	assert_int_equal(ask(&request, guest), 0);
	assert_int_equal(scene.status, 200);
	assert_int_equal(attest_kbs_challenge_parse(buf_bytes(&scene.body), guest->nonce, NULL), 0);
}

static int attest(struct guest *guest)
{
	CLEANUP(buf_done) struct buf text = { 0 }, token = { 0 };
	Broker__Request request = BROKER__REQUEST__INIT;
	struct attest_kbs_request *r = &scene.request;
	int num;

	memcpy(r->nonce, guest->nonce, sizeof(r->nonce));
	assert_int_equal(attest_jwk_make(guest->key, &r->key), 0);
	made_report(r->report);
	made_put(r->report, 0x188, 0, 3);
	assert_int_equal(attest_kbs_report_data(r->nonce, &r->key, r->report + 0x50), 0);
	assert_int_equal(EVP_Digest(r->init_data.at, r->init_data.len, r->report + 0xc0, NULL,
				    EVP_sha256(), NULL),
			 1);
	made_sign(r->report, scene.key);
	assert_int_equal(attest_kbs_request_print(r, &text, NULL), 0);
	request.kind = BROKER_ATTEST;
	request.session =
		(ProtobufCBinaryData){ .len = sizeof(guest->session), .data = guest->session };
	request.body = (ProtobufCBinaryData){ .len = text.len, .data = text.at };
	num = ask(&request, guest);
	if (num == 0 && scene.status == 200) {
		assert_int_equal(attest_kbs_token_parse(buf_bytes(&scene.body), &token, NULL), 0);
		(void)snprintf(guest->token, sizeof(guest->token), "%s", (const char *)token.at);
	}
	return num;
}

static int get(struct guest *guest, bool by_token)
{
	Broker__Request request = BROKER__REQUEST__INIT;
	char resource[] = RESOURCE;

	request.kind = BROKER_RESOURCE;
	request.resource = resource;
	if (by_token)
		request.token = guest->token;
	else
		request.session = (ProtobufCBinaryData){ .len = sizeof(guest->session),
							 .data = guest->session };
	return ask(&request, guest);
}

static void gets_it(struct guest *guest, bool by_token)
{
	CLEANUP(buf_done) struct buf secret = { 0 };

	assert_int_equal(get(guest, by_token), 0);
	assert_int_equal(scene.status, 200);
	assert_int_equal(attest_jwe_unwrap(guest->key, buf_bytes(&scene.body), &secret, NULL), 0);
	assert_int_equal(secret.len, strlen(SECRET));
	assert_memory_equal(secret.at, SECRET, secret.len);
}

static void was_refused(const char *code)
{
	assert_int_equal(scene.status, 401);
	assert_string_equal(scene.error.code, code);
}

static void a_good_guest_gets_the_secret_by_cookie_or_token(void **state)
{
	struct guest guest;

	(void)state;
	begin(&guest);
	assert_int_equal(attest(&guest), 0);
	gets_it(&guest, false);
	gets_it(&guest, true);
}

static void a_nonce_is_good_for_its_time_only(void **state)
{
	struct guest guest;

	(void)state;
	begin(&guest);
	scene.now_s += BROKER_WAIT_S - 1;
	assert_int_equal(attest(&guest), 0);
	assert_int_equal(scene.status, 200);
	begin(&guest);
	scene.now_s += BROKER_WAIT_S;
	assert_int_equal(attest(&guest), 0);
	was_refused("session-unknown");
}

static void a_verdict_is_good_for_its_time_only(void **state)
{
	struct guest guest;

	(void)state;
	begin(&guest);
	assert_int_equal(attest(&guest), 0);
	scene.now_s += BROKER_LIFE_S - 1;
	gets_it(&guest, false);
	scene.now_s++;
	assert_int_equal(get(&guest, false), 0);
	was_refused("session-unknown");
	assert_int_equal(get(&guest, true), 0);
	was_refused("session-unknown");
}

static void a_session_has_only_so_many_answers(void **state)
{
	struct guest guest;

	(void)state;
	begin(&guest);
	assert_int_equal(attest(&guest), 0);
	for (int i = 0; i < BROKER_ANSWERS_MAX; i++) {
		assert_int_equal(get(&guest, false), 0);
		assert_int_equal(scene.status, 200);
	}
	assert_int_equal(get(&guest, false), 0);
	was_refused("session-unknown");
}

static void a_waiting_session_is_no_attested_one_and_the_reverse(void **state)
{
	struct guest guest;

	(void)state;
	begin(&guest);
	assert_int_equal(get(&guest, false), 0);
	was_refused("session-unknown");
	assert_int_equal(attest(&guest), 0);
	assert_int_equal(scene.status, 200);
	assert_int_equal(attest(&guest), 0);
	was_refused("session-unknown");
	gets_it(&guest, false);
}

static void without_chance_nothing_is_given_out(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	Broker__Request request = BROKER__REQUEST__INIT;
	struct guest guest;

	(void)state;
	begin(&guest);
	assert_int_equal(attest(&guest), 0);
	scene.back.random = no_chance;
	assert_int_equal(get(&guest, false), -EIO);
	assert_int_equal(attest_kbs_auth_print(ATTEST_KBS_SIM, &text), 0);
	request.body = (ProtobufCBinaryData){ .len = text.len, .data = text.at };
	assert_int_equal(ask(&request, &guest), -EIO);
	scene.back.random = counter;
	gets_it(&guest, false);
}

static void every_decision_is_a_line_of_the_log(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct guest guest;
	size_t lines = 0;

	(void)state;
	begin(&guest);
	assert_int_equal(get(&guest, false), 0);
	assert_int_equal(attest(&guest), 0);
	assert_int_equal(attest(&guest), 0);
	gets_it(&guest, false);
	assert_int_equal(broker_audit_sync(scene.back.audit, NULL), 0);
	assert_true(file_read(folder_fd, BROKER_AUDIT_FILE, 1 << 20, &text, NULL) >= 0);
	for (size_t i = 0; i < text.len; i++)
		lines += text.at[i] == '\n';
	assert_int_equal(lines, 4);
	assert_null(memmem(text.at, text.len, SECRET, strlen(SECRET)));
	assert_null(memmem(text.at, text.len, guest.token, 20));
}

/* of a container there are fewer: then there is another */
static void separate(struct buf *secrets, int count)
{
	if (count % ATTEST_POLICY_SECRETS_MAX)
		assert_int_equal(buf_addf(secrets, ","), 0);
	else
		assert_int_equal(
			buf_addf(
				secrets,
				"]},{\"name\":\"c%d\",\"layers\":[],\"process\":{\"args\":[\"a\"]},\"secrets\":[",
				count),
			0);
}

static void a_policy_lists_only_so_many_secrets(void **state)
{
	(void)state;
	for (int more = 0; more < 2; more++) {
		CLEANUP(buf_done) struct buf secrets = { 0 };
		struct guest guest;
		int count = 0;

		for (; count < BROKER_RESOURCES_MAX + more; count++) {
			if (count > 0)
				separate(&secrets, count);
			assert_int_equal(buf_addf(&secrets,
						  "{\"name\":\"k%d\",\"uri\":\"kbs:///a/b/%d\"}",
						  count, count),
					 0);
		}
		set_policy((const char *)secrets.at);
		begin(&guest);
		assert_int_equal(attest(&guest), 0);
		if (more)
			was_refused("policy-malformed");
		else
			assert_int_equal(scene.status, 200);
	}
}

static void a_full_house_is_told_so(void **state)
{
	struct guest guest;

	(void)state;
	begin(&guest);
	for (size_t i = 0; i < BROKER_SESSIONS_MAX; i++) {
		struct broker_session *s = &scene.back.sessions->at[i];

		if (s->state != BROKER_FREE)
			continue;
		s->state = BROKER_ATTESTED;
		s->begin_s = scene.now_s;
		s->end_s = scene.now_s + 10;
	}
	assert_int_equal(attest(&guest), 0);
	assert_int_equal(scene.status, 503);
	scene.now_s += 10;
	assert_int_equal(attest(&guest), 0);
	assert_int_equal(scene.status, 200);
}

#define IN_SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCENE(a_good_guest_gets_the_secret_by_cookie_or_token),
		IN_SCENE(a_nonce_is_good_for_its_time_only),
		IN_SCENE(a_verdict_is_good_for_its_time_only),
		IN_SCENE(a_session_has_only_so_many_answers),
		IN_SCENE(a_waiting_session_is_no_attested_one_and_the_reverse),
		IN_SCENE(without_chance_nothing_is_given_out),
		IN_SCENE(every_decision_is_a_line_of_the_log),
		IN_SCENE(a_policy_lists_only_so_many_secrets),
		IN_SCENE(a_full_house_is_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
