/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls - the key that the broker is known by: guests' policies name the SHA-256 of its public half
 * (SubjectPublicKeyInfo, DER), and so its certificate may be anybody's, or its own.
 */
#ifndef BROKER_TLS_H
#define BROKER_TLS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { BROKER_TLS_MAX = 64 << 10, BROKER_TLS_DIGEST = 32 };

/* Both as PEM, with the NUL that ends them counted. */
struct broker_tls {
	struct buf key;
	struct buf cert;
};

void broker_tls_done(struct broker_tls *tls); /* wiped */
CLEANUP_FUNC(struct broker_tls, broker_tls_done)

/*
 * What is in folder: "tls-key.pem" (P-256, mode 0600) and "tls-cert.pem", for itself by itself;
 * made if they are not there. -EPERM: a key that is open to others; others as file_read().
 */
int broker_tls_load(const char *folder, struct broker_tls *ret, struct err *err);

/* -EINVAL: no certificate, or it is not that of the key. */
int broker_tls_digest(const struct broker_tls *tls, uint8_t ret[BROKER_TLS_DIGEST],
		      struct err *err);

#endif
