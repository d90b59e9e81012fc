// SPDX-License-Identifier: Apache-2.0
#include "attest/launch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/text.h"

/* PAGE_INFO */
enum {
	INFO_SIZE = 0x70,
	INFO_CONTENTS = 48,
	INFO_LENGTH = 96,
	INFO_KIND = 98,
	INFO_GPA = 104,
};

#define VMSA_GPA UINT64_C(0xfffffffff000)

struct attest_launch {
	EVP_MD *sha384;
	EVP_MD_CTX *ctx;
	uint8_t digest[ATTEST_LAUNCH_DIGEST];
};

int attest_launch_new(struct attest_launch **ret_launch)
{
	CLEANUP(attest_launch_free) struct attest_launch *launch = calloc(1, sizeof(*launch));

	if (!launch)
		return -ENOMEM;
	/* Fetched once: a look-up for every page costs as much as hashing a part of it. */
	launch->sha384 = EVP_MD_fetch(NULL, "SHA384", NULL);
	if (!launch->sha384)
		return -EIO;
	launch->ctx = EVP_MD_CTX_new();
	if (!launch->ctx)
		return -ENOMEM;
	*ret_launch = steal_ptr(&launch);
	return 0;
}

struct attest_launch *attest_launch_free(struct attest_launch *launch)
{
	if (!launch)
		return NULL;
	EVP_MD_CTX_free(launch->ctx);
	EVP_MD_free(launch->sha384);
	free(launch);
	return NULL;
}

void attest_launch_seed(struct attest_launch *launch, const uint8_t digest[ATTEST_LAUNCH_DIGEST])
{
	memcpy(launch->digest, digest, ATTEST_LAUNCH_DIGEST);
}

static int hash(struct attest_launch *launch, const uint8_t *at, size_t len,
		uint8_t ret[ATTEST_LAUNCH_DIGEST])
{
	if (!EVP_DigestInit_ex(launch->ctx, launch->sha384, NULL) ||
	    !EVP_DigestUpdate(launch->ctx, at, len) || !EVP_DigestFinal_ex(launch->ctx, ret, NULL))
		return -EIO;
	return 0;
}

static void put_le(uint8_t *at, uint64_t value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

int attest_launch_add(struct attest_launch *launch, enum attest_page kind, uint64_t gpa,
		      const uint8_t *page)
{
	bool has_contents = kind == ATTEST_PAGE_NORMAL || kind == ATTEST_PAGE_VMSA;
	uint8_t info[INFO_SIZE] = { 0 };
	int r = 0;

	assert(has_contents == (page != NULL));
	memcpy(info, launch->digest, ATTEST_LAUNCH_DIGEST);
	if (has_contents)
		r = hash(launch, page, ATTEST_PAGE_SIZE, info + INFO_CONTENTS);
	put_le(info + INFO_LENGTH, INFO_SIZE, 2);
	info[INFO_KIND] = (uint8_t)kind;
	put_le(info + INFO_GPA, kind == ATTEST_PAGE_VMSA ? VMSA_GPA : gpa, 8);
	return r < 0 ? r : hash(launch, info, sizeof(info), launch->digest);
}

static bool is_pages(uint64_t gpa, uint64_t len)
{
	return gpa % ATTEST_PAGE_SIZE == 0 && len % ATTEST_PAGE_SIZE == 0 &&
	       len <= UINT64_MAX - gpa;
}

int attest_launch_add_region(struct attest_launch *launch, uint64_t gpa, struct bytes contents)
{
	int r = is_pages(gpa, contents.len) ? 0 : -EINVAL;

	for (size_t at = 0; r == 0 && at < contents.len; at += ATTEST_PAGE_SIZE)
		r = attest_launch_add(launch, ATTEST_PAGE_NORMAL, gpa + at, contents.at + at);
	return r;
}

int attest_launch_add_blank(struct attest_launch *launch, enum attest_page kind, uint64_t gpa,
			    uint64_t len)
{
	int r = is_pages(gpa, len) ? 0 : -EINVAL;

	for (uint64_t at = 0; r == 0 && at < len; at += ATTEST_PAGE_SIZE)
		r = attest_launch_add(launch, kind, gpa + at, NULL);
	return r;
}

void attest_launch_digest(const struct attest_launch *launch, uint8_t ret[ATTEST_LAUNCH_DIGEST])
{
	memcpy(ret, launch->digest, ATTEST_LAUNCH_DIGEST);
}

static int sha256(const void *at, size_t len, uint8_t ret[ATTEST_SHA256_SIZE])
{
	return EVP_Digest(len > 0 ? at : "", len, ret, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}

int attest_boot_hash(struct bytes kernel, struct bytes initrd, const char *cmdline,
		     struct attest_boot_hashes *ret)
{
	int r = sha256(kernel.at, kernel.len, ret->kernel);

	if (r == 0)
		r = sha256(initrd.at, initrd.len, ret->initrd);
	return r < 0 ? r : sha256(cmdline, strlen(cmdline) + 1, ret->cmdline);
}

void attest_guid_write(const char *guid, uint8_t ret[16])
{
	static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	uint8_t plain[16];
	char hex[33];
	size_t len = 0;
	int r;

	for (const char *at = guid; *at && len < 32; at++)
		if (*at != '-')
			hex[len++] = *at;
	hex[len] = '\0';
	r = text_unhex(hex, sizeof(plain), plain);
	assert(r == 0);
	(void)r;
	for (size_t i = 0; i < sizeof(plain); i++)
		ret[i] = plain[order[i]];
}

void attest_boot_hashes_page(const struct attest_boot_hashes *hashes, size_t offset,
			     uint8_t ret_page[ATTEST_PAGE_SIZE])
{
	enum { HEAD = 18, ENTRY = 50, TABLE = HEAD + 3 * ENTRY };
	const struct {
		const char *guid;
		const uint8_t *hash;
	} entries[] = {
		{ "97d02dd8-bd20-4c94-aa78-e7714d36ab2a", hashes->cmdline },
		{ "44baf731-3a2f-4bd7-9af1-41e29169781d", hashes->initrd },
		{ "4de79437-abd2-427f-b835-d5b172d2045b", hashes->kernel },
	};
	uint8_t *at = ret_page + offset;

	assert(offset <= ATTEST_PAGE_SIZE - ATTEST_HASH_TABLE_SIZE);
	memset(ret_page, 0, ATTEST_PAGE_SIZE);
	attest_guid_write("9438d606-4f22-4cc9-b479-a793d411fd21", at);
	put_le(at + 16, TABLE, 2);
	at += HEAD;
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++, at += ENTRY) {
		attest_guid_write(entries[i].guid, at);
		put_le(at + 16, ENTRY, 2);
		memcpy(at + HEAD, entries[i].hash, ATTEST_SHA256_SIZE);
	}
}
