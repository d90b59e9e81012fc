// SPDX-License-Identifier: Apache-2.0
#include "attest/certs.h"

#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

enum {
	TABLE_ENTRY = 24, /* GUID, offset, length */
	TABLE_GUID = 16,
	DER_SEQUENCE = 0x30,
};

void attest_certs_done(struct attest_certs *certs)
{
	for (size_t i = 0; i < certs->count; i++)
		X509_free(certs->at[i]);
	for (size_t i = 0; i < certs->crl_count; i++)
		X509_CRL_free(certs->crls[i]);
	*certs = (struct attest_certs){ 0 };
}

static int refuse(struct err *err, int num, const char *what)
{
	return err_set(err, num, "read certificates: %s", what);
}

static int take_cert(struct attest_certs *certs, X509 *take_cert, struct err *err)
{
	for (size_t i = 0; i < certs->count; i++) {
		if (X509_cmp(certs->at[i], take_cert) == 0) {
			X509_free(take_cert);
			return 0;
		}
	}
	if (certs->count == ATTEST_CERTS_MAX) {
		X509_free(take_cert);
		return refuse(err, -E2BIG, "too many of them");
	}
	certs->at[certs->count++] = take_cert;
	return 0;
}

static int take_crl(struct attest_certs *certs, X509_CRL *take_crl, struct err *err)
{
	for (size_t i = 0; i < certs->crl_count; i++) {
		if (X509_CRL_match(certs->crls[i], take_crl) == 0) {
			X509_CRL_free(take_crl);
			return 0;
		}
	}
	if (certs->crl_count == ATTEST_CRLS_MAX) {
		X509_CRL_free(take_crl);
		return refuse(err, -E2BIG, "too many lists of revoked ones");
	}
	certs->crls[certs->crl_count++] = take_crl;
	return 0;
}

/* One certificate or list, all of der. */
static int add_der(struct attest_certs *certs, struct bytes der, struct err *err)
{
	const unsigned char *at = der.at;
	X509_CRL *crl;
	X509 *cert;

	if (der.len > ATTEST_CRL_SIZE_MAX)
		return refuse(err, -E2BIG, "one is too large");
	if (der.len <= ATTEST_CERT_SIZE_MAX) {
		cert = d2i_X509(NULL, &at, (long)der.len);
		if (cert && at == der.at + der.len)
			return take_cert(certs, cert, err);
		X509_free(cert);
	}
	at = der.at;
	crl = d2i_X509_CRL(NULL, &at, (long)der.len);
	if (crl && at == der.at + der.len)
		return take_crl(certs, crl, err);
	X509_CRL_free(crl);
	ERR_clear_error();
	return refuse(err, -EBADMSG, "neither a certificate nor a list of revoked ones");
}

/* Base64 without its white space. -EBADMSG, -E2BIG, -ENOMEM. */
static int decode_base64(struct bytes text, uint8_t **ret_der, size_t *ret_len)
{
	cleanup_free uint8_t *plain = malloc(text.len + 1);
	cleanup_free uint8_t *der = malloc(text.len + 4);
	size_t len = 0, pad = 0;
	int n;

	if (!plain || !der)
		return -ENOMEM;
	for (size_t i = 0; i < text.len; i++)
		if (!memchr(" \t\r\n", text.at[i], 4))
			plain[len++] = text.at[i];
	while (pad < len && pad < 3 && plain[len - 1 - pad] == '=')
		pad++;
	if (len == 0 || len % 4 != 0 || pad > 2)
		return -EBADMSG;
	if (memchr(plain, '=', len - pad))
		return -EBADMSG;
	n = EVP_DecodeBlock(der, plain, (int)len);
	if (n < (int)pad)
		return -EBADMSG;
	*ret_len = (size_t)n - pad;
	*ret_der = steal_ptr(&der);
	return 0;
}

static const uint8_t *find(const uint8_t *from, const uint8_t *end, const char *what)
{
	return memmem(from, (size_t)(end - from), what, strlen(what));
}

