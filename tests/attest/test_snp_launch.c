// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "attest/snp_launch.h"
#include "base/text.h"

#include "firmware.h"
#include "vectors.h"

static uint8_t image[FIRMWARE_SIZE];
static const struct attest_boot_hashes boot = { .kernel = { 1 },
						.initrd = { 2 },
						.cmdline = { 3 } };

static struct attest_snp_launch base(void)
{
	firmware_make(image);
	return (struct attest_snp_launch){
		.vcpus = 2,
		.cpu_signature = 0x800f12,
		.guest_features = 1,
		.firmware = { image, sizeof(image) },
		.boot = &boot,
	};
}

static void measure(const struct attest_snp_launch *launch, uint8_t ret[ATTEST_LAUNCH_DIGEST])
{
	struct err err = { 0 };

	if (attest_snp_launch_digest(launch, ret, &err) < 0)
		fail_msg("%s", err.msg);
}

static void refuses(const struct attest_snp_launch *launch, int num)
{
	uint8_t digest[ATTEST_LAUNCH_DIGEST] = { 9 }, before[ATTEST_LAUNCH_DIGEST] = { 9 };
	struct err err = { 0 };

	assert_int_equal(attest_snp_launch_digest(launch, digest, &err), num);
	assert_true(err.msg[0]);
	assert_memory_equal(digest, before, sizeof(before));
}

/* Whatever a guest is launched with, another of it is another digest. */
static void everything_that_is_launched_is_measured(void **state)
{
	struct attest_snp_launch launch = base();
	struct attest_boot_hashes other = boot;
	uint8_t digests[10][ATTEST_LAUNCH_DIGEST];
	size_t n = 0;

	(void)state;
	measure(&launch, digests[n++]);
	for (int i = 0; i < 3; i++) {
		other = boot;
		(i == 0 ? other.kernel : i == 1 ? other.initrd : other.cmdline)[31] ^= 1;
		launch.boot = &other;
		measure(&launch, digests[n++]);
	}
	launch = base();
	launch.vcpus = 3;
	measure(&launch, digests[n++]);
	launch = base();
	launch.cpu_signature++;
	measure(&launch, digests[n++]);
	launch = base();
	launch.guest_features = 0x21;
	measure(&launch, digests[n++]);
	launch = base();
	image[0] ^= 1;
	measure(&launch, digests[n++]);
	launch = base();
	launch.boot = NULL;
	measure(&launch, digests[n++]);
	launch = base();
	launch.vmm = ATTEST_VMM_EC2;
	measure(&launch, digests[n++]);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(digests[i], digests[j], ATTEST_LAUNCH_DIGEST);
}

static void a_digest_made_before_is_a_seed(void **state)
{
	struct attest_snp_launch launch = base();
	uint8_t seed[ATTEST_LAUNCH_DIGEST], whole[ATTEST_LAUNCH_DIGEST], rest[ATTEST_LAUNCH_DIGEST];

	(void)state;
	measure(&launch, whole);
	assert_int_equal(attest_snp_firmware_digest(launch.firmware, seed, NULL), 0);
	launch.firmware_digest = seed;
	launch.firmware = (struct bytes){ image + FIRMWARE_SIZE - 4096, 4096 };
	measure(&launch, rest);
	assert_memory_equal(whole, rest, sizeof(whole));
}

static void what_would_not_be_measured_is_refused(void **state)
{
	struct attest_snp_launch launch = base();

	(void)state;
	image[FIRMWARE_HASH_KIND] = 1; /* the page for hashes is memory now */
	refuses(&launch, -ENOTSUP);
	launch.boot = NULL;
	measure(&launch, (uint8_t[ATTEST_LAUNCH_DIGEST]){ 0 });
	launch = base();
	memset(image + FIRMWARE_HASH_GPA, 0, 4);
	refuses(&launch, -ENOTSUP);
	launch = base();
	image[FIRMWARE_HASH_GPA] = 0x51; /* 4096 - 175 into its page */
	image[FIRMWARE_HASH_GPA + 1] = 0x0f;
	refuses(&launch, -EINVAL);
	image[FIRMWARE_HASH_GPA] = 0x50;
	measure(&launch, (uint8_t[ATTEST_LAUNCH_DIGEST]){ 0 });
}

