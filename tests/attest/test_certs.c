// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/certs.h"
#include "base/buf.h"

#include "made.h"

static EVP_PKEY *key;

static int make_key(void **state)
{
	(void)state;
	key = EVP_EC_gen("P-384");
	return key ? 0 : -1;
}

static int drop_key(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	return 0;
}

/* A certificate with that serial number, as DER. */
static void add_der(struct buf *ret, long serial)
{
	X509 *cert = made_cert(&(struct made_cert){ .name = "a",
						    .key = key,
						    .issuer = "a",
						    .issuer_key = key,
						    .to_s = MADE_NOW,
						    .serial = serial });
	uint8_t *at = NULL;
	int len = i2d_X509(cert, &at);

	assert_true(len > 0);
	assert_int_equal(buf_add(ret, at, (size_t)len), 0);
	OPENSSL_free(at);
	X509_free(cert);
}

static void add_pem(struct buf *ret, long serial)
{
	CLEANUP(buf_done) struct buf der = { 0 };
	cleanup_free uint8_t *text = NULL;

	add_der(&der, serial);
	text = malloc(der.len * 2);
	assert_non_null(text);
	(void)EVP_EncodeBlock(text, der.at, (int)der.len);
	assert_int_equal(buf_addf(ret,
				  "-----BEGIN CERTIFICATE-----\r\n%.64s\n%s\n"
				  "-----END CERTIFICATE-----\n",
				  (char *)text, (char *)text + 64),
			 0);
}

static void add_list(struct buf *ret, bool as_pem)
{
	X509_NAME *name = made_name("a");
	ASN1_TIME *time = ASN1_TIME_set(NULL, MADE_NOW);
	X509_CRL *crl = X509_CRL_new();
	cleanup_free uint8_t *text = malloc(4096);
	uint8_t *at = NULL;
	int len;

	assert_true(X509_CRL_set_version(crl, 1) && X509_CRL_set_issuer_name(crl, name) &&
		    X509_CRL_set1_lastUpdate(crl, time) && X509_CRL_sign(crl, key, EVP_sha384()));
	len = i2d_X509_CRL(crl, &at);
	if (as_pem) {
		(void)EVP_EncodeBlock(text, at, len);
		assert_int_equal(buf_addf(ret,
					  "-----BEGIN X509 CRL-----\n%s\n-----END X509 CRL-----\n",
					  (char *)text),
				 0);
	} else {
		assert_int_equal(buf_add(ret, at, (size_t)len), 0);
	}
	OPENSSL_free(at);
	X509_CRL_free(crl);
	X509_NAME_free(name);
	ASN1_TIME_free(time);
}

static int add(struct attest_certs *certs, const struct buf *text)
{
	struct err err = { 0 };
	int r = attest_certs_add(certs, buf_bytes(text), &err);

	assert_int_equal(r < 0, err.msg[0] != '\0');
	return r;
}

static void takes_der_and_pem_and_each_once(void **state)
{
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	CLEANUP(buf_done) struct buf der = { 0 }, list = { 0 }, pem = { 0 };

	(void)state;
	add_der(&der, 1);
	assert_int_equal(add(&certs, &der), 0);
	assert_int_equal(certs.count, 1);
	assert_int_equal(add(&certs, &der), 0);
	assert_int_equal(certs.count, 1);
	assert_int_equal(buf_addf(&pem, "words\n"), 0);
	add_pem(&pem, 2);
	add_list(&pem, true);
	assert_int_equal(buf_addf(&pem, "more words\n"), 0);
	add_pem(&pem, 3);
	assert_int_equal(add(&certs, &pem), 0);
	assert_int_equal(certs.count, 3);
	assert_int_equal(certs.crl_count, 1);
	add_list(&list, false);
	assert_int_equal(add(&certs, &list), 0);
	assert_int_equal(certs.crl_count, 2);
}

static void what_is_neither_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"hello\n",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"-----BEGIN CERTIFICATE-----\nAAAA\n",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\n====\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nA*AA\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nA=AA\n-----END CERTIFICATE-----\n",
	};
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(buf_done) struct buf text = { 0 };

		assert_int_equal(buf_addf(&text, "%s", bad[i]), 0);
		assert_int_equal(add(&certs, &text), -EBADMSG);
	}
	assert_int_equal(certs.count, 0);
}

static void all_of_a_der_is_the_certificate(void **state)
{
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	CLEANUP(buf_done) struct buf der = { 0 };
	size_t len;

	(void)state;
	add_der(&der, 1);
	for (len = 0; len < der.len; len++)
		assert_int_equal(attest_certs_add(&certs, (struct bytes){ der.at, len }, NULL),
				 -EBADMSG);
	assert_int_equal(buf_add(&der, "", 1), 0);
	assert_int_equal(add(&certs, &der), -EBADMSG);
	assert_int_equal(certs.count, 0);
}

