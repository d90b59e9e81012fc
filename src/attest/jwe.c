// SPDX-License-Identifier: Apache-2.0
#include "attest/jwe.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>

#include "attest/base64.h"
#include "attest/closed_priv.h"

enum {
	KEY_LEN = 32,	  /* AES-256 */
	WRAPPED_LEN = 40, /* of a CEK: 8 bytes more */
	TAG_LEN = 16,
};

#define ALGORITHM "ECDH-ES+A256KW"
#define ENCRYPTION "A256GCM"

/* The curve, and room for one product on it. */
struct curve {
	EC_GROUP *group;
	EC_POINT *point;
	EC_POINT *product;
	BIGNUM *scalar;
	BIGNUM *x, *y;
	BN_CTX *ctx;
};

static void curve_done(struct curve *c)
{
	EC_POINT_free(c->point);
	EC_POINT_clear_free(c->product);
	EC_GROUP_free(c->group);
	BN_clear_free(c->scalar);
	BN_clear_free(c->x);
	BN_clear_free(c->y);
	BN_CTX_free(c->ctx);
	ERR_clear_error();
}
CLEANUP_FUNC(struct curve, curve_done)

static void cipher_done(EVP_CIPHER_CTX **ctx)
{
	EVP_CIPHER_CTX_free(*ctx);
}
CLEANUP_FUNC(EVP_CIPHER_CTX *, cipher_done)

static int curve_init(struct curve *c)
{
	c->group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	if (!c->group)
		return -EIO;
	c->point = EC_POINT_new(c->group);
	c->product = EC_POINT_new(c->group);
	c->scalar = BN_secure_new();
	c->x = BN_secure_new();
	c->y = BN_secure_new();
	c->ctx = BN_CTX_secure_new();
	return c->point && c->product && c->scalar && c->x && c->y && c->ctx ? 0 : -ENOMEM;
}

static int set_scalar(struct curve *c, const uint8_t key[ATTEST_JWK_SCALAR])
{
	if (!BN_bin2bn(key, ATTEST_JWK_SCALAR, c->scalar))
		return -ENOMEM;
	BN_set_flags(c->scalar, BN_FLG_CONSTTIME);
	if (BN_is_zero(c->scalar) || BN_cmp(c->scalar, EC_GROUP_get0_order(c->group)) >= 0)
		return -ERANGE;
	return 0;
}

/* -EINVAL: not on the curve. */
static int set_point(struct curve *c, const struct attest_jwk *key)
{
	if (!BN_bin2bn(key->x, sizeof(key->x), c->x) || !BN_bin2bn(key->y, sizeof(key->y), c->y))
		return -ENOMEM;
	if (EC_POINT_set_affine_coordinates(c->group, c->point, c->x, c->y, c->ctx) != 1 ||
	    EC_POINT_is_on_curve(c->group, c->point, c->ctx) != 1)
		return -EINVAL;
	return 0;
}

static int get_product(struct curve *c, uint8_t x[ATTEST_JWK_SCALAR], uint8_t y[ATTEST_JWK_SCALAR])
{
	if (EC_POINT_get_affine_coordinates(c->group, c->product, c->x, c->y, c->ctx) != 1 ||
	    BN_bn2binpad(c->x, x, ATTEST_JWK_SCALAR) != ATTEST_JWK_SCALAR ||
	    BN_bn2binpad(c->y, y, ATTEST_JWK_SCALAR) != ATTEST_JWK_SCALAR)
		return -EIO;
	return 0;
}

int attest_jwk_make(const uint8_t private_key[ATTEST_JWK_SCALAR], struct attest_jwk *ret)
{
	CLEANUP(curve_done) struct curve c = { 0 };
	struct attest_jwk key;
	int r = curve_init(&c);

	if (r == 0)
		r = set_scalar(&c, private_key);
	if (r == 0 && EC_POINT_mul(c.group, c.product, c.scalar, NULL, NULL, c.ctx) != 1)
		r = -EIO;
	if (r == 0)
		r = get_product(&c, key.x, key.y);
	if (r == 0)
		*ret = key;
	return r;
}

