// SPDX-License-Identifier: Apache-2.0
#include "attest/snp_vek.h"

#include <errno.h>
#include <string.h>

#include <openssl/objects.h>

#include "base/macro.h"

#define AMD "1.3.6.1.4.1.3704.1."

enum {
	DER_INTEGER = 0x02,
	DER_OCTETS = 0x04,
	DER_IA5 = 0x16,
	OID_TEXT_MAX = 80,
};

/* What is read so far, to see what is there twice and what is missing. */
enum seen {
	SEEN_PRODUCT = 1 << 0,
	SEEN_BOOTLOADER = 1 << 1,
	SEEN_TEE = 1 << 2,
	SEEN_SNP = 1 << 3,
	SEEN_MICROCODE = 1 << 4,
	SEEN_FMC = 1 << 5,
	SEEN_CHIP = 1 << 6,
	SEEN_PROVIDER = 1 << 7,
	SEEN_NEEDED = SEEN_PRODUCT | SEEN_BOOTLOADER | SEEN_TEE | SEEN_SNP | SEEN_MICROCODE,
};

static const struct {
	const char *oid;
	unsigned seen;
} extensions[] = {
	{ AMD "2", SEEN_PRODUCT }, { AMD "3.1", SEEN_BOOTLOADER }, { AMD "3.2", SEEN_TEE },
	{ AMD "3.3", SEEN_SNP },   { AMD "3.8", SEEN_MICROCODE },  { AMD "3.9", SEEN_FMC },
	{ AMD "4", SEEN_CHIP },	   { AMD "5", SEEN_PROVIDER },
};

/* DER of an INTEGER from 0 to 255, and only its shortest form. */
static bool read_level(struct bytes value, uint8_t *ret)
{
	if (value.len == 3 && value.at[0] == DER_INTEGER && value.at[1] == 1 &&
	    value.at[2] < 0x80) {
		*ret = value.at[2];
		return true;
	}
	if (value.len == 4 && value.at[0] == DER_INTEGER && value.at[1] == 2 && value.at[2] == 0 &&
	    value.at[3] >= 0x80) {
		*ret = value.at[3];
		return true;
	}
	return false;
}

static bool read_name(struct bytes value, char ret[ATTEST_SNP_NAME_MAX + 1])
{
	if (value.len < 3 || value.len > 2 + ATTEST_SNP_NAME_MAX || value.at[0] != DER_IA5 ||
	    value.at[1] != value.len - 2)
		return false;
	for (size_t i = 2; i < value.len; i++)
		if (value.at[i] < ' ' || value.at[i] > '~')
			return false;
	memcpy(ret, value.at + 2, value.len - 2);
	ret[value.len - 2] = '\0';
	return true;
}

/* Raw, as AMD has it, or as the OCTET STRING that one would expect. */
static bool read_chip(struct bytes value, struct attest_snp_vek *ret)
{
	if ((value.len == 66 || value.len == 10) && value.at[0] == DER_OCTETS &&
	    value.at[1] == value.len - 2)
		value = (struct bytes){ value.at + 2, value.len - 2 };
	if (value.len != 64 && value.len != 8)
		return false;
	memcpy(ret->chip_id, value.at, value.len);
	ret->chip_id_len = value.len;
	return true;
}

static bool read_one(enum seen what, struct bytes value, struct attest_snp_vek *ret)
{
	switch (what) {
	case SEEN_PRODUCT:
		return read_name(value, ret->product);
	case SEEN_BOOTLOADER:
		return read_level(value, &ret->tcb.bootloader);
	case SEEN_TEE:
		return read_level(value, &ret->tcb.tee);
	case SEEN_SNP:
		return read_level(value, &ret->tcb.snp);
	case SEEN_MICROCODE:
		return read_level(value, &ret->tcb.microcode);
	case SEEN_FMC:
		ret->has_fmc = true;
		return read_level(value, &ret->tcb.fmc);
	case SEEN_CHIP:
		return read_chip(value, ret);
	case SEEN_PROVIDER:
		return read_name(value, ret->provider);
	case SEEN_NEEDED:
		break;
	}
	return false;
}

/* 0: none of AMD's. */
static unsigned which(X509_EXTENSION *extension)
{
	char oid[OID_TEXT_MAX];
	int n = OBJ_obj2txt(oid, sizeof(oid), X509_EXTENSION_get_object(extension), 1);

	for (size_t i = 0; n > 0 && i < ARRAY_SIZE(extensions); i++)
		if (strcmp(oid, extensions[i].oid) == 0)
			return extensions[i].seen;
	return 0;
}

static int refuse(struct attest_refusal *refusal, const char *what)
{
	attest_refusal_set(refusal, ATTEST_CERTIFICATE_INVALID, "the chip's certificate: %s", what);
	return -EBADMSG;
}

int attest_snp_vek_read(const X509 *cert, struct attest_snp_vek *ret,
			struct attest_refusal *ret_refusal)
{
	struct attest_snp_vek vek = { 0 };
	unsigned seen = 0;

	for (int i = 0; i < X509_get_ext_count(cert); i++) {
		X509_EXTENSION *extension = X509_get_ext(cert, i);
		const ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(extension);
		struct bytes value = { ASN1_STRING_get0_data(data),
				       (size_t)ASN1_STRING_length(data) };
		unsigned what = which(extension);

		if (what == 0)
			continue;
		if (seen & what)
			return refuse(ret_refusal, "an extension is there twice");
		if (!read_one((enum seen)what, value, &vek))
			return refuse(ret_refusal, "an extension is not of its type");
		seen |= what;
	}
	if ((seen & SEEN_NEEDED) != SEEN_NEEDED)
		return refuse(ret_refusal, "product or a firmware level is missing");
	*ret = vek;
	return 0;
}

bool attest_snp_vek_is_of(const struct attest_snp_vek *vek, enum attest_snp_product product)
{
	const char *name = attest_snp_product_name(product);
	size_t len = strlen(name);

	return strncmp(vek->product, name, len) == 0 &&
	       (vek->product[len] == '\0' || vek->product[len] == '-');
}
