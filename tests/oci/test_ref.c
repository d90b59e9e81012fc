// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "oci/ref.h"

static struct arena arena;

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static void assert_ref(const char *text, enum oci_ref_kind kind, const char *path, const char *tag)
{
	struct oci_ref ref;
	struct err err = { 0 };

	assert_int_equal(oci_ref_parse(&arena, text, &ref, &err), 0);
	assert_int_equal(ref.kind, kind);
	assert_string_equal(ref.path, path);
	if (tag)
		assert_string_equal(ref.tag, tag);
	else
		assert_null(ref.tag);
}

static void assert_refused(const char *text, int num, enum err_code code, const char *words)
{
	struct oci_ref ref = { .path = "untouched" };
	struct err err = { 0 };

	assert_int_equal(oci_ref_parse(&arena, text, &ref, &err), num);
	assert_int_equal(err.code, code);
	assert_non_null(strstr(err.msg, words));
	assert_string_equal(ref.path, "untouched");
}

static void knows_each_form(void **state)
{
	(void)state;
	assert_ref("oci:dir", OCI_REF_LAYOUT, "dir", NULL);
	assert_ref("oci:/a/b:latest", OCI_REF_LAYOUT, "/a/b", "latest");
	assert_ref("oci:a:docker.io/library/debian:12", OCI_REF_LAYOUT, "a",
		   "docker.io/library/debian:12");
	assert_ref("oci-archive:x.tar", OCI_REF_ARCHIVE, "x.tar", NULL);
	assert_ref("oci-archive:x.tar:v1.0_a-b@c+d", OCI_REF_ARCHIVE, "x.tar", "v1.0_a-b@c+d");
	assert_ref("bundle:a:b", OCI_REF_BUNDLE, "a:b", NULL);
	assert_ref("rootfs:/", OCI_REF_ROOTFS, "/", NULL);
}

static void refuses_what_is_not_there_yet_by_name(void **state)
{
	(void)state;
	assert_refused("docker://debian:12", -EOPNOTSUPP, ERR_UNSUPPORTED,
		       "not there yet; use skopeo copy to an oci: directory");
	assert_refused("containers-storage:debian", -EOPNOTSUPP, ERR_UNSUPPORTED, "skopeo");
	assert_refused("docker-archive:x.tar", -EOPNOTSUPP, ERR_UNSUPPORTED, "docker-archive:");
}

static void refuses_what_is_no_form(void **state)
{
	(void)state;
	assert_refused("", -EINVAL, ERR_USAGE, "must begin with");
	assert_refused("debian:12", -EINVAL, ERR_USAGE, "must begin with");
	assert_refused("OCI:dir", -EINVAL, ERR_USAGE, "must begin with");
	assert_refused("oci:", -EINVAL, ERR_USAGE, "nothing follows 'oci:'");
	assert_refused("oci::tag", -EINVAL, ERR_USAGE, "nothing follows");
	assert_refused("rootfs:", -EINVAL, ERR_USAGE, "nothing follows 'rootfs:'");
	assert_refused("oci:dir:", -EINVAL, ERR_USAGE, "tag");
	assert_refused("oci:dir:-x", -EINVAL, ERR_USAGE, "'-x'");
	assert_refused("oci:dir:a b", -EINVAL, ERR_USAGE, "'a b'");
	assert_refused("rootfs:a\nb", -EINVAL, ERR_USAGE, "control character");
	assert_refused("rootfs:a\x7f", -EINVAL, ERR_USAGE, "control character");
}

static void holds_its_limits(void **state)
{
	char text[OCI_REF_PATH_MAX + OCI_REF_TAG_MAX + 32];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "oci:", 4);
	text[4 + OCI_REF_PATH_MAX] = '\0';
	assert_ref(text, OCI_REF_LAYOUT, text + 4, NULL);
	text[4 + OCI_REF_PATH_MAX] = 'x';
	text[5 + OCI_REF_PATH_MAX] = '\0';
	assert_refused(text, -EINVAL, ERR_USAGE, "4095");

	memset(text, 'x', sizeof(text));
	memcpy(text, "oci:d:", 6);
	text[6 + OCI_REF_TAG_MAX] = '\0';
	assert_ref(text, OCI_REF_LAYOUT, "d", text + 6);
	text[6 + OCI_REF_TAG_MAX] = 'x';
	text[7 + OCI_REF_TAG_MAX] = '\0';
	assert_refused(text, -EINVAL, ERR_USAGE, "can't be a tag");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(knows_each_form, teardown),
		cmocka_unit_test_teardown(refuses_what_is_not_there_yet_by_name, teardown),
		cmocka_unit_test_teardown(refuses_what_is_no_form, teardown),
		cmocka_unit_test_teardown(holds_its_limits, teardown),
	};

	return cmocka_run_group_tests_name("oci/ref", tests, NULL, NULL);
}
