// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "attest/jwe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nobody can make up a message for a key without its point; what was wrapped is unwrapped. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[ATTEST_JWK_SCALAR] = { 1 };
	static const struct attest_jwe_random chance = { .private_key = { 2 }, .cek = { 3 } };
	CLEANUP(buf_done) struct buf plain = { 0 }, text = { 0 };
	struct attest_jwk to;
	struct err err = { 0 };

	if (attest_jwe_unwrap(key, (struct bytes){ data, size }, &plain, &err) < 0 &&
	    (!err.msg[0] || plain.len > 0))
		abort();
	plain.len = 0;
	if (attest_jwk_make(key, &to) < 0 ||
	    attest_jwe_wrap(&to, &chance, (struct bytes){ data, size }, &text) < 0 ||
	    attest_jwe_unwrap(key, buf_bytes(&text), &plain, &err) < 0 || plain.len != size ||
	    (size > 0 && memcmp(plain.at, data, size) != 0))
		abort();
	return 0;
}
