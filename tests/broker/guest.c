// SPDX-License-Identifier: Apache-2.0
/*
 * guest - plays a guest for the broker's tests, and the processor that vouches for it.
 *
 *	guest chip FOLDER                         makes a root, an issuer, a chip; prints the root's digest
 *	guest document JSON                       a policy's canonical document
 *	guest key                                 a private key, hex
 *	guest request FOLDER KEY NONCE DOCUMENT LAUNCH [ALTERATION=VALUE...]
 *	guest evidence ... (as request)           the evidence alone
 *	guest unwrap KEY                          opens the JWE on standard input
 *
 * LAUNCH is the launch digest, hex; NONCE base64. Alterations: flip=OFFSET (of the signed report),
 * report-nonce=NONCE and report-key=KEY (what the report is made for, other than what is sent),
 * host-data=HEX, product=genoa, certs=none.
 */
#include <stdio.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/pem.h>

#include "../attest/made.h"
#include "attest/base64.h"
#include "attest/kbs.h"
#include "attest/policy.h"
#include "base/text.h"

enum { FILE_MAX = 4 << 20, HEX_MAX = 256 };

#define REQUIRE(what)                                                                   \
	do {                                                                            \
		if (!(what)) {                                                          \
			(void)fprintf(stderr, "guest: %s, line %d\n", #what, __LINE__); \
			exit(1);                                                        \
		}                                                                       \
	} while (0)

static void read_stream(FILE *file, struct buf *ret)
{
	uint8_t part[4096];
	size_t n;

	REQUIRE(file);
	while ((n = fread(part, 1, sizeof(part), file)) > 0)
		REQUIRE(buf_add(ret, part, n) == 0 && ret->len <= FILE_MAX);
	(void)fclose(file);
}

static void read_path(const char *folder, const char *name, struct buf *ret)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s%s%s", folder, name[0] ? "/" : "", name);
	read_stream(fopen(path, "re"), ret);
}

static FILE *create(const char *folder, const char *name)
{
	char path[4096];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "we");
	REQUIRE(file);
	return file;
}

static EVP_PKEY *new_key(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-384");

	REQUIRE(key);
	return key;
}

static void make_chip_report(uint8_t report[ATTEST_SNP_REPORT_SIZE])
{
	made_report(report);
	made_put(report, 0x188, 0, 3); /* the simulated processor's family, model, stepping */
}

static int do_chip(const char *folder)
{
	int64_t now = (int64_t)time(NULL);
	const struct attest_snp_names *names = attest_snp_names(ATTEST_SNP_SIM);
	EVP_PKEY *root_key = new_key(), *ask_key = new_key(), *chip_key = new_key();
	struct made_cert root = { .name = "casemate-sim root",
				  .key = root_key,
				  .issuer = "casemate-sim root",
				  .issuer_key = root_key,
				  .from_s = now - 3600,
				  .to_s = now + MADE_YEAR,
				  .is_ca = true };
	struct made_cert ask = root, chip = root;
	uint8_t report[ATTEST_SNP_REPORT_SIZE], digest[ATTEST_ROOT_SIZE];
	char hex[2 * ATTEST_ROOT_SIZE + 1];
	X509 *certs[3];
	FILE *file;

	make_chip_report(report);
	ask.name = names->ask;
	ask.key = ask_key;
	chip.name = names->vcek;
	chip.key = chip_key;
	chip.issuer = names->ask;
	chip.issuer_key = ask_key;
	chip.is_ca = false;
	(void)made_extensions("casemate-sim", report + 0x1a0, 64, chip.extensions);
	certs[0] = made_cert(&chip);
	certs[1] = made_cert(&ask);
	certs[2] = made_cert(&root);
	file = create(folder, "certs.pem");
	for (size_t i = 0; i < ARRAY_SIZE(certs); i++)
		REQUIRE(PEM_write_X509(file, certs[i]) == 1);
	(void)fclose(file);
	file = create(folder, "chip.pem");
	REQUIRE(PEM_write_PrivateKey(file, chip_key, NULL, NULL, 0, NULL, NULL) == 1);
	(void)fclose(file);
	made_digest(certs[2], digest);
	text_hex(digest, sizeof(digest), hex);
	(void)puts(hex);
	for (size_t i = 0; i < ARRAY_SIZE(certs); i++)
		X509_free(certs[i]);
	EVP_PKEY_free(root_key);
	EVP_PKEY_free(ask_key);
	EVP_PKEY_free(chip_key);
	return 0;
}

static int do_document(const char *path)
{
	CLEANUP(attest_policy_done) struct attest_policy policy = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 }, document = { 0 };
	struct err err = { 0 };

	read_path(path, "", &text);
	if (attest_policy_parse(buf_bytes(&text), &policy, &err) < 0) {
		(void)fprintf(stderr, "guest: %s\n", err.msg);
		return 1;
	}
	REQUIRE(attest_policy_document(&policy, &document) == 0);
	(void)fwrite(document.at, 1, document.len, stdout);
	return 0;
}

