// SPDX-License-Identifier: Apache-2.0
#include "attest/base64.h"

#include <errno.h>
#include <string.h>

enum { ALPHABET = 64 };

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int attest_base64_add(struct buf *ret, struct bytes plain, bool is_url)
{
	const char *alphabet = is_url ? url_safe : standard;

	if (plain.len > SIZE_MAX / 4 || buf_reserve(ret, (plain.len + 2) / 3 * 4) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < plain.len; i += 3) {
		size_t have = plain.len - i < 3 ? plain.len - i : 3;
		uint32_t bits = (uint32_t)plain.at[i] << 16;

		bits |= have > 1 ? (uint32_t)plain.at[i + 1] << 8 : 0;
		bits |= have > 2 ? plain.at[i + 2] : 0;
		for (size_t k = 0; k < 4; k++) {
			if (k <= have)
				ret->at[ret->len++] =
					(uint8_t)alphabet[bits >> (18 - 6 * k) & (ALPHABET - 1)];
			else if (!is_url)
				ret->at[ret->len++] = '=';
		}
	}
	return 0;
}

/* -1: none of the alphabet. */
static int value_of(const char *alphabet, uint8_t c)
{
	const char *at = c ? memchr(alphabet, c, ALPHABET) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

/* 2 to 4 characters -> 1 to 3 bytes. */
static int read_group(const uint8_t *at, size_t chars, const char *alphabet, struct buf *ret)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < chars; i++) {
		int value = value_of(alphabet, at[i]);

		if (value < 0)
			return -EINVAL;
		bits |= (uint32_t)value << (18 - 6 * i);
	}
	/* bits that no byte has are zero in the one spelling */
	if ((chars == 2 && bits & 0xffff) || (chars == 3 && bits & 0xff))
		return -EINVAL;
	for (size_t i = 0; i + 1 < chars; i++)
		ret->at[ret->len++] = (uint8_t)(bits >> (16 - 8 * i));
	return 0;
}

int attest_base64_read(struct bytes text, bool is_url, struct buf *ret)
{
	const char *alphabet = is_url ? url_safe : standard;
	size_t len = text.len, was = ret->len, pad = 0;
	int r = 0;

	while (!is_url && pad < 2 && pad < len && text.at[len - 1 - pad] == '=')
		pad++;
	if (!is_url && len % 4 != 0)
		return -EINVAL;
	len -= pad;
	if (len % 4 == 1)
		return -EINVAL;
	if (buf_reserve(ret, len / 4 * 3 + 3) < 0)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < len; i += 4)
		r = read_group(text.at + i, len - i < 4 ? len - i : 4, alphabet, ret);
	if (r < 0)
		ret->len = was;
	return r;
}

int attest_base64_fixed(struct bytes text, bool is_url, size_t len, uint8_t *ret)
{
	CLEANUP(buf_done) struct buf plain = { 0 };
	int r;

	if (text.len > len * 2 + 4)
		return -EINVAL;
	r = attest_base64_read(text, is_url, &plain);
	if (r == 0 && plain.len != len)
		r = -EINVAL;
	if (r == 0)
		memcpy(ret, plain.at, len);
	return r;
}
