// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was understood, written again, is understood as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = strndup((const char *)data, size);
	char again[URL_HOST_MAX + URL_PATH_MAX + 32];
	struct url url, other;

	if (!text || url_parse(text, &url) < 0)
		return 0;
	(void)snprintf(again, sizeof(again), "https://%s%s%s:%u%s", url.is_ipv6 ? "[" : "",
		       url.host, url.is_ipv6 ? "]" : "", url.port, url.path);
	if (url_parse(again, &other) < 0 || strcmp(url.host, other.host) != 0 ||
	    strcmp(url.path, other.path) != 0 || url.port != other.port)
		abort();
	return 0;
}
