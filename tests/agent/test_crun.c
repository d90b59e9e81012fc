// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/crun.h"
#include "rpc/status.h"

/* As crun 1.8 says them. */
static void words_become_status_codes(void **state)
{
	(void)state;
	assert_int_equal(crun_status_code("executable file `x` not found in $PATH: No such file or "
					  "directory"),
			 RPC_NOT_FOUND);
	/* the command may well be there */
	assert_int_equal(crun_status_code("chdir `/nodir`: No such file or directory"),
			 RPC_FAILED_PRECONDITION);
	assert_int_equal(crun_status_code("open executable: Permission denied"),
			 RPC_FAILED_PRECONDITION);
	assert_int_equal(crun_status_code("open executable: Operation not permitted"),
			 RPC_FAILED_PRECONDITION);
	assert_int_equal(crun_status_code("chdir `/bin/true`: Not a directory"),
			 RPC_FAILED_PRECONDITION);
	assert_int_equal(crun_status_code("exec container process `/x`: Exec format error"),
			 RPC_FAILED_PRECONDITION);
	assert_int_equal(crun_status_code("writing file `/sys/fs/cgroup/x`: Invalid argument"),
			 RPC_INTERNAL);
	assert_int_equal(crun_status_code(""), RPC_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_become_status_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
