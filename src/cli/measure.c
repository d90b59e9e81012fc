// SPDX-License-Identifier: Apache-2.0
#include "cli/measure.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/snp_launch.h"
#include "base/text.h"
#include "cli/cli.h"
#include "sys/file.h"

enum {
	FIRMWARE_MAX = 64 << 20,
	KERNEL_MAX = 1 << 30, /* and of an initial RAM disk */
};

static int bad(struct err *err, const char *flag, const char *value, const char *what)
{
	return err_coded(err, ERR_USAGE, -EINVAL, "--%s '%s': %s", flag, value, what);
}

static int missing(struct err *err, const char *flag)
{
	return err_coded(err, ERR_USAGE, -EINVAL, "--%s is missing", flag);
}

static int read_file(const char *flag, const char *path, size_t max, struct buf *ret,
		     struct err *err)
{
	int r = file_read(AT_FDCWD, path, max, ret, err);

	return r < 0 ? err_recode(err, err_wrap(err, r, "--%s '%s'", flag, path), ERR_USAGE) : 0;
}

/* Those of the TEE that are not there are not an error of the user's spelling. */
static int check_tee(const char *tee, struct err *err)
{
	if (!tee)
		return missing(err, "tee");
	if (strcmp(tee, "sev-snp") == 0 || strcmp(tee, "sim") == 0)
		return 0;
	if (strcmp(tee, "tdx") == 0)
		return err_coded(err, ERR_UNSUPPORTED, -EOPNOTSUPP, "--tee %s: not there yet", tee);
	return bad(err, "tee", tee, "not one of sev-snp, tdx, sim");
}

static int read_vmm(const char *word, enum attest_vmm *ret, struct err *err)
{
	static const char *const names[] = {
		[ATTEST_VMM_QEMU] = "qemu", [ATTEST_VMM_EC2] = "ec2", [ATTEST_VMM_GCE] = "gce"
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!word || strcmp(word, names[i]) == 0) {
			*ret = (enum attest_vmm)i;
			return 0;
		}
	}
	return bad(err, "vmm", word, "not one of qemu, ec2, gce");
}

static int read_features(const char *word, uint64_t *ret, struct err *err)
{
	char *end;

	*ret = 1;
	if (!word)
		return 0;
	errno = 0;
	*ret = strtoull(word, &end, 16);
	if (errno || *end || !isxdigit((unsigned char)word[0])) /* it would skip blanks and signs */
		return bad(err, "guest-features", word, "not a number in hex");
	return 0;
}

/* Other VMMs set no signature, and so need none. */
static int read_cpu(const struct options *options, struct attest_snp_launch *launch,
		    struct err *err)
{
	if (!options->vcpu_type)
		return launch->vmm == ATTEST_VMM_QEMU ? missing(err, "vcpu-type") : 0;
	return attest_cpu_signature(options->vcpu_type, &launch->cpu_signature) < 0
		       ? bad(err, "vcpu-type", options->vcpu_type,
			     "no model of QEMU's that is known")
		       : 0;
}

static int read_boot(const struct options *options, struct attest_boot_hashes *boot,
		     struct attest_snp_launch *launch, struct err *err)
{
	CLEANUP(buf_done) struct buf kernel = { 0 }, initrd = { 0 };
	int r;

	if (!options->kernel) {
		if (options->initrd || options->append)
			return missing(err, "kernel");
		return 0;
	}
	r = read_file("kernel", options->kernel, KERNEL_MAX, &kernel, err);
	if (r == 0 && options->initrd)
		r = read_file("initrd", options->initrd, KERNEL_MAX, &initrd, err);
	if (r < 0)
		return r;
	r = attest_boot_hash(buf_bytes(&kernel), buf_bytes(&initrd),
			     options->append ? options->append : "", boot);
	if (r < 0)
		return err_num(err, r, "hash the kernel");
	launch->boot = boot;
	return 0;
}

static int read_seed(const char *hex, uint8_t seed[ATTEST_LAUNCH_DIGEST],
		     struct attest_snp_launch *launch, struct err *err)
{
	if (!hex)
		return 0;
	if (text_unhex(hex, ATTEST_LAUNCH_DIGEST, seed) < 0)
		return bad(err, "firmware-hash", hex, "not 96 hex digits");
	launch->firmware_digest = seed;
	return 0;
}

/* Which of the three ways a flag belongs to: it would do nothing with another. */
enum way {
	WAY_SNP,
	WAY_SIM,
	WAY_REQUEST, /* of sim, but not of a plan in a file */
};

static int refuse_flag(const char *flag, enum way way, const struct options *options,
		       struct err *err)
{
	const bool is_sim = strcmp(options->tee, "sim") == 0;

