// SPDX-License-Identifier: Apache-2.0
#include "vmm/tail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int tail_init(struct tail *tail, size_t size)
{
	*tail = (struct tail){ .at = malloc(size), .size = size };
	return tail->at ? 0 : -ENOMEM;
}

void tail_done(struct tail *tail)
{
	free(tail->at);
	*tail = (struct tail){ 0 };
}

void tail_add(struct tail *tail, struct bytes bytes)
{
	size_t first;

	if (bytes.len > tail->size) {
		bytes.at += bytes.len - tail->size;
		bytes.len = tail->size;
	}
	if (bytes.len == 0)
		return;
	first = tail->size - tail->next < bytes.len ? tail->size - tail->next : bytes.len;
	memcpy(tail->at + tail->next, bytes.at, first);
	memcpy(tail->at, bytes.at + first, bytes.len - first);
	tail->next = (tail->next + bytes.len) % tail->size;
	tail->len = tail->len + bytes.len < tail->size ? tail->len + bytes.len : tail->size;
}

/* Where one is in an escape sequence: ESC, marks and one byte, or ESC [ ... and a letter. */
enum tail_escape {
	TAIL_PLAIN,
	TAIL_ESC,
	TAIL_CSI,
};

/* The character to be shown for a byte, or 0 for none. */
static char tail_show(enum tail_escape *state, uint8_t byte)
{
	switch (*state) {
	case TAIL_ESC:
		if (byte < 0x20 || byte > 0x2f)
			*state = byte == '[' ? TAIL_CSI : TAIL_PLAIN;
		return 0;
	case TAIL_CSI:
		if (byte >= 0x20 && byte <= 0x3f)
			return 0;
		*state = TAIL_PLAIN;
		if (byte >= 0x40 && byte <= 0x7e)
			return 0;
		break;
	case TAIL_PLAIN:
		break;
	}
	if (byte == 0x1b) {
		*state = TAIL_ESC;
		return 0;
	}
	if (byte == '\r')
		return 0;
	if (byte == '\t')
		return ' ';
	return byte == '\n' || (byte >= ' ' && byte <= '~') ? (char)byte : '?';
}

/* Text is no longer than what it is made of, so there is room in advance. */
static void tail_render(const struct tail *tail, struct buf *text)
{
	const size_t start = tail->len < tail->size ? 0 : tail->next;
	enum tail_escape state = TAIL_PLAIN;

	for (size_t i = 0; i < tail->len; i++) {
		char c = tail_show(&state, tail->at[(start + i) % tail->size]);

		if (c)
			text->at[text->len++] = (uint8_t)c;
	}
}

int tail_text(const struct tail *tail, size_t lines, struct buf *ret)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	size_t start;
	int r;

	r = buf_reserve(&text, tail->len + 1);
	if (r < 0)
		return r;
	tail_render(tail, &text);
	while (text.len && text.at[text.len - 1] == '\n')
		text.len--;
	if (text.len == 0 || lines == 0)
		return 0;
	for (start = text.len; start > 0; start--) {
		if (text.at[start - 1] == '\n' && --lines == 0)
			break;
	}
	text.at[text.len++] = '\n';
	return buf_add(ret, text.at + start, text.len - start);
}