static void vcpus_have_limits(void **state)
{
	struct attest_snp_launch launch = base();

	(void)state;
	launch.vcpus = 0;
	refuses(&launch, -EINVAL);
	launch.vcpus = ATTEST_VCPUS_MAX;
	measure(&launch, (uint8_t[ATTEST_LAUNCH_DIGEST]){ 0 });
	launch.vcpus++;
	refuses(&launch, -EINVAL);
	launch = base();
	memset(image + FIRMWARE_RESET_EIP, 0, 4);
	refuses(&launch, -EINVAL);
	launch.vcpus = 1;
	measure(&launch, (uint8_t[ATTEST_LAUNCH_DIGEST]){ 0 });
}

static void firmware_is_of_whole_pages(void **state)
{
	uint8_t digest[ATTEST_LAUNCH_DIGEST];
	struct attest_snp_launch launch = base();

	(void)state;
	launch.firmware = (struct bytes){ image + 1, FIRMWARE_SIZE - 1 };
	refuses(&launch, -EINVAL);
	assert_int_equal(attest_snp_firmware_digest((struct bytes){ image, 4095 }, digest, NULL),
			 -EINVAL);
	assert_int_equal(attest_snp_firmware_digest((struct bytes){ image, 0 }, digest, NULL),
			 -EINVAL);
}

static void signatures_are_those_of_the_models(void **state)
{
	uint32_t signature = 0;

	(void)state;
	assert_int_equal(attest_cpu_signature("EPYC-v4", &signature), 0);
	assert_int_equal(signature, 0x800f12);
	assert_int_equal(attest_cpu_signature("EPYC", &signature), 0);
	assert_int_equal(signature, 0x800f12);
	assert_int_equal(attest_cpu_signature("EPYC-Rome", &signature), 0);
	assert_int_equal(signature, 0x830f10);
	assert_int_equal(attest_cpu_signature("EPYC-Milan-v2", &signature), 0);
	assert_int_equal(signature, 0xa00f11);
	assert_int_equal(attest_cpu_signature("EPYC-Genoa", &signature), 0);
	assert_int_equal(signature, 0xa10f10);
	assert_int_equal(attest_cpu_signature("EPYC-Turin", &signature), 0);
	assert_int_equal(signature, 0xb00f00);
	signature = 1;
	assert_int_equal(attest_cpu_signature("EPYC-v", &signature), -ENOENT);
	assert_int_equal(attest_cpu_signature("EPYC-x4", &signature), -ENOENT);
	assert_int_equal(attest_cpu_signature("-v4", &signature), -ENOENT);
	assert_int_equal(attest_cpu_signature("", &signature), -ENOENT);
	assert_int_equal(attest_cpu_signature("host", &signature), -ENOENT);
	assert_int_equal(signature, 1);
}

static const char *arg(const json_t *test, const char *name)
{
	const char *text = json_string_value(json_object_get(json_object_get(test, "args"), name));

	return text && strcmp(text, "None") != 0 ? text : NULL;
}

/* The text between two quotes of a Python literal. */
static void unquote(const char *text, char ret[128])
{
	size_t len = strlen(text);

	assert_true(len >= 2 && len < 128);
	memcpy(ret, text + 1, len - 2);
	ret[len - 2] = '\0';
}

struct known {
	struct attest_snp_launch launch;
	struct attest_boot_hashes boot;
	struct buf firmware;
	bool is_for_us;
};

