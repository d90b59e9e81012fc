// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <openssl/objects.h>
#include <openssl/x509.h>

#include "attest/closed_priv.h"
#include "attest/kbs_priv.h"
#include "attest/roots.h"

enum {
	VERSION_CPUID = 3,
	VERSION_MITIGATIONS = 5,
	TCB_PARTS = 5,
	FIELD_MAX = 72, /* bytes of the longest */
};

enum kind {
	NUMBER,
	BYTES,
	TCB,
	FIRMWARE,
};

/* A part of the report, by the name that Rust's sev crate has for it. */
struct part {
	const char *name;
	size_t off, len;
	enum kind kind;
	unsigned since; /* of which version on; null before */
};

static const struct part parts[] = {
	{ "version", 0x00, 4, NUMBER, 0 },
	{ "guest_svn", 0x04, 4, NUMBER, 0 },
	{ "policy", 0x08, 8, NUMBER, 0 },
	{ "family_id", 0x10, 16, BYTES, 0 },
	{ "image_id", 0x20, 16, BYTES, 0 },
	{ "vmpl", 0x30, 4, NUMBER, 0 },
	{ "sig_algo", 0x34, 4, NUMBER, 0 },
	{ "current_tcb", 0x38, ATTEST_SNP_TCB_SIZE, TCB, 0 },
	{ "plat_info", 0x40, 8, NUMBER, 0 },
	{ "key_info", 0x48, 4, NUMBER, 0 },
	{ "report_data", ATTEST_SNP_DATA_AT, ATTEST_SNP_DATA_SIZE, BYTES, 0 },
	{ "measurement", ATTEST_SNP_DIGEST_AT, ATTEST_SNP_DIGEST_SIZE, BYTES, 0 },
	{ "host_data", ATTEST_SNP_HOST_DATA_AT, ATTEST_SNP_HOST_DATA_SIZE, BYTES, 0 },
	{ "id_key_digest", 0xe0, ATTEST_SNP_DIGEST_SIZE, BYTES, 0 },
	{ "author_key_digest", 0x110, ATTEST_SNP_DIGEST_SIZE, BYTES, 0 },
	{ "report_id", 0x140, 32, BYTES, 0 },
	{ "report_id_ma", 0x160, 32, BYTES, 0 },
	{ "reported_tcb", 0x180, ATTEST_SNP_TCB_SIZE, TCB, 0 },
	{ "cpuid_fam_id", 0x188, 1, NUMBER, VERSION_CPUID },
	{ "cpuid_mod_id", 0x189, 1, NUMBER, VERSION_CPUID },
	{ "cpuid_step", 0x18a, 1, NUMBER, VERSION_CPUID },
	{ "chip_id", ATTEST_SNP_CHIP_ID_AT, ATTEST_SNP_CHIP_ID_SIZE, BYTES, 0 },
	{ "committed_tcb", 0x1e0, ATTEST_SNP_TCB_SIZE, TCB, 0 },
	{ "current", 0x1e8, 3, FIRMWARE, 0 },
	{ "committed", 0x1ec, 3, FIRMWARE, 0 },
	{ "launch_tcb", 0x1f0, ATTEST_SNP_TCB_SIZE, TCB, 0 },
	{ "launch_mit_vector", 0x1f8, 8, NUMBER, VERSION_MITIGATIONS },
	{ "current_mit_vector", 0x200, 8, NUMBER, VERSION_MITIGATIONS },
};

static const struct part signature_parts[] = {
	{ "r", 0x2a0, 72, BYTES, 0 },
	{ "s", 0x2e8, 72, BYTES, 0 },
};

static const char *const tcb_names[] = { "fmc", "bootloader", "tee", "snp", "microcode" };
static const uint8_t tcb_places[] = { UINT8_MAX, 0, 1, 6, 7 };
static const uint8_t tcb_places_turin[] = { 0, 1, 2, 3, 7 };
static const char *const firmware_names[] = { "build", "minor", "major" }; /* as they lie there */

static_assert(ARRAY_SIZE(tcb_names) == TCB_PARTS, "as many");
static_assert(sizeof(tcb_places) == TCB_PARTS && sizeof(tcb_places_turin) == TCB_PARTS, "as many");

/* Writing. */

