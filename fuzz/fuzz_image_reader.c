// SPDX-License-Identifier: Apache-2.0
/* Any bytes behind a good first block: what is read of any file is an error, or ends. */
#include <errno.h>
#include <string.h>

#include "image/format_priv.h"
#include "image/reader.h"

static int source(void *data, uint64_t offset, void *at, size_t len, struct err *err)
{
	const struct bytes *bytes = data;
	uint8_t super[EROFS_SB_SIZE] = { [EROFS_SB_BLKSZBITS] = EROFS_BLOCK_BITS };

	(void)err;
	put_le32(super + EROFS_SB_MAGIC, EROFS_MAGIC);
	put_le32(super + EROFS_SB_BLOCKS, 16);
	memcpy(super + EROFS_SB_VOLUME_NAME, IMAGE_FORMAT, sizeof(IMAGE_FORMAT));
	if (offset == EROFS_SB_AT && len == sizeof(super))
		memcpy(at, super, len);
	else if (bytes_has(*bytes, offset, len))
		memcpy(at, bytes->at + offset, len);
	else
		return -EIO;
	return 0;
}

static int nowhere(void *data, uint64_t offset, struct bytes bytes, struct err *err)
{
	size_t *left = data;

	(void)err;
	if (offset > IMAGE_SIZE_MAX || bytes.len > IMAGE_BLOCK_SIZE || --*left == 0)
		return -EIO;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct bytes bytes = { at, len };
	CLEANUP(image_reader_free) struct image_reader *reader = NULL;
	struct image_entry entry;
	size_t left = 1000;
	uint64_t nid;
	bool is_opaque;

	if (image_reader_new(&(struct image_source){ source, &bytes }, &reader, NULL) < 0)
		return 0;
	for (nid = 0; nid < 64; nid++) {
		(void)image_reader_stat(reader, nid, &entry, &is_opaque, NULL);
		(void)image_reader_content(reader, nid, &(struct image_sink){ nowhere, &left },
					   NULL);
		if (image_reader_find(reader, nid, "a", &nid, NULL) > 0)
			return 0;
	}
	return 0;
}
