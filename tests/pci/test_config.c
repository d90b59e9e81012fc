// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pci/config.h"
#include "space.h"

static struct space space;
static struct pci_config config;

/* An endpoint with every capability that is decoded. */
static int make_endpoint(void **state)
{
	(void)state;
	space_init(&space, 0x233010de, 0x030200, 0x80);
	space_put(&space, 0x04, 0x0406, 2);
	space_put(&space, 0x2c, 0x16c110de, 4);
	space_put(&space, 0x10, 0x9000000c, 4); /* 64 bits, prefetchable */
	space_put(&space, 0x14, 0x00000002, 4);
	space_put(&space, 0x18, 0xa0000000, 4); /* 32 bits */
	space_put(&space, 0x1c, 0x0000e001, 4); /* I/O */
	space_add_express(&space, 0x40, PCI_ENDPOINT);
	space_add_cap(&space, 0x09, 0xc8);
	memcpy(space.at + 0xca, "\x08P2P\x18", 5);
	space_add_ext(&space, 0x000d, 0x100);
	space_put(&space, 0x104, 0x005f, 2);
	space_put(&space, 0x106, 0x001d, 2);
	space_add_ext(&space, 0x000f, 0x110);
	space_put(&space, 0x116, 0x8000, 2);
	space_add_ext(&space, 0x001b, 0x120);
	space_put(&space, 0x124, 20 << 8, 2);
	space_put(&space, 0x126, 1, 2);
	space_add_ext(&space, 0x0010, 0x140);
	space_put(&space, 0x148, 1, 2);
	space_put(&space, 0x14e, 32, 2);
	space_put(&space, 0x150, 4, 2);
	space_put(&space, 0x154, 2, 2);
	space_put(&space, 0x156, 1, 2);
	space_put(&space, 0x15a, 0x2331, 2);
	return 0;
}

static void decode(size_t len)
{
	/* memory of just that size, so that a read behind it is seen */
	uint8_t *at = malloc(len ? len : 1);

	assert_non_null(at);
	memcpy(at, space.at, len);
	pci_config_decode((struct bytes){ at, len }, &config);
	free(at);
}

static void decodes_an_endpoint(void **state)
{
	(void)state;
	decode(4096);
	assert_int_equal(config.vendor, 0x10de);
	assert_int_equal(config.device, 0x2330);
	assert_int_equal(config.subvendor, 0x10de);
	assert_int_equal(config.subdevice, 0x16c1);
	assert_int_equal(config.class_code, 0x030200);
	assert_int_equal(config.revision, 0xa1);
	assert_int_equal(config.command, 0x0406);
	assert_int_equal(config.header_type, 0);
	assert_int_equal(config.is_multifunction, PCI_YES);
	assert_int_equal(config.bridge.present, PCI_NO);
	assert_false(config.is_broken);
	assert_int_equal(config.express.type, PCI_ENDPOINT);
	assert_int_equal(config.express.port, 3);
	assert_int_equal(config.express.link.max_speed, 32000);
	assert_int_equal(config.express.link.max_width, 16);
	assert_int_equal(config.express.link.speed, 16000);
	assert_int_equal(config.express.link.width, 8);
}

static void decodes_what_virtualization_needs(void **state)
{
	(void)state;
	decode(4096);
	assert_int_equal(config.acs.present, PCI_YES);
	assert_int_equal(config.acs.cap, 0x5f);
	assert_int_equal(config.acs.ctrl, PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF);
	assert_int_equal(config.ats.enabled, PCI_YES);
	assert_int_equal(config.ats.queue_depth, 32);
	assert_int_equal(config.pasid.width, 20);
	assert_int_equal(config.pasid.enabled, PCI_YES);
	assert_int_equal(config.sriov.enabled, PCI_YES);
	assert_int_equal(config.sriov.total, 32);
	assert_int_equal(config.sriov.num, 4);
	assert_int_equal(config.sriov.offset, 2);
	assert_int_equal(config.sriov.stride, 1);
	assert_int_equal(config.sriov.vf_device, 0x2331);
	assert_int_equal(config.p2p.present, PCI_YES);
	assert_int_equal(config.p2p.clique, 3);
	assert_int_equal(config.p2p.at, 0xc8);
}

