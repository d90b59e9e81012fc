// SPDX-License-Identifier: Apache-2.0
#include "attest/expect.h"

#include <errno.h>
#include <string.h>

#include "attest/closed_priv.h"
#include "base/text.h"

/* Places are those of the bits. */
static const char *const allows[] = { "simulated", "debug", "migration", "cxl" };
static const char *const requires[] = { "no-smt",      "single-socket",	    "revocation",
					"alias-check", "ciphertext-hiding", "ecc" };

static const char *const fields[] = {
	"schema",
	"launch_digests",
	"host_data",
	"report_data",
	"chip_ids",
	"id_key_digests",
	"author_key_digests",
	"tcb",
	"launch_tcb",
	"guest_svn",
	"vmpl",
	"allow",
	"require",
	"sim_roots",
};

const char *attest_allow_name(size_t bit)
{
	return bit < ARRAY_SIZE(allows) ? allows[bit] : NULL;
}

const char *attest_require_name(size_t bit)
{
	return bit < ARRAY_SIZE(requires) ? requires[bit] : NULL;
}

static int read_bits(const struct oci_json *at, const char *const *words, size_t count,
		     unsigned *ret, struct err *err)
{
	size_t items = 0;
	int r = oci_json_list(at, count, &items, err);

	for (size_t i = 0; r == 0 && i < items; i++) {
		struct oci_json item = oci_json_item(at, i);
		size_t bit = 0;

		r = attest_closed_word(&item, words, count, &bit, err);
		*ret |= 1U << bit;
	}
	return r;
}

static int read_levels(const struct oci_json *at, struct attest_snp_tcb *ret, struct err *err)
{
	static const char *const names[] = { "fmc", "bootloader", "tee", "snp", "microcode" };
	uint8_t *const to[] = { &ret->fmc, &ret->bootloader, &ret->tee, &ret->snp,
				&ret->microcode };
	int r = 0;

	if (!oci_json_is_there(at))
		return 0;
	r = attest_closed(at, names, ARRAY_SIZE(names), err);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		struct oci_json field = oci_json_get(at, names[i]);
		uint64_t level = 0;

		r = oci_json_u64(&field, 0, UINT8_MAX, &level, err);
		*to[i] = (uint8_t)level;
	}
	return r;
}

static int read_vmpls(const struct oci_json *at, unsigned *ret, struct err *err)
{
	size_t items = 0;
	int r = oci_json_list(at, 4, &items, err);

	if (r == 0 && oci_json_is_there(at) && items == 0)
		return oci_json_fail(at, ERR_USAGE, -EINVAL, err, "allows nobody");
	for (size_t i = 0; r == 0 && i < items; i++) {
		struct oci_json item = oci_json_item(at, i);
		uint64_t level = UINT64_MAX;

		r = oci_json_u64(&item, 0, 3, &level, err);
		if (r == 0 && level > 3)
			r = oci_json_fail(&item, ERR_USAGE, -EINVAL, err, "is no level");
		if (r == 0)
			*ret |= 1U << level;
	}
	return r;
}

/* Shorter than the field: a nonce, and zeros behind it. */
static int read_report_data(const struct oci_json *at, struct attest_expect *ret, struct err *err)
{
	const char *hex = json_is_string(at->value) ? json_string_value(at->value) : NULL;
	size_t len = hex ? strlen(hex) : 0;

	if (!oci_json_is_there(at))
		return 0;
	if (len == 0 || len % 2 || len / 2 > sizeof(ret->report_data) ||
	    text_unhex(hex, len / 2, ret->report_data) < 0)
		return oci_json_fail(at, ERR_USAGE, -EINVAL, err,
				     "is not a string of up to %d hex digits",
				     2 * ATTEST_SNP_DATA_SIZE);
	ret->has_report_data = true;
	return 0;
}

/* An empty list would allow nothing, and reads like a wish that is not there. */
static int read_hexes(const struct oci_json *root, const char *name, size_t len, uint8_t *ret,
		      size_t *ret_count, struct err *err)
{
	struct oci_json at = oci_json_get(root, name);
	int r = attest_closed_hexes(&at, len, ATTEST_EXPECT_MAX, ret, ret_count, err);

	if (r == 0 && oci_json_is_there(&at) && *ret_count == 0)
		return oci_json_fail(&at, ERR_USAGE, -EINVAL, err, "allows nothing");
	return r;
}

