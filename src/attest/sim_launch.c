// SPDX-License-Identifier: Apache-2.0
#include "attest/sim_launch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "attest/snp_launch.h"
#include "base/buf.h"

#define FOUR_GIB (UINT64_C(1) << 32)

enum { GUID = 16, HEAD = GUID + 2, ENTRY = HEAD + ATTEST_SHA256_SIZE };

static int sha256(struct bytes text, uint8_t ret[ATTEST_SHA256_SIZE])
{
	const void *at = text.len > 0 ? (const void *)text.at : "";

	return EVP_Digest(at, text.len, ret, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}

int attest_sim_rom_hash(const char *name, struct bytes contents, struct attest_sim_rom *ret)
{
	ret->name = name;
	return sha256(contents, ret->sha256);
}

static int hash_args(const struct attest_sim_launch *launch, uint8_t ret[ATTEST_SHA256_SIZE])
{
	CLEANUP(buf_done) struct buf all = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < launch->arg_count; i++)
		r = buf_add(&all, launch->args[i], strlen(launch->args[i]) + 1);
	return r < 0 ? r : sha256(buf_bytes(&all), ret);
}

static int compare_roms(const void *a, const void *b)
{
	const struct attest_sim_rom *const *left = a, *const *right = b;

	return strcmp((*left)->name, (*right)->name);
}

static int hash_roms(const struct attest_sim_launch *launch, uint8_t ret[ATTEST_SHA256_SIZE])
{
	const struct attest_sim_rom *sorted[ATTEST_SIM_ROMS_MAX];
	CLEANUP(buf_done) struct buf all = { 0 };
	int r = 0;

	for (size_t i = 0; i < launch->rom_count; i++)
		sorted[i] = &launch->roms[i];
	qsort(sorted, launch->rom_count, sizeof(sorted[0]), compare_roms);
	for (size_t i = 0; r == 0 && i < launch->rom_count; i++) {
		if (i > 0 && strcmp(sorted[i]->name, sorted[i - 1]->name) == 0)
			return -EINVAL;
		r = buf_add(&all, sorted[i]->name, strlen(sorted[i]->name) + 1);
		if (r == 0)
			r = buf_add(&all, sorted[i]->sha256, ATTEST_SHA256_SIZE);
	}
	return r < 0 ? r : sha256(buf_bytes(&all), ret);
}

static void put_head(uint8_t *at, const char *guid, size_t len)
{
	attest_guid_write(guid, at);
	at[GUID] = (uint8_t)len;
	at[GUID + 1] = (uint8_t)(len >> 8);
}

static int make_page(const struct attest_sim_launch *launch, uint8_t page[ATTEST_PAGE_SIZE])
{
	uint8_t *at = page + ATTEST_SIM_TABLE_OFFSET;
	int r;

	attest_boot_hashes_page(&launch->boot, 0, page);
	put_head(at, "a96a1f3e-0b55-4f0c-9c73-5d8d2f6e7b01", HEAD + 2 * ENTRY);
	put_head(at + HEAD, "a96a1f3e-0b55-4f0c-9c73-5d8d2f6e7b02", ENTRY);
	put_head(at + HEAD + ENTRY, "a96a1f3e-0b55-4f0c-9c73-5d8d2f6e7b03", ENTRY);
	r = hash_args(launch, at + HEAD + HEAD);
	return r < 0 ? r : hash_roms(launch, at + HEAD + ENTRY + HEAD);
}

static int add_vcpus(struct attest_launch *chain, unsigned vcpus)
{
	struct attest_vmsa vmsa = { .vmm = ATTEST_VMM_QEMU,
				    .eip = ATTEST_RESET_EIP,
				    .guest_features = 1 };
	uint8_t page[ATTEST_PAGE_SIZE];
	int r = 0;

	for (unsigned i = 0; r == 0 && i < vcpus; i++) {
		vmsa.is_first = i == 0;
		attest_vmsa_page(&vmsa, page);
		r = attest_launch_add(chain, ATTEST_PAGE_VMSA, 0, page);
	}
	return r;
}

static int check(const struct attest_sim_launch *launch, struct err *err)
{
	if (launch->vcpus == 0 || launch->vcpus > ATTEST_VCPUS_MAX)
		return err_set(err, -EINVAL, "measure the launch: %u vCPUs, 1 to %d can be",
			       launch->vcpus, ATTEST_VCPUS_MAX);
	if (launch->firmware.len == 0 || launch->firmware.len % ATTEST_PAGE_SIZE)
		return err_set(err, -EINVAL,
			       "measure the launch: firmware of %zu bytes is not of whole pages",
			       launch->firmware.len);
	if (launch->firmware.len > ATTEST_SIM_FIRMWARE_MAX ||
	    launch->arg_count > ATTEST_SIM_ARGS_MAX || launch->rom_count > ATTEST_SIM_ROMS_MAX)
		return err_set(
			err, -E2BIG,
			"measure the launch: too much firmware, or too many arguments or ROMs");
	return 0;
}

int attest_sim_launch_digest(const struct attest_sim_launch *launch,
			     uint8_t ret[ATTEST_LAUNCH_DIGEST], struct err *err)
{
	CLEANUP(attest_launch_free) struct attest_launch *chain = NULL;
	uint8_t page[ATTEST_PAGE_SIZE];
	int r = check(launch, err);

	if (r < 0)
		return r;
	r = attest_launch_new(&chain);
	if (r == 0)
		r = attest_launch_add_region(chain, FOUR_GIB - launch->firmware.len,
					     launch->firmware);
	if (r == 0)
		r = make_page(launch, page);
	if (r == 0)
		r = attest_launch_add(chain, ATTEST_PAGE_NORMAL, ATTEST_SIM_HASH_GPA, page);
	if (r == 0)
		r = add_vcpus(chain, launch->vcpus);
	if (r < 0)
		return err_num(err, r, "measure the launch");
	attest_launch_digest(chain, ret);
	return 0;
}
