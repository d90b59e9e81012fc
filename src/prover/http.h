/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http - as much of HTTP/1.1 (RFC 9112) as it takes to ask a broker: requests as text, the head of
 * an answer as facts.
 *
 * An answer has a Content-Length, once, and nothing else that says where it ends: with no other
 * way there is nobody to disagree about it. What is not as it should be is refused, not guessed.
 */
#ifndef PROVER_HTTP_H
#define PROVER_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/bytes.h"

enum {
	HTTP_HEAD_MAX = 16 << 10, /* bytes of an answer before its body */
	HTTP_FIELDS_MAX = 64,
	HTTP_BODY_MAX = 4 << 20,
	HTTP_COOKIE_MAX = 256, /* characters of a cookie's value */
	HTTP_HOST_MAX = 262,   /* a name or an address, a colon, a port */
	HTTP_PREFIX_MAX = 1024,
};

/* "https://broker:8443/below" is "broker:8443" and "/below"; a '/' at the end is left out. */
struct http_url {
	char host[HTTP_HOST_MAX + 1];
	char prefix[HTTP_PREFIX_MAX + 1];
};

/* -EINVAL: not https, a user, a query, a blank; -E2BIG. */
int http_url_parse(const char *text, struct http_url *ret);

/*
 * The name to ask for in TLS, without a port: into ret, of HTTP_HOST_MAX + 1 bytes. False: it is an
 * address, which is none (RFC 6066, 3).
 */
bool http_url_name(const struct http_url *url, char *ret);

struct http_request {
	const char *method;
	const struct http_url *url;
	const char *path;   /* behind the prefix */
	const char *cookie; /* "NAME=VALUE", or "" */
	struct bytes body;  /* JSON */
};

/* Adds it. -ENOMEM. */
int http_request_print(const struct http_request *request, struct buf *ret);

struct http_head {
	unsigned status;
	size_t body_len;
	bool is_last;			  /* the server closes then */
	char cookie[HTTP_COOKIE_MAX + 1]; /* the value of the one that was asked for; "" */
};

/*
 * The head of an answer at the beginning of in; cookie is the name of the one to look for. 1, and
 * *ret_used is where the body begins; 0: it is not all there yet; -EBADMSG: not an answer as
 * above; -E2BIG: more than a limit.
 */
int http_head_parse(struct bytes in, const char *cookie, struct http_head *ret, size_t *ret_used);

#endif
