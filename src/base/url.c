// SPDX-License-Identifier: Apache-2.0
#include "base/url.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

enum { PORT_DIGITS = 5 };

/* Moves *at behind the host. */
static int parse_host(const char **at, struct url *ret)
{
	const char *start = *at;
	size_t len;

	ret->is_ipv6 = *start == '[';
	if (ret->is_ipv6) {
		len = strspn(++start, DIGITS "abcdefABCDEF:.");
		if (start[len] != ']' || !memchr(start, ':', len))
			return -EINVAL;
		*at = start + len + 1;
	} else {
		len = strspn(start, LETTERS DIGITS "-.");
		if (len == 0 || start[0] == '-' || start[0] == '.')
			return -EINVAL;
		*at = start + len;
	}
	if (len > URL_HOST_MAX)
		return -ENAMETOOLONG;
	memcpy(ret->host, start, len);
	return 0;
}

static int parse_port(const char **at, struct url *ret)
{
	char digits[PORT_DIGITS + 1] = "";
	size_t len = strspn(*at + 1, DIGITS);
	uint64_t port;

	if (len == 0 || len > PORT_DIGITS)
		return -EINVAL;
	memcpy(digits, *at + 1, len);
	if (text_parse_uint(digits, UINT16_MAX, &port) < 0 || port == 0)
		return -EINVAL;
	ret->port = (uint16_t)port;
	*at += 1 + len;
	return 0;
}

int url_parse(const char *text, struct url *ret)
{
	struct url url = { .port = URL_PORT };
	const char *at = text;
	size_t len;
	int r;

	if (strncmp(at, "https://", strlen("https://")) != 0)
		return -EINVAL;
	at += strlen("https://");
	r = parse_host(&at, &url);
	if (r == 0 && *at == ':')
		r = parse_port(&at, &url);
	if (r < 0)
		return r;
	len = strlen(at);
	if ((len > 0 && at[0] != '/') || strspn(at, LETTERS DIGITS "-._~/%") != len)
		return -EINVAL;
	while (len > 0 && at[len - 1] == '/')
		len--;
	if (len > URL_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(url.path, at, len);
	*ret = url;
	return 0;
}
