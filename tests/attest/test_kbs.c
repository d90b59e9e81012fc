// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "attest/kbs.h"
#include "base/text.h"
#include "made.h"
#include "vectors.h"

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static void is(const struct buf *have, const char *want)
{
	assert_int_equal(have->len, strlen(want));
	assert_memory_equal(have->at, want, have->len);
}

static void resources_have_three_plain_parts(void **state)
{
	static const char *const good[] = { "a/b/c", "default/model/key", "A_0.x/b-1/c.pem",
					    "-/_/0" };
	static const char *const bad[] = { "",	      "a",	 "a/b",		"a/b/",
					   "/a/b",    "a/b/c/d", "a/b/c/",	"a//c",
					   "a/./c",   "../b/c",	 "a/.b/c",	"a b/c/d",
					   "a/b/%41", "a/b/c?d", "a/b/\xc3\xa9" };
	char text[ATTEST_KBS_RESOURCE_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(attest_kbs_resource_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(attest_kbs_resource_valid(bad[i]));
	memset(text, 'a', sizeof(text));
	text[1] = text[3] = '/';
	text[ATTEST_KBS_RESOURCE_MAX + 1] = '\0';
	assert_false(attest_kbs_resource_valid(text));
	text[ATTEST_KBS_RESOURCE_MAX] = '\0';
	assert_true(attest_kbs_resource_valid(text));
	assert_string_equal(attest_kbs_uri_resource("kbs:///a/b/c"), "a/b/c");
	assert_null(attest_kbs_uri_resource("kbs://host/a/b/c"));
	assert_null(attest_kbs_uri_resource("kbs:///a/b"));
	assert_null(attest_kbs_uri_resource("KBS:///a/b/c"));
	assert_null(attest_kbs_uri_resource("a/b/c"));
}

static void an_auth_request_is_read_as_it_was_written(void **state)
{
	(void)state;
	for (int i = 0; i < ATTEST_KBS_TEE_COUNT; i++) {
		CLEANUP(buf_done) struct buf text = { 0 };
		enum attest_kbs_tee tee = ATTEST_KBS_TEE_COUNT;

		assert_int_equal(attest_kbs_auth_print((enum attest_kbs_tee)i, &text), 0);
		assert_int_equal(attest_kbs_auth_parse(buf_bytes(&text), &tee, NULL), 0);
		assert_int_equal(tee, i);
	}
}

#define AUTH(version, tee, extra) \
	"{\"version\":\"" version "\",\"tee\":\"" tee "\",\"extra-params\":" extra "}"

static int parse_auth(const char *text)
{
	enum attest_kbs_tee tee;
	struct err err = { 0 };
	int r = attest_kbs_auth_parse(bytes_of(text), &tee, &err);

	assert_true(r == 0 || err.msg[0]);
	return r;
}

static void auth_requests_of_others_are_understood_or_refused(void **state)
{
	(void)state;
	assert_int_equal(parse_auth(AUTH("0.4.0", "snp", "\"\"")), 0);
	assert_int_equal(parse_auth(AUTH("0.4.0", "casemate-sim", "{}")), 0);
	assert_int_equal(parse_auth("{\"version\":\"0.4.0\",\"tee\":\"snp\"}"), 0);
	assert_int_equal(
		parse_auth(AUTH("0.4.0", "snp",
				"{\"supported-hash-algorithms\":[\"sha256\",\"sha384\"]}")),
		0);
	assert_int_equal(
		parse_auth(AUTH("0.4.0", "snp", "{\"supported-hash-algorithms\":[\"sha512\"]}")),
		-ENOTSUP);
	assert_int_equal(parse_auth(AUTH("0.4.0", "snp", "{\"supported-hash-algorithms\":[]}")),
			 -ENOTSUP);
	assert_int_equal(parse_auth(AUTH("0.4", "snp", "\"\"")), -ENOTSUP);
	assert_int_equal(parse_auth(AUTH("0.4.00", "snp", "\"\"")), -ENOTSUP);
	assert_int_equal(parse_auth(AUTH("0.4.0", "tdx", "\"\"")), -ENOTSUP);
	assert_int_equal(parse_auth(AUTH("0.4.0", "snp\\u0000", "\"\"")), -EINVAL);
	assert_int_equal(parse_auth(AUTH("0.4.0", "snp", "\"\",\"x\":1")), -EINVAL);
	assert_int_equal(parse_auth("[]"), -EINVAL);
	assert_int_equal(parse_auth(""), -EINVAL);
}

static void names_of_hashes_have_a_limit(void **state)
{
	(void)state;
	for (int more = 0; more < 2; more++) {
		CLEANUP(buf_done) struct buf text = { 0 };
		enum attest_kbs_tee tee;

		assert_int_equal(buf_addf(&text,
					  "{\"version\":\"0.4.0\",\"tee\":\"snp\","
					  "\"extra-params\":{\"supported-hash-algorithms\":["),
				 0);
		for (int i = 1; i < ATTEST_KBS_HASHES_MAX + more; i++)
			assert_int_equal(buf_addf(&text, "\"x\","), 0);
		assert_int_equal(buf_addf(&text, "\"sha384\"]}}"), 0);
		assert_int_equal(attest_kbs_auth_parse(buf_bytes(&text), &tee, NULL),
				 more ? -E2BIG : 0);
	}
}

static void fill_nonce(uint8_t nonce[ATTEST_KBS_NONCE])
{
	for (size_t i = 0; i < ATTEST_KBS_NONCE; i++)
		nonce[i] = (uint8_t)i;
}

static void a_challenge_has_a_nonce_of_32_bytes(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	uint8_t nonce[ATTEST_KBS_NONCE], read[ATTEST_KBS_NONCE];

	(void)state;
	fill_nonce(nonce);
	assert_int_equal(attest_kbs_challenge_print(nonce, &text), 0);
	is(&text, "{\"nonce\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\","
		  "\"extra-params\":\"\"}");
	assert_int_equal(attest_kbs_challenge_parse(buf_bytes(&text), read, NULL), 0);
	assert_memory_equal(nonce, read, sizeof(read));
	assert_int_equal(attest_kbs_challenge_parse(bytes_of("{\"nonce\":\"AAEC\"}"), read, NULL),
			 -EINVAL);
	assert_int_equal(attest_kbs_challenge_parse(bytes_of("{}"), read, NULL), -EINVAL);
	assert_int_equal(attest_kbs_challenge_parse(bytes_of("{\"nonce\":1}"), read, NULL),
			 -EINVAL);
	assert_int_equal(
		attest_kbs_challenge_parse(
			bytes_of("{\"nonce\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}"),
			read, NULL),
		-EINVAL);
}

/* RFC 7517, A.2 */
static void own_key(struct attest_jwk *ret)
{
	uint8_t key[ATTEST_JWK_SCALAR];

	assert_int_equal(
		text_unhex("f3bd0c07a81fb932781ed52752f60cc89a6be5e51934fe01938ddb55d8f77801",
			   sizeof(key), key),
		0);
	assert_int_equal(attest_jwk_make(key, ret), 0);
}

/* The digest is from Python's json and hashlib. */
static void a_report_is_bound_to_nonce_and_key(void **state)
{
	uint8_t nonce[ATTEST_KBS_NONCE], data[ATTEST_SNP_DATA_SIZE];
	char hex[2 * ATTEST_SNP_DATA_SIZE + 1];
	struct attest_jwk key;

	(void)state;
	fill_nonce(nonce);
	own_key(&key);
	assert_int_equal(attest_kbs_report_data(nonce, &key, data), 0);
	text_hex(data, sizeof(data), hex);
	assert_string_equal(
		hex,
		"8a6244441b1b1171b3a1d56a693d4ce116c1f9ca1ae558bc5f59d46dada54cf49e92a361ab2472c434652fed5887f16d"
		"00000000000000000000000000000000");
}

/* What a guest would send. */
struct sample {
	struct attest_kbs_request request;
	EVP_PKEY *key;
};

static void make(struct sample *s, size_t certs)
{
	uint8_t *raw = s->request.report;

	fill_nonce(s->request.nonce);
	own_key(&s->request.key);
	assert_int_equal(buf_addf(&s->request.init_data, "a = \"\\\"\"\n\xc3\xa9"), 0);
	made_report(raw);
	s->key = EVP_EC_gen("P-384");
	made_sign(raw, s->key);
	for (size_t i = 0; i < certs; i++) {
		struct made_cert cert = { .name = i ? "SEV-Genoa" : "SEV-VCEK",
					  .key = s->key,
					  .issuer = "x",
					  .issuer_key = s->key,
					  .from_s = MADE_NOW,
					  .to_s = MADE_NOW + 1,
					  .serial = (long)i };

		s->request.certs.at[s->request.certs.count++] = made_cert(&cert);
	}
}

static void sample_done(struct sample *s)
{
	attest_kbs_request_done(&s->request);
	EVP_PKEY_free(s->key);
}
CLEANUP_FUNC(struct sample, sample_done)

static void print_sample(const struct sample *s, struct buf *ret)
{
	struct err err = { 0 };

	assert_int_equal(attest_kbs_request_print(&s->request, ret, &err), 0);
}

static int parse(struct bytes text, struct attest_kbs_request *ret)
{
	struct err err = { 0 };
	int r = attest_kbs_request_parse(text, ret, &err);

	assert_true(r == 0 || err.msg[0]);
	assert_true(r == 0 || (!ret->init_data.at && ret->certs.count == 0));
	return r;
}

static void a_request_is_read_as_it_was_written(void **state)
{
	CLEANUP(sample_done) struct sample s = { 0 };
	CLEANUP(attest_kbs_request_done) struct attest_kbs_request read = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 };

	(void)state;
	make(&s, 3);
	print_sample(&s, &text);
	assert_int_equal(parse(buf_bytes(&text), &read), 0);
	assert_memory_equal(read.nonce, s.request.nonce, sizeof(read.nonce));
	assert_memory_equal(&read.key, &s.request.key, sizeof(read.key));
	assert_memory_equal(read.report, s.request.report, sizeof(read.report));
	assert_int_equal(read.init_data.len, s.request.init_data.len);
	assert_memory_equal(read.init_data.at, s.request.init_data.at, read.init_data.len);
	assert_int_equal(read.certs.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(X509_cmp(read.certs.at[i], s.request.certs.at[i]), 0);
	assert_non_null(memmem(text.at, text.len, "\"cert_type\":\"VCEK\"", 18));
	assert_non_null(memmem(text.at, text.len, "\"cert_type\":\"ASK\"", 17));
}

static void reports_of_all_versions_and_products_come_out_the_same(void **state)
{
	static const struct {
		uint8_t version;
		uint32_t cpuid;
	} kinds[] = { { 2, 0 }, { 3, 0x001119 }, { 3, 0 }, { 5, 0x00011a }, { 5, 0x001119 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		CLEANUP(attest_certs_done) struct attest_certs none = { 0 };
		CLEANUP(buf_done) struct buf text = { 0 };
		uint8_t report[ATTEST_SNP_REPORT_SIZE], read[ATTEST_SNP_REPORT_SIZE];
		bool is_turin = kinds[i].cpuid == 0x00011a;
		struct err err = { 0 };

		made_report(report);
		report[0] = kinds[i].version;
		made_put(report, 0x188, kinds[i].cpuid, 3);
		for (size_t at = 0x38; is_turin && at; at = at == 0x38	  ? 0x180
							    : at == 0x180 ? 0x1e0
							    : at == 0x1e0 ? 0x1f0
									  : 0) {
			static const uint8_t levels[] = { 1, 2, 3, 4, 0, 0, 0, 0x50 };

			memcpy(report + at, levels, sizeof(levels));
		}
		if (kinds[i].version == 5)
			report[0x1f8] = report[0x200] = 0x0b;
		assert_int_equal(attest_kbs_evidence_print(report, &none, &text, &err), 0);
		assert_int_equal(attest_kbs_evidence_parse(buf_bytes(&text), read, &none, &err), 0);
		assert_memory_equal(read, report, sizeof(read));
		assert_true(is_turin == (memmem(text.at, text.len, "\"fmc\":1", 7) != NULL));
	}
}

static void a_report_that_would_come_out_another_is_not_sent(void **state)
{
	/* reserved: of key info, behind the CPUID, of a TCB, behind the versions; a vector before 5 */
	static const size_t places[] = {
		0x4c, 0x18b, 0x3a, 0x1eb, 0x1ef, 0x208, 0x29f, 0x1f8, 0x200
	};
	CLEANUP(attest_certs_done) struct attest_certs none = { 0 };
	uint8_t report[ATTEST_SNP_REPORT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		CLEANUP(buf_done) struct buf text = { 0 };

		made_report(report);
		report[places[i]] = 1;
		assert_int_equal(attest_kbs_evidence_print(report, &none, &text, NULL), -EBADMSG);
		assert_int_equal(text.len, 0);
	}
	made_report(report);
	report[0] = 9;
	assert_int_equal(attest_kbs_evidence_print(report, &none, &(struct buf){ 0 }, NULL),
			 -EBADMSG);
}

static void certificates_have_a_limit(void **state)
{
	(void)state;
	for (size_t more = 0; more < 2; more++) {
		CLEANUP(sample_done) struct sample s = { 0 };
		CLEANUP(buf_done) struct buf text = { 0 };

		make(&s, ATTEST_KBS_CHAIN_MAX + more);
		assert_int_equal(attest_kbs_request_print(&s.request, &text, NULL),
				 more ? -E2BIG : 0);
	}
}

/* The sample's request as JSON, to be changed. */
static json_t *sample_json(void)
{
	CLEANUP(sample_done) struct sample s = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 };
	json_t *json;

	make(&s, 2);
	print_sample(&s, &text);
	json = json_loadb((const char *)text.at, text.len, 0, NULL);
	assert_non_null(json);
	return json;
}

static int parse_json(json_t *take_json)
{
	CLEANUP(attest_kbs_request_done) struct attest_kbs_request read = { 0 };
	cleanup_free char *text = json_dumps(take_json, JSON_COMPACT);

	assert_non_null(text);
	json_decref(take_json);
	return parse(bytes_of(text), &read);
}

/* "a/b/c" */
static json_t *find(json_t *json, const char *path)
{
	char name[64];

	while (*path) {
		size_t len = strcspn(path, "/");

		memcpy(name, path, len);
		name[len] = '\0';
		json = json_object_get(json, name);
		assert_non_null(json);
		path += len + (path[len] == '/');
	}
	return json;
}

static const char *const objects[] = {
	"",
	"init-data",
	"runtime-data",
	"runtime-data/tee-pubkey",
	"tee-evidence",
	"tee-evidence/primary_evidence",
	"tee-evidence/primary_evidence/attestation_report",
	"tee-evidence/primary_evidence/attestation_report/current_tcb",
	"tee-evidence/primary_evidence/attestation_report/current",
	"tee-evidence/primary_evidence/attestation_report/signature",
};

/* May be left out: what older versions have not, and what needs not be there. */
static bool may_miss(const char *name)
{
	static const char *const names[] = {
		"init-data",	      "cert_chain",   "fmc",	      "launch_mit_vector",
		"current_mit_vector", "cpuid_fam_id", "cpuid_mod_id", "cpuid_step"
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static void every_part_has_to_be_there_and_be_of_its_kind(void **state)
{
	size_t tried = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
		json_t *names = sample_json(), *value;
		const char *name;

		json_object_foreach(find(names, objects[i]), name, value) {
			json_t *json = sample_json();

			assert_int_equal(json_object_del(find(json, objects[i]), name), 0);
			assert_true(may_miss(name) ? parse_json(json) == 0 : parse_json(json) < 0);
			json = sample_json();
			assert_int_equal(json_object_set_new(find(json, objects[i]), name,
							     json_real(0.5)),
					 0);
			assert_true(parse_json(json) < 0);
			tried++;
		}
		json_decref(names);
	}
	assert_true(tried > 50);
}

static void unknown_names_are_refused_everywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
		json_t *json = sample_json();

		assert_int_equal(json_object_set_new(find(json, objects[i]), "more", json_null()),
				 0);
		assert_int_equal(parse_json(json), -EINVAL);
	}
}

static int parse_with(const char *path, const char *name, json_t *take_value)
{
	json_t *json = sample_json();

	assert_int_equal(json_object_set_new(find(json, path), name, take_value), 0);
	return parse_json(json);
}

static void numbers_fit_their_fields(void **state)
{
	static const char report[] = "tee-evidence/primary_evidence/attestation_report";
	json_t *list = json_array();

	(void)state;
	assert_int_equal(parse_with(report, "vmpl", json_integer(0xffffffff)), 0);
	assert_int_equal(parse_with(report, "vmpl", json_integer(0x100000000)), -EINVAL);
	assert_int_equal(parse_with(report, "vmpl", json_integer(-1)), -EINVAL);
	assert_int_equal(parse_with(report, "cpuid_step", json_integer(256)), -EINVAL);
	assert_int_equal(parse_with(report, "policy", json_integer(INT64_MAX)), 0);
	for (size_t i = 0; i < 31; i++)
		assert_int_equal(json_array_append_new(list, json_integer(255)), 0);
	assert_int_equal(parse_with(report, "host_data", json_incref(list)), -EINVAL);
	assert_int_equal(json_array_append_new(list, json_integer(255)), 0);
	assert_int_equal(parse_with(report, "host_data", json_deep_copy(list)), 0);
	assert_int_equal(json_array_set_new(list, 3, json_integer(256)), 0);
	assert_true(parse_with(report, "host_data", json_deep_copy(list)) < 0);
	assert_int_equal(json_array_set_new(list, 3, json_null()), 0);
	assert_int_equal(parse_with(report, "host_data", json_deep_copy(list)), -EINVAL);
	assert_int_equal(json_array_set_new(list, 3, json_integer(0)), 0);
	assert_int_equal(json_array_append_new(list, json_integer(0)), 0);
	assert_int_equal(parse_with(report, "host_data", json_deep_copy(list)), -E2BIG);
	json_decref(list);
}

static void what_is_not_spoken_here_is_told(void **state)
{
	(void)state;
	assert_int_equal(parse_with("tee-evidence", "additional_evidence", json_string("{}")),
			 -ENOTSUP);
	assert_int_equal(parse_with("init-data", "format", json_string("json")), -ENOTSUP);
	assert_int_equal(parse_with("init-data", "body", json_string("")), -EINVAL);
	assert_int_equal(parse_with("runtime-data/tee-pubkey", "crv", json_string("P-521")),
			 -ENOTSUP);
	assert_int_equal(parse_with("runtime-data/tee-pubkey", "kty", json_string("RSA")),
			 -ENOTSUP);
	assert_int_equal(parse_with("runtime-data", "nonce", json_string("AAEC")), -EINVAL);
}

static void tokens_are_read_as_they_were_written(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 }, token = { 0 };

	(void)state;
	assert_int_equal(attest_kbs_token_print("a.b-_.c", &text), 0);
	is(&text, "{\"token\":\"a.b-_.c\"}");
	assert_int_equal(attest_kbs_token_parse(buf_bytes(&text), &token, NULL), 0);
	assert_string_equal((const char *)token.at, "a.b-_.c");
	assert_int_equal(attest_kbs_token_parse(bytes_of("{}"), &token, NULL), -EINVAL);
	assert_int_equal(attest_kbs_token_parse(bytes_of("{\"token\":\"\"}"), &token, NULL),
			 -EINVAL);
}