static uint64_t number_at(const uint8_t *at, size_t len)
{
	uint64_t value = 0;

	while (len-- > 0)
		value = value << 8 | at[len];
	return value;
}

static int print_list(struct bytes list, struct buf *ret)
{
	int r = buf_addf(ret, "[");

	for (size_t i = 0; r == 0 && i < list.len; i++)
		r = buf_addf(ret, i ? ",%u" : "%u", list.at[i]);
	return r < 0 ? r : buf_addf(ret, "]");
}

static int print_tcb(const uint8_t *at, bool is_turin, struct buf *ret)
{
	const uint8_t *places = is_turin ? tcb_places_turin : tcb_places;
	int r = is_turin ? buf_addf(ret, "{\"fmc\":%u", at[places[0]])
			 : buf_addf(ret, "{\"fmc\":null");

	for (size_t i = 1; r == 0 && i < TCB_PARTS; i++)
		r = buf_addf(ret, ",\"%s\":%u", tcb_names[i], at[places[i]]);
	return r < 0 ? r : buf_addf(ret, "}");
}

static int print_value(const struct attest_snp_report *report, const struct part *part,
		       struct buf *ret)
{
	const uint8_t *at = report->raw + part->off;
	bool is_turin = attest_snp_report_product(report) == ATTEST_SNP_TURIN;

	if (report->version < part->since)
		return buf_addf(ret, "null");
	switch (part->kind) {
	case NUMBER:
		return buf_addf(ret, "%" PRIu64, number_at(at, part->len));
	case BYTES:
		return print_list((struct bytes){ at, part->len }, ret);
	case TCB:
		return print_tcb(at, is_turin, ret);
	case FIRMWARE:
		return buf_addf(ret, "{\"major\":%u,\"minor\":%u,\"build\":%u}", at[2], at[1],
				at[0]);
	}
	return -EINVAL;
}

static int print_parts(const struct attest_snp_report *report, const struct part *list,
		       size_t count, struct buf *ret)
{
	int r = buf_addf(ret, "{");

	for (size_t i = 0; r == 0 && i < count; i++) {
		r = buf_addf(ret, "%s\"%s\":", i ? "," : "", list[i].name);
		if (r == 0)
			r = print_value(report, &list[i], ret);
	}
	return r;
}

static bool is_named(struct bytes text, const char *name)
{
	return name && name[0] && text.at && text.len == strlen(name) &&
	       memcmp(text.at, name, text.len) == 0;
}

/* What it is, as far as its name says: nobody trusts it for that. */
static const char *cert_type(const X509 *cert)
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	const ASN1_STRING *data =
		at < 0 ? NULL : X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
	struct bytes text = { 0 };

	if (data && ASN1_STRING_length(data) > 0)
		text = (struct bytes){ ASN1_STRING_get0_data(data),
				       (size_t)ASN1_STRING_length(data) };
	for (int i = ATTEST_SNP_MILAN; i < ATTEST_SNP_PRODUCT_COUNT; i++) {
		const struct attest_snp_names *names = attest_snp_names((enum attest_snp_product)i);

		if (is_named(text, names->vcek))
			return "VCEK";
		if (is_named(text, names->vlek))
			return "VLEK";
		if (is_named(text, names->ask) || is_named(text, names->asvk))
			return "ASK";
	}
	return "ARK";
}

static int print_cert(X509 *cert, struct buf *ret)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der), r;

	if (len <= 0)
		return -EIO;
	r = buf_addf(ret, "{\"cert_type\":\"%s\",\"data\":", cert_type(cert));
	if (r == 0)
		r = print_list((struct bytes){ der, (size_t)len }, ret);
	OPENSSL_free(der);
	return r < 0 ? r : buf_addf(ret, "}");
}

static int print_certs(const struct attest_certs *certs, struct buf *ret)
{
	int r = 0;

	if (certs->count == 0)
		return buf_addf(ret, "null");
	for (size_t i = 0; r == 0 && i < certs->count; i++) {
		r = buf_addf(ret, i ? "," : "[");
		if (r == 0)
			r = print_cert(certs->at[i], ret);
	}
	return r < 0 ? r : buf_addf(ret, "]");
}

