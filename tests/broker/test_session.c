// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/session.h"

static int setup(void **state)
{
	struct broker_sessions *sessions = NULL;
	int r = broker_sessions_new(&sessions);

	*state = sessions;
	return r;
}

static int teardown(void **state)
{
	*state = broker_sessions_free(*state);
	return 0;
}

static struct broker_session *add(struct broker_sessions *sessions, enum broker_state state,
				  uint32_t number, int64_t begin_s)
{
	struct broker_session *s = broker_sessions_place(sessions, begin_s);

	if (!s)
		return NULL;
	assert_int_equal(s->state, BROKER_FREE);
	s->state = state;
	s->begin_s = begin_s;
	s->end_s = begin_s + 100;
	memcpy(s->id, &number, sizeof(number));
	memcpy(s->token, &number, sizeof(number));
	return s;
}

static struct broker_session *find(struct broker_sessions *sessions, enum broker_state state,
				   uint32_t number, int64_t now_s)
{
	uint8_t id[BROKER_SESSION_SIZE] = { 0 };

	memcpy(id, &number, sizeof(number));
	return broker_sessions_find(sessions, state, id, now_s);
}

static void a_session_is_found_in_its_time_and_state(void **state)
{
	struct broker_session *s = add(*state, BROKER_WAITING, 7, 1000);
	uint8_t token[BROKER_DIGEST_SIZE] = { 7 };

	assert_ptr_equal(find(*state, BROKER_WAITING, 7, 1000), s);
	assert_ptr_equal(find(*state, BROKER_WAITING, 7, 1099), s);
	assert_null(find(*state, BROKER_WAITING, 7, 1100));
	assert_null(find(*state, BROKER_WAITING, 7, 999));
	assert_null(find(*state, BROKER_ATTESTED, 7, 1000));
	assert_null(find(*state, BROKER_WAITING, 8, 1000));
	assert_null(broker_sessions_find_token(*state, token, 1000));
	s->state = BROKER_ATTESTED;
	assert_ptr_equal(broker_sessions_find_token(*state, token, 1000), s);
	assert_null(broker_sessions_find_token(*state, token, 1100));
}

static void one_that_is_cleared_leaves_nothing(void **state)
{
	struct broker_session *s = add(*state, BROKER_ATTESTED, 7, 1000);
	static const struct broker_session none;

	assert_int_equal(strv_add(&s->resources, "a/b/c"), 0);
	broker_session_clear(s);
	assert_memory_equal(s, &none, sizeof(none));
	assert_null(find(*state, BROKER_ATTESTED, 7, 1000));
}

static void a_full_table_gives_up_who_has_waited_longest(void **state)
{
	for (uint32_t i = 0; i < BROKER_SESSIONS_MAX; i++)
		assert_non_null(add(*state, BROKER_WAITING, i, 1000));
	find(*state, BROKER_WAITING, 77, 1000)->begin_s--;
	assert_non_null(find(*state, BROKER_WAITING, 77, 1000));
	assert_non_null(add(*state, BROKER_WAITING, 0x10000, 1000));
	assert_null(find(*state, BROKER_WAITING, 77, 1000));
	assert_non_null(find(*state, BROKER_WAITING, 76, 1000));
	assert_non_null(find(*state, BROKER_WAITING, 0x10000, 1000));
}

static void those_attested_are_not_driven_out(void **state)
{
	for (uint32_t i = 0; i < BROKER_SESSIONS_MAX; i++)
		assert_non_null(add(*state, BROKER_ATTESTED, i, 1000));
	assert_null(add(*state, BROKER_WAITING, 0x10000, 1099));
	assert_non_null(add(*state, BROKER_WAITING, 0x10000, 1100));
}

static void only_so_many_are_attested_at_once(void **state)
{
	for (uint32_t i = 0; i < BROKER_ATTESTED_MAX; i++) {
		assert_true(broker_sessions_make_room(*state, 1000));
		assert_non_null(add(*state, BROKER_ATTESTED, i, 1000));
	}
	assert_false(broker_sessions_make_room(*state, 1000));
	assert_non_null(find(*state, BROKER_ATTESTED, 0, 1000));
	assert_true(broker_sessions_make_room(*state, 1100));
	assert_non_null(find(*state, BROKER_ATTESTED, 0, 1000));
}

static void who_was_answered_makes_room(void **state)
{
	for (uint32_t i = 0; i < BROKER_ATTESTED_MAX; i++)
		assert_non_null(add(*state, BROKER_ATTESTED, i, 1000));
	find(*state, BROKER_ATTESTED, 70, 1000)->answers = 1;
	find(*state, BROKER_ATTESTED, 80, 1000)->answers = 1;
	find(*state, BROKER_ATTESTED, 80, 1000)->begin_s--;
	assert_true(broker_sessions_make_room(*state, 1000));
	assert_null(find(*state, BROKER_ATTESTED, 80, 1000));
	assert_non_null(find(*state, BROKER_ATTESTED, 70, 1000));
	assert_true(broker_sessions_make_room(*state, 1000));
	assert_non_null(find(*state, BROKER_ATTESTED, 70, 1000));
	assert_non_null(add(*state, BROKER_ATTESTED, 0x10000, 1000));
	assert_true(broker_sessions_make_room(*state, 1000));
	assert_null(find(*state, BROKER_ATTESTED, 70, 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_session_is_found_in_its_time_and_state, setup,
						teardown),
		cmocka_unit_test_setup_teardown(one_that_is_cleared_leaves_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_full_table_gives_up_who_has_waited_longest, setup,
						teardown),
		cmocka_unit_test_setup_teardown(those_attested_are_not_driven_out, setup, teardown),
		cmocka_unit_test_setup_teardown(only_so_many_are_attested_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(who_was_answered_makes_room, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
