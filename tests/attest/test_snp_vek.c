// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "attest/snp_vek.h"

#include "made.h"

static EVP_PKEY *key;
static const uint8_t chip[64] = { 0xab, 0xcd, [63] = 0xef };

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

static struct made_cert base(void)
{
	struct made_cert cert = {
		.name = "SEV-VCEK", .key = key, .issuer = "x", .issuer_key = key, .to_s = MADE_NOW
	};

	(void)made_extensions("Milan-B0", chip, 64, cert.extensions);
	return cert;
}

static int read_cert(const struct made_cert *in, struct attest_snp_vek *ret)
{
	struct attest_refusal refusal = { .text = "" };
	X509 *cert = made_cert(in);
	int r = attest_snp_vek_read(cert, ret, &refusal);

	X509_free(cert);
	if (r < 0)
		assert_int_equal(refusal.reason, ATTEST_CERTIFICATE_INVALID);
	return r;
}

static void reads_what_amd_writes_there(void **state)
{
	struct made_cert cert = base();
	struct attest_snp_vek vek;

	(void)state;
	assert_int_equal(read_cert(&cert, &vek), 0);
	assert_string_equal(vek.product, "Milan-B0");
	assert_false(vek.has_fmc);
	assert_int_equal(vek.tcb.bootloader, 10);
	assert_int_equal(vek.tcb.tee, 1);
	assert_int_equal(vek.tcb.snp, 23);
	assert_int_equal(vek.tcb.microcode, 0xd1);
	assert_int_equal(vek.chip_id_len, 64);
	assert_memory_equal(vek.chip_id, chip, 64);
	assert_string_equal(vek.provider, "");
	cert.extensions[7] = made_level(MADE_AMD "3.9", 255);
	cert.extensions[8] = made_text(MADE_AMD "5", "CN=cc");
	assert_int_equal(read_cert(&cert, &vek), 0);
	assert_true(vek.has_fmc);
	assert_int_equal(vek.tcb.fmc, 255);
	assert_string_equal(vek.provider, "CN=cc");
}

/* A chip's id lies there raw, or as an OCTET STRING; 64 bytes, or Turin's 8. */
static void a_chip_id_comes_in_four_forms(void **state)
{
	uint8_t wrapped[66] = { 4, 64 }, plain[66] = { 0 };
	struct attest_snp_vek vek;

	(void)state;
	memcpy(wrapped + 2, chip, 64);
	memcpy(plain, chip, 64);
	for (size_t len = 0; len <= 66; len++) {
		struct made_cert cert = base();
		bool is_good = len == 8 || len == 10 || len == 64 || len == 66;

		wrapped[1] = (uint8_t)(len - 2);
		cert.extensions[6] =
			made_bytes(MADE_AMD "4", len == 10 || len == 66 ? wrapped : plain, len);
		assert_int_equal(read_cert(&cert, &vek), is_good ? 0 : -EBADMSG);
		if (is_good) {
			assert_int_equal(vek.chip_id_len, len < 64 ? 8 : 64);
			assert_memory_equal(vek.chip_id, chip, vek.chip_id_len);
		}
	}
}

static void refuses_extension(size_t place, struct made_extension extension)
{
	struct attest_snp_vek vek = { .has_fmc = true };
	struct made_cert cert = base();

	cert.extensions[place] = extension;
	assert_int_equal(read_cert(&cert, &vek), -EBADMSG);
	assert_true(vek.has_fmc);
}

static void a_level_is_a_number_of_one_byte(void **state)
{
	static const struct made_extension bad[] = {
		{ MADE_AMD "3.1", { 2, 1, 0x80 }, 3, false },
		{ MADE_AMD "3.1", { 2, 2, 0, 0x7f }, 4, false },
		{ MADE_AMD "3.1", { 2, 2, 1, 0 }, 4, false },
		{ MADE_AMD "3.1", { 2, 1 }, 2, false },
		{ MADE_AMD "3.1", { 4, 1, 5 }, 3, false },
		{ MADE_AMD "3.1", { 2, 1, 5, 0 }, 4, false },
		{ MADE_AMD "3.1", { 2, 3, 0, 0, 5 }, 5, false },
		{ MADE_AMD "3.1", { 0 }, 0, false },
	};
	static const uint8_t good[] = { 0, 0x7f, 0x80, 0xff };
	struct attest_snp_vek vek;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuses_extension(2, bad[i]);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct made_cert cert = base();

		cert.extensions[2] = made_level(MADE_AMD "3.1", good[i]);
		assert_int_equal(read_cert(&cert, &vek), 0);
		assert_int_equal(vek.tcb.bootloader, good[i]);
	}
}

static void a_name_is_printable_and_short(void **state)
{
	char name[ATTEST_SNP_NAME_MAX + 2] = "";
	struct made_cert cert = base();
	struct attest_snp_vek vek;

	(void)state;
	refuses_extension(1, made_text(MADE_AMD "2", ""));
	refuses_extension(1, made_text(MADE_AMD "2", "Mil\nan"));
	refuses_extension(1, made_text(MADE_AMD "2", "Mil\xff"));
	refuses_extension(1,
			  (struct made_extension){ MADE_AMD "2", { 0x16, 3, 'a', 'b' }, 4, false });
	refuses_extension(1,
			  (struct made_extension){ MADE_AMD "2", { 0x0c, 2, 'a', 'b' }, 4, false });
	memset(name, 'x', ATTEST_SNP_NAME_MAX);
	cert.extensions[1] = made_text(MADE_AMD "2", name);
	assert_int_equal(read_cert(&cert, &vek), 0);
	name[ATTEST_SNP_NAME_MAX] = 'x';
	refuses_extension(1, made_text(MADE_AMD "2", name));
}

static void nothing_is_there_twice_and_nothing_is_missing(void **state)
{
	struct attest_snp_vek vek;

	(void)state;
	for (size_t i = 1; i < 7; i++) {
		struct made_cert twice = base(), without = base();

		twice.extensions[7] = twice.extensions[i];
		assert_int_equal(read_cert(&twice, &vek), -EBADMSG);
		without.extensions[i] = made_level("1.2.3.4", 0);
		assert_int_equal(read_cert(&without, &vek), i == 6 ? 0 : -EBADMSG);
		if (i == 6)
			assert_int_equal(vek.chip_id_len, 0);
	}
}

static void a_product_may_have_a_stepping(void **state)
{
	struct attest_snp_vek vek = { .product = "Milan-B0" };

	(void)state;
	assert_true(attest_snp_vek_is_of(&vek, ATTEST_SNP_MILAN));
	assert_false(attest_snp_vek_is_of(&vek, ATTEST_SNP_GENOA));
	vek = (struct attest_snp_vek){ .product = "Milan" };
	assert_true(attest_snp_vek_is_of(&vek, ATTEST_SNP_MILAN));
	vek = (struct attest_snp_vek){ .product = "Mila" };
	assert_false(attest_snp_vek_is_of(&vek, ATTEST_SNP_MILAN));
	vek = (struct attest_snp_vek){ .product = "Milano" };
	assert_false(attest_snp_vek_is_of(&vek, ATTEST_SNP_MILAN));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_amd_writes_there),
		cmocka_unit_test(a_chip_id_comes_in_four_forms),
		cmocka_unit_test(a_level_is_a_number_of_one_byte),
		cmocka_unit_test(a_name_is_printable_and_short),
		cmocka_unit_test(nothing_is_there_twice_and_nothing_is_missing),
		cmocka_unit_test(a_product_may_have_a_stepping),
	};

	return cmocka_run_group_tests(tests, make_key, drop_key);
}
