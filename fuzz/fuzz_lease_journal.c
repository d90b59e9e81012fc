// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lease/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any bytes, and then lines from them with right sums: what was read can be written and read. */
static void check(struct bytes text)
{
	CLEANUP(arena_done) struct arena arena = { 0 };
	CLEANUP(buf_done) struct buf again = { 0 };
	struct lease_journal j, copy;

	if (lease_journal_read(&arena, text, &j) < 0)
		return;
	if (j.len > text.len || (j.boot[0] && lease_journal_boot(&again, j.boot) < 0))
		abort();
	for (size_t i = 0; i < j.count; i++) {
		if (lease_journal_do(&again, i, j.entries[i].kind, j.entries[i].arg) < 0)
			abort();
	}
	if (lease_journal_read(&arena, buf_bytes(&again), &copy) < 0 || copy.count != j.count)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buf_done) struct buf made = { 0 };
	cleanup_free char *text = strndup((const char *)data, size);

	check((struct bytes){ data, size });
	(void)lease_journal_boot(&made, "00");
	for (size_t i = 0; text && i < 3; i++)
		(void)lease_journal_do(&made, size % 3 ? i : 0, "file", text);
	check(buf_bytes(&made));
	return 0;
}
