// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/gate.h"
#include "base/macro.h"

#define ROOT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define POLICY                                                                    \
	"{\"schema\":1,\"broker\":{\"url\":\"https://b:1\",\"key\":\"" KEY "\"}," \
	"\"containers\":[{\"name\":\"main\",\"layers\":[{\"root\":\"" ROOT "\","  \
	"\"data_blocks\":9,\"hash_start\":10}],\"process\":{\"args\":[\"sh\"],"   \
	"\"cwd\":\"/\"},\"exec\":[{\"args\":[\"ps\"]}],"                          \
	"\"secrets\":[{\"name\":\"key\",\"uri\":\"kbs:///a/b/c\"}]}]}"

static const struct gate_ask ask = { "CreateContainer", "web", 7 };

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

/* What the processor's digest would be of. */
static void document_of(const char *json, struct buf *ret)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };

	assert_int_equal(attest_policy_parse(bytes_of(json), &policy, NULL), 0);
	assert_int_equal(attest_policy_document(&policy, ret), 0);
}

static int set_up(void **state)
{
	CLEANUP(buf_done) struct buf document = { 0 };
	struct gate *gate = gate_new();
	struct err err = { 0 };

	document_of(POLICY, &document);
	assert_non_null(gate);
	assert_int_equal(gate_check_document(gate, buf_bytes(&document), &err), 0);
	assert_false(gate->is_open);
	assert_int_equal(gate_open(gate, buf_bytes(&document), &err), 0);
	assert_true(gate->is_open);
	*state = gate;
	return 0;
}

static int tear_down(void **state)
{
	*state = gate_free(*state);
	return 0;
}

static void only_a_whole_word_of_the_command_line_is_a_tee(void **state)
{
	(void)state;
	assert_true(gate_is_wanted("casemate.tee=sim"));
	assert_true(gate_is_wanted("ro quiet casemate.tee=sim\n"));
	assert_true(gate_is_wanted("casemate.tee=sim panic=-1"));
	assert_false(gate_is_wanted(""));
	assert_false(gate_is_wanted("casemate.tee=simple"));
	assert_false(gate_is_wanted("xcasemate.tee=sim"));
	assert_false(gate_is_wanted("casemate.tee"));
}

static void only_the_canonical_document_opens_it(void **state)
{
	static const char *const others[] = { "", "{}", POLICY, "version = \"0.1.0\"\n" };
	struct gate *gate = gate_new();
	CLEANUP(buf_done) struct buf document = { 0 };
	struct err err = { 0 };

	(void)state;
	document_of(POLICY, &document);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_int_equal(gate_check_document(gate, bytes_of(others[i]), &err), -EACCES);
		assert_memory_equal(err.msg, "policy-malformed: ", 18);
		assert_int_equal(gate_open(gate, bytes_of(others[i]), &err), -EACCES);
		assert_false(gate->is_open);
	}
	/* one byte more, or less */
	assert_int_equal(buf_add(&document, "\n", 1), 0);
	assert_int_equal(gate_open(gate, buf_bytes(&document), &err), -EACCES);
	document.len -= 2;
	assert_int_equal(gate_open(gate, buf_bytes(&document), &err), -EACCES);
	(void)gate_free(gate);
}

static void there_is_one_policy_for_ever(void **state)
{
	CLEANUP(buf_done) struct buf document = { 0 };
	struct gate *gate = *state;
	struct err err = { 0 };

	document_of("{\"schema\":1,\"containers\":[]}", &document);
	assert_int_equal(gate_check_document(gate, buf_bytes(&document), &err), -EBUSY);
	assert_int_equal(gate_open(gate, buf_bytes(&document), &err), -EBUSY);
	assert_int_equal(gate->policy.container_count, 1);
}

static void a_container_is_made_as_often_as_is_asked_and_no_other(void **state)
{
	struct gate *gate = *state;
	Agent__ContainerSpec *spec = gate->policy.containers[0].spec;
	struct err err = { 0 };
	size_t container = 9;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(gate_check_create(gate, &ask, spec, &container, &err), 0);
		assert_int_equal(container, 0);
	}
	assert_int_equal(gate->count, 0);
	spec->read_only = !spec->read_only;
	{
		Agent__ContainerSpec other = *spec;

		spec->read_only = !spec->read_only;
		assert_int_equal(gate_check_create(gate, &ask, &other, &container, &err), -EACCES);
	}
	assert_memory_equal(err.msg, "policy-read-only: ", 18);
	assert_int_equal(gate->count, 1);
	assert_string_equal(gate->refusals[0].method, "CreateContainer");
	assert_string_equal(gate->refusals[0].id, "web");
	assert_string_equal(gate->refusals[0].code, "policy-read-only");
	assert_int_equal(gate->refusals[0].uptime_us, 7);
}

