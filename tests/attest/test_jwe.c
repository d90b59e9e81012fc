// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "attest/base64.h"
#include "attest/jwe.h"

/* RFC 7517, A.1, and its private key, A.2. */
#define JWK_X "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"
#define JWK_Y "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
#define JWK_D "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"
#define JWK(alg, crv, kty, x, y)                                                                  \
	"{\"alg\":\"" alg "\",\"crv\":\"" crv "\",\"kty\":\"" kty "\",\"x\":\"" x "\",\"y\":\"" y \
	"\"}"
#define GOOD_JWK JWK("ECDH-ES+A256KW", "P-256", "EC", JWK_X, JWK_Y)
#define HEADER(alg, enc, more)                                                                \
	"{\"alg\":\"" alg "\",\"enc\":\"" enc "\",\"epk\":{\"crv\":\"P-256\",\"kty\":\"EC\"," \
	"\"x\":\"" JWK_X "\",\"y\":\"" JWK_Y "\"" more "}}"

static const struct attest_jwe_random chance = {
	.private_key = { 1, 2, 3, 4, 5 },
	.cek = { 6, 7, 8, 9 },
	.iv = { 10, 11, 12 },
};

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static void own_key(uint8_t ret[ATTEST_JWK_SCALAR])
{
	assert_int_equal(attest_base64_fixed(bytes_of(JWK_D), true, ATTEST_JWK_SCALAR, ret), 0);
}

static int read_jwk(const char *text, struct attest_jwk *ret)
{
	CLEANUP(oci_json_free) json_t *json = NULL;
	struct err err = { 0 };
	struct oci_json root;

	assert_int_equal(oci_json_load(bytes_of(text), "key", &json, &err), 0);
	root = oci_json_root(json, "key");
	return attest_jwk_read(&root, ret, &err);
}

static void a_public_key_is_that_of_its_private_one(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	uint8_t key[ATTEST_JWK_SCALAR];
	struct attest_jwk made, read;

	(void)state;
	own_key(key);
	assert_int_equal(attest_jwk_make(key, &made), 0);
	assert_int_equal(attest_jwk_print(&made, &text), 0);
	assert_int_equal(text.len, strlen(GOOD_JWK));
	assert_memory_equal(text.at, GOOD_JWK, text.len);
	assert_int_equal(read_jwk(GOOD_JWK, &read), 0);
	assert_memory_equal(&made, &read, sizeof(made));
}

static void numbers_that_are_no_key_are_told(void **state)
{
	/* FIPS 186-4, D.1.2.3: the order of the curve */
	static const uint8_t order[] = { 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00,
					 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
					 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51 };
	uint8_t key[ATTEST_JWK_SCALAR] = { 0 };
	struct attest_jwk public_key;

	(void)state;
	assert_int_equal(attest_jwk_make(key, &public_key), -ERANGE);
	key[31] = 1;
	assert_int_equal(attest_jwk_make(key, &public_key), 0);
	memcpy(key, order, sizeof(key));
	assert_int_equal(attest_jwk_make(key, &public_key), -ERANGE);
	key[31]--;
	assert_int_equal(attest_jwk_make(key, &public_key), 0);
	memset(key, 0xff, sizeof(key));
	assert_int_equal(attest_jwk_make(key, &public_key), -ERANGE);
}

static void keys_of_any_other_form_are_refused(void **state)
{
	static const char *const bad[] = {
		JWK("ECDH-ES", "P-256", "EC", JWK_X, JWK_Y),
		JWK("ECDH-ES+A256KW", "P-384", "EC", JWK_X, JWK_Y),
		JWK("ECDH-ES+A256KW", "P-256", "OKP", JWK_X, JWK_Y),
		JWK("ECDH-ES+A256KW", "P-256", "EC", JWK_X, JWK_X),
		JWK("ECDH-ES+A256KW", "P-256", "EC", "", ""),
		JWK("ECDH-ES+A256KW", "P-256", "EC", JWK_X "=", JWK_Y),
		JWK("ECDH-ES+A256KW", "P-256", "EC", JWK_X, JWK_Y "AA"),
		JWK("ECDH-ES+A256KW", "P-256", "EC", JWK_X, JWK_Y "\",\"kid\":\"a"),
		"{\"alg\":\"ECDH-ES+A256KW\",\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"" JWK_X "\"}",
		"{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"" JWK_X "\",\"y\":\"" JWK_Y "\"}",
		"{}",
		"[]",
	};
	struct attest_jwk key;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(read_jwk(bad[i], &key), -EINVAL);
}