	if (is_sim == (way == WAY_SNP))
		return err_coded(err, ERR_USAGE, -EINVAL, "--%s: not with --tee %s", flag,
				 options->tee);
	if (way == WAY_REQUEST && options->plan)
		return err_coded(err, ERR_USAGE, -EINVAL, "--%s: the plan has it already", flag);
	return 0;
}

static int check_flags(const struct options *options, struct err *err)
{
	const struct {
		const char *name;
		bool is_given;
		enum way way;
	} flags[] = {
		{ "vcpus", options->vcpus != 0, WAY_SNP },
		{ "vcpu-type", options->vcpu_type, WAY_SNP },
		{ "firmware", options->firmware, WAY_SNP },
		{ "firmware-hash", options->firmware_hash, WAY_SNP },
		{ "kernel", options->kernel, WAY_SNP },
		{ "initrd", options->initrd, WAY_SNP },
		{ "append", options->append, WAY_SNP },
		{ "guest-features", options->guest_features, WAY_SNP },
		{ "vmm", options->vmm, WAY_SNP },
		{ "plan", options->plan, WAY_SIM },
		{ "config", options->config.len != 0, WAY_SIM },
		{ "cpus", options->cpu_milli != 0, WAY_REQUEST },
		{ "memory", options->memory_bytes != 0, WAY_REQUEST },
		{ "accel", options->accel, WAY_REQUEST },
		{ "device", options->devices.len != 0, WAY_REQUEST },
		{ "gpus", options->gpus != 0, WAY_REQUEST },
		{ "nics", options->nics != 0, WAY_REQUEST },
		{ "nvme", options->nvme != 0, WAY_REQUEST },
		{ "vf", options->vf, WAY_REQUEST },
		{ "near", options->near, WAY_REQUEST },
		{ "mode", options->mode, WAY_REQUEST },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(flags); i++)
		if (flags[i].is_given)
			r = refuse_flag(flags[i].name, flags[i].way, options, err);
	return r;
}

static int measure(const struct options *options, uint8_t digest[ATTEST_LAUNCH_DIGEST],
		   struct err *err)
{
	struct attest_snp_launch launch = { .vcpus = options->vcpus };
	CLEANUP(buf_done) struct buf firmware = { 0 };
	uint8_t seed[ATTEST_LAUNCH_DIGEST];
	struct attest_boot_hashes boot;
	int r = check_tee(options->tee, err);

	if (r == 0)
		r = check_flags(options, err);
	if (r == 0 && strcmp(options->tee, "sim") == 0)
		return measure_sim(options, digest, err);
	if (r == 0 && options->vcpus == 0)
		r = missing(err, "vcpus");
	if (r == 0 && !options->firmware)
		r = missing(err, "firmware");
	if (r == 0)
		r = read_vmm(options->vmm, &launch.vmm, err);
	if (r == 0)
		r = read_features(options->guest_features, &launch.guest_features, err);
	if (r == 0)
		r = read_cpu(options, &launch, err);
	if (r == 0)
		r = read_seed(options->firmware_hash, seed, &launch, err);
	if (r == 0)
		r = read_file("firmware", options->firmware, FIRMWARE_MAX, &firmware, err);
	if (r == 0)
		r = read_boot(options, &boot, &launch, err);
	if (r < 0)
		return r;
	launch.firmware = buf_bytes(&firmware);
	r = attest_snp_launch_digest(&launch, digest, err);
	return r < 0 ? err_recode(err, r, ERR_USAGE) : 0;
}

int cli_measure_main(int argc, char **argv)
{
	CLEANUP(options_done) struct options options = { 0 };
	uint8_t digest[ATTEST_LAUNCH_DIGEST];
	char hex[2 * ATTEST_LAUNCH_DIGEST + 1];
	struct err err = { 0 };
	int status;

	if (!cli_parse(OPTIONS_MEASURE, argc, argv, &options, &status))
		return status;
	if (options.word_count > 0)
		return cli_usage("measure", "'%s': not understood", options.words[0]);
	if (measure(&options, digest, &err) < 0)
		return cli_fail("measure", &err, cli_status(&err));
	text_hex(digest, sizeof(digest), hex);
	if (options.json)
		(void)printf("{\"schema\": 1, \"tee\": \"%s\", \"launch_digest\": \"%s\"}\n",
			     options.tee, hex);
	else
		(void)printf("%s\n", hex);
	if (fflush(stdout) == EOF) {
		err_coded(&err, ERR_HOST, -EIO, "write to standard output");
		return cli_fail("measure", &err, CLI_HOST);
	}
	return CLI_OK;
}