static void an_exec_is_one_that_is_listed(void **state)
{
	struct gate *gate = *state;
	Agent__Process process = AGENT__PROCESS__INIT;
	char ps[] = "ps", id[] = "id", *args[] = { ps };
	struct err err = { 0 };

	process.args = args;
	process.n_args = 1;
	assert_int_equal(gate_check_exec(gate, &ask, 0, &process, &err), 0);
	args[0] = id;
	assert_int_equal(gate_check_exec(gate, &ask, 0, &process, &err), -EACCES);
	assert_memory_equal(err.msg, "policy-exec: ", 13);
}

static int ask_secrets(struct gate *gate, const char *const (*pairs)[2], size_t count,
		       struct err *err)
{
	Agent__Secret secrets[4], *at[4];

	for (size_t i = 0; i < count; i++) {
		agent__secret__init(&secrets[i]);
		memcpy(&secrets[i].name, &pairs[i][0], sizeof(char *));
		memcpy(&secrets[i].uri, &pairs[i][1], sizeof(char *));
		at[i] = &secrets[i];
	}
	return gate_check_secrets(gate, &ask, 0, at, count, err);
}

static void a_secret_is_asked_for_by_its_name_and_address_once(void **state)
{
	static const char *const good[][2] = { { "key", "kbs:///a/b/c" } };
	static const char *const bad[][2] = { { "key", "kbs:///a/b/d" },
					      { "other", "kbs:///a/b/c" },
					      { "../key", "kbs:///a/b/c" } };
	static const char *const twice[][2] = { { "key", "kbs:///a/b/c" },
						{ "key", "kbs:///a/b/c" } };
	struct err err = { 0 };

	assert_int_equal(ask_secrets(*state, good, 1, &err), 0);
	assert_int_equal(ask_secrets(*state, NULL, 0, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(ask_secrets(*state, &bad[i], 1, &err), -EACCES);
		assert_memory_equal(err.msg, "policy-secret: ", 15);
	}
	assert_int_equal(ask_secrets(*state, twice, 2, &err), -EACCES);
	assert_memory_equal(err.msg, "policy-secret: ", 15);
}

static void a_secret_with_an_unknown_field_is_refused(void **state)
{
	ProtobufCMessageUnknownField field = { .tag = 9, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT };
	char name[] = "key", uri[] = "kbs:///a/b/c";
	Agent__Secret secret = AGENT__SECRET__INIT, *at = &secret;
	struct err err = { 0 };

	secret.name = name;
	secret.uri = uri;
	secret.base.n_unknown_fields = 1;
	secret.base.unknown_fields = &field;
	assert_int_equal(gate_check_secrets(*state, &ask, 0, &at, 1, &err), -EACCES);
	assert_memory_equal(err.msg, "policy-field: ", 14);
}

static int said;

static void say(const struct gate_refusal *refusal)
{
	said++;
	assert_string_equal(refusal->code, "policy-exec");
}

static void the_newest_refusals_are_kept_and_all_are_counted(void **state)
{
	Agent__Refused refused[GATE_REFUSALS_MAX], *at[GATE_REFUSALS_MAX];
	Agent__ListRefusalsResponse list;
	struct gate *gate = *state;
	struct err err = { 0 };

	said = 0;
	gate->say = say;
	for (int i = 0; i < GATE_REFUSALS_MAX + 1; i++) {
		struct attest_refusal refusal;

		gate_list(gate, refused, at, &list);
		assert_int_equal(list.n_refusals, i);
		attest_refusal_set(&refusal, ATTEST_POLICY_EXEC, "number %d", i);
		assert_int_equal(gate_refuse(gate, &ask, &refusal, &err), -EACCES);
	}
	gate_list(gate, refused, at, &list);
	assert_int_equal(list.n_refusals, GATE_REFUSALS_MAX);
	assert_int_equal(list.count, GATE_REFUSALS_MAX + 1);
	assert_string_equal(at[0]->text, "number 1");
	assert_string_equal(at[GATE_REFUSALS_MAX - 1]->text, "number 64");
	assert_string_equal(at[0]->id, "web");
	assert_int_equal(said, GATE_REFUSALS_MAX + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_whole_word_of_the_command_line_is_a_tee),
		cmocka_unit_test(only_the_canonical_document_opens_it),
		cmocka_unit_test_setup_teardown(there_is_one_policy_for_ever, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_container_is_made_as_often_as_is_asked_and_no_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_exec_is_one_that_is_listed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_secret_is_asked_for_by_its_name_and_address_once,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_secret_with_an_unknown_field_is_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_newest_refusals_are_kept_and_all_are_counted,
						set_up, tear_down),
	};

	return cmocka_run_group_tests_name("agent/gate", tests, NULL, NULL);
}
