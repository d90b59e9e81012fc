// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "pci/resource.h"

static struct buf text;

static int clear(void **state)
{
	(void)state;
	buf_done(&text);
	return 0;
}

static void line(uint64_t start, uint64_t end, uint64_t flags)
{
	assert_int_equal(buf_addf(&text, "0x%016llx 0x%016llx 0x%016llx\n",
				  (unsigned long long)start, (unsigned long long)end,
				  (unsigned long long)flags),
			 0);
}

static void empty_lines(int count)
{
	while (count--)
		line(0, 0, 0);
}

static void reads_ranges_with_their_sizes(void **state)
{
	struct pci_resources found;

	(void)state;
	line(0x20000000000, 0x20000ffffff, 0x14220c);
	line(0, 0, 0);
	line(0x21000000000, 0x22fffffffff, 0x14220c);
	line(0xe000, 0xe07f, 0x40101);
	line(0x90000000, 0x9001ffff, 0x40200);
	line(0, 0xffff, 0x20040200);
	line(0x90100000, 0x9017ffff, 0x46200);
	assert_int_equal(pci_resource_decode(buf_bytes(&text), &found), 0);
	assert_true(found.bars[0].size == 16 << 20);
	assert_int_equal(found.bars[0].bits, 64);
	assert_int_equal(found.bars[0].prefetchable, PCI_YES);
	assert_int_equal(found.bars[1].index, -1);
	assert_true(found.bars[2].size == (int64_t)128 << 30);
	assert_true(found.bars[2].start == 0x21000000000);
	assert_int_equal(found.bars[3].is_io, PCI_YES);
	assert_int_equal(found.bars[3].size, 128);
	assert_int_equal(found.bars[4].bits, 32);
	assert_int_equal(found.bars[4].prefetchable, PCI_NO);
	/* no address yet, but a size */
	assert_int_equal(found.bars[5].size, 65536);
	assert_int_equal(found.bars[5].start, PCI_UNKNOWN);
	assert_int_equal(found.rom_size, 512 << 10);
	assert_int_equal(found.windows, PCI_NO);
	assert_int_equal(found.vf_bars[0].index, -1);
}

static void lines_of_vfs_and_windows_have_their_places(void **state)
{
	static const int counts[] = { 17, 18 };
	struct pci_resources found;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		buf_done(&text);
		empty_lines(7);
		line(0x100000000, 0x10fffffff, 0x14220c);
		empty_lines(5);
		line(0x1000, 0x1fff, 0x101);
		line(0x90000000, 0x900fffff, 0x200);
		line(0, 0, 0x2201);
		empty_lines(counts[i] - 16);
		assert_int_equal(pci_resource_decode(buf_bytes(&text), &found), 0);
		assert_int_equal(found.vf_bars[0].index, 0);
		assert_int_equal(found.vf_bars[0].size, 256 << 20);
		assert_int_equal(found.windows, PCI_YES);
		assert_int_equal(found.io.limit, 0x1fff);
		assert_true(found.memory.base == 0x90000000 && found.memory.limit == 0x900fffff);
	}
}

static void kernels_without_sriov_have_fewer(void **state)
{
	struct pci_resources found;

	(void)state;
	empty_lines(8);
	line(0x90000000, 0x900fffff, 0x200);
	empty_lines(2);
	assert_int_equal(pci_resource_decode(buf_bytes(&text), &found), 0);
	assert_int_equal(found.windows, PCI_YES);
	assert_true(found.memory.base == 0x90000000);
	assert_true(found.io.base > found.io.limit);
	assert_int_equal(found.vf_bars[0].index, -1);
}

static void refuses_what_is_no_such_file(void **state)
{
	static const char *const bad[] = {
		"",
		"0x0\n",
		"0x0 0x0 0x0",
		"0x0 0x0 0x0\n\n",
		"0x 0x0 0x0\n",
		"0x00000000000000000 0x0 0x0\n",
		"0x0  0x0 0x0\n",
		"0x0 0x0 0x0 \n",
		"0x0 0x0 0xg\n",
	};
	struct pci_resources found;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buf_done(&text);
		empty_lines(i ? 7 : 0);
		assert_int_equal(buf_add(&text, bad[i], strlen(bad[i])), 0);
		if (i != 2)
			assert_int_equal(pci_resource_decode(buf_bytes(&text), &found), -EINVAL);
		else
			assert_int_equal(pci_resource_decode(buf_bytes(&text), &found), 0);
	}
	buf_done(&text);
	empty_lines(6);
	assert_int_equal(pci_resource_decode(buf_bytes(&text), &found), -EINVAL);
}

static void holds_so_many_lines_and_no_more(void **state)
{
	struct pci_resources found;

	(void)state;
	empty_lines(PCI_RESOURCE_LINES_MAX);
	assert_int_equal(pci_resource_decode(buf_bytes(&text), &found), 0);
	empty_lines(1);
	assert_int_equal(pci_resource_decode(buf_bytes(&text), &found), -EINVAL);
}

static void ranges_that_cannot_be_are_none(void **state)
{
	struct pci_resources found;

	(void)state;
	line(0x1000, 0xfff, 0x200);
	line(0, UINT64_MAX, 0x200);
	line(0x1000, 0x1fff, 0);
	line(UINT64_MAX - 0xfff, UINT64_MAX, 0x200);
	empty_lines(3);
	assert_int_equal(pci_resource_decode(buf_bytes(&text), &found), 0);
	assert_int_equal(found.bars[0].index, -1);
	assert_int_equal(found.bars[1].index, -1);
	assert_int_equal(found.bars[2].index, -1);
	assert_int_equal(found.bars[3].start, PCI_UNKNOWN);
	assert_int_equal(found.bars[3].size, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(reads_ranges_with_their_sizes, clear),
		cmocka_unit_test_teardown(lines_of_vfs_and_windows_have_their_places, clear),
		cmocka_unit_test_teardown(kernels_without_sriov_have_fewer, clear),
		cmocka_unit_test_teardown(refuses_what_is_no_such_file, clear),
		cmocka_unit_test_teardown(holds_so_many_lines_and_no_more, clear),
		cmocka_unit_test_teardown(ranges_that_cannot_be_are_none, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
