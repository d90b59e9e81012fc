/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity - the simulated processor's key and certificates: made once for a host, kept in one
 * directory.
 *
 *	identity.pem   0600: the key that signs reports, its certificate, its issuer's, the root's;
 *		       one file, so that they come to be together or not at all
 *	root.pem       0644: the root's certificate, for whoever is to trust it
 *	lock           so that of two who start, one makes them
 *
 * The root's and the issuer's keys are gone as soon as they have signed. Nothing expires: there is
 * nobody who would make new ones. A file that is there and cannot be read is an error and stays.
 */
#ifndef SIMTEE_IDENTITY_H
#define SIMTEE_IDENTITY_H

#include <stdint.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/macro.h"
#include "simtee/report.h"

enum { IDENTITY_SIZE_MAX = 64 << 10 };

struct identity {
	EVP_PKEY *key;
	uint8_t chip_id[ATTEST_SNP_CHIP_ID_SIZE];
	struct buf certificates; /* PEM: the chip's, its issuer's, the root's */
};

void identity_done(struct identity *identity);
CLEANUP_FUNC(struct identity, identity_done)

/*
 * dir_fd is a directory that this user may write to. -EBADMSG: identity.pem is not what was
 * written there; -EPERM: others may read or write it; -EWOULDBLOCK: somebody else is busy there for
 * PROCESSOR_LOCK_MS of vmm/processor.h; -EIO: libcrypto can't; what file_write_atomic() says.
 */
int identity_load(int dir_fd, struct identity *ret, struct err *err);

/* A whole report. -EIO. */
int identity_report(const struct identity *identity, const struct report_facts *facts,
		    uint8_t ret_report[ATTEST_SNP_REPORT_SIZE]);

#endif
