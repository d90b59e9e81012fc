/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report - the guest's processor asked to report on the guest, over its own port.
 */
#ifndef PROVER_REPORT_H
#define PROVER_REPORT_H

#include <stdint.h>

#include "attest/reason.h"
#include "attest/snp_report.h"
#include "base/buf.h"
#include "base/bytes.h"

#define REPORT_PORT "casemate.tee"

enum { REPORT_CERTIFICATES_MAX = 64 << 10 };

/*
 * A report on these data; its certificates, PEM, are added. That its host data are document's
 * SHA-256 is seen to here: a guest that speaks for another policy has nothing to say.
 *
 *	-EIO     ATTEST_REPORT_UNAVAILABLE: none, or one that is not on these data
 *	-EACCES  ATTEST_HOST_DATA_MISMATCH
 *	-EBADMSG, -ENOTSUP as attest_snp_report_parse(); -ENOMEM
 */
int report_get(const uint8_t data[ATTEST_SNP_DATA_SIZE], struct bytes document,
	       uint8_t ret_report[ATTEST_SNP_REPORT_SIZE], struct buf *ret_certificates,
	       struct attest_refusal *ret_refusal);

#endif
