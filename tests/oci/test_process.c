// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "oci/process.h"

static struct arena arena;

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

#define STRINGS(...)                                                       \
	((struct oci_strings){ (const char *const[]){ __VA_ARGS__, NULL }, \
			       ARRAY_SIZE(((const char *const[]){ __VA_ARGS__ })) })

static void assert_strings(const struct oci_strings *got, struct oci_strings want)
{
	assert_int_equal(got->count, want.count);
	for (size_t i = 0; i < want.count; i++)
		assert_string_equal(got->at[i], want.at[i]);
	assert_null(got->at[got->count]);
}

static void assert_refused(const struct oci_process_base *base,
			   const struct oci_process_request *request, int num, enum err_code code,
			   const char *words)
{
	struct oci_process process = { .cwd = "untouched" };
	struct err err = { 0 };

	assert_int_equal(oci_process_make(&arena, base, request, &process, &err), num);
	assert_int_equal(err.code, code);
	assert_non_null(strstr(err.msg, words));
	assert_string_equal(process.cwd, "untouched");
}

static void merges_commands_as_podman_does(void **state)
{
	const struct oci_process_base base = {
		.entrypoint = STRINGS("/entry", "-e"),
		.cmd = STRINGS("cmd", "-c"),
	};
	const struct {
		struct oci_process_request request;
		struct oci_strings want;
	} cases[] = {
		{ { 0 }, STRINGS("/entry", "-e", "cmd", "-c") },
		{ { .args = STRINGS("a", "b") }, STRINGS("/entry", "-e", "a", "b") },
		{ { .entrypoint_set = true, .entrypoint = STRINGS("/other") }, STRINGS("/other") },
		{ { .entrypoint_set = true, .entrypoint = STRINGS("/other"), .args = STRINGS("a") },
		  STRINGS("/other", "a") },
		{ { .entrypoint_set = true, .args = STRINGS("a", "b") }, STRINGS("a", "b") },
	};
	struct oci_process process;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(oci_process_make(&arena, &base, &cases[i].request, &process, NULL),
				 0);
		assert_strings(&process.args, cases[i].want);
	}
}

static void refuses_no_command(void **state)
{
	const struct oci_process_base base = { .entrypoint = STRINGS("/entry"),
					       .cmd = STRINGS("cmd") };

	(void)state;
	assert_refused(&(struct oci_process_base){ 0 }, &(struct oci_process_request){ 0 }, -EINVAL,
		       ERR_USAGE, "the image has none");
	assert_refused(&base, &(struct oci_process_request){ .entrypoint_set = true }, -EINVAL,
		       ERR_USAGE, "the image has none");
	assert_refused(&base,
		       &(struct oci_process_request){ .entrypoint_set = true, .args = STRINGS("") },
		       -EINVAL, ERR_USAGE, "the image has none");
}

static void overrides_variables_by_name(void **state)
{
	const struct oci_process_base base = {
		.cmd = STRINGS("x"),
		.env = STRINGS("A=1", "PATH=/image", "AB=2", "A=3"),
	};
	const struct oci_process_request request = {
		.env = STRINGS("NEW=1", "AB=", "NEW=2", "B==", "A=9"),
	};
	struct oci_process process;

	(void)state;
	assert_int_equal(oci_process_make(&arena, &base, &request, &process, NULL), 0);
	assert_strings(&process.env, STRINGS("A=9", "PATH=/image", "AB=", "NEW=2", "B=="));
}

static void fills_in_path_and_term(void **state)
{
	const struct oci_process_base base = { .cmd = STRINGS("x") };
	struct oci_process process;

	(void)state;
	assert_int_equal(oci_process_make(&arena, &base, &(struct oci_process_request){ 0 },
					  &process, NULL),
			 0);
	assert_strings(&process.env, STRINGS("PATH=" OCI_PROCESS_PATH));
	assert_false(process.terminal);
	assert_int_equal(oci_process_make(&arena, &base,
					  &(struct oci_process_request){ .terminal = true },
					  &process, NULL),
			 0);
	assert_strings(&process.env, STRINGS("PATH=" OCI_PROCESS_PATH, "TERM=xterm"));
	assert_true(process.terminal);
	assert_int_equal(oci_process_make(&arena, &base,
					  &(struct oci_process_request){
						  .terminal = true, .env = STRINGS("TERM=vt100") },
					  &process, NULL),
			 0);
	assert_strings(&process.env, STRINGS("TERM=vt100", "PATH=" OCI_PROCESS_PATH));
}

