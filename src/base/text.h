/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text - the small languages of flags, configuration and names, and text made fit to show.
 *
 * The parsers take all of a NUL-terminated string or nothing: no blanks around it, no sign, no
 * rest. They return 0, -EINVAL for what is not of the form, or -ERANGE for a value too large to
 * say; *ret is written on 0 only.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"

enum {
	TEXT_NAME_MAX = 64,    /* characters of a pod's or container's name */
	TEXT_NEAREST_MAX = 64, /* longer words have no nearest one */
};

/* Decimal digits, up to max. */
int text_parse_uint(const char *text, uint64_t max, uint64_t *ret);

/*
 * Bytes: "65536", "512m", "1.5g", "1GiB". As podman has it, k, m, g and t (alone, or with "b" or
 * "ib", in either case) are powers of 1024; a fraction is cut to whole bytes.
 */
int text_parse_size(const char *text, uint64_t *ret);

/* Thousandths of a CPU: "2", "1.5". Finer than a thousandth is -EINVAL. "0" is 0. */
int text_parse_cpus(const char *text, uint32_t *ret_milli);

/* Milliseconds: "30" and "30s", "1500ms", "2m", "1h", and sums of them, largest first: "1m30s". */
int text_parse_duration_ms(const char *text, uint64_t *ret);

/* Names of pods and containers: [a-zA-Z0-9][a-zA-Z0-9_.-]*, 1 to TEXT_NAME_MAX characters. */
bool text_name_valid(const char *name);

/* "POD" or "POD/CONTAINER", both valid names; without the second part it is "main". */
struct text_target {
	char pod[TEXT_NAME_MAX + 1];
	char container[TEXT_NAME_MAX + 1];
};

int text_parse_target(const char *text, struct text_target *ret);

/* Lower-case hex and a NUL: 2 * len + 1 characters at ret. */
void text_hex(const void *at, size_t len, char *ret);

/* len bytes from 2 * len hex digits of either case; a string of another length is -EINVAL. */
int text_unhex(const char *hex, size_t len, uint8_t *ret);

/*
 * The word of a list that name was most likely meant to be, the first of equals; NULL if none is
 * near. Insertions, deletions, changes and swaps count: one for every three characters is near,
 * one in any case.
 */
const char *text_nearest(const char *name, const char *const *words, size_t count);

/*
 * Adds text that came from elsewhere so that a terminal shows it and does nothing else: control
 * characters, broken UTF-8 and what reorders a line become \n, \t, \r, \xNN or \uNNNN. Valid UTF-8
 * stays as it is. 0 or -ENOMEM.
 */
int text_quote(struct buf *buf, struct bytes text);

#endif
