// SPDX-License-Identifier: Apache-2.0
#include "prover/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

#define TOKEN                                                  \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"0123456789!#$%&'*+-.^_`|~"
#define HOST                                                   \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"0123456789.-_:[]"
#define PATH                                                   \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"0123456789.-_~!$&'()*+,;=:@%/"
/* What a cookie's value may consist of (RFC 6265, 4.1.1), less what only quotes would need. */
#define COOKIE                                                 \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"0123456789!#$%&'()*+-./:<=>?@[]^_`{|}~"

int http_url_parse(const char *text, struct http_url *ret)
{
	static const char scheme[] = "https://";
	size_t host, prefix;

	if (strncmp(text, scheme, strlen(scheme)) != 0)
		return -EINVAL;
	text += strlen(scheme);
	host = strspn(text, HOST);
	prefix = strspn(text + host, PATH);
	if (host == 0 || text[host + prefix] || (prefix > 0 && text[host] != '/'))
		return -EINVAL;
	if (host > HTTP_HOST_MAX || prefix > HTTP_PREFIX_MAX)
		return -E2BIG;
	while (prefix > 0 && text[host + prefix - 1] == '/')
		prefix--;
	*ret = (struct http_url){ 0 };
	memcpy(ret->host, text, host);
	memcpy(ret->prefix, text + host, prefix);
	return 0;
}

bool http_url_name(const struct http_url *url, char *ret)
{
	size_t len = strcspn(url->host, ":");

	/* the last label of a name has a letter in it, that of an address has not */
	if (url->host[0] == '[' || strspn(url->host, "0123456789.") >= len)
		return false;
	memcpy(ret, url->host, len);
	ret[len] = '\0';
	return true;
}

int http_request_print(const struct http_request *request, struct buf *ret)
{
	int r = buf_addf(ret, "%s %s%s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\n",
			 request->method, request->url->prefix, request->path, request->url->host);

	if (r == 0 && request->cookie[0])
		r = buf_addf(ret, "Cookie: %s\r\n", request->cookie);
	if (r == 0 && request->body.len > 0)
		r = buf_addf(ret, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			     request->body.len);
	if (r == 0)
		r = buf_add(ret, "\r\n", 2);
	return r == 0 && request->body.len > 0 ? buf_add(ret, request->body.at, request->body.len)
					       : r;
}

/* A line without its end; false: there is none. */
static bool next_line(struct bytes *rest, struct bytes *ret)
{
	const uint8_t *end = memmem(rest->at, rest->len, "\r\n", 2);

	if (!end)
		return false;
	*ret = (struct bytes){ rest->at, (size_t)(end - rest->at) };
	rest->at += ret->len + 2;
	rest->len -= ret->len + 2;
	return true;
}

/* A copy with a NUL, where the strings' functions are at home; one within is refused. */
static int copy_line(struct bytes line, char *ret, size_t size)
{
	if (line.len >= size)
		return -E2BIG;
	if (line.len > 0 && (memchr(line.at, '\0', line.len) || memchr(line.at, '\n', line.len) ||
			     memchr(line.at, '\r', line.len)))
		return -EBADMSG;
	memcpy(ret, line.at, line.len);
	ret[line.len] = '\0';
	return 0;
}

static int parse_status(const char *line, struct http_head *ret)
{
	static const char version[] = "HTTP/1.1 ";
	const char *at = line + strlen(version);

	if (strncmp(line, version, strlen(version)) != 0 || strspn(at, "0123456789") != 3 ||
	    (at[3] && at[3] != ' '))
		return -EBADMSG;
	ret->status = (unsigned)(at[0] - '0') * 100 + (unsigned)(at[1] - '0') * 10 +
		      (unsigned)(at[2] - '0');
	/* an interim answer has another behind it, which nobody has asked for */
	return ret->status < 200 || ret->status > 599 ? -EBADMSG : 0;
}

static int parse_length(const char *value, bool *has_length, struct http_head *ret)
{
	uint64_t len;
	int r = text_parse_uint(value, HTTP_BODY_MAX, &len);

	if (r == -ERANGE)
		return -E2BIG;
	if (r < 0 || *has_length)
		return -EBADMSG;
	*has_length = true;
	ret->body_len = (size_t)len;
	return 0;
}

/* "NAME=VALUE; Path=/": others, and what is told about it, are left alone. */
static int parse_cookie(const char *value, const char *name, struct http_head *ret)
{
	size_t name_len = strlen(name), len;

	if (strncmp(value, name, name_len) != 0 || value[name_len] != '=')
		return 0;
	value += name_len + 1;
	len = strspn(value, COOKIE);
	if (len == 0 || (value[len] && value[len] != ';' && value[len] != ' ') || ret->cookie[0])
		return -EBADMSG;
	if (len > HTTP_COOKIE_MAX)
		return -E2BIG;
	memcpy(ret->cookie, value, len);
	ret->cookie[len] = '\0';
	return 0;
}

/* "NAME: VALUE": a line that goes on, and a blank before the colon, are no fields. */
static int parse_field(char *line, const char *cookie, bool *has_length, struct http_head *ret)
{
	size_t name = strspn(line, TOKEN), len;
	char *value = line + name + 1;

	if (name == 0 || line[name] != ':')
		return -EBADMSG;
	line[name] = '\0';
	value += strspn(value, " \t");
	len = strlen(value);
	while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		value[--len] = '\0';
	if (strcasecmp(line, "content-length") == 0)
		return parse_length(value, has_length, ret);
	if (strcasecmp(line, "transfer-encoding") == 0 || strcasecmp(line, "content-encoding") == 0)
		return -EBADMSG;
	if (strcasecmp(line, "connection") == 0 && strcasecmp(value, "close") == 0)
		ret->is_last = true;
	return strcasecmp(line, "set-cookie") == 0 ? parse_cookie(value, cookie, ret) : 0;
}

static int parse_lines(struct bytes head, const char *cookie, struct http_head *ret)
{
	char text[HTTP_HEAD_MAX + 1] = "";
	bool has_length = false;
	unsigned fields = 0;
	struct bytes line;
	int r;

	if (!next_line(&head, &line))
		return -EBADMSG;
	r = copy_line(line, text, sizeof(text));
	if (r == 0)
		r = parse_status(text, ret);
	while (r == 0 && next_line(&head, &line) && line.len > 0) {
		if (++fields > HTTP_FIELDS_MAX)
			return -E2BIG;
		r = copy_line(line, text, sizeof(text));
		if (r == 0)
			r = parse_field(text, cookie, &has_length, ret);
	}
	return r == 0 && !has_length ? -EBADMSG : r;
}

int http_head_parse(struct bytes in, const char *cookie, struct http_head *ret, size_t *ret_used)
{
	struct bytes seen = { in.at, in.len < HTTP_HEAD_MAX ? in.len : HTTP_HEAD_MAX };
	const uint8_t *end = seen.len > 0 ? memmem(seen.at, seen.len, "\r\n\r\n", 4) : NULL;
	struct http_head head = { 0 };
	int r;

	if (!end)
		return in.len >= HTTP_HEAD_MAX ? -E2BIG : 0;
	seen.len = (size_t)(end - seen.at) + 4;
	r = parse_lines(seen, cookie, &head);
	if (r < 0)
		return r;
	*ret = head;
	*ret_used = seen.len;
	return 1;
}
