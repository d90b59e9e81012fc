// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/ovmf.h"

#include "firmware.h"
#include "vectors.h"

static uint8_t image[FIRMWARE_SIZE];

static int parse(struct attest_ovmf *ret)
{
	struct err err = { 0 };
	int r = attest_ovmf_parse((struct bytes){ image, sizeof(image) }, ret, &err);

	assert_int_equal(r < 0, err.msg[0] != '\0');
	return r;
}

static void refuses(size_t off, uint64_t value, size_t len, int num)
{
	struct attest_ovmf ovmf = { .reset_eip = 5 };

	firmware_make(image);
	firmware_put(image + off, value, len);
	assert_int_equal(parse(&ovmf), num);
	assert_int_equal(ovmf.reset_eip, 5);
}

static void says_where_things_go(void **state)
{
	struct attest_ovmf ovmf;

	(void)state;
	firmware_make(image);
	assert_int_equal(parse(&ovmf), 0);
	assert_true(ovmf.has_hash_table);
	assert_int_equal(ovmf.hash_table_gpa, 0x80fc00);
	assert_int_equal(ovmf.reset_eip, 0x80b004);
	assert_int_equal(ovmf.section_count, 4);
	assert_int_equal(ovmf.sections[0].gpa, 0x800000);
	assert_int_equal(ovmf.sections[0].size, 0x9000);
	assert_int_equal(ovmf.sections[0].kind, ATTEST_OVMF_MEMORY);
	assert_int_equal(ovmf.sections[3].kind, ATTEST_OVMF_KERNEL_HASHES);
}

static void what_is_no_table_is_refused(void **state)
{
	struct attest_ovmf ovmf;

	(void)state;
	refuses(FIRMWARE_FOOTER + 2, 0, 1, -EBADMSG);
	refuses(FIRMWARE_FOOTER, 17, 2, -EBADMSG);
	refuses(FIRMWARE_FOOTER, 0xffff, 2, -EBADMSG);
	/* The table's size and its entries' have to agree. */
	refuses(FIRMWARE_FOOTER, FIRMWARE_TABLE - 1, 2, -EBADMSG);
	refuses(FIRMWARE_FOOTER, FIRMWARE_TABLE + 1, 2, -EBADMSG);
	refuses(FIRMWARE_RESET_EIP + 4, 17, 2, -EBADMSG);
	refuses(FIRMWARE_RESET_EIP + 4, 0, 2, -EBADMSG);
	refuses(FIRMWARE_RESET_EIP + 4, 23, 2, -EBADMSG);
	refuses(FIRMWARE_HASH_GPA + 4, ATTEST_HASH_TABLE_SIZE - 1, 4, -EBADMSG);
	for (size_t len = 0; len < 50; len++)
		assert_int_equal(attest_ovmf_parse((struct bytes){ image, len }, &ovmf, NULL),
				 -EBADMSG);
}

static void metadata_stay_within_the_image(void **state)
{
	(void)state;
	refuses(FIRMWARE_META_OFFSET, FIRMWARE_SIZE + 1, 4, -EBADMSG);
	refuses(FIRMWARE_META_OFFSET, UINT32_MAX, 4, -EBADMSG);
	refuses(FIRMWARE_META_OFFSET, 15, 4, -EBADMSG);
	refuses(FIRMWARE_META_OFFSET, 0, 4, -EBADMSG);
	refuses(FIRMWARE_META, 0, 1, -EBADMSG);
	refuses(FIRMWARE_META + 4, 63, 4, -EBADMSG);
	refuses(FIRMWARE_META + 4, 65, 4, -EBADMSG);
	refuses(FIRMWARE_META + 8, 2, 4, -EBADMSG);
	refuses(FIRMWARE_META + 12, 5, 4, -EBADMSG);
	refuses(FIRMWARE_META + 12, ATTEST_OVMF_SECTIONS_MAX + 1, 4, -E2BIG);
	refuses(FIRMWARE_META + 12, UINT32_MAX, 4, -E2BIG);
}

