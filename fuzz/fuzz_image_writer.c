// SPDX-License-Identifier: Apache-2.0
/* Entries made of any bytes: refused, or an image whose every file can be read again. */
#include <assert.h>
#include <string.h>

#include "image/writer.h"

static uint64_t seen;

static int take(void *data, uint64_t offset, struct bytes bytes, struct err *err)
{
	(void)data;
	(void)err;
	seen = offset + bytes.len > seen ? offset + bytes.len : seen;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	const struct image_limits limits = { 1 << 20, 200, 1 << 20, len & 1 };
	const struct image_sink sink = { take, NULL };
	CLEANUP(image_writer_free) struct image_writer *writer = NULL;
	struct image_info info;
	char text[2][17] = { 0 };
	int r = image_writer_new(&limits, &sink, &writer, NULL);

	seen = 0;
	for (; r == 0 && len >= 40; at += 40, len -= 40) {
		const struct image_xattr xattr = { text[1], { at, 8 } };
		struct image_entry entry = { .path = text[0],
					     .type = at[0] % 9,
					     .mode = at[1],
					     .link = text[1],
					     .rdev_minor = at[2] & 1,
					     .xattrs = &xattr,
					     .xattr_count = at[3] & 1 };

		memcpy(&entry.size, at + 4, at[3] & 2 ? 6 : 2);
		memcpy(text[0], at + 8, 16);
		memcpy(text[1], at + 24, 16);
		r = image_writer_entry(writer, &entry, NULL);
		if (r == 0 && entry.type == IMAGE_FILE && entry.size > 40)
			r = image_writer_data(writer, entry.size / 2, (struct bytes){ at, 16 },
					      NULL);
	}
	r = r < 0 ? r : image_writer_finish(writer, &info, NULL);
	assert(r < 0 || (seen == info.total_bytes && info.data_blocks <= 256));
	return 0;
}
