// SPDX-License-Identifier: Apache-2.0
#include "prover/tls.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/sslerr.h>
#include <openssl/x509.h>

struct prover_tls {
	SSL_CTX *ctx;
	SSL *ssl;
	uint8_t key[TLS_KEY_SIZE];
	bool is_other; /* another key was shown */
};

/* In the place of all that libssl would check: 1, go on; 0, end the handshake. */
static int check_key(X509_STORE_CTX *store, void *data)
{
	X509 *cert = X509_STORE_CTX_get0_cert(store);
	struct prover_tls *tls = data;
	uint8_t *der = NULL, digest[TLS_KEY_SIZE];
	int len = cert ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der) : -1;
	bool is_it = false;

	if (len > 0 && EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL) == 1)
		is_it = CRYPTO_memcmp(digest, tls->key, sizeof(digest)) == 0;
	OPENSSL_free(der);
	tls->is_other = !is_it;
	if (!is_it)
		X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return is_it;
}

static int set_up(struct prover_tls *tls, const struct prover_tls_opts *opts)
{
	BIO *in, *out;

	tls->ctx = SSL_CTX_new(TLS_client_method());
	if (!tls->ctx || SSL_CTX_set_min_proto_version(tls->ctx, TLS1_3_VERSION) != 1)
		return -ENOMEM;
	SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(tls->ctx, check_key, tls);
	(void)SSL_CTX_set_session_cache_mode(tls->ctx, SSL_SESS_CACHE_OFF);
	tls->ssl = SSL_new(tls->ctx);
	in = BIO_new_fd(opts->in_fd, BIO_NOCLOSE);
	out = BIO_new_fd(opts->out_fd, BIO_NOCLOSE);
	if (!tls->ssl || !in || !out) {
		(void)BIO_free(in);
		(void)BIO_free(out);
		return -ENOMEM;
	}
	SSL_set0_rbio(tls->ssl, in);
	SSL_set0_wbio(tls->ssl, out);
	/* as SSL_set_tlsext_host_name(), whose cast takes const away */
	if (opts->name && SSL_ctrl(tls->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME,
				   TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)opts->name) != 1)
		return -ENOMEM;
	return 0;
}

int prover_tls_connect(const struct prover_tls_opts *opts, struct prover_tls **ret_tls,
		       struct attest_refusal *ret_refusal)
{
	CLEANUP(prover_tls_free) struct prover_tls *tls = NULL;
	const char *why;
	int r;

	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return -ENOMEM;
	tls = calloc(1, sizeof(*tls));
	if (!tls)
		return -ENOMEM;
	memcpy(tls->key, opts->key, sizeof(tls->key));
	r = set_up(tls, opts);
	if (r < 0)
		return r;
	if (SSL_connect(tls->ssl) == 1) {
		*ret_tls = steal_ptr(&tls);
		return 0;
	}
	if (tls->is_other) {
		attest_refusal_set(ret_refusal, ATTEST_BROKER_KEY_MISMATCH,
				   "whoever answers has another key than the policy's broker");
		return -EACCES;
	}
	why = ERR_reason_error_string(ERR_peek_error());
	if (!why || ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		attest_refusal_set(ret_refusal, ATTEST_BROKER_UNREACHABLE,
				   "nobody answers at its address, or hung up");
	else
		attest_refusal_set(ret_refusal, ATTEST_BROKER_UNREACHABLE, "no TLS 1.3 with it: %s",
				   why);
	return -EPIPE;
}

struct prover_tls *prover_tls_free(struct prover_tls *tls)
{
	if (!tls)
		return NULL;
	SSL_free(tls->ssl);
	SSL_CTX_free(tls->ctx);
	free(tls);
	return NULL;
}

int prover_tls_write(struct prover_tls *tls, struct bytes data)
{
	size_t put;

	while (data.len > 0) {
		ERR_clear_error();
		if (SSL_write_ex(tls->ssl, data.at, data.len, &put) != 1)
			return -EPIPE;
		data.at += put;
		data.len -= put;
	}
	return 0;
}

ssize_t prover_tls_read(struct prover_tls *tls, void *at, size_t size)
{
	size_t got;

	ERR_clear_error();
	if (SSL_read_ex(tls->ssl, at, size, &got) == 1)
		return (ssize_t)got;
	return SSL_get_error(tls->ssl, 0) == SSL_ERROR_ZERO_RETURN ? 0 : -EPIPE;
}
