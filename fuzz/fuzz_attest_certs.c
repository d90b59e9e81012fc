// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>

#include "attest/certs.h"
#include "attest/snp_vek.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is in the bag can be looked at: as a chip's certificate, too. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	struct attest_refusal refusal;
	struct attest_snp_vek vek;
	struct err err = { 0 };
	int r = attest_certs_add(&certs, (struct bytes){ data, size }, &err);

	if (r > 0 || (r < 0 && !err.msg[0]) || (r == 0 && certs.count + certs.crl_count == 0))
		abort();
	for (size_t i = 0; i < certs.count; i++)
		if (attest_snp_vek_read(certs.at[i], &vek, &refusal) == 0 &&
		    (vek.chip_id_len > sizeof(vek.chip_id) || !vek.product[0]))
			abort();
	return 0;
}