static void read_case(const json_t *test, struct known *ret)
{
	const char *mode = arg(test, "mode"), *vmm = arg(test, "vmm_type");
	const char *file = arg(test, "ovmf_file"), *append = arg(test, "append");
	char name[256], cmdline[128] = "";
	const char *slash;

	memset(ret, 0, sizeof(*ret));
	slash = strrchr(file, '/');
	if (!strstr(mode, "SNP") || !slash || arg(test, "snp_ovmf_hash_str") ||
	    arg(test, "dump_vmsa"))
		return;
	(void)snprintf(name, sizeof(name), "measure/snp/%.*s", (int)strcspn(slash + 1, "\"'"),
		       slash + 1);
	if (!vectors_read(name, &ret->firmware))
		return;
	ret->launch = (struct attest_snp_launch){
		.vmm = !vmm		    ? ATTEST_VMM_QEMU
		       : strstr(vmm, "ec2") ? ATTEST_VMM_EC2
					    : ATTEST_VMM_GCE,
		.vcpus = (unsigned)strtoul(arg(test, "vcpus"), NULL, 0),
		.guest_features = strtoull(arg(test, "guest_features"), NULL, 0),
		.firmware = buf_bytes(&ret->firmware),
	};
	assert_int_equal(attest_cpu_signature("EPYC-v4", &ret->launch.cpu_signature), 0);
	if (append)
		unquote(append, cmdline);
	if (arg(test, "kernel")) {
		assert_int_equal(attest_boot_hash((struct bytes){ 0 }, (struct bytes){ 0 }, cmdline,
						  &ret->boot),
				 0);
		ret->launch.boot = &ret->boot;
	}
	ret->is_for_us = true;
}

static void check_case(const json_t *test, unsigned *checked)
{
	const char *expected = json_string_value(json_object_get(test, "expected"));
	uint8_t digest[ATTEST_LAUNCH_DIGEST];
	struct known known;
	char hex[97];
	int r;

	read_case(test, &known);
	if (known.is_for_us) {
		r = attest_snp_launch_digest(&known.launch, digest, NULL);
		if (strlen(expected) != 96) {
			assert_int_equal(r, -ENOTSUP);
		} else {
			assert_int_equal(r, 0);
			text_hex(digest, sizeof(digest), hex);
			assert_string_equal(hex, expected);
		}
		(*checked)++;
	}
	buf_done(&known.firmware);
}

static void digests_are_those_that_others_have_on_vectors(void **state)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	unsigned checked = 0;
	json_t *tests, *test;
	size_t i;

	(void)state;
	assert_true(vectors_read("measure/snp/sev_snp_measure_cases.json", &text));
	tests = json_loadb((const char *)text.at, text.len, 0, NULL);
	assert_true(json_is_array(tests));
	json_array_foreach(tests, i, test)
		check_case(test, &checked);
	json_decref(tests);
	assert_int_equal(checked, 9);
}
ON_VECTORS(digests_are_those_that_others_have)

/* The digest after the firmware alone, which one of the cases above goes through. */
static void a_seed_is_that_of_others_on_vectors(void **state)
{
	CLEANUP(buf_done) struct buf firmware = { 0 };
	uint8_t digest[ATTEST_LAUNCH_DIGEST];
	char hex[97];

	(void)state;
	assert_true(vectors_read("measure/snp/ovmf_AmdSev_suffix.bin", &firmware));
	assert_int_equal(attest_snp_firmware_digest(buf_bytes(&firmware), digest, NULL), 0);
	text_hex(digest, sizeof(digest), hex);
	assert_string_equal(hex, "086e2e9149ebf45abdc3445fba5b2da8270bdbb04094d7a2c37faaa4b24af3aa"
				 "16aff8c374c2a55c467a50da6d466b74");
}
ON_VECTORS(a_seed_is_that_of_others)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_that_is_launched_is_measured),
		cmocka_unit_test(a_digest_made_before_is_a_seed),
		cmocka_unit_test(what_would_not_be_measured_is_refused),
		cmocka_unit_test(vcpus_have_limits),
		cmocka_unit_test(firmware_is_of_whole_pages),
		cmocka_unit_test(signatures_are_those_of_the_models),
		cmocka_unit_test(digests_are_those_that_others_have),
		cmocka_unit_test(a_seed_is_that_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