/* The key that wraps keys: RFC 7518, 4.6.2, with neither apu nor apv: one round of SHA-256. */
static int derive(const uint8_t z[ATTEST_JWK_SCALAR], uint8_t ret[KEY_LEN])
{
	static const char name[] = ALGORITHM;
	const uint32_t len = sizeof(name) - 1;
	uint8_t in[4 + ATTEST_JWK_SCALAR + 4 + sizeof(name) - 1 + 4 + 4 + 4] = { 0, 0, 0, 1 };
	size_t at = 4;
	int r;

	memcpy(in + at, z, ATTEST_JWK_SCALAR);
	at += ATTEST_JWK_SCALAR;
	in[at + 3] = (uint8_t)len;
	memcpy(in + at + 4, name, len);
	/* behind it two empty fields, and the key's bits, all big-endian */
	in[sizeof(in) - 2] = KEY_LEN * 8 >> 8;
	in[sizeof(in) - 1] = KEY_LEN * 8 & 0xff;
	r = EVP_Digest(in, sizeof(in), ret, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
	OPENSSL_cleanse(in, sizeof(in));
	return r;
}

static int agree(const uint8_t private_key[ATTEST_JWK_SCALAR], const struct attest_jwk *peer,
		 uint8_t ret[KEY_LEN])
{
	CLEANUP(curve_done) struct curve c = { 0 };
	uint8_t z[2][ATTEST_JWK_SCALAR];
	int r = curve_init(&c);

	if (r == 0)
		r = set_scalar(&c, private_key);
	if (r == 0)
		r = set_point(&c, peer);
	if (r == 0 && EC_POINT_mul(c.group, c.product, NULL, c.point, c.scalar, c.ctx) != 1)
		r = -EIO;
	if (r == 0)
		r = get_product(&c, z[0], z[1]);
	if (r == 0)
		r = derive(z[0], ret);
	OPENSSL_cleanse(z, sizeof(z));
	return r;
}

static int add_coordinates(const struct attest_jwk *key, struct buf *ret)
{
	int r = buf_addf(ret, "\"x\":\"");

	if (r == 0)
		r = attest_base64_add(ret, (struct bytes){ key->x, sizeof(key->x) }, true);
	if (r == 0)
		r = buf_addf(ret, "\",\"y\":\"");
	if (r == 0)
		r = attest_base64_add(ret, (struct bytes){ key->y, sizeof(key->y) }, true);
	return r < 0 ? r : buf_addf(ret, "\"}");
}

int attest_jwk_print(const struct attest_jwk *key, struct buf *ret)
{
	int r = buf_addf(ret, "{\"alg\":\"" ALGORITHM "\",\"crv\":\"P-256\",\"kty\":\"EC\",");

	return r < 0 ? r : add_coordinates(key, ret);
}

/* Exactly that string. */
static int expect_text(const struct oci_json *up, const char *name, const char *text,
		       struct err *err)
{
	struct oci_json at = oci_json_get(up, name);

	if (!at.value || !json_is_string(at.value) ||
	    json_string_length(at.value) != strlen(text) ||
	    strcmp(json_string_value(at.value), text) != 0)
		return oci_json_fail(&at, ERR_OTHER, -EINVAL, err, "is not '%s'", text);
	return 0;
}

static int get_string(const struct oci_json *at, struct bytes *ret, struct err *err)
{
	if (!at->value || !json_is_string(at->value))
		return oci_json_fail(at, ERR_OTHER, -EINVAL, err, "is no string");
	ret->at = (const uint8_t *)json_string_value(at->value);
	ret->len = json_string_length(at->value);
	return 0;
}

static int read_bytes(const struct oci_json *up, const char *name, size_t len, uint8_t *ret,
		      struct err *err)
{
	struct oci_json at = oci_json_get(up, name);
	struct bytes text = { 0 };
	int r = get_string(&at, &text, err);

	if (r < 0)
		return r;
	r = attest_base64_fixed(text, true, len, ret);
	if (r == -EINVAL)
		return oci_json_fail(&at, ERR_OTHER, -EINVAL, err,
				     "is not %zu bytes in URL-safe base64", len);
	return r < 0 ? err_num(err, r, "read '%s'", name) : 0;
}

static int read_point(const struct oci_json *at, struct attest_jwk *ret, struct err *err)
{
	CLEANUP(curve_done) struct curve c = { 0 };
	struct attest_jwk key;
	int r = expect_text(at, "kty", "EC", err);

	if (r == 0)
		r = expect_text(at, "crv", "P-256", err);
	if (r == 0)
		r = read_bytes(at, "x", sizeof(key.x), key.x, err);
	if (r == 0)
		r = read_bytes(at, "y", sizeof(key.y), key.y, err);
	if (r < 0)
		return r;
	r = curve_init(&c);
	if (r == 0)
		r = set_point(&c, &key);
	if (r == -EINVAL)
		return oci_json_fail(at, ERR_OTHER, -EINVAL, err, "is no point of the curve");
	if (r < 0)
		return err_num(err, r, "read a key");
	*ret = key;
	return 0;
}

int attest_jwk_read(const struct oci_json *at, struct attest_jwk *ret, struct err *err)
{
	static const char *const names[] = { "alg", "crv", "kty", "x", "y" };
	int r = oci_json_object(at, err);

	if (r == 0)
		r = attest_closed(at, names, ARRAY_SIZE(names), err);
	if (r == 0)
		r = expect_text(at, "alg", ALGORITHM, err);
	return r < 0 ? r : read_point(at, ret, err);
}

/* The key, wrapped by RFC 3394, or unwrapped: -EBADMSG, it was not by this one. */
static int wrap_key(bool is_wrap, const uint8_t kek[KEY_LEN], struct bytes in, uint8_t *ret)
{
	CLEANUP(cipher_done) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len = 0, r = 0;

	if (!ctx)
		return -ENOMEM;
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (EVP_CipherInit_ex(ctx, EVP_aes_256_wrap(), NULL, kek, NULL, is_wrap) != 1)
		r = -EIO;
	else if (EVP_CipherUpdate(ctx, ret, &len, in.at, (int)in.len) != 1 ||
		 len != (is_wrap ? WRAPPED_LEN : ATTEST_JWE_CEK))
		r = is_wrap ? -EIO : -EBADMSG;
	ERR_clear_error();
	return r;
}

/* What the cipher works on. aad is authenticated, too. */
struct sealed {
	const uint8_t *cek;
	const uint8_t *iv;
	struct bytes aad;
	uint8_t *tag;
};

/* in -> out, of the same length; the tag is made, or checked: -EBADMSG. */
static int seal(bool is_wrap, const struct sealed *with, struct bytes in, uint8_t *out)
{
	CLEANUP(cipher_done) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t none[TAG_LEN];
	int len = 0, r = 0;

	if (!ctx)
		return -ENOMEM;
	if (EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, with->cek, with->iv, is_wrap) != 1 ||
	    EVP_CipherUpdate(ctx, NULL, &len, with->aad.at, (int)with->aad.len) != 1 ||
	    (in.len > 0 && EVP_CipherUpdate(ctx, out, &len, in.at, (int)in.len) != 1))
		r = -EIO;
	if (r == 0 && !is_wrap &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, with->tag) != 1)
		r = -EIO;
	if (r == 0 && EVP_CipherFinal_ex(ctx, none, &len) != 1)
		r = is_wrap ? -EIO : -EBADMSG;
	if (r == 0 && is_wrap &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, with->tag) != 1)
		r = -EIO;
	ERR_clear_error();
	return r;
}