static void put_entry(struct buf *table, size_t place, size_t off, size_t len)
{
	uint8_t *at = table->at + 24 * place;

	memset(at, 0x5a, 16);
	made_put(at, 16, off, 4);
	made_put(at, 20, len, 4);
}

/* What a host hands its guest: entries, an empty one, then what they point at. */
static void make_table(struct buf *table, size_t entries, const struct buf *contents)
{
	table->len = 0;
	assert_int_equal(buf_reserve(table, 24 * (entries + 1) + contents->len), 0);
	memset(table->at, 0, 24 * (entries + 1));
	table->len = 24 * (entries + 1);
	assert_int_equal(buf_add(table, contents->at, contents->len), 0);
	for (size_t i = 0; i < entries; i++)
		put_entry(table, i, 24 * (entries + 1), contents->len);
}

static void takes_a_table_of_the_host_s(void **state)
{
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	CLEANUP(buf_done) struct buf table = { 0 }, der = { 0 }, junk = { 0 };

	(void)state;
	add_der(&der, 1);
	make_table(&table, 2, &der);
	assert_int_equal(add(&certs, &table), 0);
	assert_int_equal(certs.count, 1);
	/* An entry of another kind is passed over; a table of those only has nothing for us. */
	put_entry(&table, 1, 0, 5);
	assert_int_equal(add(&certs, &table), -EBADMSG);
	attest_certs_done(&certs);
	assert_int_equal(add(&certs, &table), 0);
	assert_int_equal(buf_addf(&junk, "0123456789"), 0);
	make_table(&table, 1, &junk);
	assert_int_equal(add(&certs, &table), -EBADMSG);
}

static void a_table_stays_within_itself(void **state)
{
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	CLEANUP(buf_done) struct buf table = { 0 }, der = { 0 };

	(void)state;
	add_der(&der, 1);
	make_table(&table, 1, &der);
	put_entry(&table, 0, 48, der.len + 1);
	assert_int_equal(add(&certs, &table), -EBADMSG);
	put_entry(&table, 0, UINT32_MAX, 1);
	assert_int_equal(add(&certs, &table), -EBADMSG);
	put_entry(&table, 0, 48, UINT32_MAX);
	assert_int_equal(add(&certs, &table), -EBADMSG);
	put_entry(&table, 0, 48, 0);
	assert_int_equal(add(&certs, &table), -EBADMSG);
	put_entry(&table, 0, 48, der.len);
	table.len = 47; /* the entry that ends it is cut */
	assert_int_equal(add(&certs, &table), -EBADMSG);
}

static void there_are_limits(void **state)
{
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 }, one = { 0 }, der = { 0 };

	(void)state;
	for (long i = 1; i <= ATTEST_CERTS_MAX; i++)
		add_pem(&text, i);
	assert_int_equal(add(&certs, &text), 0);
	assert_int_equal(certs.count, ATTEST_CERTS_MAX);
	add_pem(&one, ATTEST_CERTS_MAX + 1);
	assert_int_equal(add(&certs, &one), -E2BIG);
	assert_int_equal(certs.count, ATTEST_CERTS_MAX);
	for (size_t i = 0; i < ATTEST_CRLS_MAX; i++) {
		one.len = 0;
		add_list(&one, false);
		assert_int_equal(add(&certs, &one), 0);
	}
	one.len = 0;
	add_list(&one, false);
	assert_int_equal(add(&certs, &one), -E2BIG);
	attest_certs_done(&certs);
	add_der(&der, 1);
	make_table(&text, ATTEST_CERTS_TABLE_MAX, &der);
	assert_int_equal(add(&certs, &text), 0);
	make_table(&text, ATTEST_CERTS_TABLE_MAX + 1, &der);
	assert_int_equal(add(&certs, &text), -E2BIG);
	text.len = 0;
	assert_int_equal(buf_reserve(&text, ATTEST_CERTS_TEXT_MAX + 1), 0);
	text.len = ATTEST_CERTS_TEXT_MAX + 1;
	assert_int_equal(add(&certs, &text), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_der_and_pem_and_each_once),
		cmocka_unit_test(what_is_neither_is_refused),
		cmocka_unit_test(all_of_a_der_is_the_certificate),
		cmocka_unit_test(takes_a_table_of_the_host_s),
		cmocka_unit_test(a_table_stays_within_itself),
		cmocka_unit_test(there_are_limits),
	};

	return cmocka_run_group_tests(tests, make_key, drop_key);
}
