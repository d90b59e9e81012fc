// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "oci/digest.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void prints_what_it_has_read(void **state)
{
	struct oci_digest digest, other;
	char text[OCI_DIGEST_TEXT], hex[2 * OCI_DIGEST_BYTES + 1];

	(void)state;
	assert_int_equal(oci_digest_parse("sha256:" HEX, &digest), 0);
	assert_int_equal(digest.sha256[0], 0x01);
	assert_int_equal(digest.sha256[31], 0xef);
	oci_digest_format(&digest, text);
	assert_string_equal(text, "sha256:" HEX);
	oci_digest_hex(&digest, hex);
	assert_string_equal(hex, HEX);
	other = digest;
	assert_true(oci_digest_equal(&digest, &other));
	other.sha256[31] ^= 1;
	assert_false(oci_digest_equal(&digest, &other));
}

static void refuses_what_is_no_digest(void **state)
{
	static const char *const wrong[] = {
		"",
		"sha256",
		"sha256:",
		HEX,
		"sha256:" HEX "0",
		"SHA256:" HEX,
		"sha256: " HEX,
		"sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
		"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
		"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg",
		"sha256:../../../../etc/passwd",
		":" HEX,
		"sha512:",
		"sha512:/",
	};
	struct oci_digest digest;

	(void)state;
	memset(&digest, 7, sizeof(digest));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(oci_digest_parse(wrong[i], &digest), -EINVAL);
	assert_int_equal(digest.sha256[0], 7); /* untouched on failure */
}

static void tells_another_algorithm_from_nonsense(void **state)
{
	struct oci_digest digest;

	(void)state;
	assert_int_equal(oci_digest_parse("sha512:" HEX HEX, &digest), -EOPNOTSUPP);
	assert_int_equal(oci_digest_parse("multihash+base58:Qm=_-", &digest), -EOPNOTSUPP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_what_it_has_read),
		cmocka_unit_test(refuses_what_is_no_digest),
		cmocka_unit_test(tells_another_algorithm_from_nonsense),
	};

	return cmocka_run_group_tests_name("oci/digest", tests, NULL, NULL);
}
