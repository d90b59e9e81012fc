// SPDX-License-Identifier: Apache-2.0
#include "simtee/identity.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "attest/roots.h"
#include "attest/snp_vek.h"
#include "sys/file.h"
#include "sys/io.h"
#include "sys/lockfile.h"
#include "vmm/processor.h"

#define AMD "1.3.6.1.4.1.3704.1."
#define IDENTITY_NAME "identity.pem"
#define ROOT_NAME "root.pem"

/* From before any clock that is right, to what RFC 5280 (4.1.2.5) has for "no end". */
#define NOT_BEFORE "20200101000000Z"
#define NOT_AFTER "99991231235959Z"

enum {
	SERIAL_SIZE = 16,
	SIGNATURE_MAX = 128,
	DER_IA5 = 0x16,
	EXTENSION_MAX = 80,
	CERTS = 3, /* the chip's, its issuer's, the root's */
};

static void bio_done(BIO **bio)
{
	BIO_free(*bio);
}
CLEANUP_FUNC(BIO *, bio_done)

static void cert_done(X509 **cert)
{
	X509_free(*cert);
}
CLEANUP_FUNC(X509 *, cert_done)

static void signature_done(ECDSA_SIG **signature)
{
	ECDSA_SIG_free(*signature);
}
CLEANUP_FUNC(ECDSA_SIG *, signature_done)

static void digest_done(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}
CLEANUP_FUNC(EVP_MD_CTX *, digest_done)

void identity_done(struct identity *identity)
{
	EVP_PKEY_free(identity->key);
	buf_done(&identity->certificates);
	*identity = (struct identity){ 0 };
}

/* --- making one ------------------------------------------------------------------------------- */

struct made {
	EVP_PKEY *key;
	X509 *cert;
};

/* root, issuer, chip: each signed by the one before it. */
struct chain {
	struct made at[CERTS];
	uint8_t chip_id[ATTEST_SNP_CHIP_ID_SIZE];
};

static void chain_done(struct chain *chain)
{
	for (size_t i = 0; i < CERTS; i++) {
		EVP_PKEY_free(chain->at[i].key);
		X509_free(chain->at[i].cert);
	}
}
CLEANUP_FUNC(struct chain, chain_done)

static bool name_is_set(X509_NAME *name, const char *text)
{
	return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const uint8_t *)"Casemate", -1,
					  -1, 0) == 1 &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)text, -1, -1,
					  0) == 1;
}

static bool serial_is_set(X509 *cert)
{
	uint8_t serial[SERIAL_SIZE];
	BIGNUM *number;
	bool is;

	if (RAND_bytes(serial, sizeof(serial)) != 1)
		return false;
	/* positive, and of the same length always (RFC 5280, 4.1.2.2) */
	serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40);
	number = BN_bin2bn(serial, sizeof(serial), NULL);
	is = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
	BN_free(number);
	return is;
}

static bool add_extension(X509 *cert, X509_EXTENSION *take_extension)
{
	bool is = take_extension && X509_add_ext(cert, take_extension, -1) == 1;

	X509_EXTENSION_free(take_extension);
	return is;
}

static bool add_usage(X509 *cert, int nid, const char *text)
{
	return add_extension(cert, X509V3_EXT_conf_nid(NULL, NULL, nid, text));
}

static bool add_raw(X509 *cert, const char *oid, const uint8_t *at, size_t len)
{
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
	bool is = value && object && ASN1_OCTET_STRING_set(value, at, (int)len) == 1 &&
		  add_extension(cert, X509_EXTENSION_create_by_OBJ(NULL, object, 0, value));

	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(object);
	return is;
}

static bool add_level(X509 *cert, const char *oid, uint8_t level)
{
	const uint8_t der[] = { 2, 1, level }; /* an INTEGER below 128 */

	return add_raw(cert, oid, der, sizeof(der));
}

static bool add_product(X509 *cert)
{
	const char *product = attest_snp_product_name(ATTEST_SNP_SIM);
	uint8_t der[EXTENSION_MAX] = { DER_IA5, (uint8_t)strlen(product) };

	memcpy(der + 2, product, strlen(product));
	return add_raw(cert, AMD "2", der, 2 + strlen(product));
}

