// SPDX-License-Identifier: Apache-2.0
#include "folder.h"

#include <errno.h>
#include <sys/stat.h>

#include <openssl/pem.h>

#include "attest/certs.h"
#include "attest/snp_verify.h"
#include "simtee/identity.h"

static struct buf file(const char *name)
{
	struct buf text = { 0 };

	assert_int_equal(file_read(folder_fd, name, IDENTITY_SIZE_MAX, &text, NULL), 0);
	return text;
}

static void mode_is(const char *name, mode_t mode)
{
	struct stat st;

	assert_int_equal(fstatat(folder_fd, name, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void load(struct identity *ret)
{
	struct err err = { 0 };

	if (identity_load(folder_fd, ret, &err) < 0)
		fail_msg("%s", err.msg);
}

static void is_made_once_and_stays(void **state)
{
	CLEANUP(identity_done) struct identity one = { 0 };
	CLEANUP(identity_done) struct identity two = { 0 };
	CLEANUP(buf_done) struct buf first = { 0 };
	CLEANUP(buf_done) struct buf second = { 0 };

	(void)state;
	load(&one);
	first = file("identity.pem");
	mode_is("identity.pem", 0600);
	mode_is("root.pem", 0644);
	load(&two);
	second = file("identity.pem");
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.at, second.at, first.len);
	assert_memory_equal(one.chip_id, two.chip_id, sizeof(one.chip_id));
	assert_int_equal(EVP_PKEY_eq(one.key, two.key), 1);
	assert_int_equal(one.certificates.len, two.certificates.len);
	/* of what is handed out */
	assert_null(memmem(one.certificates.at, one.certificates.len, "PRIVATE", 7));
}

static void two_hosts_have_two(void **state)
{
	CLEANUP(identity_done) struct identity one = { 0 };
	CLEANUP(identity_done) struct identity two = { 0 };

	(void)state;
	load(&one);
	assert_int_equal(unlinkat(folder_fd, "identity.pem", 0), 0);
	load(&two);
	assert_memory_not_equal(one.chip_id, two.chip_id, sizeof(one.chip_id));
	assert_int_equal(EVP_PKEY_eq(one.key, two.key), 0);
}

/* The root is published again where it is missing, or another's. */
static void the_root_is_that_of_the_key(void **state)
{
	CLEANUP(identity_done) struct identity one = { 0 };
	CLEANUP(identity_done) struct identity two = { 0 };
	CLEANUP(buf_done) struct buf first = { 0 };
	CLEANUP(buf_done) struct buf second = { 0 };

	(void)state;
	load(&one);
	first = file("root.pem");
	assert_int_equal(file_write_atomic(folder_fd, "root.pem",
					   (struct bytes){ (const uint8_t *)"x", 1 }, 0644, NULL),
			 0);
	load(&two);
	second = file("root.pem");
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.at, second.at, first.len);
	assert_non_null(memmem(one.certificates.at, one.certificates.len, first.at, first.len));
}

static void is_refused(int num)
{
	struct identity identity = { 0 };
	struct err err = { 0 };

	assert_int_equal(identity_load(folder_fd, &identity, &err), num);
	assert_non_null(strstr(err.msg, "identity.pem"));
	assert_null(identity.key);
}

/* What cannot be read stays: it may be all that is left of a key that others trust. */
static void what_cannot_be_read_is_an_error(void **state)
{
	CLEANUP(identity_done) struct identity one = { 0 };
	CLEANUP(identity_done) struct identity other = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 };
	CLEANUP(buf_done) struct buf after = { 0 };

	(void)state;
	load(&one);
	text = file("identity.pem");
	for (size_t len = 0; len < text.len; len += text.len / 16) {
		assert_int_equal(file_write_atomic(folder_fd, "identity.pem",
						   (struct bytes){ text.at, len }, 0600, NULL),
				 0);
		is_refused(-EBADMSG);
		after = file("identity.pem");
		assert_int_equal(after.len, len);
		buf_done(&after);
	}
	/* another's key before these certificates */
	assert_int_equal(unlinkat(folder_fd, "identity.pem", 0), 0);
	load(&other);
	after = file("identity.pem");
	memcpy(text.at, after.at,
	       (size_t)((uint8_t *)strstr((char *)after.at, "-----END") - after.at));
	assert_int_equal(file_write_atomic(folder_fd, "identity.pem", buf_bytes(&text), 0600, NULL),
			 0);
	is_refused(-EBADMSG);
}

static void others_may_not_read_it(void **state)
{
	CLEANUP(identity_done) struct identity one = { 0 };

	(void)state;
	load(&one);
	assert_int_equal(fchmodat(folder_fd, "identity.pem", 0640, 0), 0);
	is_refused(-EPERM);
	assert_int_equal(fchmodat(folder_fd, "identity.pem", 0602, 0), 0);
	is_refused(-EPERM);
}

static void root_digest(struct attest_roots *roots)
{
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	CLEANUP(buf_done) struct buf text = file("root.pem");
	unsigned len;

	assert_int_equal(attest_certs_add(&certs, buf_bytes(&text), NULL), 0);
	roots->count = 1;
	roots->at[0].product = ATTEST_SNP_SIM;
	assert_int_equal(X509_digest(certs.at[0], EVP_sha256(), roots->at[0].sha256, &len), 1);
}

/* Now, and in a thousand years; each report's signature is another's. */
static void its_reports_verify(void **state)
{
	static const int64_t times[] = { 1600000000, 1800000000, 33000000000 };
	const struct attest_expect expect = { .allow = ATTEST_ALLOW_SIMULATED };
	CLEANUP(identity_done) struct identity identity = { 0 };
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	uint8_t report[ATTEST_SNP_REPORT_SIZE];
	struct report_facts facts = { .launch_digest = { 1 }, .report_data = { 2 } };
	struct attest_roots roots;
	struct attest_snp_report parsed;
	struct attest_snp_question question = { .report = { report, sizeof(report) },
						.certs = &certs,
						.roots = &roots,
						.expect = &expect };

	(void)state;
	load(&identity);
	root_digest(&roots);
	assert_int_equal(attest_certs_add(&certs, buf_bytes(&identity.certificates), NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };

		question.now_s = times[i];
		facts.report_data[1] = (uint8_t)i;
		assert_int_equal(identity_report(&identity, &facts, report), 0);
		assert_int_equal(attest_snp_verify(&question, &parsed, &verdict), 0);
		if (!attest_verdict_is_ok(&verdict))
			fail_msg("%s", attest_verdict_first(&verdict)->text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(is_made_once_and_stays, folder_set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(two_hosts_have_two, folder_set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(the_root_is_that_of_the_key, folder_set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_is_an_error, folder_set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(others_may_not_read_it, folder_set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(its_reports_verify, folder_set_up,
						folder_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
