// SPDX-License-Identifier: Apache-2.0
#include "machine/number_priv.h"

static int64_t number(struct bytes text, int base, int64_t max)
{
	static const char digits[] = "0123456789abcdef";
	int64_t value = 0;
	size_t i;

	if (!text.len)
		return PCI_UNKNOWN;
	for (i = 0; i < text.len; i++) {
		int c = text.at[i] >= 'A' && text.at[i] <= 'F' ? text.at[i] + 'a' - 'A'
							       : text.at[i];
		const char *digit = c ? memchr(digits, c, (size_t)base) : NULL;

		if (!digit || value > (max - (digit - digits)) / base)
			return PCI_UNKNOWN;
		value = value * base + (digit - digits);
	}
	return value;
}

int64_t machine_number_hex(struct bytes text, int64_t max)
{
	if (text.len > 2 && text.at[0] == '0' && text.at[1] == 'x')
		text = (struct bytes){ text.at + 2, text.len - 2 };
	return number(text, 16, max);
}

int64_t machine_number_decimal(struct bytes text, int64_t max)
{
	return number(text, 10, max);
}

bool machine_number_word(struct bytes *text, const char *stops, struct bytes *ret)
{
	size_t begin = 0, end;

	*ret = (struct bytes){ 0 };
	if (!text->at)
		return false;
	while (begin < text->len && text->at[begin] && strchr(stops, text->at[begin]))
		begin++;
	end = begin;
	while (end < text->len && (!text->at[end] || !strchr(stops, text->at[end])))
		end++;
	*ret = (struct bytes){ text->at + begin, end - begin };
	*text = (struct bytes){ text->at + end, text->len - end };
	return ret->len > 0;
}

bool machine_number_list(struct bytes text, struct machine_mask *ret)
{
	struct bytes word, from;
	int64_t first, last;

	memset(ret, 0, sizeof(*ret));
	while (machine_number_word(&text, ",", &word)) {
		bool is_range = memchr(word.at, '-', word.len);

		if (!machine_number_word(&word, "-", &from))
			return false;
		first = last = machine_number_decimal(from, MACHINE_CPU_ID_MAX);
		if (is_range && machine_number_word(&word, "-", &from))
			last = machine_number_decimal(from, MACHINE_CPU_ID_MAX);
		if (first < 0 || last < first || word.len)
			return false;
		for (; first <= last; first++)
			machine_mask_set(ret, (int)first);
	}
	return true;
}

int64_t machine_number_milli(struct bytes text)
{
	enum { WHOLE_MAX = 1 << 30 };
	const uint8_t *point = text.len ? memchr(text.at, '.', text.len) : NULL;
	size_t whole = point ? (size_t)(point - text.at) : text.len, i;
	int64_t value = machine_number_decimal((struct bytes){ text.at, whole }, WHOLE_MAX);

	if (value < 0)
		return PCI_UNKNOWN;
	for (i = 1; i <= 3; i++) {
		uint8_t c = whole + i < text.len ? text.at[whole + i] : '0';

		if (c < '0' || c > '9')
			return PCI_UNKNOWN;
		value = value * 10 + (c - '0');
	}
	return value;
}

bool machine_number_bitmap(struct bytes text, struct machine_mask *ret)
{
	size_t left = 1, i;
	struct bytes word;

	memset(ret, 0, sizeof(*ret));
	if (!text.at)
		return false;
	for (i = 0; i < text.len; i++)
		left += text.at[i] == ',';
	while (left--) {
		const uint8_t *comma = memchr(text.at, ',', text.len);
		int64_t bits;
		int bit;

		word = (struct bytes){ text.at, comma ? (size_t)(comma - text.at) : text.len };
		bits = word.len ? machine_number_hex(word, UINT32_MAX) : 0;
		if (bits < 0 || (bits && left >= sizeof(ret->bits) / 4))
			return false;
		for (bit = 0; bit < 32; bit++)
			if (bits >> bit & 1)
				machine_mask_set(ret, (int)left * 32 + bit);
		if (comma)
			text = (struct bytes){ comma + 1, text.len - word.len - 1 };
	}
	return true;
}