static void chooses_place_and_user(void **state)
{
	const struct oci_process_base base = { .cmd = STRINGS("x"),
					       .cwd = "/image",
					       .user = "1:2" };
	struct oci_process process;

	(void)state;
	assert_int_equal(oci_process_make(&arena, &base,
					  &(struct oci_process_request){ .cwd = "", .user = "" },
					  &process, NULL),
			 0);
	assert_string_equal(process.cwd, "/image");
	assert_string_equal(process.user, "1:2");
	assert_int_equal(
		oci_process_make(&arena, &base,
				 &(struct oci_process_request){ .cwd = "/w", .user = "me:us" },
				 &process, NULL),
		0);
	assert_string_equal(process.cwd, "/w");
	assert_string_equal(process.user, "me:us");
	assert_int_equal(oci_process_make(&arena, &(struct oci_process_base){ .cmd = STRINGS("x") },
					  &(struct oci_process_request){ 0 }, &process, NULL),
			 0);
	assert_string_equal(process.cwd, "/");
	assert_string_equal(process.user, "");
}

static void says_whose_mistake_it_is(void **state)
{
	const struct oci_process_base good = { .cmd = STRINGS("x") };

	(void)state;
	assert_refused(&good, &(struct oci_process_request){ .cwd = "w" }, -EINVAL, ERR_USAGE,
		       "'w' is not an absolute path");
	assert_refused(&good, &(struct oci_process_request){ .user = "a:b:c" }, -EINVAL, ERR_USAGE,
		       "'a:b:c'");
	assert_refused(&good, &(struct oci_process_request){ .env = STRINGS("A") }, -EINVAL,
		       ERR_USAGE, "'A' is not NAME=VALUE");
	assert_refused(&good, &(struct oci_process_request){ .env = STRINGS("=A") }, -EINVAL,
		       ERR_USAGE, "'=A'");
	assert_refused(&(struct oci_process_base){ .cmd = STRINGS("x"), .cwd = "w" },
		       &(struct oci_process_request){ 0 }, -EINVAL, ERR_IMAGE, "'w'");
	assert_refused(&(struct oci_process_base){ .cmd = STRINGS("x"), .user = ":" },
		       &(struct oci_process_request){ 0 }, -EINVAL, ERR_IMAGE, "':'");
	assert_refused(&(struct oci_process_base){ .cmd = STRINGS("x"), .env = STRINGS("B") },
		       &(struct oci_process_request){ 0 }, -EINVAL, ERR_IMAGE, "'B'");
}

