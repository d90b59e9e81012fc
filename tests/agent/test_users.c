// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/users.h"
#include "base/buf.h"

#define PASSWD                                              \
	"root:x:0:0:root:/root:/bin/sh\n"                   \
	"daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n" \
	"web:x:33:44::/var/www:/bin/sh\n"                   \
	"nohome:x:7:7:::/bin/sh\n"                          \
	"late:x:33:99::/late:/bin/sh\n"                     \
	"1234:x:5:6::/number:/bin/sh\n"
#define GROUP                      \
	"root:x:0:root\n"          \
	"bin:x:1:root,daemon\n"    \
	"www:x:44:\n"              \
	"media:x:50:ann,web,bob\n" \
	"webb:x:51:webber\n"       \
	"disk:x:52:web\n"

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static int resolve(const char *passwd, const char *group, const char *text, char *ret)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct err err = { 0 };
	struct user user;
	int len, r;

	r = users_resolve(&arena, bytes_of(passwd), bytes_of(group), text, &user, &err);
	if (r < 0) {
		assert_true(err.msg[0] != '\0');
		return r;
	}
	len = sprintf(ret, "%u:%u %s", user.uid, user.gid, user.home);
	for (size_t i = 0; i < user.group_count; i++)
		len += sprintf(ret + len, " %u", user.groups[i]);
	return 0;
}

static void expect(const char *text, const char *want)
{
	char got[256];

	assert_int_equal(resolve(PASSWD, GROUP, text, got), 0);
	assert_string_equal(got, want);
}

static void names_and_numbers_are_found(void **state)
{
	(void)state;
	expect("", "0:0 /root 0 1");
	expect("root", "0:0 /root 0 1");
	expect("0", "0:0 /root 0 1");
	expect("web", "33:44 /var/www 50 52");
	expect("33", "33:44 /var/www 50 52");
	expect("nohome", "7:7 /");
}

static void a_number_needs_no_line(void **state)
{
	(void)state;
	expect("4711", "4711:0 /");
	expect("2147483647", "2147483647:0 /");
	/* a user called by a number isn't found by name */
	expect("1234", "1234:0 /");
}

static void a_group_given_is_the_only_one(void **state)
{
	(void)state;
	expect("web:media", "33:50 /var/www");
	expect("web:12", "33:12 /var/www");
	expect("4711:www", "4711:44 /");
	expect(":bin", "0:1 /root");
}

static void what_is_not_there_is_refused(void **state)
{
	char got[256], longest[USERS_TEXT_MAX + 2];

	(void)state;
	assert_int_equal(resolve(PASSWD, GROUP, "nobody", got), -ESRCH);
	assert_int_equal(resolve(PASSWD, GROUP, "web:nogroup", got), -ESRCH);
	assert_int_equal(resolve(PASSWD, GROUP, "2147483648", got), -ESRCH);
	assert_int_equal(resolve(PASSWD, GROUP, "-1", got), -ESRCH);
	assert_int_equal(resolve(PASSWD, GROUP, "web:", got), -EINVAL);
	assert_int_equal(resolve(PASSWD, GROUP, "web:a:b", got), -EINVAL);
	memset(longest, '1', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(resolve(PASSWD, GROUP, longest, got), -EINVAL);
	longest[sizeof(longest) - 2] = '\0';
	assert_int_equal(resolve(PASSWD, GROUP, longest, got), -ESRCH);
}

static void files_may_be_missing(void **state)
{
	char got[256];

	(void)state;
	assert_int_equal(resolve("", "", "", got), 0);
	assert_string_equal(got, "0:0 /");
	assert_int_equal(resolve("", "", "9:8", got), 0);
	assert_string_equal(got, "9:8 /");
	assert_int_equal(resolve("", "", "root", got), -ESRCH);
}

static void half_a_line_is_none(void **state)
{
	static const char *const passwds[] = {
		"a:x:1\n",
		"a:x:1:1:a:/a\n",
		"a:x:1:1:a:/a:/sh:more\n",
		"a:x:one:1:a:/a:/sh\n",
		"a:x::1:a:/a:/sh\n",
		"a:x:1: 1:a:/a:/sh\n",
		"a:x:4294967296:1:a:/a:/sh\n",
		"a:x:00000000001:1:a:/a:/sh\n",
		":x:1:1:a:/a:/sh\n",
		"\n",
		"#a:x:1:1:a:/a:/sh\n",
	};
	char got[256];

	(void)state;
	for (size_t i = 0; i < sizeof(passwds) / sizeof(passwds[0]); i++)
		assert_int_equal(resolve(passwds[i], "", "a", got), -ESRCH);
	assert_int_equal(resolve("a:x:1:1:a:/a:/sh", "g:x:5", "a", got), 0);
	assert_string_equal(got, "1:1 /a");
	assert_int_equal(resolve("a:x:1:1:a:/a:/sh", "g:x:5:a", "a", got), 0);
	assert_string_equal(got, "1:1 /a 5");
}

static void a_nul_makes_a_line_none(void **state)
{
	static const char passwd[] = "a:x:1:1:a:/a\0b:/sh\na:x:2:2:a:/c:/sh\n";
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct user user;

	(void)state;
	assert_int_equal(
		users_resolve(&arena, (struct bytes){ (const uint8_t *)passwd, sizeof(passwd) - 1 },
			      bytes_of(""), "a", &user, NULL),
		0);
	assert_int_equal(user.uid, 2);
}

static void groups_are_counted(void **state)
{
	CLEANUP(buf_done) struct buf group = { 0 };
	CLEANUP(arena_done) struct arena arena = { 0 };
	struct user user;

	(void)state;
	for (int i = 0; i < USERS_GROUPS_MAX; i++)
		assert_int_equal(buf_addf(&group, "g%d:x:%d:web\n", i, i), 0);
	assert_int_equal(
		users_resolve(&arena, bytes_of(PASSWD), buf_bytes(&group), "web", &user, NULL), 0);
	assert_int_equal(user.group_count, USERS_GROUPS_MAX);
	assert_int_equal(user.groups[USERS_GROUPS_MAX - 1], USERS_GROUPS_MAX - 1);
	assert_int_equal(buf_addf(&group, "one:x:9:web\n"), 0);
	assert_int_equal(users_resolve(&arena, bytes_of(PASSWD), buf_bytes(&group), "web", &user,
				       NULL),
			 -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_numbers_are_found),
		cmocka_unit_test(a_number_needs_no_line),
		cmocka_unit_test(a_group_given_is_the_only_one),
		cmocka_unit_test(what_is_not_there_is_refused),
		cmocka_unit_test(files_may_be_missing),
		cmocka_unit_test(half_a_line_is_none),
		cmocka_unit_test(a_nul_makes_a_line_none),
		cmocka_unit_test(groups_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