static void wrap(struct bytes plain, struct buf *ret)
{
	struct attest_jwk to;

	assert_int_equal(read_jwk(GOOD_JWK, &to), 0);
	assert_int_equal(attest_jwe_wrap(&to, &chance, plain, ret), 0);
}

static void what_was_wrapped_comes_out_again(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 1000, ATTEST_JWE_PLAIN_MAX };
	cleanup_free uint8_t *plain = malloc(ATTEST_JWE_PLAIN_MAX + 1);
	uint8_t key[ATTEST_JWK_SCALAR];

	(void)state;
	own_key(key);
	assert_non_null(plain);
	for (size_t i = 0; i < ATTEST_JWE_PLAIN_MAX + 1; i++)
		plain[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(buf_done) struct buf text = { 0 }, out = { 0 };
		struct err err = { 0 };

		wrap((struct bytes){ plain, sizes[i] }, &text);
		assert_int_equal(attest_jwe_unwrap(key, buf_bytes(&text), &out, &err), 0);
		assert_int_equal(out.len, sizes[i]);
		assert_memory_equal(out.at, plain, out.len);
	}
}

static void a_secret_and_a_message_have_limits(void **state)
{
	cleanup_free uint8_t *large = calloc(1, ATTEST_JWE_TEXT_MAX + 1);
	CLEANUP(buf_done) struct buf text = { 0 };
	uint8_t key[ATTEST_JWK_SCALAR];
	struct attest_jwe_random none = { 0 };
	struct attest_jwk to;
	struct err err = { 0 };

	(void)state;
	own_key(key);
	assert_non_null(large);
	assert_int_equal(read_jwk(GOOD_JWK, &to), 0);
	assert_int_equal(attest_jwe_wrap(&to, &chance,
					 (struct bytes){ large, ATTEST_JWE_PLAIN_MAX + 1 }, &text),
			 -E2BIG);
	assert_int_equal(attest_jwe_wrap(&to, &none, bytes_of("a"), &text), -ERANGE);
	assert_int_equal(text.len, 0);
	memset(large, ' ', ATTEST_JWE_TEXT_MAX + 1);
	assert_int_equal(attest_jwe_unwrap(key, (struct bytes){ large, ATTEST_JWE_TEXT_MAX + 1 },
					   &text, &err),
			 -E2BIG);
	assert_int_equal(attest_jwe_unwrap(key, (struct bytes){ large, ATTEST_JWE_TEXT_MAX }, &text,
					   &err),
			 -EINVAL);
}

/* Made by this code; `jose jwe dec` (José 11) gives "secret" for it. */
static const char vector[] =
	"{\"protected\":\"eyJhbGciOiJFQ0RILUVTK0EyNTZLVyIsImVuYyI6IkEyNTZHQ00iLCJlcG"
	"siOnsiY3J2IjoiUC0yNTYiLCJrdHkiOiJFQyIsIngiOiJVLTRyWWl6WHZCSTNfLUtlTDhZRk"
	"VncE14ZkdUeUZLTXNJN2NwWkN1OHVrIiwieSI6ImFBQmdDNDVvMVVrcG1ld0tscFVVb2I3WU"
	"FYN0NvbFVxQWZJdDVFckUzak0ifX0\",\"encrypted_key\":\"TiSFlamETbmVRFiz5yET1JqR"
	"RkoOfNF3_PPVJ7kArHSGkXr0yXCG3g\",\"iv\":\"CgsMAAAAAAAAAAAA\",\"ciphertext\":\"TJ"
	"oiD_zA\",\"tag\":\"CVhZfEwqOyGGfWmhQ80-FQ\"}";

static void the_message_is_the_one_that_others_open(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };

	(void)state;
	wrap(bytes_of("secret"), &text);
	assert_int_equal(text.len, strlen(vector));
	assert_memory_equal(text.at, vector, text.len);
}