static void knows_users(void **state)
{
	static const char *const good[] = { "", "0", "root", "1000:1000", "www-data:adm", "a:0" };
	static const char *const bad[] = { ":", "a:", ":b", "a:b:", "a b", "a\n", "\x7f" };
	char user[OCI_USER_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(oci_process_is_user(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(oci_process_is_user(bad[i]));
	memset(user, 'u', sizeof(user));
	user[OCI_USER_MAX] = '\0';
	assert_true(oci_process_is_user(user));
	user[OCI_USER_MAX] = 'u';
	user[OCI_USER_MAX + 1] = '\0';
	assert_false(oci_process_is_user(user));
}

/* count strings, all the same, in the arena. */
static struct oci_strings many(const char *text, size_t count)
{
	const char **at = arena_array(&arena, count + 1, sizeof(*at));

	assert_non_null(at);
	for (size_t i = 0; i < count; i++)
		at[i] = text;
	return (struct oci_strings){ at, count };
}

static struct oci_strings numbered(size_t count)
{
	const char **at = arena_array(&arena, count + 1, sizeof(*at));

	assert_non_null(at);
	for (size_t i = 0; i < count; i++)
		at[i] = arena_printf(&arena, "V%zu=", i);
	return (struct oci_strings){ at, count };
}

static const char *long_text(const char *begin, size_t len)
{
	char *text = arena_alloc(&arena, len + 1);

	assert_non_null(text);
	memset(text, 'x', len);
	memcpy(text, begin, strlen(begin));
	return text;
}

static void holds_its_limits(void **state)
{
	struct oci_process_base base = { .entrypoint = STRINGS("e") };
	struct oci_process_request request = { .args = many("", OCI_ARGS_MAX - 1) };
	struct oci_process process;

	(void)state;
	assert_int_equal(oci_process_make(&arena, &base, &request, &process, NULL), 0);
	request.args = many("", OCI_ARGS_MAX);
	assert_refused(&base, &request, -E2BIG, ERR_IMAGE_LIMIT, "the arguments exceed 4096");

	request = (struct oci_process_request){ .env = numbered(OCI_ENV_MAX - 1) };
	assert_int_equal(oci_process_make(&arena, &base, &request, &process, NULL), 0);
	assert_int_equal(process.env.count, OCI_ENV_MAX); /* with PATH */
	request.env = numbered(OCI_ENV_MAX);
	assert_refused(&base, &request, -E2BIG, ERR_IMAGE_LIMIT, "the variables exceed 4096");
	request.env = numbered(OCI_ENV_MAX + 1);
	assert_refused(&base, &request, -E2BIG, ERR_IMAGE_LIMIT, "the variables exceed 4096");

	request = (struct oci_process_request){ .args = many(long_text("", OCI_STRING_MAX), 1) };
	assert_int_equal(oci_process_make(&arena, &base, &request, &process, NULL), 0);
	request.args = many(long_text("", OCI_STRING_MAX + 1), 1);
	assert_refused(&base, &request, -E2BIG, ERR_IMAGE_LIMIT, "131071");

	/* "e", PATH and the arguments make up the whole */
	request.args = many(long_text("", 65535), 15);
	assert_int_equal(oci_process_make(&arena, &base, &request, &process, NULL), 0);
	request.args = many(long_text("", 65535), 16);
	assert_refused(&base, &request, -E2BIG, ERR_IMAGE_LIMIT, "1048576");
	base.env = STRINGS("PATH=");
	base.entrypoint = many(long_text("", 65535 - 6), 1);
	request.args = many(long_text("", 65535), 15);
	assert_int_equal(oci_process_make(&arena, &base, &request, &process, NULL), 0);
	base.entrypoint = many(long_text("", 65535 - 5), 1);
	assert_refused(&base, &request, -E2BIG, ERR_IMAGE_LIMIT, "1048576");

	base = (struct oci_process_base){ .cmd = STRINGS("x") };
	request = (struct oci_process_request){ .cwd = long_text("/", OCI_CWD_MAX) };
	assert_int_equal(oci_process_make(&arena, &base, &request, &process, NULL), 0);
	request.cwd = long_text("/", OCI_CWD_MAX + 1);
	assert_refused(&base, &request, -EINVAL, ERR_USAGE, "4095");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(merges_commands_as_podman_does, teardown),
		cmocka_unit_test_teardown(refuses_no_command, teardown),
		cmocka_unit_test_teardown(overrides_variables_by_name, teardown),
		cmocka_unit_test_teardown(fills_in_path_and_term, teardown),
		cmocka_unit_test_teardown(chooses_place_and_user, teardown),
		cmocka_unit_test_teardown(says_whose_mistake_it_is, teardown),
		cmocka_unit_test_teardown(knows_users, teardown),
		cmocka_unit_test_teardown(holds_its_limits, teardown),
	};

	return cmocka_run_group_tests_name("oci/process", tests, NULL, NULL);
}