static void a_token_has_a_limit(void **state)
{
	cleanup_free char *long_one = malloc(ATTEST_KBS_TOKEN_MAX + 2);

	(void)state;
	assert_non_null(long_one);
	for (size_t more = 0; more < 2; more++) {
		CLEANUP(buf_done) struct buf text = { 0 }, token = { 0 };

		memset(long_one, 'a', ATTEST_KBS_TOKEN_MAX + more);
		long_one[ATTEST_KBS_TOKEN_MAX + more] = '\0';
		assert_int_equal(attest_kbs_token_print(long_one, &text), 0);
		assert_int_equal(attest_kbs_token_parse(buf_bytes(&text), &token, NULL),
				 more ? -E2BIG : 0);
	}
}

static void errors_carry_a_code_and_words(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct attest_kbs_error error;

	(void)state;
	assert_int_equal(attest_kbs_error_print("PolicyDeny", ATTEST_LAUNCH_DIGEST_MISMATCH,
						"it's \"other\": so", &text),
			 0);
	is(&text, "{\"detail\":\"launch-digest-mismatch: it's \\\"other\\\": so\",\"type\":"
		  "\"https://github.com/confidential-containers/kbs/errors/PolicyDeny\"}");
	assert_int_equal(attest_kbs_error_parse(buf_bytes(&text), &error, NULL), 0);
	assert_string_equal(error.variant, "PolicyDeny");
	assert_string_equal(error.code, "launch-digest-mismatch");
	assert_string_equal(error.text, "it's \"other\": so");
}