/* The next block at or after *at, which is moved behind it. 1: there is one; 0: there is none. */
static int next_pem(const uint8_t **at, const uint8_t *end, struct bytes *ret_body)
{
	static const char *const begins[] = { "-----BEGIN CERTIFICATE-----",
					      "-----BEGIN X509 CRL-----" };
	static const char *const ends[] = { "-----END CERTIFICATE-----", "-----END X509 CRL-----" };
	const uint8_t *first = NULL, *stop;
	size_t kind = 0;

	for (size_t i = 0; i < ARRAY_SIZE(begins); i++) {
		const uint8_t *found = find(*at, end, begins[i]);

		if (found && (!first || found < first)) {
			first = found;
			kind = i;
		}
	}
	if (!first)
		return 0;
	first += strlen(begins[kind]);
	stop = find(first, end, ends[kind]);
	if (!stop)
		return -EBADMSG;
	*ret_body = (struct bytes){ first, (size_t)(stop - first) };
	*at = stop + strlen(ends[kind]);
	return 1;
}

static int add_pem(struct attest_certs *certs, struct bytes text, struct err *err)
{
	const uint8_t *at = text.at, *end = text.at + text.len;
	size_t blocks = 0;
	struct bytes body;
	int r;

	for (; (r = next_pem(&at, end, &body)) > 0; blocks++) {
		cleanup_free uint8_t *der = NULL;
		size_t len = 0;

		r = decode_base64(body, &der, &len);
		if (r < 0)
			return refuse(err, r, "a PEM block that is not base64");
		r = add_der(certs, (struct bytes){ der, len }, err);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return refuse(err, r, "a PEM block has no end");
	return blocks > 0 ? 0 : refuse(err, -EBADMSG, "PEM of something else");
}

static bool is_last(struct bytes entry)
{
	for (size_t i = 0; i < TABLE_ENTRY; i++)
		if (entry.at[i])
			return false;
	return true;
}

/* An entry that is no certificate is something newer than this, and none of ours. */
static int add_table(struct attest_certs *certs, struct bytes text, struct err *err)
{
	size_t before = certs->count + certs->crl_count;

	for (size_t i = 0; bytes_has(text, i * TABLE_ENTRY, TABLE_ENTRY); i++) {
		struct bytes entry = { text.at + i * TABLE_ENTRY, TABLE_ENTRY };
		size_t off = bytes_le32(entry, TABLE_GUID);
		size_t len = bytes_le32(entry, TABLE_GUID + 4);
		int r;

		if (is_last(entry))
			return certs->count + certs->crl_count > before
				       ? 0
				       : refuse(err, -EBADMSG, "none in the table");
		if (i == ATTEST_CERTS_TABLE_MAX)
			return refuse(err, -E2BIG, "a table of too many entries");
		if (len == 0 || !bytes_has(text, off, len))
			return refuse(err, -EBADMSG, "a table's entry is not within it");
		if (text.at[off] != DER_SEQUENCE)
			continue;
		r = add_der(certs, (struct bytes){ text.at + off, len }, err);
		if (r < 0 && r != -EBADMSG)
			return r;
	}
	return refuse(err, -EBADMSG, "not PEM, not DER, and no table with an end");
}

int attest_certs_add(struct attest_certs *certs, struct bytes text, struct err *err)
{
	int r;

	if (text.len > ATTEST_CERTS_TEXT_MAX)
		return refuse(err, -E2BIG, "more than 4 MiB");
	if (text.len == 0)
		return refuse(err, -EBADMSG, "it is empty");
	if (find(text.at, text.at + text.len, "-----BEGIN "))
		return add_pem(certs, text, err);
	if (text.at[0] == DER_SEQUENCE) {
		r = add_der(certs, text, err);
		if (r != -EBADMSG)
			return r;
	}
	return add_table(certs, text, err);
}
