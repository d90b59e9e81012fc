// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>

#include "attest/ovmf.h"
#include "attest/snp_launch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is understood stays within its limits; small ones are measured. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t seed[ATTEST_LAUNCH_DIGEST] = { 1 };
	const struct attest_boot_hashes boot = { .kernel = { 1 } };
	struct attest_snp_launch launch = {
		.vcpus = 1, .firmware = { data, size }, .firmware_digest = seed, .boot = &boot
	};
	uint8_t digest[ATTEST_LAUNCH_DIGEST];
	struct attest_ovmf ovmf;
	uint64_t total = 0;

	if (attest_ovmf_parse(launch.firmware, &ovmf, NULL) < 0)
		return 0;
	for (size_t i = 0; i < ovmf.section_count; i++)
		total += ovmf.sections[i].size;
	if (ovmf.section_count > ATTEST_OVMF_SECTIONS_MAX || total > ATTEST_OVMF_MEMORY_MAX)
		abort();
	if (total < 1 << 20)
		(void)attest_snp_launch_digest(&launch, digest, NULL);
	return 0;
}
