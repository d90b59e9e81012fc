// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rpc/status.h"

static void every_code_comes_back_as_itself(void **state)
{
	(void)state;
	for (int32_t code = 1; code < 40; code++) {
		int num = rpc_status_errno(code);

		assert_true(num < 0);
		if (num != -EREMOTEIO)
			assert_int_equal(rpc_errno_status(num), code);
	}
	assert_int_equal(rpc_status_errno(RPC_NOT_FOUND), -ENOENT);
	assert_int_equal(rpc_status_errno(RPC_INTERNAL), -EREMOTEIO);
	assert_int_equal(rpc_status_errno(-1), -EREMOTEIO);
}

static void every_errno_has_a_code(void **state)
{
	(void)state;
	for (int num = -133; num < 0; num++)
		assert_int_not_equal(rpc_errno_status(num), RPC_OK);
	assert_int_equal(rpc_errno_status(-ESRCH), RPC_NOT_FOUND);
	assert_int_equal(rpc_errno_status(-EIO), RPC_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_comes_back_as_itself),
		cmocka_unit_test(every_errno_has_a_code),
	};

	return cmocka_run_group_tests_name("rpc/status", tests, NULL, NULL);
}
