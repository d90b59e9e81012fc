/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kbs - the evidence inside of a message.
 */
#ifndef ATTEST_KBS_PRIV_H
#define ATTEST_KBS_PRIV_H

#include "attest/kbs.h"
#include "oci/json.h"

/* As attest_kbs_evidence_parse(). */
int attest_kbs_evidence_read(const struct oci_json *at, uint8_t ret_report[ATTEST_SNP_REPORT_SIZE],
			     struct attest_certs *certs, struct err *err);

#endif