static int print_header(const struct attest_jwk *epk, struct buf *ret_encoded)
{
	CLEANUP(buf_done) struct buf header = { 0 };
	int r = buf_addf(&header, "{\"alg\":\"" ALGORITHM "\",\"enc\":\"" ENCRYPTION
				  "\",\"epk\":{\"crv\":\"P-256\",\"kty\":\"EC\",");

	if (r == 0)
		r = add_coordinates(epk, &header);
	if (r == 0)
		r = buf_addf(&header, "}");
	return r < 0 ? r : attest_base64_add(ret_encoded, buf_bytes(&header), true);
}

struct field {
	const char *name;
	struct bytes value;
};

static int add_fields(const struct field *fields, size_t count, struct buf *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		r = buf_addf(ret, ",\"%s\":\"", fields[i].name);
		if (r == 0)
			r = attest_base64_add(ret, fields[i].value, true);
		if (r == 0)
			r = buf_addf(ret, "\"");
	}
	return r < 0 ? r : buf_addf(ret, "}");
}

static int print_sealed(const struct attest_jwe_random *random, const uint8_t kek[KEY_LEN],
			struct bytes header, struct bytes plain, struct buf *ret)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	uint8_t wrapped[WRAPPED_LEN], tag[TAG_LEN];
	int r = buf_reserve(&text, plain.len + 1);
	const struct sealed with = { random->cek, random->iv, header, tag };

	if (r == 0)
		r = wrap_key(true, kek, (struct bytes){ random->cek, ATTEST_JWE_CEK }, wrapped);
	if (r == 0)
		r = seal(true, &with, plain, text.at);
	if (r == 0)
		r = buf_addf(ret, "{\"protected\":\"%.*s\"", (int)header.len,
			     (const char *)header.at);
	return r < 0 ? r
		     : add_fields(
			       (const struct field[]){
				       { "encrypted_key", { wrapped, sizeof(wrapped) } },
				       { "iv", { random->iv, sizeof(random->iv) } },
				       { "ciphertext", { text.at, plain.len } },
				       { "tag", { tag, sizeof(tag) } },
			       },
			       4, ret);
}

