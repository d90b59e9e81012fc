// SPDX-License-Identifier: Apache-2.0
#include "attest/ovmf.h"

#include <errno.h>
#include <string.h>

#include "attest/launch.h"

enum {
	FROM_END = 32, /* the table's footer ends that far before the image's end */
	GUID = 16,
	ENTRY = GUID + 2, /* GUID and length, behind its data */
	META_HEAD = 16,
	META_SECTION = 12,
	META_VERSION = 1,
};

static int refuse(struct err *err, int num, const char *what)
{
	return err_set(err, num, "read the firmware: %s", what);
}

static bool is_guid(struct bytes image, size_t off, const char *text)
{
	uint8_t guid[GUID];

	attest_guid_write(text, guid);
	return memcmp(image.at + off, guid, GUID) == 0;
}

static uint16_t le16(struct bytes image, size_t off)
{
	return (uint16_t)(bytes_u8(image, off) | bytes_u8(image, off + 1) << 8);
}

static bool is_known(uint32_t kind)
{
	return (kind >= ATTEST_OVMF_MEMORY && kind <= ATTEST_OVMF_SVSM_CAA) ||
	       kind == ATTEST_OVMF_KERNEL_HASHES;
}

static int read_section(struct bytes image, size_t off, uint64_t *total, struct attest_ovmf *ret,
			struct err *err)
{
	struct attest_ovmf_section *section = &ret->sections[ret->section_count++];
	uint32_t kind = bytes_le32(image, off + 8);

	section->gpa = bytes_le32(image, off);
	section->size = bytes_le32(image, off + 4);
	section->kind = (enum attest_ovmf_kind)kind;
	if (!is_known(kind))
		return refuse(err, -EBADMSG, "a section of a kind that is not known");
	if (section->gpa % ATTEST_PAGE_SIZE || section->size % ATTEST_PAGE_SIZE ||
	    section->size == 0 || (uint64_t)section->gpa + section->size > UINT64_C(1) << 32)
		return refuse(err, -EBADMSG, "a section that is not of whole pages below 4 GiB");
	if (kind == ATTEST_OVMF_KERNEL_HASHES && section->size != ATTEST_PAGE_SIZE)
		return refuse(err, -EBADMSG, "hashes take one page");
	*total += section->size;
	if (*total > ATTEST_OVMF_MEMORY_MAX)
		return refuse(err, -E2BIG, "sections of more than 64 MiB");
	return 0;
}

/* data: where the metadata lie, counted back from the image's end. */
static int read_sections(struct bytes image, uint32_t from_end, struct attest_ovmf *ret,
			 struct err *err)
{
	size_t off = image.len - from_end;
	uint32_t count, size;
	uint64_t total = 0;
	int r = 0;

	if (from_end > image.len || from_end < META_HEAD || memcmp(image.at + off, "ASEV", 4) != 0)
		return refuse(err, -EBADMSG, "no metadata where they should be");
	size = bytes_le32(image, off + 4);
	count = bytes_le32(image, off + 12);
	if (bytes_le32(image, off + 8) != META_VERSION)
		return refuse(err, -EBADMSG, "metadata of a version that is not known");
	if (count > ATTEST_OVMF_SECTIONS_MAX)
		return refuse(err, -E2BIG, "more than 64 sections");
	if (size != META_HEAD + count * META_SECTION || !bytes_has(image, off, size))
		return refuse(err, -EBADMSG, "metadata of another length than they say");
	ret->section_count = 0;
	for (uint32_t i = 0; r == 0 && i < count; i++)
		r = read_section(image, off + META_HEAD + i * META_SECTION, &total, ret, err);
	return r;
}

/* One entry, of which data bytes lie at off. */
static int read_entry(struct bytes image, size_t off, size_t data, struct attest_ovmf *ret,
		      struct err *err)
{
	size_t guid = off + data + 2;

	if (is_guid(image, guid, "7255371f-3a3b-4b04-927b-1da6efa8d454")) {
		if (data != 8)
			return refuse(err, -EBADMSG, "no place for the hashes");
		/* An OVMF that does not look at them has zeros here. */
		ret->hash_table_gpa = bytes_le32(image, off);
		ret->has_hash_table = ret->hash_table_gpa != 0;
		if (ret->has_hash_table && bytes_le32(image, off + 4) < ATTEST_HASH_TABLE_SIZE)
			return refuse(err, -EBADMSG, "no room for the hashes");
	} else if (is_guid(image, guid, "00f771de-1a7e-4fcb-890e-68c77e2fb44e")) {
		if (data != 4)
			return refuse(err, -EBADMSG, "no address for the other vCPUs");
		ret->reset_eip = bytes_le32(image, off);
	} else if (is_guid(image, guid, "dc886566-984a-4798-a75e-5585a7bf67cc")) {
		if (data != 4)
			return refuse(err, -EBADMSG, "no place for the metadata");
		return read_sections(image, bytes_le32(image, off), ret, err);
	}
	return 0;
}

static int read_table(struct bytes image, struct attest_ovmf *ret, struct err *err)
{
	size_t end = image.len - FROM_END - ENTRY, start, entries = 0;
	int r = 0;

	if (!is_guid(image, end + 2, "96b582de-1fb2-45f7-baea-a366c55a082d"))
		return refuse(err, -EBADMSG, "it has no table of GUIDs: not an OVMF for this");
	if (le16(image, end) < ENTRY || (size_t)le16(image, end) - ENTRY > end)
		return refuse(err, -EBADMSG, "the table of GUIDs is longer than the image");
	start = end - (le16(image, end) - ENTRY);
	while (r == 0 && end > start) {
		size_t len = end - start >= ENTRY ? le16(image, end - ENTRY) : 0;

		if (len < ENTRY || len > end - start)
			return refuse(err, -EBADMSG, "an entry is longer than its table");
		if (++entries > ATTEST_OVMF_ENTRIES_MAX)
			return refuse(err, -E2BIG, "more than 64 entries in the table");
		end -= len;
		r = read_entry(image, end, len - ENTRY, ret, err);
	}
	return r;
}

int attest_ovmf_parse(struct bytes image, struct attest_ovmf *ret, struct err *err)
{
	struct attest_ovmf ovmf = { 0 };
	int r;

	if (image.len > ATTEST_OVMF_SIZE_MAX)
		return refuse(err, -E2BIG, "more than 64 MiB");
	if (image.len < FROM_END + ENTRY)
		return refuse(err, -EBADMSG, "it is too short");
	r = read_table(image, &ovmf, err);
	if (r == 0)
		*ret = ovmf;
	return r;
}