/* What reserved bytes had would be lost on the way, and with it the signature. */
static int check_same(struct bytes text, const uint8_t report[ATTEST_SNP_REPORT_SIZE],
		      struct err *err)
{
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	uint8_t again[ATTEST_SNP_REPORT_SIZE];
	int r = attest_kbs_evidence_parse(text, again, &certs, NULL);

	if (r == -ENOMEM)
		return err_num(err, r, "write evidence");
	if (r < 0 || memcmp(again, report, sizeof(again)) != 0)
		return err_set(err, -EBADMSG,
			       "write evidence: the report has bytes without a name");
	return 0;
}

int attest_kbs_evidence_print(const uint8_t report[ATTEST_SNP_REPORT_SIZE],
			      const struct attest_certs *certs, struct buf *ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct attest_snp_report facts;
	struct attest_refusal refusal;
	int r;

	if (certs->count > ATTEST_KBS_CHAIN_MAX)
		return err_set(err, -E2BIG, "write evidence: more than %d certificates",
			       ATTEST_KBS_CHAIN_MAX);
	r = attest_snp_report_parse((struct bytes){ report, ATTEST_SNP_REPORT_SIZE }, &facts,
				    &refusal);
	if (r < 0)
		return err_set(err, -EBADMSG, "write evidence: %s", refusal.text);
	r = buf_addf(&text, "{\"attestation_report\":");
	if (r == 0)
		r = print_parts(&facts, parts, ARRAY_SIZE(parts), &text);
	if (r == 0)
		r = buf_addf(&text, ",\"signature\":");
	if (r == 0)
		r = print_parts(&facts, signature_parts, ARRAY_SIZE(signature_parts), &text);
	if (r == 0)
		r = buf_addf(&text, "}},\"cert_chain\":");
	if (r == 0)
		r = print_certs(certs, &text);
	if (r == 0)
		r = buf_addf(&text, "}");
	if (r < 0)
		return err_num(err, r, "write evidence");
	r = check_same(buf_bytes(&text), report, err);
	if (r == 0 && buf_add(ret, text.at, text.len) < 0)
		r = err_num(err, -ENOMEM, "write evidence");
	return r;
}

/* Reading. */

static int read_number(const struct oci_json *at, uint64_t most, uint64_t *ret, struct err *err)
{
	if (!oci_json_is_there(at))
		return oci_json_fail(at, ERR_OTHER, -EINVAL, err, "is missing");
	return oci_json_u64(at, 0, most, ret, err);
}

/* As many bytes as there have to be, or, where ret_len is not NULL, up to so many. */
static int read_list(const struct oci_json *at, size_t max, uint8_t *ret, size_t *ret_len,
		     struct err *err)
{
	size_t count = 0;
	int r = oci_json_list(at, max, &count, err);

	if (r < 0)
		return r;
	if (!ret_len && count != max)
		return oci_json_fail(at, ERR_OTHER, -EINVAL, err, "has %zu bytes, not %zu", count,
				     max);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct oci_json item = oci_json_item(at, i);
		uint64_t value = 0;

		r = read_number(&item, UINT8_MAX, &value, err);
		ret[i] = (uint8_t)value;
	}
	if (r == 0 && ret_len)
		*ret_len = count;
	return r;
}

/* Processors with an FMC have the others in other places. */
static int read_tcb(const struct oci_json *at, uint8_t *ret, struct err *err)
{
	struct oci_json fmc = oci_json_get(at, tcb_names[0]);
	const uint8_t *places = oci_json_is_there(&fmc) ? tcb_places_turin : tcb_places;
	int r = attest_closed(at, tcb_names, TCB_PARTS, err);

	for (size_t i = oci_json_is_there(&fmc) ? 0 : 1; r == 0 && i < TCB_PARTS; i++) {
		struct oci_json level = oci_json_get(at, tcb_names[i]);
		uint64_t value = 0;

		r = read_number(&level, UINT8_MAX, &value, err);
		ret[places[i]] = (uint8_t)value;
	}
	return r;
}

static int read_firmware(const struct oci_json *at, uint8_t *ret, struct err *err)
{
	int r = attest_closed(at, firmware_names, ARRAY_SIZE(firmware_names), err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(firmware_names); i++) {
		struct oci_json number = oci_json_get(at, firmware_names[i]);
		uint64_t value = 0;

		r = read_number(&number, UINT8_MAX, &value, err);
		ret[i] = (uint8_t)value;
	}
	return r;
}

