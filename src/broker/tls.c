// SPDX-License-Identifier: Apache-2.0
#include "broker/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/bytes.h"
#include "sys/file.h"

#define KEY_FILE "tls-key.pem"
#define CERT_FILE "tls-cert.pem"

enum { LIFE_DAYS = 20 * 365, DAY_S = 86400, SERIAL_SIZE = 8 };

static void wipe(struct buf *buf)
{
	if (buf->at)
		OPENSSL_cleanse(buf->at, buf->cap);
	buf_done(buf);
}

void broker_tls_done(struct broker_tls *tls)
{
	wipe(&tls->key);
	wipe(&tls->cert);
}

static void pkey_done(EVP_PKEY **pkey)
{
	EVP_PKEY_free(*pkey);
}
CLEANUP_FUNC(EVP_PKEY *, pkey_done)

static void x509_done(X509 **cert)
{
	X509_free(*cert);
}
CLEANUP_FUNC(X509 *, x509_done)

static void bio_done(BIO **bio)
{
	BIO_free_all(*bio);
}
CLEANUP_FUNC(BIO *, bio_done)

static int add_bio(BIO *bio, struct buf *ret)
{
	char *at = NULL;
	long len = BIO_get_mem_data(bio, &at);

	if (len <= 0)
		return -EIO;
	return buf_add(ret, at, (size_t)len) < 0 || buf_add(ret, "", 1) < 0 ? -ENOMEM : 0;
}

static bool set_serial(X509 *cert)
{
	uint8_t bytes[SERIAL_SIZE];
	BIGNUM *number;
	bool is_set;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] = (uint8_t)((bytes[0] & 0x3f) | 0x40); /* positive, and of that length */
	number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	is_set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
	BN_free(number);
	return is_set;
}

static bool fill(X509 *cert, EVP_PKEY *pkey)
{
	X509_NAME *name = X509_get_subject_name(cert);
	X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
						    "DNS:localhost,IP:127.0.0.1,IP:::1");
	bool is_filled;

	is_filled = names && X509_set_version(cert, 2) == 1 && set_serial(cert) &&
		    X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S) &&
		    X509_gmtime_adj(X509_getm_notAfter(cert), (long)LIFE_DAYS * DAY_S) &&
		    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					       (const unsigned char *)"casemate-broker", -1, -1,
					       0) == 1 &&
		    X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, pkey) == 1 &&
		    X509_add_ext(cert, names, -1) == 1 && X509_sign(cert, pkey, EVP_sha256()) > 0;
	X509_EXTENSION_free(names);
	return is_filled;
}

static int make(struct broker_tls *ret)
{
	CLEANUP(pkey_done) EVP_PKEY *pkey = EVP_EC_gen("P-256");
	CLEANUP(x509_done) X509 *cert = X509_new();
	CLEANUP(bio_done) BIO *key_bio = BIO_new(BIO_s_secmem());
	CLEANUP(bio_done) BIO *cert_bio = BIO_new(BIO_s_mem());
	int r;

	if (!pkey || !cert || !key_bio || !cert_bio || !fill(cert, pkey) ||
	    PEM_write_bio_PrivateKey(key_bio, pkey, NULL, NULL, 0, NULL, NULL) != 1 ||
	    PEM_write_bio_X509(cert_bio, cert) != 1)
		return -EIO;
	r = add_bio(key_bio, &ret->key);
	return r < 0 ? r : add_bio(cert_bio, &ret->cert);
}

static struct bytes without_nul(const struct buf *buf)
{
	return (struct bytes){ buf->at, buf->len - 1 };
}

/* The certificate first: a key without one is made anew, a certificate without a key is, too. */
static int make_files(int dir_fd, struct broker_tls *ret, struct err *err)
{
	int r = make(ret);

	if (r < 0)
		return err_num(err, r, "make the TLS key");
	r = file_write_atomic(dir_fd, CERT_FILE, without_nul(&ret->cert), 0644, err);
	return r < 0 ? r : file_write_atomic(dir_fd, KEY_FILE, without_nul(&ret->key), 0600, err);
}

static int read_files(int dir_fd, struct broker_tls *ret, struct err *err)
{
	struct stat st;
	int r;

	if (fstatat(dir_fd, KEY_FILE, &st, 0) < 0)
		return err_sys(err, "open '" KEY_FILE "'");
	if (!S_ISREG(st.st_mode) || st.st_mode & 077)
		return err_set(err, -EPERM, "open '" KEY_FILE "': it is open to others");
	r = file_read(dir_fd, KEY_FILE, BROKER_TLS_MAX, &ret->key, err);
	if (r >= 0)
		r = file_read(dir_fd, CERT_FILE, BROKER_TLS_MAX, &ret->cert, err);
	if (r < 0)
		return r;
	if (buf_add(&ret->key, "", 1) < 0 || buf_add(&ret->cert, "", 1) < 0)
		return err_num(err, -ENOMEM, "read the TLS key");
	return 0;
}

int broker_tls_load(const char *folder, struct broker_tls *ret, struct err *err)
{
	cleanup_close int dir_fd = -1;
	uint8_t digest[BROKER_TLS_DIGEST];
	int r = file_open_private_dir(AT_FDCWD, folder, geteuid(), &dir_fd, err);

	if (r < 0)
		return r;
	if (faccessat(dir_fd, KEY_FILE, F_OK, 0) < 0 && errno == ENOENT)
		r = make_files(dir_fd, ret, err);
	else
		r = read_files(dir_fd, ret, err);
	if (r == 0)
		r = broker_tls_digest(ret, digest, err);
	if (r < 0)
		broker_tls_done(ret);
	return r;
}

int broker_tls_digest(const struct broker_tls *tls, uint8_t ret[BROKER_TLS_DIGEST], struct err *err)
{
	char no_passphrase[] = ""; /* else it asks the terminal */
	CLEANUP(bio_done) BIO *key_bio = BIO_new_mem_buf(tls->key.at, (int)tls->key.len - 1);
	CLEANUP(bio_done) BIO *cert_bio = BIO_new_mem_buf(tls->cert.at, (int)tls->cert.len - 1);
	CLEANUP(pkey_done)
	EVP_PKEY *pkey = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, NULL, no_passphrase)
				 : NULL;
	CLEANUP(x509_done)
	X509 *cert = cert_bio ? PEM_read_bio_X509(cert_bio, NULL, NULL, NULL) : NULL;
	unsigned char *der = NULL;
	int len, r = 0;

	if (!pkey || !cert || X509_check_private_key(cert, pkey) != 1)
		return err_set(err, -EINVAL,
			       "read the TLS key: '" CERT_FILE "' is not that of '" KEY_FILE "'");
	len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	if (len <= 0 || EVP_Digest(der, (size_t)len, ret, NULL, EVP_sha256(), NULL) != 1)
		r = err_set(err, -EIO, "hash the TLS key");
	OPENSSL_free(der);
	return r;
}
