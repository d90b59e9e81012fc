// SPDX-License-Identifier: Apache-2.0
#include "cli/reference.h"

#include <errno.h>

#include <openssl/pem.h>

#include "../attest/made.h"
#include "../folder.h"
#include "attest/expect.h"

static char path[64];

static struct reference wanted(uint8_t fill, bool has_launch_digest)
{
	struct reference reference = { .path = path,
				       .dir = folder_path,
				       .has_launch_digest = has_launch_digest };

	(void)snprintf(path, sizeof(path), "%s/ref.json", folder_path);
	memset(reference.host_data, fill, sizeof(reference.host_data));
	memset(reference.launch_digest, fill + 1, sizeof(reference.launch_digest));
	return reference;
}

static void read_back(struct attest_expect *ret)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct err err = { 0 };

	assert_int_equal(file_read(folder_fd, "ref.json", 1 << 20, &text, NULL), 0);
	if (attest_expect_parse(buf_bytes(&text), ret, &err) < 0)
		fail_msg("%s", err.msg);
}

static void put(const char *name, const char *text)
{
	assert_int_equal(file_write_atomic(folder_fd, name,
					   (struct bytes){ (const uint8_t *)text, strlen(text) },
					   0644, NULL),
			 0);
}

static void a_verifier_reads_what_was_written(void **state)
{
	const struct reference reference = wanted(7, true);
	struct attest_expect expect;

	(void)state;
	assert_int_equal(reference_write(&reference, NULL), 0);
	read_back(&expect);
	assert_int_equal(expect.launch_digests.count, 1);
	assert_memory_equal(expect.launch_digests.at[0], reference.launch_digest,
			    sizeof(reference.launch_digest));
	assert_int_equal(expect.host_data_count, 1);
	assert_memory_equal(expect.host_data[0], reference.host_data, sizeof(reference.host_data));
	assert_int_equal(expect.allow, ATTEST_ALLOW_SIMULATED);
	assert_int_equal(expect.sim_root_count, 0);
}

static void another_policy_leaves_the_launch_as_it_is(void **state)
{
	const struct reference first = wanted(7, true), second = wanted(9, false);
	struct attest_expect expect;

	(void)state;
	assert_int_equal(reference_write(&first, NULL), 0);
	assert_int_equal(reference_write(&second, NULL), 0);
	read_back(&expect);
	assert_int_equal(expect.launch_digests.count, 1);
	assert_memory_equal(expect.launch_digests.at[0], first.launch_digest,
			    sizeof(first.launch_digest));
	assert_int_equal(expect.host_data_count, 1);
	assert_memory_equal(expect.host_data[0], second.host_data, sizeof(second.host_data));
}

static void one_that_is_not_there_or_not_of_the_form_is_refused(void **state)
{
	const struct reference reference = wanted(9, false);
	struct err err = { 0 };

	(void)state;
	assert_int_equal(reference_write(&reference, &err), -ENOENT);
	assert_int_equal(err.code, ERR_USAGE);
	put("ref.json", "{\"schema\": 1, \"what\": []}");
	assert_int_equal(reference_write(&reference, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "--reference '/tmp/"));
}

static void the_root_of_the_hosts_processor_is_named(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-384");
	const struct made_cert made = { .name = "Root",
					.key = key,
					.issuer = "Root",
					.issuer_key = key,
					.from_s = MADE_NOW,
					.to_s = MADE_NOW + MADE_YEAR,
					.is_ca = true };
	const struct reference reference = wanted(1, true);
	X509 *cert = made_cert(&made);
	uint8_t digest[ATTEST_ROOT_SIZE];
	struct attest_expect expect;
	struct err err = { 0 };
	char name[64];
	FILE *file;

	(void)state;
	(void)snprintf(name, sizeof(name), "%s/root.pem", folder_path);
	file = fopen(name, "w");
	assert_non_null(file);
	assert_int_equal(PEM_write_X509(file, cert), 1);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(X509_digest(cert, EVP_sha256(), digest, NULL), 1);
	assert_int_equal(reference_write(&reference, NULL), 0);
	read_back(&expect);
	assert_int_equal(expect.sim_root_count, 1);
	assert_memory_equal(expect.sim_roots[0], digest, sizeof(digest));
	put("root.pem", "not a certificate");
	assert_true(reference_write(&reference, &err) < 0);
	assert_non_null(strstr(err.msg, "read the simulated processor's root"));
	X509_free(cert);
	EVP_PKEY_free(key);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_set_up, folder_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_verifier_reads_what_was_written),
		TEST(another_policy_leaves_the_launch_as_it_is),
		TEST(one_that_is_not_there_or_not_of_the_form_is_refused),
		TEST(the_root_of_the_hosts_processor_is_named),
	};

	return cmocka_run_group_tests_name("cli/reference", tests, NULL, NULL);
}