static void the_header_has_one_form(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 }, header = { 0 }, want = { 0 };
	CLEANUP(oci_json_free) json_t *json = NULL;
	struct attest_jwk epk;
	struct err err = { 0 };
	const char *encoded;

	(void)state;
	wrap(bytes_of("secret"), &text);
	assert_int_equal(oci_json_load(buf_bytes(&text), "JWE", &json, &err), 0);
	encoded = json_string_value(json_object_get(json, "protected"));
	assert_int_equal(attest_base64_read(bytes_of(encoded), true, &header), 0);
	assert_int_equal(attest_jwk_make(chance.private_key, &epk), 0);
	assert_int_equal(buf_addf(&want, "{\"alg\":\"ECDH-ES+A256KW\",\"enc\":\"A256GCM\","
					 "\"epk\":{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\""),
			 0);
	assert_int_equal(attest_base64_add(&want, (struct bytes){ epk.x, 32 }, true), 0);
	assert_int_equal(buf_addf(&want, "\",\"y\":\""), 0);
	assert_int_equal(attest_base64_add(&want, (struct bytes){ epk.y, 32 }, true), 0);
	assert_int_equal(buf_addf(&want, "\"}}"), 0);
	assert_int_equal(header.len, want.len);
	assert_memory_equal(header.at, want.at, want.len);
}

static void another_key_does_not_open_it(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 }, out = { 0 };
	uint8_t key[ATTEST_JWK_SCALAR] = { 1 };
	struct err err = { 0 };

	(void)state;
	wrap(bytes_of("secret"), &text);
	assert_int_equal(attest_jwe_unwrap(key, buf_bytes(&text), &out, &err), -EBADMSG);
	assert_int_equal(out.len, 0);
}

static void no_altered_byte_passes(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	uint8_t key[ATTEST_JWK_SCALAR];

	(void)state;
	own_key(key);
	wrap(bytes_of("secret"), &text);
	for (size_t i = 0; i < text.len; i++) {
		CLEANUP(buf_done) struct buf out = { 0 };

		text.at[i] ^= 1;
		assert_true(attest_jwe_unwrap(key, buf_bytes(&text), &out, NULL) < 0);
		assert_int_equal(out.len, 0);
		text.at[i] ^= 1;
	}
}

/* As a server of another mind would send it. */
static int unwrap_with_header(const char *header, const char *more)
{
	CLEANUP(buf_done) struct buf text = { 0 }, out = { 0 };
	uint8_t key[ATTEST_JWK_SCALAR];
	struct err err = { 0 };

	own_key(key);
	assert_int_equal(buf_addf(&text, "{\"protected\":\""), 0);
	assert_int_equal(attest_base64_add(&text, bytes_of(header), true), 0);
	assert_int_equal(buf_addf(&text,
				  "\",\"encrypted_key\":"
				  "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
				  "\"iv\":\"AAAAAAAAAAAAAAAA\",\"ciphertext\":\"AAAA\","
				  "\"tag\":\"AAAAAAAAAAAAAAAAAAAAAA\"%s}",
				  more),
			 0);
	return attest_jwe_unwrap(key, buf_bytes(&text), &out, &err);
}

static void other_algorithms_and_unknown_names_are_refused(void **state)
{
	(void)state;
	assert_int_equal(unwrap_with_header(HEADER("ECDH-ES+A256KW", "A256GCM", ""), ""), -EBADMSG);
	assert_int_equal(unwrap_with_header(HEADER("ECDH-ES", "A256GCM", ""), ""), -EINVAL);
	assert_int_equal(unwrap_with_header(HEADER("none", "A256GCM", ""), ""), -EINVAL);
	assert_int_equal(unwrap_with_header(HEADER("ECDH-ES+A256KW", "A128GCM", ""), ""), -EINVAL);
	assert_int_equal(unwrap_with_header(HEADER("ECDH-ES+A256KW", "A256GCM", ",\"d\":\"\""), ""),
			 -EINVAL);
	assert_int_equal(unwrap_with_header("{}", ""), -EINVAL);
	assert_int_equal(unwrap_with_header("", ""), -EINVAL);
	assert_int_equal(unwrap_with_header(HEADER("ECDH-ES+A256KW", "A256GCM", ""),
					    ",\"aad\":\"AAAA\""),
			 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_public_key_is_that_of_its_private_one),
		cmocka_unit_test(numbers_that_are_no_key_are_told),
		cmocka_unit_test(keys_of_any_other_form_are_refused),
		cmocka_unit_test(what_was_wrapped_comes_out_again),
		cmocka_unit_test(a_secret_and_a_message_have_limits),
		cmocka_unit_test(the_message_is_the_one_that_others_open),
		cmocka_unit_test(the_header_has_one_form),
		cmocka_unit_test(another_key_does_not_open_it),
		cmocka_unit_test(no_altered_byte_passes),
		cmocka_unit_test(other_algorithms_and_unknown_names_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
