// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "pci/address.h"

static void reads_what_linux_writes(void **state)
{
	struct pci_address address;
	char text[PCI_ADDRESS_TEXT];

	(void)state;
	assert_int_equal(pci_address_parse_string("0000:3b:1f.7", &address), 0);
	assert_int_equal(address.domain, 0);
	assert_int_equal(address.bus, 0x3b);
	assert_int_equal(address.dev, 0x1f);
	assert_int_equal(address.fn, 7);
	assert_string_equal(pci_address_format(address, text), "0000:3b:1f.7");
	assert_int_equal(pci_address_devfn(address), 0xff);
}

static void a_domain_may_be_long_or_left_out(void **state)
{
	static const char *const same[] = { "0000:e0:01.0", "10000:e0:01.0", "ffffffff:00:00.0" };
	struct pci_address address;
	char text[PCI_ADDRESS_TEXT];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_int_equal(pci_address_parse_string(same[i], &address), 0);
		assert_string_equal(pci_address_format(address, text), same[i]);
	}
	assert_int_equal(pci_address_parse_string("E0:01.0", &address), 0);
	assert_string_equal(pci_address_format(address, text), "0000:e0:01.0");
}

static void refuses_all_else(void **state)
{
	static const char *const bad[] = {
		"",
		"0000:00:00.",
		"0000:00:00.8",
		"0000:00:20.0",
		"0000:00:00.0 ",
		"000:00:00.0",
		":00:00.0",
		"00000:00:00.0",
		"0000.00:00.0",
		"0000:00.00.0",
		"0000:00:00:0",
		"0000:0g:00.0",
		"0000:00:0x.0",
		"100000000:00:00.0",
		"0000:00:00.0\n",
		"+000:00:00.0",
	};
	struct pci_address address = { .bus = 9 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(pci_address_parse_string(bad[i], &address), -EINVAL);
	assert_int_equal(address.bus, 9);
}

static void order_is_domain_bus_device_function(void **state)
{
	struct pci_address low = { 0, 255, 31, 7 }, high = { 1, 0, 0, 0 }, same = { 1, 0, 0, 0 };

	(void)state;
	assert_true(pci_address_cmp(low, high) < 0);
	assert_true(pci_address_cmp(high, low) > 0);
	assert_int_equal(pci_address_cmp(high, same), 0);
	same.fn = 1;
	assert_true(pci_address_cmp(high, same) < 0);
	low = (struct pci_address){ 0xffffffff, 0, 0, 0 };
	assert_true(pci_address_cmp(high, low) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_linux_writes),
		cmocka_unit_test(a_domain_may_be_long_or_left_out),
		cmocka_unit_test(refuses_all_else),
		cmocka_unit_test(order_is_domain_bus_device_function),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