static int read_digests(const struct oci_json *root, struct attest_expect *ret, struct err *err)
{
	const struct {
		const char *name;
		size_t len;
		uint8_t *at;
		size_t *count;
	} lists[] = {
		{ "launch_digests", ATTEST_SNP_DIGEST_SIZE, ret->launch_digests.at[0],
		  &ret->launch_digests.count },
		{ "id_key_digests", ATTEST_SNP_DIGEST_SIZE, ret->id_key_digests.at[0],
		  &ret->id_key_digests.count },
		{ "author_key_digests", ATTEST_SNP_DIGEST_SIZE, ret->author_key_digests.at[0],
		  &ret->author_key_digests.count },
		{ "host_data", ATTEST_SNP_HOST_DATA_SIZE, ret->host_data[0],
		  &ret->host_data_count },
		{ "chip_ids", ATTEST_SNP_CHIP_ID_SIZE, ret->chip_ids[0], &ret->chip_id_count },
	};
	struct oci_json roots = oci_json_get(root, "sim_roots");
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(lists); i++)
		r = read_hexes(root, lists[i].name, lists[i].len, lists[i].at, lists[i].count, err);
	if (r == 0)
		r = attest_closed_hexes(&roots, ATTEST_ROOT_SIZE, ATTEST_EXPECT_SIM_ROOTS_MAX,
					ret->sim_roots[0], &ret->sim_root_count, err);
	return r;
}

static int read_rest(const struct oci_json *root, struct attest_expect *ret, struct err *err)
{
	struct oci_json allow = oci_json_get(root, "allow"),
			require = oci_json_get(root, "require");
	struct oci_json tcb = oci_json_get(root, "tcb"), launch = oci_json_get(root, "launch_tcb");
	struct oci_json svn = oci_json_get(root, "guest_svn"), vmpl = oci_json_get(root, "vmpl");
	struct oci_json data = oci_json_get(root, "report_data");
	uint64_t least_svn = 0;
	int r = read_bits(&allow, allows, ARRAY_SIZE(allows), &ret->allow, err);

	if (r == 0)
		r = read_bits(&require, requires, ARRAY_SIZE(requires), &ret->require, err);
	if (r == 0)
		r = read_levels(&tcb, &ret->least_tcb, err);
	if (r == 0)
		r = read_levels(&launch, &ret->least_launch_tcb, err);
	if (r == 0)
		r = oci_json_u64(&svn, 0, UINT32_MAX, &least_svn, err);
	if (r == 0)
		r = read_vmpls(&vmpl, &ret->vmpls, err);
	if (r == 0)
		r = read_report_data(&data, ret, err);
	ret->least_guest_svn = (uint32_t)least_svn;
	return r;
}

static int parse(struct bytes text, struct attest_expect *ret, struct err *err)
{
	CLEANUP(oci_json_free) json_t *json = NULL;
	struct oci_json root, schema;
	uint64_t version = 0;
	int r;

	if (text.len > ATTEST_EXPECT_TEXT_MAX)
		return err_set(err, -E2BIG, "read the policy: more than %d bytes",
			       ATTEST_EXPECT_TEXT_MAX);
	r = oci_json_load(text, "policy", &json, err);
	if (r < 0)
		return r;
	root = oci_json_root(json, "policy");
	r = attest_closed(&root, fields, ARRAY_SIZE(fields), err);
	if (r < 0)
		return r;
	schema = oci_json_get(&root, "schema");
	r = oci_json_u64(&schema, 1, 1, &version, err);
	if (r == 0 && version != 1)
		r = oci_json_fail(&schema, ERR_USAGE, -EINVAL, err, "is missing");
	if (r == 0)
		r = read_digests(&root, ret, err);
	return r < 0 ? r : read_rest(&root, ret, err);
}

int attest_expect_parse(struct bytes text, struct attest_expect *ret, struct err *err)
{
	struct attest_expect expect = { 0 };
	int r = parse(text, &expect, err);

	if (r < 0) {
		if (err)
			err->code = ERR_USAGE;
		return r;
	}
	*ret = expect;
	return 0;
}

void attest_expect_roots(const struct attest_expect *expect, struct attest_roots *ret)
{
	*ret = *attest_roots_amd();
	for (size_t i = 0; expect && i < expect->sim_root_count; i++) {
		struct attest_root *root = &ret->at[ret->count++];

		root->product = ATTEST_SNP_SIM;
		memcpy(root->sha256, expect->sim_roots[i], sizeof(root->sha256));
	}
}

static_assert(3 + ATTEST_EXPECT_SIM_ROOTS_MAX <= ATTEST_ROOTS_MAX, "all fit");