static void bars_have_no_size_of_their_own(void **state)
{
	(void)state;
	decode(4096);
	assert_int_equal(config.bars[0].index, 0);
	assert_int_equal(config.bars[0].bits, 64);
	assert_int_equal(config.bars[0].prefetchable, PCI_YES);
	assert_true(config.bars[0].start == 0x290000000);
	assert_true(config.bars[0].size == PCI_UNKNOWN);
	assert_int_equal(config.bars[1].index, -1);
	assert_int_equal(config.bars[2].bits, 32);
	assert_int_equal(config.bars[2].prefetchable, PCI_NO);
	assert_int_equal(config.bars[3].is_io, PCI_YES);
	assert_true(config.bars[3].start == 0xe000);
	assert_int_equal(config.bars[4].index, -1);
	/* the last register cannot be the lower half of two */
	space_put(&space, 0x24, 0x9000000c, 4);
	decode(4096);
	assert_int_equal(config.bars[5].bits, 32);
}

static void every_length_gives_facts_or_unknowns(void **state)
{
	struct pci_config whole;
	size_t len;

	(void)state;
	decode(4096);
	whole = config;
	for (len = 0; len <= 0x15c; len++) {
		decode(len);
		assert_true(config.vendor == (len < 64 ? PCI_UNKNOWN : 0x10de));
		assert_true(config.class_code == (len < 64 ? PCI_UNKNOWN : 0x030200));
		assert_true(config.express.present == (len < 0x42 ? PCI_UNKNOWN : PCI_YES));
		assert_true(config.acs.present == (len < 0x104 ? PCI_UNKNOWN : PCI_YES));
		assert_true(config.acs.ctrl == (len < 0x108 ? PCI_UNKNOWN : whole.acs.ctrl));
		assert_true(config.ats.present == (len < 0x114 ? PCI_UNKNOWN : PCI_YES));
		assert_true(config.ats.enabled == (len < 0x118 ? PCI_UNKNOWN : PCI_YES));
		assert_true(config.pasid.width == (len < 0x128 ? PCI_UNKNOWN : 20));
		assert_true(config.sriov.present == (len < 0x144 ? PCI_UNKNOWN : PCI_YES));
		assert_true(config.sriov.total == (len < 0x15c ? PCI_UNKNOWN : 32));
		assert_false(config.is_broken);
	}
	assert_memory_equal(&config, &whole, sizeof(config));
}

static void absent_is_another_thing_than_unknown(void **state)
{
	(void)state;
	/* conventional: the first list is whole, so there is no second */
	space_init(&space, 0x20001a03, 0x030000, 0);
	space_add_cap(&space, 0x01, 0x40);
	decode(256);
	assert_int_equal(config.express.present, PCI_NO);
	assert_int_equal(config.acs.present, PCI_NO);
	assert_int_equal(config.sriov.present, PCI_NO);
	assert_int_equal(config.p2p.present, PCI_NO);
	assert_int_equal(config.acs.ctrl, PCI_UNKNOWN);
	/* PCI Express without any extended capability */
	space_add_express(&space, 0x60, PCI_ENDPOINT);
	decode(256);
	assert_int_equal(config.acs.present, PCI_UNKNOWN);
	decode(4096);
	assert_int_equal(config.acs.present, PCI_NO);
	assert_int_equal(config.ats.present, PCI_NO);
}

static void a_function_that_is_gone_says_nothing(void **state)
{
	struct pci_config unknown;

	(void)state;
	memset(space.at, 0xff, sizeof(space.at));
	decode(4096);
	pci_config_init(&unknown);
	assert_memory_equal(&config, &unknown, sizeof(config));
	assert_int_equal(config.is_multifunction, PCI_UNKNOWN);
	assert_int_equal(config.bars[5].index, -1);
}

static void a_virtual_function_has_no_ids(void **state)
{
	(void)state;
	space_put(&space, 0x00, 0xffffffff, 4);
	decode(4096);
	assert_int_equal(config.vendor, PCI_UNKNOWN);
	assert_int_equal(config.class_code, 0x030200);
	/* the approval is NVIDIA's: nobody else's bytes are taken for it */
	assert_int_equal(config.p2p.present, PCI_NO);
}

