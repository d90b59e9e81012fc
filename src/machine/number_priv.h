/* SPDX-License-Identifier: Apache-2.0 */
/*
 * number - the numbers and lists in the kernel's files. Each parser takes all of a text or
 * nothing, and returns what is unknown (-1) or false for what is not of its form.
 */
#ifndef MACHINE_NUMBER_PRIV_H
#define MACHINE_NUMBER_PRIV_H

#include <string.h>

#include "machine/build_priv.h"

int64_t machine_number_hex(struct bytes text, int64_t max);	/* "0x10de", "10de" */
int64_t machine_number_decimal(struct bytes text, int64_t max); /* "3"; "-1" is unknown too */

/* A range list, "0-3,8"; an empty one has none. */
bool machine_number_list(struct bytes text, struct machine_mask *ret);

/* "15.753846" in thousandths, cut. */
int64_t machine_number_milli(struct bytes text);

/*
 * hwloc's bitmap: words of 32 bits, the highest first, "0x000000ff,0xffffffff"; an empty one is 0.
 * One without an end ("0xf...f") is false.
 */
bool machine_number_bitmap(struct bytes text, struct machine_mask *ret);

/* Takes the next word from *text, up to a character of stops; false if nothing is left. */
bool machine_number_word(struct bytes *text, const char *stops, struct bytes *ret);

static inline void machine_mask_set(struct machine_mask *mask, int cpu)
{
	mask->bits[cpu / 8] = (uint8_t)(mask->bits[cpu / 8] | 1 << cpu % 8);
}

static inline bool machine_mask_has(const struct machine_mask *mask, int cpu)
{
	return mask->bits[cpu / 8] & 1 << cpu % 8;
}

static inline bool bytes_is(struct bytes text, const char *word)
{
	return text.at && text.len == strlen(word) && memcmp(text.at, word, text.len) == 0;
}

static inline struct bytes bytes_of(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

#endif
