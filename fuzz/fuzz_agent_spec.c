// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>

#include "agent/config.h"
#include "agent/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted can be expanded for crun. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct user user = { .uid = 1, .home = "/" };
	struct config_container config = {
		.id = "a",
		.root = "/r",
		.process = { .user = &user, .hostname = "h" },
	};
	Agent__ContainerSpec *spec;
	struct err err = { 0 };
	char *text;
	int r;

	r = spec_open((struct bytes){ data, size }, &spec, &err);
	if (r > 0 || (r < 0 && !err.msg[0]))
		abort();
	if (r < 0)
		return 0;
	config.process.spec = spec;
	if (config_create(&config, &text, &err) < 0)
		abort();
	free(text);
	agent__container_spec__free_unpacked(spec, NULL);
	return 0;
}