int attest_jwe_wrap(const struct attest_jwk *to, const struct attest_jwe_random *random,
		    struct bytes plain, struct buf *ret)
{
	CLEANUP(buf_done) struct buf header = { 0 };
	size_t was = ret->len;
	struct attest_jwk epk;
	uint8_t kek[KEY_LEN];
	int r = plain.len > ATTEST_JWE_PLAIN_MAX ? -E2BIG : 0;

	if (r == 0)
		r = attest_jwk_make(random->private_key, &epk);
	if (r == 0)
		r = agree(random->private_key, to, kek);
	if (r == 0)
		r = print_header(&epk, &header);
	if (r == 0)
		r = print_sealed(random, kek, buf_bytes(&header), plain, ret);
	OPENSSL_cleanse(kek, sizeof(kek));
	if (r < 0)
		ret->len = was;
	return r;
}

/* What came, as bytes. */
struct message {
	struct buf header; /* as encoded */
	struct attest_jwk epk;
	uint8_t wrapped[WRAPPED_LEN];
	uint8_t iv[ATTEST_JWE_IV];
	struct buf text;
	uint8_t tag[TAG_LEN];
};

static void message_done(struct message *m)
{
	buf_done(&m->header);
	buf_done(&m->text);
}
CLEANUP_FUNC(struct message, message_done)

static int read_header(struct bytes encoded, struct attest_jwk *ret, struct err *err)
{
	static const char *const names[] = { "alg", "enc", "epk" };
	static const char *const epk_names[] = { "crv", "kty", "x", "y" };
	CLEANUP(oci_json_free) json_t *json = NULL;
	CLEANUP(buf_done) struct buf text = { 0 };
	struct oci_json root, epk;
	int r = attest_base64_read(encoded, true, &text);

	if (r < 0)
		return err_num(err, r, "read a JWE: its header");
	r = oci_json_load(buf_bytes(&text), "JWE header", &json, err);
	if (r < 0)
		return r;
	root = oci_json_root(json, "JWE header");
	epk = oci_json_get(&root, "epk");
	r = attest_closed(&root, names, ARRAY_SIZE(names), err);
	if (r == 0)
		r = expect_text(&root, "alg", ALGORITHM, err);
	if (r == 0)
		r = expect_text(&root, "enc", ENCRYPTION, err);
	if (r == 0)
		r = oci_json_object(&epk, err);
	if (r == 0)
		r = attest_closed(&epk, epk_names, ARRAY_SIZE(epk_names), err);
	return r < 0 ? r : read_point(&epk, ret, err);
}