static void decodes_a_bridge(void **state)
{
	(void)state;
	space_init(&space, 0x352a8086, 0x060400, 1);
	space_put(&space, 0x18, 0x00452b2aU, 4);
	space_put(&space, 0x1c, 0x21, 1);
	space_put(&space, 0x1d, 0x31, 1);
	space_put(&space, 0x30, 0x0001, 2);
	space_put(&space, 0x32, 0x0002, 2);
	space_put(&space, 0x20, 0x9000, 2);
	space_put(&space, 0x22, 0x90f0, 2);
	space_put(&space, 0x24, 0x0001, 2);
	space_put(&space, 0x26, 0xfff1, 2);
	space_put(&space, 0x28, 0x0000020f, 4);
	space_put(&space, 0x2c, 0x0000020f, 4);
	space_add_express(&space, 0x40, PCI_ROOT_PORT);
	space_add_cap(&space, 0x0d, 0x80);
	space_put(&space, 0x84, 0x00018086, 4);
	decode(256);
	assert_int_equal(config.bridge.present, PCI_YES);
	assert_int_equal(config.bridge.primary, 0x2a);
	assert_int_equal(config.bridge.secondary, 0x2b);
	assert_int_equal(config.bridge.subordinate, 0x45);
	assert_true(config.bridge.io.base == 0x12000 && config.bridge.io.limit == 0x23fff);
	assert_true(config.bridge.memory.base == 0x90000000);
	assert_true(config.bridge.memory.limit == 0x90ffffff);
	assert_true(config.bridge.prefetch.base == 0x20f00000000);
	assert_true(config.bridge.prefetch.limit == 0x20fffffffff);
	assert_int_equal(config.express.type, PCI_ROOT_PORT);
	assert_int_equal(config.subvendor, 0x8086);
	assert_int_equal(config.subdevice, 1);
	assert_int_equal(config.bars[0].index, -1);
}

static void intels_wide_registers_are_read_as_such(void **state)
{
	(void)state;
	space_init(&space, 0xa1108086, 0x060400, 1);
	space_add_express(&space, 0x40, PCI_ROOT_PORT);
	space_add_ext(&space, 0x000d, 0x100);
	space_put(&space, 0x104, 0x0000001f, 4);
	space_put(&space, 0x108, 0x0000001d, 4);
	decode(4096);
	assert_true(config.acs.is_dwords);
	assert_int_equal(config.acs.cap, 0x1f);
	assert_int_equal(config.acs.ctrl, 0x1d);
	decode(0x10b);
	assert_int_equal(config.acs.present, PCI_YES);
	assert_int_equal(config.acs.ctrl, PCI_UNKNOWN);
	assert_true(pci_config_acs_is_dwords(0x8086, 0xa11f));
	assert_false(pci_config_acs_is_dwords(0x8086, 0xa120));
	assert_false(pci_config_acs_is_dwords(0x8086, 0xa10f));
	assert_false(pci_config_acs_is_dwords(0x10de, 0xa110));
}

static void what_came_before_a_break_stays(void **state)
{
	(void)state;
	/* from the first extended one back to itself */
	space_put(&space, 0x102, 0x1001, 2);
	decode(4096);
	assert_true(config.is_broken);
	assert_int_equal(config.acs.present, PCI_YES);
	assert_int_equal(config.ats.present, PCI_UNKNOWN);
	space.at[0x41] = 0x40;
	decode(4096);
	assert_true(config.is_broken);
	assert_int_equal(config.express.present, PCI_YES);
	assert_int_equal(config.p2p.present, PCI_UNKNOWN);
}

static void of_two_of_a_kind_the_first_counts(void **state)
{
	(void)state;
	space_add_ext(&space, 0x000d, 0x200);
	space_put(&space, 0x204, 0x0001, 2);
	decode(4096);
	assert_int_equal(config.acs.cap, 0x5f);
}

static void inside_the_root_complex_there_is_no_link(void **state)
{
	(void)state;
	space_init(&space, 0x0b258086, 0x088000, 0);
	space_add_express(&space, 0x40, PCI_RC_ENDPOINT);
	decode(4096);
	assert_int_equal(config.express.type, PCI_RC_ENDPOINT);
	assert_int_equal(config.express.link.max_speed, PCI_UNKNOWN);
	assert_int_equal(config.express.link.width, PCI_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(decodes_an_endpoint, make_endpoint),
		cmocka_unit_test_setup(decodes_what_virtualization_needs, make_endpoint),
		cmocka_unit_test_setup(bars_have_no_size_of_their_own, make_endpoint),
		cmocka_unit_test_setup(every_length_gives_facts_or_unknowns, make_endpoint),
		cmocka_unit_test(absent_is_another_thing_than_unknown),
		cmocka_unit_test(a_function_that_is_gone_says_nothing),
		cmocka_unit_test_setup(a_virtual_function_has_no_ids, make_endpoint),
		cmocka_unit_test(decodes_a_bridge),
		cmocka_unit_test(intels_wide_registers_are_read_as_such),
		cmocka_unit_test_setup(what_came_before_a_break_stays, make_endpoint),
		cmocka_unit_test_setup(of_two_of_a_kind_the_first_counts, make_endpoint),
		cmocka_unit_test(inside_the_root_complex_there_is_no_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
