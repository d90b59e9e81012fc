// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Digits at *at, which moves behind them. */
static int take_digits(const char **at, uint64_t *ret)
{
	uint64_t value = 0;

	if (!is_digit(**at))
		return -EINVAL;
	for (; is_digit(**at); (*at)++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(**at - '0'), &value))
			return -ERANGE;
	}
	*ret = value;
	return 0;
}

int text_parse_uint(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value;
	int r = take_digits(&text, &value);

	if (r < 0)
		return r;
	if (*text)
		return -EINVAL;
	if (value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

/* The power of two a suffix stands for, or -EINVAL. */
static int size_shift(const char *suffix)
{
	static const char letters[] = "kmgt";
	const char *letter;

	if (!suffix[0] || (to_lower(suffix[0]) == 'b' && !suffix[1]))
		return 0;
	letter = strchr(letters, to_lower(suffix[0]));
	if (!letter)
		return -EINVAL;
	suffix++;
	if (to_lower(suffix[0]) == 'i' && to_lower(suffix[1]) == 'b')
		suffix++;
	if (to_lower(suffix[0]) == 'b')
		suffix++;
	return suffix[0] ? -EINVAL : 10 * (int)(letter - letters + 1);
}

/* ".5" at *at, if it is there: so many parts of *ret_scale. */
static int take_fraction(const char **at, uint64_t *ret_parts, uint64_t *ret_scale)
{
	uint64_t parts = 0, scale = 1;

	*ret_parts = 0;
	*ret_scale = 1;
	if (**at != '.')
		return 0;
	(*at)++;
	if (!is_digit(**at))
		return -EINVAL;
	/* Six places are below a byte of a megabyte, and times 2^40 still fit. */
	for (; is_digit(**at); (*at)++) {
		if (scale == 1000000)
			continue;
		parts = parts * 10 + (uint64_t)(**at - '0');
		scale *= 10;
	}
	*ret_parts = parts;
	*ret_scale = scale;
	return 0;
}

int text_parse_size(const char *text, uint64_t *ret)
{
	uint64_t whole = 0, parts = 0, scale = 1;
	int r = take_digits(&text, &whole), shift;

	if (r == 0)
		r = take_fraction(&text, &parts, &scale);
	if (r < 0)
		return r;
	shift = size_shift(text);
	if (shift < 0)
		return shift;
	if (whole > UINT64_MAX >> shift)
		return -ERANGE;
	/* The fraction is less than one unit, so the sum cannot pass what whole + 1 would be. */
	*ret = (whole << shift) + (parts << shift) / scale;
	return 0;
}

int text_parse_cpus(const char *text, uint32_t *ret_milli)
{
	uint64_t whole;
	uint32_t milli = 0, unit = 100;
	int r = take_digits(&text, &whole);

	if (r < 0)
		return r;
	if (*text == '.') {
		text++;
		if (!is_digit(*text))
			return -EINVAL;
		for (; is_digit(*text); text++) {
			if (unit == 0 && *text != '0')
				return -EINVAL;
			milli += (uint32_t)(*text - '0') * unit;
			unit /= 10;
		}
	}
	if (*text)
		return -EINVAL;
	if (whole > UINT32_MAX / 1000 - 1)
		return -ERANGE;
	*ret_milli = (uint32_t)whole * 1000 + milli;
	return 0;
}

/* The unit at *at, which moves behind it: its rank in the table, or -EINVAL. */
static int take_unit(const char **at, uint64_t *ret_ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
		int rank;
	} units[] = {
		/* "ms" before "m", which it begins with */
		{ "h", 3600000, 0 },
		{ "ms", 1, 3 },
		{ "m", 60000, 1 },
		{ "s", 1000, 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		size_t len = strlen(units[i].name);

		if (strncmp(*at, units[i].name, len) == 0) {
			*at += len;
			*ret_ms = units[i].ms;
			return units[i].rank;
		}
	}
	return -EINVAL;
}

int text_parse_duration_ms(const char *text, uint64_t *ret)
{
	uint64_t sum = 0;
	int last = -1;

	do {
		uint64_t value, ms = 1000;
		int r = take_digits(&text, &value), rank = 0;

		if (r < 0)
			return r;
		if (*text || last >= 0) {
			rank = take_unit(&text, &ms);
			if (rank < 0 || rank <= last)
				return -EINVAL;
		}
		if (__builtin_mul_overflow(value, ms, &value) ||
		    __builtin_add_overflow(sum, value, &sum))
			return -ERANGE;
		last = rank;
	} while (*text);
	*ret = sum;
	return 0;
}

static bool is_name_char(char c)
{
	return is_digit(c) || (to_lower(c) >= 'a' && to_lower(c) <= 'z');
}

/* len characters; the rest of the string is not looked at. */
static bool name_valid(const char *name, size_t len)
{
	if (len == 0 || len > TEXT_NAME_MAX || !is_name_char(name[0]))
		return false;
	for (size_t i = 1; i < len; i++) {
		if (!is_name_char(name[i]) && !(name[i] && strchr("_.-", name[i])))
			return false;
	}
	return true;
}

bool text_name_valid(const char *name)
{
	return name_valid(name, strlen(name));
}

int text_parse_target(const char *text, struct text_target *ret)
{
	const char *slash = strchr(text, '/'), *container = slash ? slash + 1 : "main";
	size_t len = slash ? (size_t)(slash - text) : strlen(text);

	if (!name_valid(text, len) || !text_name_valid(container))
		return -EINVAL;
	*ret = (struct text_target){ 0 };
	memcpy(ret->pod, text, len);
	memcpy(ret->container, container, strlen(container));
	return 0;
}

void text_hex(const void *at, size_t len, char *ret)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = at;

	for (size_t i = 0; i < len; i++) {
		*ret++ = digits[from[i] >> 4];
		*ret++ = digits[from[i] & 0xf];
	}
	*ret = '\0';
}

/* 16 for what is no digit. */
static unsigned int hex_value(char c)
{
	if (is_digit(c))
		return (unsigned int)(c - '0');
	c = to_lower(c);
	return c >= 'a' && c <= 'f' ? (unsigned int)(c - 'a') + 10 : 16;
}

int text_unhex(const char *hex, size_t len, uint8_t *ret)
{
	if (strnlen(hex, 2 * len + 1) != 2 * len)
		return -EINVAL;
	for (size_t i = 0; i < 2 * len; i++) {
		if (hex_value(hex[i]) > 15)
			return -EINVAL;
	}
	for (size_t i = 0; i < len; i++)
		ret[i] = (uint8_t)(hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
	return 0;
}

static unsigned int min2(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Optimal string alignment: Levenshtein's distance with swaps of neighbours. */
static unsigned int distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned int rows[3][TEXT_NEAREST_MAX + 1];
	unsigned int *before = rows[0], *above = rows[1], *row = rows[2], *spare;

	for (size_t j = 0; j <= b_len; j++)
		row[j] = (unsigned int)j;
	for (size_t i = 1; i <= a_len; i++) {
		spare = before;
		before = above;
		above = row;
		row = spare;
		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= b_len; j++) {
			row[j] = above[j - 1] + (a[i - 1] != b[j - 1]);
			row[j] = min2(row[j], min2(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = min2(row[j], before[j - 2] + 1);
		}
	}
	return row[b_len];
}

const char *text_nearest(const char *name, const char *const *words, size_t count)
{
	size_t len = strnlen(name, TEXT_NEAREST_MAX + 1);
	unsigned int best = (len < 6 ? 1 : (unsigned int)len / 3) + 1;
	const char *nearest = NULL;

	if (len > TEXT_NEAREST_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t word_len = strnlen(words[i], TEXT_NEAREST_MAX + 1);
		unsigned int d;

		if (word_len > TEXT_NEAREST_MAX)
			continue;
		d = distance(name, len, words[i], word_len);
		/* A word of which nothing is left is no likeness. */
		if (d < best && d < len && d < word_len) {
			best = d;
			nearest = words[i];
		}
	}
	return nearest;
}

/* The length of the UTF-8 sequence that starts there, 0 if it is none; its character to ret. */
static size_t utf8_at(struct bytes text, size_t at, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint8_t first = bytes_u8(text, at);
	size_t len = first < 0x80	      ? 1
		     : (first & 0xe0) == 0xc0 ? 2
		     : (first & 0xf0) == 0xe0 ? 3
		     : (first & 0xf8) == 0xf0 ? 4
					      : 0;
	uint32_t c;

	if (len == 0 || !bytes_has(text, at, len))
		return 0;
	c = len == 1 ? first : first & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		uint8_t next = bytes_u8(text, at + i);

		if ((next & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (next & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return len;
}

static bool is_harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0x200e ||
	       c == 0x200f ||		       /* marks of direction */
	       (c >= 0x2028 && c <= 0x202e) || /* line ends, embeddings and overrides */
	       (c >= 0x2066 && c <= 0x2069);   /* isolates */
}

static int quote_char(struct buf *buf, uint32_t c)
{
	static const char known[] = "\n\t\r", letters[] = "ntr";
	const char *at = c && c < 0x80 ? strchr(known, (int)c) : NULL;

	if (at)
		return buf_addf(buf, "\\%c", letters[at - known]);
	return buf_addf(buf, c < 0x80 ? "\\x%02x" : "\\u%04x", c);
}

int text_quote(struct buf *buf, struct bytes text)
{
	size_t start = buf->len, at = 0;

	while (at < text.len) {
		uint32_t c = 0;
		size_t len = utf8_at(text, at, &c);
		int r;

		if (len == 0)
			r = buf_addf(buf, "\\x%02x", bytes_u8(text, at));
		else if (is_harmful(c))
			r = quote_char(buf, c);
		else
			r = buf_add(buf, text.at + at, len);
		if (r < 0) {
			buf->len = start;
			return r;
		}
		at += len ? len : 1;
	}
	return 0;
}
