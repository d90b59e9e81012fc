// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "oci/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each scalar has a path and a place, and none comes before the one told before it. */
static int check(void *data, const struct oci_yaml_scalar *s, struct err *err)
{
	size_t *line = data;

	(void)err;
	if (!s->path[0] || s->line == 0 || s->column == 0)
		abort();
	if (s->text && s->line < *line)
		abort();
	*line = s->text ? s->line : *line;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = { 0 };
	size_t line = 0;
	int r = oci_yaml_parse((struct bytes){ data, size }, check, &line, &e);

	if (r > 0 || (r < 0 && !e.msg[0]))
		abort();
	return 0;
}
