// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "../folder.h"
#include "broker/audit.h"

static void read_log(const char *name, struct buf *ret)
{
	ret->len = 0;
	assert_true(file_read(folder_fd, name, 1 << 20, ret, NULL) >= 0);
}

static void a_line_has_all_that_was_known(void **state)
{
	static const uint8_t report[ATTEST_SNP_REPORT_SIZE] = {
		[0x90] = 0xab, [0xc0] = 0xcd, [0x1a0] = 0xef
	};
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 };
	struct broker_audit *audit = NULL;
	struct attest_refusal refusal;
	struct broker_decision d = { .time_s = 1767225600,
				     .event = "resource",
				     .resource = "a/b/c",
				     .verdict = "refused",
				     .peer = "[::1]:9",
				     .tee = "casemate-sim",
				     .report = report,
				     .refusal = &refusal,
				     .judgement = &verdict };
	struct attest_part *part = attest_verdict_part(&verdict, ATTEST_PART_SNP_GUEST, "");
	struct stat st;
	json_t *json;

	(void)state;
	attest_part_refuse(part, ATTEST_GUEST_DEBUG, "debug");
	attest_part_refuse(part, ATTEST_GUEST_DEBUG, "again");
	attest_part_refuse(part, ATTEST_VMPL, "\"\n\x01");
	attest_refusal_set(&refusal, ATTEST_VMPL, "\"\n\x01");
	assert_int_equal(broker_audit_open(folder_path, BROKER_AUDIT_MAX, &audit, NULL), 0);
	assert_int_equal(broker_audit_add(audit, &d), 0);
	read_log(BROKER_AUDIT_FILE, &text);
	assert_int_equal(text.len, 0);
	assert_int_equal(broker_audit_sync(audit, NULL), 0);
	read_log(BROKER_AUDIT_FILE, &text);
	assert_ptr_equal(memchr(text.at, '\n', text.len), text.at + text.len - 1);
	json = json_loadb((const char *)text.at, text.len, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(json, "time")),
			    "2026-01-01T00:00:00Z");
	assert_string_equal(json_string_value(json_object_get(json, "peer")), "[::1]:9");
	assert_string_equal(json_string_value(json_object_get(json, "resource")), "a/b/c");
	assert_int_equal(json_array_size(json_object_get(json, "codes")), 2);
	assert_string_equal(json_string_value(json_array_get(json_object_get(json, "codes"), 0)),
			    "vmpl");
	assert_int_equal(strncmp(json_string_value(json_object_get(json, "launch")), "ab00", 4), 0);
	assert_int_equal(strncmp(json_string_value(json_object_get(json, "policy")), "cd00", 4), 0);
	assert_int_equal(strncmp(json_string_value(json_object_get(json, "chip")), "ef00", 4), 0);
	json_decref(json);
	assert_int_equal(fstatat(folder_fd, BROKER_AUDIT_FILE, &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	audit = broker_audit_close(audit);
}

static void what_is_released_has_no_codes(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct broker_decision d = { .event = "resource", .verdict = "released" };
	struct broker_audit *audit = NULL;

	(void)state;
	assert_int_equal(broker_audit_open(folder_path, BROKER_AUDIT_MAX, &audit, NULL), 0);
	assert_int_equal(broker_audit_add(audit, &d), 0);
	assert_int_equal(broker_audit_sync(audit, NULL), 0);
	read_log(BROKER_AUDIT_FILE, &text);
	assert_non_null(memmem(text.at, text.len, "\"codes\":[],", 11));
	audit = broker_audit_close(audit);
}

/* Old lines go on with a log that was closed, and at its limit it is turned over. */
static void the_log_is_bounded_and_the_newest_stays(void **state)
{
	struct broker_decision d = { .event = "attest", .verdict = "accepted" };
	CLEANUP(buf_done) struct buf text = { 0 };
	size_t total = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct broker_audit *audit = NULL;

		d.time_s = i;
		assert_int_equal(broker_audit_open(folder_path, 1000, &audit, NULL), 0);
		assert_int_equal(broker_audit_add(audit, &d), 0);
		assert_int_equal(broker_audit_sync(audit, NULL), 0);
		audit = broker_audit_close(audit);
	}
	for (int i = 0; i <= BROKER_AUDIT_OLD + 1; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "audit.log.%d", i);
		name[i ? strlen(name) : strlen("audit.log")] = '\0';
		if (i > BROKER_AUDIT_OLD) {
			assert_int_equal(faccessat(folder_fd, name, F_OK, 0), -1);
			continue;
		}
		read_log(name, &text);
		assert_true(text.len > 0 && text.len <= 1000);
		total += text.len;
		if (i == 0)
			assert_non_null(memmem(text.at, text.len, "00:01:39Z", 9));
	}
	assert_true(total > 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_has_all_that_was_known, folder_set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(what_is_released_has_no_codes, folder_set_up,
						folder_tear_down),
		cmocka_unit_test_setup_teardown(the_log_is_bounded_and_the_newest_stays,
						folder_set_up, folder_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
