// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses a key; what it takes is in its range, and reads back the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum config_key key = size ? data[0] % CONFIG_KEY_COUNT : 0;
	const struct config_key_info *info = config_key(key);
	cleanup_free char *text = size ? strndup((const char *)data + 1, size - 1) : NULL;
	CLEANUP(config_done) struct config cfg;
	CLEANUP(buf_done) struct buf out = { 0 };
	uint64_t number;

	config_init(&cfg);
	if (!text || config_set(&cfg, info->name, text, CONFIG_NODE, NULL) < 0)
		return 0;
	number = cfg.values[key].number;
	if (info->max && (number < info->min || number > info->max))
		abort();
	if (config_format(&cfg, key, &out) < 0 || buf_add(&out, "", 1) < 0)
		abort();
	if (config_set(&cfg, info->name, (char *)out.at, CONFIG_FLAG, NULL) < 0 ||
	    cfg.values[key].number != number)
		abort();
	return 0;
}