/* What AMD's have (attest/snp_vek.h), of which a report has to have the same. */
static bool chip_is_described(X509 *cert, const uint8_t chip_id[ATTEST_SNP_CHIP_ID_SIZE])
{
	return add_level(cert, AMD "1", 0) && add_product(cert) && add_level(cert, AMD "3.1", 0) &&
	       add_level(cert, AMD "3.2", 0) && add_level(cert, AMD "3.3", REPORT_LEVEL) &&
	       add_level(cert, AMD "3.8", 0) &&
	       add_raw(cert, AMD "4", chip_id, ATTEST_SNP_CHIP_ID_SIZE);
}

static bool make(struct chain *chain, size_t i, const char *name)
{
	struct made *made = &chain->at[i], *issuer = &chain->at[i ? i - 1 : 0];
	bool is_chip = i == CERTS - 1;

	made->key = EVP_EC_gen("P-384");
	made->cert = X509_new();
	return made->key && made->cert && X509_set_version(made->cert, X509_VERSION_3) == 1 &&
	       serial_is_set(made->cert) &&
	       ASN1_TIME_set_string(X509_getm_notBefore(made->cert), NOT_BEFORE) == 1 &&
	       ASN1_TIME_set_string(X509_getm_notAfter(made->cert), NOT_AFTER) == 1 &&
	       name_is_set(X509_get_subject_name(made->cert), name) &&
	       X509_set_issuer_name(made->cert, X509_get_subject_name(issuer->cert)) == 1 &&
	       X509_set_pubkey(made->cert, made->key) == 1 &&
	       (is_chip ? chip_is_described(made->cert, chain->chip_id)
			: add_usage(made->cert, NID_basic_constraints, "critical,CA:TRUE") &&
				  add_usage(made->cert, NID_key_usage, "critical,keyCertSign")) &&
	       X509_sign(made->cert, issuer->key, EVP_sha384()) > 0;
}

static bool make_all(struct chain *chain)
{
	const struct attest_snp_names *names = attest_snp_names(ATTEST_SNP_SIM);

	return RAND_bytes(chain->chip_id, sizeof(chain->chip_id)) == 1 &&
	       make(chain, 0, "casemate-sim root") && make(chain, 1, names->ask) &&
	       make(chain, 2, names->vcek);
}

/* --- keeping it ------------------------------------------------------------------------------- */

static int write_bio(int dir_fd, const char *name, BIO *bio, mode_t mode, struct err *err)
{
	char *at = NULL;
	long len = BIO_get_mem_data(bio, &at);

	if (len <= 0)
		return err_set(err, -EIO, "write '%s'", name);
	return file_write_atomic(dir_fd, name, (struct bytes){ (const uint8_t *)at, (size_t)len },
				 mode, err);
}

static int make_and_keep(int dir_fd, struct err *err)
{
	CLEANUP(chain_done) struct chain chain = { 0 };
	CLEANUP(bio_done) BIO *bio = BIO_new(BIO_s_secmem());
	bool is = bio && make_all(&chain) &&
		  PEM_write_bio_PrivateKey(bio, chain.at[CERTS - 1].key, NULL, NULL, 0, NULL,
					   NULL) == 1;

	for (size_t i = CERTS; is && i-- > 0;)
		is = PEM_write_bio_X509(bio, chain.at[i].cert) == 1;
	ERR_clear_error();
	if (!is)
		return err_set(err, -EIO, "make the processor's key: libcrypto can't");
	return write_bio(dir_fd, IDENTITY_NAME, bio, 0600, err);
}

static int publish_root(int dir_fd, X509 *root, struct err *err)
{
	CLEANUP(bio_done) BIO *bio = BIO_new(BIO_s_mem());
	CLEANUP(buf_done) struct buf old = { 0 };
	char *at = NULL;
	long len;

	if (!bio || PEM_write_bio_X509(bio, root) != 1)
		return err_set(err, -EIO, "write '" ROOT_NAME "'");
	len = BIO_get_mem_data(bio, &at);
	if (len > 0 && file_read(dir_fd, ROOT_NAME, IDENTITY_SIZE_MAX, &old, NULL) == 0 &&
	    old.len == (size_t)len && memcmp(old.at, at, old.len) == 0)
		return 0;
	return write_bio(dir_fd, ROOT_NAME, bio, 0644, err);
}