static int do_key(void)
{
	uint8_t key[ATTEST_JWK_SCALAR];
	char hex[2 * ATTEST_JWK_SCALAR + 1];
	struct attest_jwk public_key;

	do
		REQUIRE(getrandom(key, sizeof(key), 0) == sizeof(key));
	while (attest_jwk_make(key, &public_key) < 0);
	text_hex(key, sizeof(key), hex);
	(void)puts(hex);
	return 0;
}

static void read_nonce(const char *text, uint8_t ret[ATTEST_KBS_NONCE])
{
	REQUIRE(attest_base64_fixed((struct bytes){ (const uint8_t *)text, strlen(text) }, false,
				    ATTEST_KBS_NONCE, ret) == 0);
}

static void read_public(const char *hex, struct attest_jwk *ret)
{
	uint8_t key[ATTEST_JWK_SCALAR];

	REQUIRE(text_unhex(hex, sizeof(key), key) == 0 && attest_jwk_make(key, ret) == 0);
}

/* "NAME=..." among the alterations; NULL. */
static const char *altered(char **words, const char *name)
{
	size_t len = strlen(name);

	for (; *words; words++)
		if (strncmp(*words, name, len) == 0 && (*words)[len] == '=')
			return *words + len + 1;
	return NULL;
}

/* words: FOLDER KEY NONCE DOCUMENT LAUNCH [ALTERATION...] */
static void make_report(char **words, struct attest_kbs_request *request)
{
	const char *flip = altered(words, "flip"), *host_data = altered(words, "host-data");
	const char *nonce_text = altered(words, "report-nonce");
	const char *key_text = altered(words, "report-key");
	const char *product = altered(words, "product");
	CLEANUP(buf_done) struct buf pem = { 0 };
	uint8_t nonce[ATTEST_KBS_NONCE];
	struct attest_jwk key = request->key;
	uint64_t offset = 0;
	EVP_PKEY *chip;
	BIO *bio;

	read_nonce(nonce_text ? nonce_text : words[2], nonce);
	if (key_text)
		read_public(key_text, &key);
	make_chip_report(request->report);
	if (product)
		made_put(request->report, 0x188, 0x001119, 3);
	REQUIRE(attest_kbs_report_data(nonce, &key, request->report + 0x50) == 0);
	REQUIRE(text_unhex(words[4], ATTEST_SNP_DIGEST_SIZE, request->report + 0x90) == 0);
	REQUIRE(EVP_Digest(request->init_data.at, request->init_data.len, request->report + 0xc0,
			   NULL, EVP_sha256(), NULL) == 1);
	if (host_data)
		REQUIRE(text_unhex(host_data, 32, request->report + 0xc0) == 0);
	read_path(words[0], "chip.pem", &pem);
	bio = BIO_new_mem_buf(pem.at, (int)pem.len);
	chip = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	REQUIRE(chip);
	made_sign(request->report, chip);
	EVP_PKEY_free(chip);
	BIO_free(bio);
	if (!flip)
		return;
	REQUIRE(text_parse_uint(flip, ATTEST_SNP_REPORT_SIZE - 1, &offset) == 0);
	request->report[offset] ^= 1;
}

static int do_request(char **words, bool is_evidence)
{
	CLEANUP(attest_kbs_request_done) struct attest_kbs_request request = { 0 };
	CLEANUP(buf_done) struct buf pem = { 0 }, text = { 0 };
	struct err err = { 0 };
	int r;

	read_nonce(words[2], request.nonce);
	read_public(words[1], &request.key);
	read_path(words[3], "", &request.init_data);
	make_report(words, &request);
	read_path(words[0], "certs.pem", &pem);
	if (!altered(words, "certs"))
		REQUIRE(attest_certs_add(&request.certs, buf_bytes(&pem), &err) == 0);
	r = is_evidence ? attest_kbs_evidence_print(request.report, &request.certs, &text, &err)
			: attest_kbs_request_print(&request, &text, &err);
	if (r < 0) {
		(void)fprintf(stderr, "guest: %s\n", err.msg);
		return 1;
	}
	(void)fwrite(text.at, 1, text.len, stdout);
	return 0;
}

static int do_unwrap(const char *hex)
{
	CLEANUP(buf_done) struct buf text = { 0 }, secret = { 0 };
	uint8_t key[ATTEST_JWK_SCALAR];
	struct err err = { 0 };

	REQUIRE(text_unhex(hex, sizeof(key), key) == 0);
	read_stream(stdin, &text);
	if (attest_jwe_unwrap(key, buf_bytes(&text), &secret, &err) < 0) {
		(void)fprintf(stderr, "guest: %s\n", err.msg);
		return 1;
	}
	(void)fwrite(secret.at, 1, secret.len, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (strcmp(command, "chip") == 0 && argc == 3)
		return do_chip(argv[2]);
	if (strcmp(command, "document") == 0 && argc == 3)
		return do_document(argv[2]);
	if (strcmp(command, "key") == 0 && argc == 2)
		return do_key();
	if (strcmp(command, "request") == 0 && argc >= 7)
		return do_request(argv + 2, false);
	if (strcmp(command, "evidence") == 0 && argc >= 7)
		return do_request(argv + 2, true);
	if (strcmp(command, "unwrap") == 0 && argc == 3)
		return do_unwrap(argv[2]);
	(void)fprintf(stderr, "guest: not understood\n");
	return 2;
}