static int read_value(const struct oci_json *at, const struct part *part, uint8_t *ret,
		      struct err *err)
{
	uint64_t most = part->len >= 8 ? INT64_MAX : (UINT64_C(1) << 8 * part->len) - 1;
	uint64_t value = 0;
	int r = 0;

	switch (part->kind) {
	case NUMBER:
		if (oci_json_is_there(at) || !part->since)
			r = read_number(at, most, &value, err);
		for (size_t i = 0; i < part->len; i++)
			ret[i] = (uint8_t)(value >> 8 * i);
		return r;
	case BYTES:
		return read_list(at, part->len, ret, NULL, err);
	case TCB:
		return read_tcb(at, ret, err);
	case FIRMWARE:
		return read_firmware(at, ret, err);
	}
	return -EINVAL;
}

static int read_parts(const struct oci_json *at, const struct part *list, size_t count,
		      const char *more, uint8_t *ret, struct err *err)
{
	const char *names[ARRAY_SIZE(parts) + 1];
	size_t known = 0;
	int r;

	for (; known < count; known++)
		names[known] = list[known].name;
	if (more)
		names[known++] = more;
	r = attest_closed(at, names, known, err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct oci_json value = oci_json_get(at, list[i].name);

		r = read_value(&value, &list[i], ret + list[i].off, err);
	}
	return r;
}

static int read_report(const struct oci_json *at, uint8_t *ret, struct err *err)
{
	struct oci_json signature = oci_json_get(at, "signature");
	int r = read_parts(at, parts, ARRAY_SIZE(parts), "signature", ret, err);

	return r < 0 ? r
		     : read_parts(&signature, signature_parts, ARRAY_SIZE(signature_parts), NULL,
				  ret, err);
}

static int read_cert(const struct oci_json *at, struct attest_certs *certs, struct err *err)
{
	static const char *const names[] = { "cert_type", "data" };
	struct oci_json data = oci_json_get(at, "data"), type = oci_json_get(at, "cert_type");
	cleanup_free uint8_t *der = malloc(ATTEST_CERT_SIZE_MAX);
	size_t len = 0;
	int r = der ? attest_closed(at, names, ARRAY_SIZE(names), err) : -ENOMEM;

	if (r == 0 && !json_is_string(type.value))
		return oci_json_fail(&type, ERR_OTHER, -EINVAL, err, "is no string");
	if (r == 0)
		r = read_list(&data, ATTEST_CERT_SIZE_MAX, der, &len, err);
	return r < 0 ? r : attest_certs_add(certs, (struct bytes){ der, len }, err);
}

int attest_kbs_evidence_read(const struct oci_json *at, uint8_t ret_report[ATTEST_SNP_REPORT_SIZE],
			     struct attest_certs *certs, struct err *err)
{
	static const char *const names[] = { "attestation_report", "cert_chain" };
	struct oci_json report = oci_json_get(at, "attestation_report"),
			chain = oci_json_get(at, "cert_chain");
	uint8_t raw[ATTEST_SNP_REPORT_SIZE] = { 0 };
	size_t count = 0;
	int r = attest_closed(at, names, ARRAY_SIZE(names), err);

	if (r == 0)
		r = read_report(&report, raw, err);
	if (r == 0)
		r = oci_json_list(&chain, ATTEST_KBS_CHAIN_MAX, &count, err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct oci_json cert = oci_json_item(&chain, i);

		r = read_cert(&cert, certs, err);
	}
	if (r == 0)
		memcpy(ret_report, raw, sizeof(raw));
	return r;
}

int attest_kbs_evidence_parse(struct bytes text, uint8_t ret_report[ATTEST_SNP_REPORT_SIZE],
			      struct attest_certs *certs, struct err *err)
{
	CLEANUP(oci_json_free) json_t *json = NULL;
	struct oci_json root;
	int r = oci_json_load(text, "evidence", &json, err);

	if (r < 0)
		return r;
	root = oci_json_root(json, "evidence");
	return attest_kbs_evidence_read(&root, ret_report, certs, err);
}