static void errors_of_another_broker_are_text(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct attest_kbs_error error;

	(void)state;
	assert_int_equal(
		attest_kbs_error_parse(bytes_of("{\"type\":\"about:blank\",\"detail\":\"oh: no\"}"),
				       &error, NULL),
		0);
	assert_string_equal(error.variant, "");
	assert_string_equal(error.code, "");
	assert_string_equal(error.text, "oh: no");
	assert_int_equal(attest_kbs_error_parse(bytes_of("{\"type\":\"x\"}"), &error, NULL),
			 -EINVAL);
	assert_int_equal(attest_kbs_error_parse(bytes_of("nonsense"), &error, NULL), -EINVAL);
	assert_int_equal(buf_addf(&text, "{\"detail\":\""), 0);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(buf_addf(&text, "x"), 0);
	assert_int_equal(buf_addf(&text, "\"}"), 0);
	assert_int_equal(attest_kbs_error_parse(buf_bytes(&text), &error, NULL), 0);
	assert_int_equal(strlen(error.text), ATTEST_REFUSAL_TEXT - 1);
}

static void a_real_guests_evidence_is_its_report_on_vectors(void **state)
{
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 }, report = { 0 }, again = { 0 };
	uint8_t read[ATTEST_SNP_REPORT_SIZE];
	struct err err = { 0 };

	(void)state;
	assert_true(vectors_read("snp/kbs-evidence-genoa-v3/evidence.json", &text));
	assert_true(vectors_read("snp/kbs-evidence-genoa-v3/report.bin", &report));
	assert_int_equal(attest_kbs_evidence_parse(buf_bytes(&text), read, &certs, &err), 0);
	assert_int_equal(report.len, sizeof(read));
	assert_memory_equal(read, report.at, sizeof(read));
	assert_int_equal(certs.count, 1);
	assert_int_equal(attest_kbs_evidence_print(read, &certs, &again, &err), 0);
}
ON_VECTORS(a_real_guests_evidence_is_its_report)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resources_have_three_plain_parts),
		cmocka_unit_test(an_auth_request_is_read_as_it_was_written),
		cmocka_unit_test(auth_requests_of_others_are_understood_or_refused),
		cmocka_unit_test(names_of_hashes_have_a_limit),
		cmocka_unit_test(a_challenge_has_a_nonce_of_32_bytes),
		cmocka_unit_test(a_report_is_bound_to_nonce_and_key),
		cmocka_unit_test(a_request_is_read_as_it_was_written),
		cmocka_unit_test(reports_of_all_versions_and_products_come_out_the_same),
		cmocka_unit_test(a_report_that_would_come_out_another_is_not_sent),
		cmocka_unit_test(certificates_have_a_limit),
		cmocka_unit_test(every_part_has_to_be_there_and_be_of_its_kind),
		cmocka_unit_test(unknown_names_are_refused_everywhere),
		cmocka_unit_test(numbers_fit_their_fields),
		cmocka_unit_test(what_is_not_spoken_here_is_told),
		cmocka_unit_test(tokens_are_read_as_they_were_written),
		cmocka_unit_test(a_token_has_a_limit),
		cmocka_unit_test(errors_carry_a_code_and_words),
		cmocka_unit_test(errors_of_another_broker_are_text),
		cmocka_unit_test(a_real_guests_evidence_is_its_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
