/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reference - a file of what a VM's report has to say, as `casemate verify --policy` and a broker's
 * rules read it (attest/expect.h).
 */
#ifndef CLI_REFERENCE_H
#define CLI_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "attest/launch.h"
#include "attest/snp_report.h"
#include "base/err.h"

struct reference {
	const char *path;
	const char *dir; /* of the simulated processor: if root.pem is in it, that root is named */
	uint8_t host_data[ATTEST_SNP_HOST_DATA_SIZE];
	bool has_launch_digest; /* else path is there already, and what it has of them stays */
	uint8_t launch_digest[ATTEST_LAUNCH_DIGEST];
};

/*
 * Writes the file, whole or not at all. -EINVAL with ERR_USAGE: the one that is there is not of the
 * form; -EBADMSG: root.pem is not one certificate.
 */
int reference_write(const struct reference *reference, struct err *err);

#endif
