// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plan/manifest.h"

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KERNEL "\"kernel\":{\"file\":\"vmlinux\",\"sha256\":\"" HEX "\",\"release\":\"6.12\"}"
#define BASE(fields) "\"base\":{\"file\":\"base.img\",\"root\":\"" HEX "\"," fields "}"
#define MANIFEST(base) "{\"schema\":1,\"version\":\"0.1.0-ab\"," KERNEL "," base ",\"more\":[1]}"
#define BLOCKS "\"data_blocks\":100,\"hash_start\":101"

static int parse(const char *text, struct manifest *ret, struct err *err)
{
	*err = (struct err){ 0 };
	return manifest_parse((struct bytes){ (const uint8_t *)text, strlen(text) }, ret, err);
}

static void refuses(const char *text, const char *reason)
{
	struct manifest manifest = { .version = "untouched" };
	struct err err;

	assert_int_equal(parse(text, &manifest, &err), -EINVAL);
	if (!strstr(err.msg, reason))
		fail_msg("'%s' does not say '%s'", err.msg, reason);
	assert_string_equal(manifest.version, "untouched");
}

static void reads_what_is_there_and_lets_more_pass(void **state)
{
	struct manifest manifest;
	struct err err;

	(void)state;
	assert_int_equal(parse(MANIFEST(BASE(BLOCKS)), &manifest, &err), 0);
	assert_string_equal(manifest.version, "0.1.0-ab");
	assert_string_equal(manifest.kernel_file, "vmlinux");
	assert_string_equal(manifest.kernel_sha256, HEX);
	assert_string_equal(manifest.base_file, "base.img");
	assert_string_equal(manifest.base_root, HEX);
	assert_string_equal(manifest.base_salt, "");
	assert_int_equal(manifest.base_data_blocks, 100);
	assert_int_equal(manifest.base_hash_start, 101);
	assert_int_equal(parse(MANIFEST(BASE(BLOCKS ",\"salt\":\"00ff\"")), &manifest, &err), 0);
	assert_string_equal(manifest.base_salt, "00ff");
}

static void names_the_field_that_is_wrong(void **state)
{
	(void)state;
	refuses("", "line");
	refuses("[]", "'schema' is not 1");
	refuses("{\"schema\":2}", "'schema' is not 1");
	refuses("{\"schema\":1,\"schema\":1}", "duplicate");
	refuses("{\"schema\":1}", "'version' is not a string");
	refuses("{\"schema\":1,\"version\":\"a b\"}", "'version' is not a plain name");
	refuses("{\"schema\":1,\"version\":\"1\",\"kernel\":[]}", "'kernel.file' is not a string");
	refuses("{\"schema\":1,\"version\":\"1\",\"kernel\":{\"file\":\"../vmlinux\"}}",
		"'kernel.file' is not a plain name");
	refuses("{\"schema\":1,\"version\":\"1\",\"kernel\":{\"file\":\"v\",\"sha256\":\"ABC\"}}",
		"'kernel.sha256' is not 64");
	refuses("{\"schema\":1,\"version\":\"1\"," KERNEL "}", "'base.file' is not a string");
	refuses(MANIFEST(BASE("\"hash_start\":1")), "'base.data_blocks' is not a number");
	refuses(MANIFEST(BASE("\"data_blocks\":0,\"hash_start\":1")), "'base.data_blocks'");
	refuses(MANIFEST(BASE("\"data_blocks\":1.0,\"hash_start\":1")), "'base.data_blocks'");
	refuses(MANIFEST(BASE("\"data_blocks\":9,\"hash_start\":8")), "'base.hash_start'");
	refuses(MANIFEST(BASE(BLOCKS ",\"salt\":\"0\"")), "'base.salt'");
	refuses(MANIFEST(BASE(BLOCKS ",\"salt\":\"0g\"")), "'base.salt'");
	refuses(MANIFEST(BASE(BLOCKS ",\"salt\":1")), "'base.salt'");
	/* A quote or a space would be one more option on the guest's command line. */
	refuses(MANIFEST(BASE(BLOCKS ",\"salt\":\"\\\" init=/x\"")), "'base.salt'");
}

static int parse_blocks(long long data, long long hash)
{
	struct manifest manifest;
	char text[1024];

	(void)snprintf(text, sizeof(text),
		       "{\"schema\":1,\"version\":\"1\"," KERNEL
		       ",\"base\":{\"file\":\"b\",\"root\":\"" HEX
		       "\",\"data_blocks\":%lld,\"hash_start\":%lld}}",
		       data, hash);
	return parse(text, &manifest, &(struct err){ 0 });
}

static void keeps_the_limits_of_blocks(void **state)
{
	(void)state;
	assert_int_equal(parse_blocks(1, 1), 0);
	assert_int_equal(parse_blocks(MANIFEST_BLOCKS_MAX, MANIFEST_BLOCKS_MAX), 0);
	assert_int_equal(parse_blocks(1, (long long)MANIFEST_BLOCKS_MAX + 1), -EINVAL);
	assert_int_equal(parse_blocks((long long)MANIFEST_BLOCKS_MAX + 1,
				      (long long)MANIFEST_BLOCKS_MAX + 1),
			 -EINVAL);
	assert_int_equal(parse_blocks(-1, 5), -EINVAL);
}

static int parse_name(size_t len)
{
	struct manifest manifest;
	char name[512], text[1024];

	memset(name, 'n', len);
	name[len] = '\0';
	(void)snprintf(text, sizeof(text),
		       "{\"schema\":1,\"version\":\"1\"," KERNEL
		       ",\"base\":{\"file\":\"%s\",\"root\":\"" HEX "\"," BLOCKS "}}",
		       name);
	return parse(text, &manifest, &(struct err){ 0 });
}

static void keeps_the_limits_of_names_and_of_the_file(void **state)
{
	struct manifest manifest;
	char *text = calloc(1, MANIFEST_MAX + 2);
	struct err err;

	(void)state;
	assert_int_equal(parse_name(MANIFEST_NAME_MAX), 0);
	assert_int_equal(parse_name(MANIFEST_NAME_MAX + 1), -EINVAL);
	assert_int_equal(parse_name(0), -EINVAL);

	assert_non_null(text);
	memset(text, ' ', MANIFEST_MAX);
	memcpy(text, MANIFEST(BASE(BLOCKS)), strlen(MANIFEST(BASE(BLOCKS))));
	assert_int_equal(parse(text, &manifest, &err), 0);
	text[MANIFEST_MAX] = ' ';
	assert_int_equal(parse(text, &manifest, &err), -EFBIG);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_is_there_and_lets_more_pass),
		cmocka_unit_test(names_the_field_that_is_wrong),
		cmocka_unit_test(keeps_the_limits_of_blocks),
		cmocka_unit_test(keeps_the_limits_of_names_and_of_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
