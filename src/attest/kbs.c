// SPDX-License-Identifier: Apache-2.0
#include "attest/kbs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "attest/base64.h"
#include "attest/closed_priv.h"
#include "attest/kbs_priv.h"

#define ERROR_TYPE "https://github.com/confidential-containers/kbs/errors/"

static const char *const tees[] = { [ATTEST_KBS_SNP] = "snp", [ATTEST_KBS_SIM] = "casemate-sim" };

static_assert(ARRAY_SIZE(tees) == ATTEST_KBS_TEE_COUNT, "one for each");

const char *attest_kbs_tee_name(enum attest_kbs_tee tee)
{
	assert((size_t)tee < ATTEST_KBS_TEE_COUNT);
	return tees[tee];
}

bool attest_kbs_resource_valid(const char *path)
{
	static const char may[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t parts = 0;

	if (strlen(path) > ATTEST_KBS_RESOURCE_MAX)
		return false;
	for (;;) {
		size_t len = strspn(path, may);

		if (len == 0 || path[0] == '.' || ++parts > 3)
			return false;
		path += len;
		if (*path == '\0')
			return parts == 3;
		if (*path++ != '/')
			return false;
	}
}

const char *attest_kbs_uri_resource(const char *uri)
{
	size_t len = strlen(ATTEST_KBS_SCHEME);

	if (strncmp(uri, ATTEST_KBS_SCHEME, len) != 0 || !attest_kbs_resource_valid(uri + len))
		return NULL;
	return uri + len;
}

/* text is not NULL only if it is a string. */
static struct bytes string_of(const struct oci_json *at)
{
	if (!at->value || !json_is_string(at->value))
		return (struct bytes){ 0 };
	return (struct bytes){ (const uint8_t *)json_string_value(at->value),
			       json_string_length(at->value) };
}

static bool is_text(const struct oci_json *at, const char *text)
{
	struct bytes have = string_of(at);

	return have.at && have.len == strlen(text) && memcmp(have.at, text, have.len) == 0;
}

int attest_kbs_auth_print(enum attest_kbs_tee tee, struct buf *ret)
{
	return buf_addf(ret,
			"{\"version\":\"" ATTEST_KBS_VERSION "\",\"tee\":\"%s\",\"extra-params\":"
			"{\"supported-hash-algorithms\":[\"sha384\"]}}",
			attest_kbs_tee_name(tee));
}

/* Nothing, "", or a list of hashes in which ours is. */
static int check_extra(const struct oci_json *at, struct err *err)
{
	static const char *const names[] = { "supported-hash-algorithms",
					     "selected-hash-algorithm" };
	struct oci_json list = oci_json_get(at, names[0]);
	size_t count = 0;
	int r;

	if (oci_json_is_empty(at))
		return 0;
	r = attest_closed(at, names, ARRAY_SIZE(names), err);
	if (r == 0)
		r = oci_json_list(&list, ATTEST_KBS_HASHES_MAX, &count, err);
	if (r < 0 || !oci_json_is_there(&list))
		return r;
	for (size_t i = 0; i < count; i++) {
		struct oci_json item = oci_json_item(&list, i);

		if (is_text(&item, "sha384"))
			return 0;
	}
	return oci_json_fail(&list, ERR_OTHER, -ENOTSUP, err, "has no sha384");
}

int attest_kbs_auth_parse(struct bytes text, enum attest_kbs_tee *ret, struct err *err)
{
	static const char *const names[] = { "version", "tee", "extra-params" };
	CLEANUP(oci_json_free) json_t *json = NULL;
	struct oci_json root, version, tee, extra;
	int r = oci_json_load(text, "auth request", &json, err);

	if (r < 0)
		return r;
	root = oci_json_root(json, "auth request");
	version = oci_json_get(&root, "version");
	tee = oci_json_get(&root, "tee");
	extra = oci_json_get(&root, "extra-params");
	r = attest_closed(&root, names, ARRAY_SIZE(names), err);
	if (r == 0 && !is_text(&version, ATTEST_KBS_VERSION))
		r = oci_json_fail(&version, ERR_OTHER, -ENOTSUP, err, "is not " ATTEST_KBS_VERSION);
	if (r == 0)
		r = check_extra(&extra, err);
	for (size_t i = 0; r == 0 && i < ATTEST_KBS_TEE_COUNT; i++) {
		if (is_text(&tee, tees[i])) {
			*ret = (enum attest_kbs_tee)i;
			return 0;
		}
	}
	return r < 0 ? r : oci_json_fail(&tee, ERR_OTHER, -ENOTSUP, err, "is not supported");
}

int attest_kbs_challenge_print(const uint8_t nonce[ATTEST_KBS_NONCE], struct buf *ret)
{
	int r = buf_addf(ret, "{\"nonce\":\"");

	if (r == 0)
		r = attest_base64_add(ret, (struct bytes){ nonce, ATTEST_KBS_NONCE }, false);
	return r < 0 ? r : buf_addf(ret, "\",\"extra-params\":\"\"}");
}

static int read_nonce(const struct oci_json *at, uint8_t ret[ATTEST_KBS_NONCE], struct err *err)
{
	struct bytes text = string_of(at);
	int r = text.at ? attest_base64_fixed(text, false, ATTEST_KBS_NONCE, ret) : -EINVAL;

	if (r == -EINVAL)
		return oci_json_fail(at, ERR_OTHER, r, err, "is not %d bytes in base64",
				     ATTEST_KBS_NONCE);
	return r < 0 ? err_num(err, r, "read a nonce") : 0;
}

int attest_kbs_challenge_parse(struct bytes text, uint8_t ret[ATTEST_KBS_NONCE], struct err *err)
{
	CLEANUP(oci_json_free) json_t *json = NULL;
	struct oci_json root, nonce;
	int r = oci_json_load(text, "challenge", &json, err);

	if (r < 0)
		return r;
	root = oci_json_root(json, "challenge");
	nonce = oci_json_get(&root, "nonce");
	return read_nonce(&nonce, ret, err);
}

static int print_nonce_and_key(const uint8_t nonce[ATTEST_KBS_NONCE], const struct attest_jwk *key,
			       struct buf *ret)
{
	int r = buf_addf(ret, "\"nonce\":\"");

	if (r == 0)
		r = attest_base64_add(ret, (struct bytes){ nonce, ATTEST_KBS_NONCE }, false);
	if (r == 0)
		r = buf_addf(ret, "\",\"tee-pubkey\":");
	if (r == 0)
		r = attest_jwk_print(key, ret);
	return r < 0 ? r : buf_addf(ret, "}");
}

int attest_kbs_report_data(const uint8_t nonce[ATTEST_KBS_NONCE], const struct attest_jwk *key,
			   uint8_t ret[ATTEST_SNP_DATA_SIZE])
{
	CLEANUP(buf_done) struct buf text = { 0 };
	uint8_t digest[ATTEST_SNP_DIGEST_SIZE];
	int r = buf_addf(&text, "{\"additional-evidence\":\"\",");

	if (r == 0)
		r = print_nonce_and_key(nonce, key, &text);
	if (r < 0)
		return r;
	if (EVP_Digest(text.at, text.len, digest, NULL, EVP_sha384(), NULL) != 1)
		return -EIO;
	memset(ret, 0, ATTEST_SNP_DATA_SIZE);
	memcpy(ret, digest, sizeof(digest));
	return 0;
}

void attest_kbs_request_done(struct attest_kbs_request *request)
{
	buf_done(&request->init_data);
	attest_certs_done(&request->certs);
	*request = (struct attest_kbs_request){ 0 };
}

static int print_init_data(const struct buf *init_data, struct buf *ret)
{
	cleanup_free char *quoted = NULL;
	json_t *string;
	int r;

	if (init_data->len == 0)
		return buf_addf(ret, "null");
	string = json_stringn((const char *)init_data->at, init_data->len);
	if (!string)
		return -EINVAL;
	quoted = json_dumps(string, JSON_ENCODE_ANY);
	json_decref(string);
	if (!quoted)
		return -ENOMEM;
	r = buf_addf(ret, "{\"format\":\"toml\",\"body\":");
	if (r == 0)
		r = buf_add(ret, quoted, strlen(quoted));
	return r < 0 ? r : buf_addf(ret, "}");
}

static int print_request(const struct attest_kbs_request *request, struct bytes evidence,
			 struct buf *ret)
{
	int r = buf_addf(ret, "{\"init-data\":");

	if (r == 0)
		r = print_init_data(&request->init_data, ret);
	if (r == 0)
		r = buf_addf(ret, ",\"runtime-data\":{");
	if (r == 0)
		r = print_nonce_and_key(request->nonce, &request->key, ret);
	if (r == 0)
		r = buf_addf(ret, ",\"tee-evidence\":{\"primary_evidence\":");
	if (r == 0)
		r = buf_add(ret, evidence.at, evidence.len);
	return r < 0 ? r : buf_addf(ret, ",\"additional_evidence\":\"\"}}");
}

int attest_kbs_request_print(const struct attest_kbs_request *request, struct buf *ret,
			     struct err *err)
{
	CLEANUP(buf_done) struct buf evidence = { 0 };
	size_t was = ret->len;
	int r = attest_kbs_evidence_print(request->report, &request->certs, &evidence, err);

	if (r < 0)
		return r;
	r = print_request(request, buf_bytes(&evidence), ret);
	if (r == 0 && ret->len - was > ATTEST_KBS_TEXT_MAX)
		r = -E2BIG;
	if (r < 0) {
		ret->len = was;
		return err_num(err, r, "write an attestation request");
	}
	return 0;
}

static int read_init_data(const struct oci_json *at, struct buf *ret, struct err *err)
{
	static const char *const names[] = { "format", "body" };
	struct oci_json format = oci_json_get(at, "format"), body = oci_json_get(at, "body");
	struct bytes text = string_of(&body);
	int r;

	if (!oci_json_is_there(at))
		return 0;
	r = attest_closed(at, names, ARRAY_SIZE(names), err);
	if (r == 0 && !is_text(&format, "toml"))
		r = oci_json_fail(&format, ERR_OTHER, -ENOTSUP, err, "is not 'toml'");
	if (r == 0 && text.len == 0)
		r = oci_json_fail(&body, ERR_OTHER, -EINVAL, err, "is no text");
	if (r == 0 && buf_add(ret, text.at, text.len) < 0)
		r = err_num(err, -ENOMEM, "read init data");
	return r;
}

static int read_runtime_data(const struct oci_json *at, struct attest_kbs_request *ret,
			     struct err *err)
{
	static const char *const names[] = { "nonce", "tee-pubkey" };
	struct oci_json nonce = oci_json_get(at, "nonce"), key = oci_json_get(at, "tee-pubkey");
	struct oci_json kty = oci_json_get(&key, "kty"), crv = oci_json_get(&key, "crv");
	int r = attest_closed(at, names, ARRAY_SIZE(names), err);

	if (r == 0)
		r = read_nonce(&nonce, ret->nonce, err);
	if (r == 0 && string_of(&kty).at && (!is_text(&kty, "EC") || !is_text(&crv, "P-256")))
		r = oci_json_fail(&key, ERR_OTHER, -ENOTSUP, err, "is no P-256 key");
	return r < 0 ? r : attest_jwk_read(&key, &ret->key, err);
}

static int read_evidence(const struct oci_json *at, struct attest_kbs_request *ret, struct err *err)
{
	static const char *const names[] = { "primary_evidence", "additional_evidence" };
	struct oci_json primary = oci_json_get(at, "primary_evidence"),
			additional = oci_json_get(at, "additional_evidence");
	int r = attest_closed(at, names, ARRAY_SIZE(names), err);

	if (r == 0 && !is_text(&additional, ""))
		r = oci_json_fail(&additional, ERR_OTHER, -ENOTSUP, err, "is not empty");
	return r < 0 ? r : attest_kbs_evidence_read(&primary, ret->report, &ret->certs, err);
}

int attest_kbs_request_parse(struct bytes text, struct attest_kbs_request *ret, struct err *err)
{
	static const char *const names[] = { "init-data", "runtime-data", "tee-evidence" };
	CLEANUP(oci_json_free) json_t *json = NULL;
	struct oci_json root, init_data, runtime_data, evidence;
	int r = oci_json_load(text, "attestation request", &json, err);

	if (r < 0)
		return r;
	root = oci_json_root(json, "attestation request");
	init_data = oci_json_get(&root, "init-data");
	runtime_data = oci_json_get(&root, "runtime-data");
	evidence = oci_json_get(&root, "tee-evidence");
	r = attest_closed(&root, names, ARRAY_SIZE(names), err);
	if (r == 0)
		r = read_init_data(&init_data, &ret->init_data, err);
	if (r == 0)
		r = read_runtime_data(&runtime_data, ret, err);
	if (r == 0)
		r = read_evidence(&evidence, ret, err);
	if (r < 0)
		attest_kbs_request_done(ret);
	return r;
}

int attest_kbs_token_print(const char *token, struct buf *ret)
{
	return buf_addf(ret, "{\"token\":\"%s\"}", token);
}

int attest_kbs_token_parse(struct bytes text, struct buf *ret, struct err *err)
{
	CLEANUP(oci_json_free) json_t *json = NULL;
	struct oci_json root, token;
	struct bytes value;
	int r = oci_json_load(text, "attestation response", &json, err);

	if (r < 0)
		return r;
	root = oci_json_root(json, "attestation response");
	token = oci_json_get(&root, "token");
	value = string_of(&token);
	if (value.len == 0)
		return oci_json_fail(&token, ERR_OTHER, -EINVAL, err, "is no token");
	if (value.len > ATTEST_KBS_TOKEN_MAX)
		return oci_json_fail(&token, ERR_OTHER, -E2BIG, err, "has more than %d bytes",
				     ATTEST_KBS_TOKEN_MAX);
	return buf_add(ret, value.at, value.len + 1) < 0 ? err_num(err, -ENOMEM, "keep a token")
							 : 0;
}

int attest_kbs_error_print(const char *variant, enum attest_reason reason, const char *text,
			   struct buf *ret)
{
	json_t *json = json_pack("{s:s+, s:s++}", "type", ERROR_TYPE, variant, "detail",
				 attest_reason_name(reason), ": ", text);
	cleanup_free char *line = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	json_decref(json);
	return line ? buf_add(ret, line, strlen(line)) : -ENOMEM;
}

/* "CODE: text", CODE one of ours; else all of it is text. */
static void split_detail(const char *detail, struct attest_kbs_error *ret)
{
	const char *colon = strstr(detail, ": ");
	size_t len = colon ? (size_t)(colon - detail) : 0;

	if (len > 0 && len < sizeof(ret->code)) {
		memcpy(ret->code, detail, len);
		ret->code[len] = '\0';
		if (attest_reason_find(ret->code) != ATTEST_REASON_COUNT)
			detail = colon + 2;
		else
			ret->code[0] = '\0';
	}
	(void)snprintf(ret->text, sizeof(ret->text), "%s", detail);
}

int attest_kbs_error_parse(struct bytes text, struct attest_kbs_error *ret, struct err *err)
{
	CLEANUP(oci_json_free) json_t *json = NULL;
	struct attest_kbs_error error = { 0 };
	struct oci_json root, type, detail;
	int r = oci_json_load(text, "error", &json, err);

	if (r < 0)
		return r;
	root = oci_json_root(json, "error");
	type = oci_json_get(&root, "type");
	detail = oci_json_get(&root, "detail");
	if (!string_of(&detail).at)
		return oci_json_fail(&detail, ERR_OTHER, -EINVAL, err, "is no text");
	if (string_of(&type).at &&
	    strncmp(json_string_value(type.value), ERROR_TYPE, strlen(ERROR_TYPE)) == 0)
		(void)snprintf(error.variant, sizeof(error.variant), "%s",
			       json_string_value(type.value) + strlen(ERROR_TYPE));
	split_detail(json_string_value(detail.value), &error);
	*ret = error;
	return 0;
}
