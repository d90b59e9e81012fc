/* SPDX-License-Identifier: Apache-2.0 */
/*
 * firmware - the end of an OVMF image, made by hand: 8 KiB with a table of GUIDs and metadata.
 *
 *	table, backwards from 32 bytes before the end: footer, reset block, hash table, metadata
 *	metadata 0x200 before the end: memory, secrets, CPUID, kernel hashes
 */
#ifndef TESTS_ATTEST_FIRMWARE_H
#define TESTS_ATTEST_FIRMWARE_H

#include <stdint.h>
#include <string.h>

#include "attest/launch.h"

enum {
	FIRMWARE_SIZE = 8192,
	FIRMWARE_FOOTER = FIRMWARE_SIZE - 32 - 18,
	FIRMWARE_RESET_EIP = FIRMWARE_FOOTER - 22,
	FIRMWARE_HASH_GPA = FIRMWARE_RESET_EIP - 26,
	FIRMWARE_META_OFFSET = FIRMWARE_HASH_GPA - 22,
	FIRMWARE_TABLE = 18 + 22 + 26 + 22,
	FIRMWARE_META = FIRMWARE_SIZE - 0x200,
	FIRMWARE_SECTIONS = FIRMWARE_META + 16,
	FIRMWARE_HASH_SECTION = FIRMWARE_SECTIONS + 3 * 12,
	FIRMWARE_HASH_KIND = FIRMWARE_HASH_SECTION + 8,
};

static inline void firmware_put(uint8_t *at, uint64_t value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static inline void firmware_entry(uint8_t *data, size_t len, const char *guid)
{
	firmware_put(data + len, len + 18, 2);
	attest_guid_write(guid, data + len + 2);
}

static inline void firmware_section(uint8_t *at, uint32_t gpa, uint32_t size, uint32_t kind)
{
	firmware_put(at, gpa, 4);
	firmware_put(at + 4, size, 4);
	firmware_put(at + 8, kind, 4);
}

static inline void firmware_make(uint8_t image[FIRMWARE_SIZE])
{
	for (size_t i = 0; i < FIRMWARE_SIZE; i++)
		image[i] = (uint8_t)(i * 31 + i / 256);
	firmware_put(image + FIRMWARE_FOOTER, FIRMWARE_TABLE, 2);
	attest_guid_write("96b582de-1fb2-45f7-baea-a366c55a082d", image + FIRMWARE_FOOTER + 2);
	firmware_put(image + FIRMWARE_RESET_EIP, 0x80b004, 4);
	firmware_entry(image + FIRMWARE_RESET_EIP, 4, "00f771de-1a7e-4fcb-890e-68c77e2fb44e");
	firmware_put(image + FIRMWARE_HASH_GPA, 0x80fc00, 4);
	firmware_put(image + FIRMWARE_HASH_GPA + 4, 0x400, 4);
	firmware_entry(image + FIRMWARE_HASH_GPA, 8, "7255371f-3a3b-4b04-927b-1da6efa8d454");
	firmware_put(image + FIRMWARE_META_OFFSET, FIRMWARE_SIZE - FIRMWARE_META, 4);
	firmware_entry(image + FIRMWARE_META_OFFSET, 4, "dc886566-984a-4798-a75e-5585a7bf67cc");
	memcpy(image + FIRMWARE_META, "ASEV", 4);
	firmware_put(image + FIRMWARE_META + 4, 16 + 4 * 12, 4);
	firmware_put(image + FIRMWARE_META + 8, 1, 4);
	firmware_put(image + FIRMWARE_META + 12, 4, 4);
	firmware_section(image + FIRMWARE_SECTIONS, 0x800000, 0x9000, 1);
	firmware_section(image + FIRMWARE_SECTIONS + 12, 0x80d000, 0x1000, 2);
	firmware_section(image + FIRMWARE_SECTIONS + 24, 0x80e000, 0x1000, 3);
	firmware_section(image + FIRMWARE_HASH_SECTION, 0x80f000, 0x1000, 0x10);
}

#endif