/* A string, as it is (is_encoded) or decoded. */
static int read_text(const struct oci_json *up, const char *name, bool is_encoded, struct buf *ret,
		     struct err *err)
{
	struct oci_json at = oci_json_get(up, name);
	struct bytes text = { 0 };
	int r = get_string(&at, &text, err);

	if (r < 0)
		return r;
	r = is_encoded ? buf_add(ret, text.at, text.len) : attest_base64_read(text, true, ret);
	if (r == -EINVAL)
		return oci_json_fail(&at, ERR_OTHER, -EINVAL, err, "is no URL-safe base64");
	return r < 0 ? err_num(err, r, "read '%s'", name) : 0;
}

static int read_message(struct bytes text, struct message *ret, struct err *err)
{
	static const char *const names[] = { "protected", "encrypted_key", "iv", "ciphertext",
					     "tag" };
	CLEANUP(oci_json_free) json_t *json = NULL;
	struct oci_json root;
	int r = oci_json_load(text, "JWE", &json, err);

	if (r < 0)
		return r;
	root = oci_json_root(json, "JWE");
	r = attest_closed(&root, names, ARRAY_SIZE(names), err);
	if (r == 0)
		r = read_text(&root, "protected", true, &ret->header, err);
	if (r == 0)
		r = read_header(buf_bytes(&ret->header), &ret->epk, err);
	if (r == 0)
		r = read_bytes(&root, "encrypted_key", WRAPPED_LEN, ret->wrapped, err);
	if (r == 0)
		r = read_bytes(&root, "iv", ATTEST_JWE_IV, ret->iv, err);
	if (r == 0)
		r = read_text(&root, "ciphertext", false, &ret->text, err);
	return r < 0 ? r : read_bytes(&root, "tag", TAG_LEN, ret->tag, err);
}

static int open_message(const uint8_t private_key[ATTEST_JWK_SCALAR], struct message *m,
			struct buf *ret)
{
	uint8_t kek[KEY_LEN], cek[ATTEST_JWE_CEK];
	const struct sealed with = { cek, m->iv, buf_bytes(&m->header), m->tag };
	int r = buf_reserve(ret, m->text.len + 1);

	if (r == 0)
		r = agree(private_key, &m->epk, kek);
	if (r == 0)
		r = wrap_key(false, kek, (struct bytes){ m->wrapped, WRAPPED_LEN }, cek);
	if (r == 0)
		r = seal(false, &with, buf_bytes(&m->text), ret->at + ret->len);
	if (r == 0)
		ret->len += m->text.len;
	else if (ret->at)
		OPENSSL_cleanse(ret->at + ret->len, ret->cap - ret->len);
	OPENSSL_cleanse(kek, sizeof(kek));
	OPENSSL_cleanse(cek, sizeof(cek));
	return r;
}

int attest_jwe_unwrap(const uint8_t private_key[ATTEST_JWK_SCALAR], struct bytes text,
		      struct buf *ret, struct err *err)
{
	CLEANUP(message_done) struct message m = { 0 };
	int r;

	if (text.len > ATTEST_JWE_TEXT_MAX)
		return err_set(err, -E2BIG, "read a JWE: more than %d bytes", ATTEST_JWE_TEXT_MAX);
	r = read_message(text, &m, err);
	if (r < 0)
		return r;
	r = open_message(private_key, &m, ret);
	if (r == -EBADMSG)
		return err_set(err, r, "open a JWE: it is not for this key, or was altered");
	return r < 0 ? err_num(err, r, "open a JWE") : 0;
}
