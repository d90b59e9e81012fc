// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "attest/certs.h"
#include "attest/roots.h"
#include "made.h"
#include "vectors.h"

static void the_table_has_amd_and_nobody_else(void **state)
{
	const struct attest_roots *roots = attest_roots_amd();

	(void)state;
	assert_int_equal(roots->count, 3);
	for (size_t i = 0; i < roots->count; i++) {
		assert_true(roots->at[i].product == ATTEST_SNP_MILAN ||
			    roots->at[i].product == ATTEST_SNP_GENOA ||
			    roots->at[i].product == ATTEST_SNP_TURIN);
		for (size_t j = 0; j < i; j++)
			assert_true(roots->at[i].product != roots->at[j].product);
	}
}

static void keys_of_a_product_have_names_of_their_own(void **state)
{
	(void)state;
	assert_string_equal(attest_snp_names(ATTEST_SNP_GENOA)->ask, "SEV-Genoa");
	assert_string_equal(attest_snp_names(ATTEST_SNP_TURIN)->asvk, "SEV-VLEK-Turin");
	assert_null(attest_snp_names(ATTEST_SNP_SIM)->asvk);
	assert_null(strstr(attest_snp_names(ATTEST_SNP_SIM)->vcek, "SEV"));
}

static void check_file(const char *name, enum attest_snp_product product)
{
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 };
	uint8_t digest[ATTEST_ROOT_SIZE];
	bool found = false;

	assert_true(vectors_read(name, &text));
	assert_int_equal(attest_certs_add(&certs, buf_bytes(&text), NULL), 0);
	assert_int_equal(certs.count, 1);
	made_digest(certs.at[0], digest);
	for (size_t i = 0; i < attest_roots_amd()->count; i++)
		found = found ||
			(attest_roots_amd()->at[i].product == product &&
			 memcmp(attest_roots_amd()->at[i].sha256, digest, sizeof(digest)) == 0);
	assert_true(found);
}

static void roots_are_those_that_others_have_on_vectors(void **state)
{
	(void)state;
	check_file("snp/roots/milan_ark.pem", ATTEST_SNP_MILAN);
	check_file("snp/roots/genoa_ark.pem", ATTEST_SNP_GENOA);
	check_file("snp/roots/turin_ark.pem", ATTEST_SNP_TURIN);
}
ON_VECTORS(roots_are_those_that_others_have)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_has_amd_and_nobody_else),
		cmocka_unit_test(keys_of_a_product_have_names_of_their_own),
		cmocka_unit_test(roots_are_those_that_others_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
