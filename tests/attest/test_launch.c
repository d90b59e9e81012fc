// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "attest/launch.h"
#include "base/text.h"

static uint8_t page[ATTEST_PAGE_SIZE];

/* The chain by the book, spelled out once more. */
static void by_hand(uint8_t digest[48], uint8_t kind, uint64_t gpa, const uint8_t *contents)
{
	uint8_t info[0x70] = { 0 };

	memcpy(info, digest, 48);
	if (contents)
		assert_int_equal(EVP_Digest(contents, 4096, info + 48, NULL, EVP_sha384(), NULL),
				 1);
	info[96] = 0x70;
	info[98] = kind;
	for (size_t i = 0; i < 8; i++)
		info[104 + i] = (uint8_t)(gpa >> (8 * i));
	assert_int_equal(EVP_Digest(info, sizeof(info), digest, NULL, EVP_sha384(), NULL), 1);
}

static void every_page_makes_a_new_digest(void **state)
{
	CLEANUP(attest_launch_free) struct attest_launch *chain = NULL;
	uint8_t want[48] = { 0 }, have[48];

	(void)state;
	assert_int_equal(attest_launch_new(&chain), 0);
	attest_launch_digest(chain, have);
	assert_memory_equal(have, want, 48);
	memset(page, 7, sizeof(page));
	assert_int_equal(attest_launch_add(chain, ATTEST_PAGE_NORMAL, 0x123456789000, page), 0);
	by_hand(want, 1, 0x123456789000, page);
	assert_int_equal(attest_launch_add(chain, ATTEST_PAGE_VMSA, 0, page), 0);
	by_hand(want, 2, 0xfffffffff000, page);
	assert_int_equal(attest_launch_add(chain, ATTEST_PAGE_ZERO, 0x1000, NULL), 0);
	by_hand(want, 3, 0x1000, NULL);
	assert_int_equal(attest_launch_add_blank(chain, ATTEST_PAGE_CPUID, 0x2000, 0x2000), 0);
	by_hand(want, 6, 0x2000, NULL);
	by_hand(want, 6, 0x3000, NULL);
	attest_launch_digest(chain, have);
	assert_memory_equal(have, want, 48);
	attest_launch_seed(chain, want);
	assert_int_equal(attest_launch_add_region(chain, 0x5000, (struct bytes){ page, 4096 }), 0);
	by_hand(want, 1, 0x5000, page);
	attest_launch_digest(chain, have);
	assert_memory_equal(have, want, 48);
}

static void only_whole_pages_are_launched(void **state)
{
	CLEANUP(attest_launch_free) struct attest_launch *chain = NULL;
	uint8_t none[48] = { 0 }, have[48];

	(void)state;
	assert_int_equal(attest_launch_new(&chain), 0);
	assert_int_equal(attest_launch_add_region(chain, 0, (struct bytes){ page, 4095 }), -EINVAL);
	assert_int_equal(attest_launch_add_region(chain, 1, (struct bytes){ page, 4096 }), -EINVAL);
	assert_int_equal(attest_launch_add_blank(chain, ATTEST_PAGE_ZERO, UINT64_MAX - 4095, 8192),
			 -EINVAL);
	assert_int_equal(attest_launch_add_region(chain, 0, (struct bytes){ page, 0 }), 0);
	attest_launch_digest(chain, have);
	assert_memory_equal(have, none, 48);
}

static void hashes_are_of_what_is_started(void **state)
{
	struct attest_boot_hashes hashes;
	char hex[65];

	(void)state;
	assert_int_equal(attest_boot_hash((struct bytes){ (const uint8_t *)"abc", 3 },
					  (struct bytes){ 0 }, "", &hashes),
			 0);
	text_hex(hashes.kernel, 32, hex);
	assert_string_equal(hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	text_hex(hashes.initrd, 32, hex);
	assert_string_equal(hex,
			    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	text_hex(hashes.cmdline, 32, hex); /* of one NUL */
	assert_string_equal(hex,
			    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
}

static void the_table_of_hashes_is_qemu_s(void **state)
{
	struct attest_boot_hashes hashes;

	(void)state;
	memset(hashes.kernel, 0x11, 32);
	memset(hashes.initrd, 0x22, 32);
	memset(hashes.cmdline, 0x33, 32);
	memset(page, 0xff, sizeof(page));
	attest_boot_hashes_page(&hashes, ATTEST_PAGE_SIZE - ATTEST_HASH_TABLE_SIZE, page);
	for (size_t i = 0; i < ATTEST_PAGE_SIZE - ATTEST_HASH_TABLE_SIZE; i++)
		assert_int_equal(page[i], 0);
	attest_boot_hashes_page(&hashes, 0, page);
	assert_memory_equal(page,
			    "\x06\xd6\x38\x94\x22\x4f\xc9\x4c\xb4\x79\xa7\x93\xd4\x11\xfd\x21", 16);
	assert_memory_equal(page + 16, "\xa8\x00", 2);
	assert_memory_equal(page + 18,
			    "\xd8\x2d\xd0\x97\x20\xbd\x94\x4c\xaa\x78\xe7\x71\x4d\x36\xab\x2a", 16);
	assert_memory_equal(page + 34, "\x32\x00\x33\x33", 4);
	assert_memory_equal(page + 68, "\x31\xf7\xba\x44", 4);
	assert_memory_equal(page + 84, "\x32\x00\x22\x22", 4);
	assert_memory_equal(page + 118, "\x37\x94\xe7\x4d", 4);
	assert_memory_equal(page + 134, "\x32\x00\x11\x11", 4);
	for (size_t i = 168; i < ATTEST_PAGE_SIZE; i++)
		assert_int_equal(page[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_page_makes_a_new_digest),
		cmocka_unit_test(only_whole_pages_are_launched),
		cmocka_unit_test(hashes_are_of_what_is_started),
		cmocka_unit_test(the_table_of_hashes_is_qemu_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
