// SPDX-License-Identifier: Apache-2.0
#include "lease/journal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	SUM_LEN = 8,
	WORDS_MAX = 4,
	VERSION = 1,
};

/* CRC-32 as in IEEE 802.3, bit by bit: a journal has tens of lines. */
static uint32_t checksum(struct bytes b)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < b.len; i++) {
		crc ^= b.at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static bool is_made_of(const char *text, size_t max, const char *letters)
{
	size_t len = strnlen(text, max + 1);

	return len > 0 && len <= max && strspn(text, letters) == len;
}

static bool is_kind(const char *text)
{
	return is_made_of(text, LEASE_KIND_MAX, "abcdefghijklmnopqrstuvwxyz0123456789-");
}

static bool is_boot(const char *text)
{
	return is_made_of(text, LEASE_BOOT_MAX, "0123456789abcdef-");
}

/* Adds body as a line. */
static int add_line(struct buf *ret, const struct buf *body)
{
	return buf_addf(ret, "%08x %.*s\n", checksum(buf_bytes(body)), (int)body->len,
			(const char *)body->at);
}

int lease_journal_boot(struct buf *ret, const char *boot_id)
{
	CLEANUP(buf_done) struct buf body = { 0 };
	int r;

	if (!is_boot(boot_id))
		return -EINVAL;
	r = buf_addf(&body, "boot %d %s", VERSION, boot_id);
	return r < 0 ? r : add_line(ret, &body);
}

int lease_journal_do(struct buf *ret, size_t step, const char *kind, const char *arg)
{
	CLEANUP(buf_done) struct buf body = { 0 };
	size_t len = strnlen(arg, LEASE_ARG_MAX + 1);
	int r;

	if (!is_kind(kind) || len == 0 || len > LEASE_ARG_MAX)
		return -EINVAL;
	r = buf_addf(&body, "do %zu %s ", step, kind);
	for (size_t i = 0; r == 0 && i < len; i++) {
		uint8_t c = (uint8_t)arg[i];

		r = buf_addf(&body, c > ' ' && c < 0x7f && c != '%' ? "%c" : "%%%02x", c);
	}
	return r < 0 ? r : add_line(ret, &body);
}

int lease_journal_undone(struct buf *ret, size_t step)
{
	CLEANUP(buf_done) struct buf body = { 0 };
	int r = buf_addf(&body, "undone %zu", step);

	return r < 0 ? r : add_line(ret, &body);
}

struct reader {
	struct arena *arena;
	struct lease_journal *journal;
	bool has_boot;
	size_t room;
};

static bool parse_number(const char *text, size_t *ret)
{
	size_t value = 0;

	if (!is_made_of(text, 6, "0123456789"))
		return false;
	for (; *text; text++)
		value = value * 10 + (size_t)(*text - '0');
	*ret = value;
	return true;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Undoes the escapes in place; false if they are none of ours. */
static bool unescape(char *text)
{
	char *to = text;

	while (*text) {
		int high, low;

		if (*text != '%') {
			*to++ = *text++;
			continue;
		}
		high = hex_digit(text[1]);
		low = high < 0 ? -1 : hex_digit(text[2]);
		if (low < 0 || high * 16 + low == 0)
			return false;
		*to++ = (char)(high * 16 + low);
		text += 3;
	}
	*to = '\0';
	return true;
}

static int add_entry(struct reader *r, const char *kind, const char *arg)
{
	struct lease_journal *j = r->journal;

	if (j->count == LEASE_ENTRIES_MAX)
		return -EFBIG;
	if (j->count == r->room) {
		size_t room = r->room ? r->room * 2 : 16;
		struct lease_entry *more = arena_array(r->arena, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		if (j->count)
			memcpy(more, j->entries, j->count * sizeof(*more));
		j->entries = more;
		r->room = room;
	}
	j->entries[j->count++] = (struct lease_entry){ .kind = kind, .arg = arg };
	return 1;
}

/* The line's words, which it is cut into; false if there are none or too many. */
static bool split(char *line, char *words[static WORDS_MAX], size_t *ret_count)
{
	size_t count = 0;
	char *rest = line, *word;

	while ((word = strsep(&rest, " "))) {
		if (!word[0] || count == WORDS_MAX)
			return false;
		words[count++] = word;
	}
	*ret_count = count;
	return true;
}

/* One line whose checksum is right: 1 if it makes sense, 0 if not, negative to give up for. */
static int read_body(struct reader *r, char *body)
{
	struct lease_journal *j = r->journal;
	char *words[WORDS_MAX];
	size_t count, number;

	if (!split(body, words, &count))
		return 0;
	if (count == 3 && !strcmp(words[0], "boot")) {
		if (!parse_number(words[1], &number) || r->has_boot)
			return 0;
		if (number != VERSION)
			return -EPROTONOSUPPORT;
		if (!is_boot(words[2]))
			return 0;
		(void)snprintf(j->boot, sizeof(j->boot), "%s", words[2]);
		r->has_boot = true;
		return 1;
	}
	if (count == 4 && !strcmp(words[0], "do")) {
		if (!parse_number(words[1], &number) || number != j->count || !is_kind(words[2]) ||
		    !unescape(words[3]) || strlen(words[3]) > LEASE_ARG_MAX)
			return 0;
		return add_entry(r, words[2], words[3]);
	}
	if (count == 2 && !strcmp(words[0], "undone")) {
		if (!parse_number(words[1], &number) || number >= j->count)
			return 0;
		j->entries[number].is_undone = true;
		return 1;
	}
	return 0;
}

static int read_line(struct reader *r, struct bytes line)
{
	char sum[SUM_LEN + 2];
	char *body;

	if (line.len < SUM_LEN + 2 || memchr(line.at, '\0', line.len))
		return 0;
	(void)snprintf(sum, sizeof(sum), "%08x ",
		       checksum((struct bytes){ line.at + SUM_LEN + 1, line.len - SUM_LEN - 1 }));
	if (memcmp(line.at, sum, SUM_LEN + 1) != 0)
		return 0;
	body = arena_strndup(r->arena, (const char *)line.at + SUM_LEN + 1, line.len - SUM_LEN - 1);
	return body ? read_body(r, body) : -ENOMEM;
}

int lease_journal_read(struct arena *arena, struct bytes data, struct lease_journal *ret)
{
	struct lease_journal journal = { 0 };
	struct reader reader = { .arena = arena, .journal = &journal };
	bool saw_bad = false;
	size_t at = 0;

	if (data.len > LEASE_JOURNAL_MAX)
		return -EFBIG;
	while (at < data.len) {
		const uint8_t *end = memchr(data.at + at, '\n', data.len - at);
		int r;

		if (!end)
			break;
		r = read_line(&reader,
			      (struct bytes){ data.at + at, (size_t)(end - data.at) - at });
		if (r < 0)
			return r;
		at = (size_t)(end - data.at) + 1;
		if (r == 0) {
			saw_bad = true;
			continue;
		}
		journal.len = at;
		journal.is_damaged = journal.is_damaged || saw_bad;
	}
	/* Steps of a boot that was not said: the first line is gone. */
	if (journal.count && !reader.has_boot)
		journal.is_damaged = true;
	*ret = journal;
	return 0;
}
