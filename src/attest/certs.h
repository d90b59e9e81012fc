/* SPDX-License-Identifier: Apache-2.0 */
/*
 * certs - a bag of certificates and revocation lists, from whatever somebody sent along.
 *
 * What lies in the bag is not trusted: a verifier looks there for what leads to a root it trusts.
 * So it does not matter who filled it, nor what else is in it.
 */
#ifndef ATTEST_CERTS_H
#define ATTEST_CERTS_H

#include <stddef.h>

#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/macro.h"

enum {
	ATTEST_CERTS_MAX = 32,
	ATTEST_CRLS_MAX = 8,
	ATTEST_CERT_SIZE_MAX = 16 << 10, /* bytes of one, as DER */
	ATTEST_CRL_SIZE_MAX = 1 << 20,
	ATTEST_CERTS_TEXT_MAX = 4 << 20, /* bytes of one file */
	ATTEST_CERTS_TABLE_MAX = 64,	 /* entries of a table of the host's */
};

struct attest_certs {
	X509 *at[ATTEST_CERTS_MAX];
	size_t count;
	X509_CRL *crls[ATTEST_CRLS_MAX];
	size_t crl_count;
};

void attest_certs_done(struct attest_certs *certs);
CLEANUP_FUNC(struct attest_certs, attest_certs_done)

/*
 * Adds all that is in text: one certificate or list as DER; any number as PEM, with whatever text
 * between; or the table that a host hands its guest beside a report (GHCB specification, SNP
 * Extended Guest Request), whose entries are told apart by what they are and not by their name.
 * The same one twice is one. What was added before an error stays.
 *
 *	-EBADMSG  none of these, cut short, or bytes after the end
 *	-E2BIG    more than a limit above
 *	-ENOMEM
 */
int attest_certs_add(struct attest_certs *certs, struct bytes text, struct err *err);

#endif