static void sections_are_whole_pages_of_known_kinds(void **state)
{
	struct attest_ovmf ovmf;

	(void)state;
	refuses(FIRMWARE_SECTIONS, 0x800001, 4, -EBADMSG);
	refuses(FIRMWARE_SECTIONS + 4, 0x9001, 4, -EBADMSG);
	refuses(FIRMWARE_SECTIONS + 4, 0, 4, -EBADMSG);
	refuses(FIRMWARE_SECTIONS + 8, 0, 4, -EBADMSG);
	refuses(FIRMWARE_SECTIONS + 8, 5, 4, -EBADMSG);
	refuses(FIRMWARE_SECTIONS + 8, 0x11, 4, -EBADMSG);
	refuses(FIRMWARE_HASH_SECTION + 4, 0x2000, 4, -EBADMSG);
	refuses(FIRMWARE_SECTIONS, 0xffffa000, 4, -EBADMSG);
	/* All sections together; the other three have a page each. */
	refuses(FIRMWARE_SECTIONS + 4, ATTEST_OVMF_MEMORY_MAX - 2 * 4096, 4, -E2BIG);
	firmware_make(image);
	firmware_put(image + FIRMWARE_SECTIONS + 4, ATTEST_OVMF_MEMORY_MAX - 3 * 4096, 4);
	assert_int_equal(parse(&ovmf), 0);
	firmware_put(image + FIRMWARE_SECTIONS, 0xffff7000, 4);
	firmware_put(image + FIRMWARE_SECTIONS + 4, 0x9000, 4);
	assert_int_equal(parse(&ovmf), 0);
}

/* A table of entries that are nobody's, as many as can be and one more. */
static void tables_have_a_limit(void **state)
{
	struct attest_ovmf ovmf;

	(void)state;
	for (size_t count = ATTEST_OVMF_ENTRIES_MAX; count <= ATTEST_OVMF_ENTRIES_MAX + 1;
	     count++) {
		memset(image, 0, sizeof(image));
		firmware_put(image + FIRMWARE_FOOTER, 18 * (count + 1), 2);
		attest_guid_write("96b582de-1fb2-45f7-baea-a366c55a082d",
				  image + FIRMWARE_FOOTER + 2);
		for (size_t i = 1; i <= count; i++)
			firmware_put(image + FIRMWARE_FOOTER - 18 * i, 18, 2);
		assert_int_equal(parse(&ovmf), count > ATTEST_OVMF_ENTRIES_MAX ? -E2BIG : 0);
	}
}

static void an_image_has_a_limit(void **state)
{
	uint8_t *large = calloc(1, ATTEST_OVMF_SIZE_MAX + 1);
	struct attest_ovmf ovmf;

	(void)state;
	firmware_make(large + ATTEST_OVMF_SIZE_MAX - FIRMWARE_SIZE);
	assert_int_equal(
		attest_ovmf_parse((struct bytes){ large, ATTEST_OVMF_SIZE_MAX }, &ovmf, NULL), 0);
	assert_int_equal(attest_ovmf_parse((struct bytes){ large, ATTEST_OVMF_SIZE_MAX + 1 }, &ovmf,
					   NULL),
			 -E2BIG);
	free(large);
}

static void an_image_without_a_place_for_hashes_is_one_on_vectors(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct attest_ovmf ovmf;

	(void)state;
	assert_true(vectors_read("measure/snp/ovmf_OvmfX64_suffix.bin", &text));
	assert_int_equal(attest_ovmf_parse(buf_bytes(&text), &ovmf, NULL), 0);
	assert_false(ovmf.has_hash_table);
	assert_int_equal(ovmf.section_count, 6);
}
ON_VECTORS(an_image_without_a_place_for_hashes_is_one)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_where_things_go),
		cmocka_unit_test(what_is_no_table_is_refused),
		cmocka_unit_test(metadata_stay_within_the_image),
		cmocka_unit_test(sections_are_whole_pages_of_known_kinds),
		cmocka_unit_test(tables_have_a_limit),
		cmocka_unit_test(an_image_has_a_limit),
		cmocka_unit_test(an_image_without_a_place_for_hashes_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