static int read_own(int dir_fd, struct buf *ret, struct err *err)
{
	cleanup_close int fd = -1;
	struct stat st = { 0 };
	size_t len = 0;
	int r;

	r = io_open_own(dir_fd, IDENTITY_NAME, &fd, err);
	if (r == 0)
		r = io_stat(fd, &st, err);
	if (r < 0)
		return r;
	if (st.st_mode & 077)
		return err_set(err, -EPERM, "open '" IDENTITY_NAME "': others may read it");
	if (st.st_size <= 0 || st.st_size > IDENTITY_SIZE_MAX)
		return err_set(err, -EBADMSG, "read '" IDENTITY_NAME "': it has %lld bytes",
			       (long long)st.st_size);
	r = buf_reserve(ret, (size_t)st.st_size);
	if (r < 0)
		return err_num(err, r, "read '" IDENTITY_NAME "'");
	r = io_read_at(fd, 0, ret->at, (size_t)st.st_size, &len, err);
	ret->len = len;
	return r;
}

/* The key is the first certificate's, which is a chip's; two more follow. */
static int parse(BIO *bio, struct identity *identity, X509 **ret_root)
{
	CLEANUP(bio_done) BIO *out = BIO_new(BIO_s_mem());
	struct attest_refusal refusal;
	struct attest_snp_vek facts;
	char *at = NULL;
	long len;

	if (!out)
		return -ENOMEM;
	identity->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	if (!identity->key)
		return -EBADMSG;
	for (int i = 0; i < CERTS; i++) {
		CLEANUP(cert_done) X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

		if (!cert || PEM_write_bio_X509(out, cert) != 1)
			return -EBADMSG;
		if (i == 0 && (X509_check_private_key(cert, identity->key) != 1 ||
			       attest_snp_vek_read(cert, &facts, &refusal) < 0))
			return -EBADMSG;
		if (i == CERTS - 1)
			*ret_root = steal_ptr(&cert);
	}
	memcpy(identity->chip_id, facts.chip_id, sizeof(identity->chip_id));
	len = BIO_get_mem_data(out, &at);
	return len > 0 ? buf_add(&identity->certificates, at, (size_t)len) : -EIO;
}

static int load(int dir_fd, struct identity *ret, struct err *err)
{
	CLEANUP(identity_done) struct identity identity = { 0 };
	CLEANUP(cert_done) X509 *root = NULL;
	CLEANUP(buf_done) struct buf text = { 0 };
	CLEANUP(bio_done) BIO *bio = NULL;
	int r;

	r = read_own(dir_fd, &text, err);
	if (r < 0)
		return r;
	bio = BIO_new_mem_buf(text.at, (int)text.len);
	r = bio ? parse(bio, &identity, &root) : -ENOMEM;
	OPENSSL_cleanse(text.at, text.len);
	ERR_clear_error();
	if (r < 0)
		return err_set(err, r, "read '" IDENTITY_NAME "': not a key and its certificates");
	r = publish_root(dir_fd, root, err);
	if (r < 0)
		return r;
	*ret = identity;
	identity = (struct identity){ 0 };
	return 0;
}

int identity_load(int dir_fd, struct identity *ret, struct err *err)
{
	cleanup_close int lock_fd = -1;
	struct err none = { 0 };
	int r;

	r = lockfile_open(dir_fd, "lock", true, PROCESSOR_LOCK_MS, &lock_fd, err);
	if (r < 0)
		return r;
	r = load(dir_fd, ret, &none);
	if (r == -ENOENT) {
		r = make_and_keep(dir_fd, err);
		return r < 0 ? r : load(dir_fd, ret, err);
	}
	if (r < 0 && err)
		*err = none;
	return r;
}

/* --- using it --------------------------------------------------------------------------------- */

static bool put_scalars(const uint8_t *der, size_t len, uint8_t report[ATTEST_SNP_REPORT_SIZE])
{
	uint8_t r[ATTEST_SNP_SCALAR_SIZE], s[ATTEST_SNP_SCALAR_SIZE];
	CLEANUP(signature_done) ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)len);

	if (!signature || BN_bn2lebinpad(ECDSA_SIG_get0_r(signature), r, sizeof(r)) < 0 ||
	    BN_bn2lebinpad(ECDSA_SIG_get0_s(signature), s, sizeof(s)) < 0)
		return false;
	report_put_signature(r, s, report);
	return true;
}

int identity_report(const struct identity *identity, const struct report_facts *facts,
		    uint8_t ret_report[ATTEST_SNP_REPORT_SIZE])
{
	CLEANUP(digest_done) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[SIGNATURE_MAX];
	size_t len = sizeof(der);
	bool is;

	report_write(facts, identity->chip_id, ret_report);
	is = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, identity->key) == 1 &&
	     EVP_DigestSign(ctx, der, &len, ret_report, ATTEST_SNP_SIGNED_SIZE) == 1 &&
	     put_scalars(der, len, ret_report);
	ERR_clear_error();
	return is ? 0 : -EIO;
}
