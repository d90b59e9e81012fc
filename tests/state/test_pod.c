// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "state/pod.h"

static void boots_once(void **state)
{
	enum pod_state at = POD_NEW;

	(void)state;
	assert_int_equal(state_pod_next(at, POD_BOOT, &at), 0);
	assert_int_equal(state_pod_next(at, POD_BOOT, &at), -EALREADY);
	assert_int_equal(state_pod_next(at, POD_HELLO, &at), 0);
	assert_int_equal(at, POD_READY);
	assert_int_equal(state_pod_next(at, POD_HELLO, &at), -EPROTO);
	assert_int_equal(state_pod_next(at, POD_GONE, &at), 0);
	assert_int_equal(state_pod_next(at, POD_BOOT, &at), -ESHUTDOWN);
	assert_int_equal(at, POD_ENDED);
}

static void gone_ends_every_state(void **state)
{
	(void)state;
	for (int i = 0; i < POD_STATES; i++) {
		enum pod_state at = (enum pod_state)i;

		assert_non_null(state_pod_name(at));
		assert_int_equal(state_pod_next(at, POD_GONE, &at), 0);
		assert_int_equal(at, POD_ENDED);
	}
	assert_string_equal(state_pod_name(POD_READY), "ready");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boots_once),
		cmocka_unit_test(gone_ends_every_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
