// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pci/cap.h"
#include "pci/config.h"
#include "space.h"

static struct space space;

static int reset(void **state)
{
	(void)state;
	space_init(&space, 0x233010de, 0x030200, 0);
	return 0;
}

static int walk(size_t len, struct pci_cap *cap)
{
	int r;

	*cap = (struct pci_cap){ 0 };
	while ((r = pci_cap_next(space_bytes(&space, len), cap)) > 0)
		;
	return r;
}

static int walk_ext(size_t len, struct pci_cap *cap)
{
	int r;

	*cap = (struct pci_cap){ 0 };
	while ((r = pci_cap_ext_next(space_bytes(&space, len), cap)) > 0)
		;
	return r;
}

static void goes_through_both_lists_in_order(void **state)
{
	struct pci_cap cap = { 0 };
	struct bytes all = space_bytes(&space, 4096);

	(void)state;
	space_add_cap(&space, 0x01, 0x60);
	space_add_cap(&space, 0x10, 0x40);
	space_add_ext(&space, 0x0001, 0x100);
	space_add_ext(&space, 0x000d, 0xffc);
	assert_int_equal(pci_cap_next(all, &cap), 1);
	assert_int_equal(cap.id, 0x01);
	assert_int_equal(cap.at, 0x60);
	assert_int_equal(pci_cap_next(all, &cap), 1);
	assert_int_equal(cap.id, 0x10);
	assert_int_equal(cap.at, 0x40);
	assert_int_equal(pci_cap_next(all, &cap), 0);
	cap = (struct pci_cap){ 0 };
	assert_int_equal(pci_cap_ext_next(all, &cap), 1);
	assert_int_equal(cap.id, 0x0001);
	assert_int_equal(cap.version, 1);
	assert_int_equal(pci_cap_ext_next(all, &cap), 1);
	assert_int_equal(cap.id, 0x000d);
	assert_int_equal(cap.at, 0xffc);
	assert_int_equal(pci_cap_ext_next(all, &cap), 0);
}

static void no_list_is_an_end(void **state)
{
	struct pci_cap cap;

	(void)state;
	assert_int_equal(walk(4096, &cap), 0);
	/* a pointer counts only if the status says that there is a list */
	space.at[0x34] = 0x40;
	assert_int_equal(walk(4096, &cap), 0);
	space.at[0x06] = 0x10;
	assert_int_equal(walk(4096, &cap), 0);
	assert_int_equal(cap.count, 1);
	assert_int_equal(walk_ext(4096, &cap), 0);
	memset(space.at + 256, 0xff, 4096 - 256);
	assert_int_equal(walk_ext(4096, &cap), 0);
	assert_int_equal(cap.count, 0);
}

static void what_is_cut_off_is_said_to_be_missing(void **state)
{
	struct pci_cap cap;

	(void)state;
	space_add_cap(&space, 0x01, 0xf8);
	space_add_ext(&space, 0x000d, 0x100);
	assert_int_equal(walk(63, &cap), -ENODATA);
	assert_int_equal(walk(64, &cap), -ENODATA);
	assert_int_equal(walk(0xf9, &cap), -ENODATA);
	assert_int_equal(walk(0xfa, &cap), 0);
	assert_int_equal(walk_ext(256, &cap), -ENODATA);
	assert_int_equal(walk_ext(259, &cap), -ENODATA);
	assert_int_equal(walk_ext(260, &cap), 0);
}

static void loops_and_stray_pointers_end_the_walk(void **state)
{
	struct pci_cap cap;

	(void)state;
	space_add_cap(&space, 0x01, 0x40);
	space.at[0x41] = 0x40;
	assert_int_equal(walk(4096, &cap), -ELOOP);
	assert_int_equal(cap.count, PCI_CAPS_MAX);
	space.at[0x41] = 0x3c;
	assert_int_equal(walk(4096, &cap), -EBADMSG);
	space_add_ext(&space, 0x000d, 0x100);
	space_put(&space, 0x102, 0x1001, 2);
	assert_int_equal(walk_ext(4096, &cap), -ELOOP);
	assert_int_equal(cap.count, PCI_EXT_CAPS_MAX);
	space_put(&space, 0x102, 0x0fc1, 2);
	assert_int_equal(walk_ext(4096, &cap), -EBADMSG);
}

static void as_many_as_fit_are_no_loop(void **state)
{
	struct pci_cap cap;
	unsigned int at;

	(void)state;
	for (at = 0x40; at < 0x100; at += 4)
		space_add_cap(&space, 0x05, (uint8_t)at);
	assert_int_equal(walk(4096, &cap), 0);
	assert_int_equal(cap.count, PCI_CAPS_MAX);
	/* one more: back to the first */
	space.at[0xfd] = 0x40;
	assert_int_equal(walk(4096, &cap), -ELOOP);
	for (at = 0x100; at < 0x1000; at += 8)
		space_add_ext(&space, 0x0002, (uint16_t)at);
	assert_int_equal(walk_ext(4096, &cap), 0);
	assert_int_equal(cap.count, PCI_EXT_CAPS_MAX);
}

static void cardbus_keeps_its_pointer_elsewhere(void **state)
{
	struct pci_cap cap = { 0 };

	(void)state;
	space.at[0x0e] = 2;
	space_add_cap(&space, 0x01, 0x40);
	space.at[0x34] = 0;
	space.at[0x14] = 0xa0;
	space.at[0xa0] = 0x07;
	assert_int_equal(pci_cap_next(space_bytes(&space, 256), &cap), 1);
	assert_int_equal(cap.id, 0x07);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(goes_through_both_lists_in_order, reset),
		cmocka_unit_test_setup(no_list_is_an_end, reset),
		cmocka_unit_test_setup(what_is_cut_off_is_said_to_be_missing, reset),
		cmocka_unit_test_setup(loops_and_stray_pointers_end_the_walk, reset),
		cmocka_unit_test_setup(as_many_as_fit_are_no_loop, reset),
		cmocka_unit_test_setup(cardbus_keeps_its_pointer_elsewhere, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
