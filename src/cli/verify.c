// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "attest/snp_verify.h"
#include "base/text.h"
#include "cli/cli.h"
#include "sys/file.h"

enum {
	FILES_MAX = 256, /* of a directory */
	POLICY_MAX = 1 << 20,
	VERSION_MAX = 0xff, /* of a report: what is larger is no report at all */
};

/* What was read, to be asked about. */
struct given {
	struct buf report;
	struct attest_certs certs;
	struct attest_expect expect;
	bool has_expect;
	int64_t now_s;
};

static void given_done(struct given *given)
{
	buf_done(&given->report);
	attest_certs_done(&given->certs);
}
CLEANUP_FUNC(struct given, given_done)

/*
 * A report, alone or with certificates behind it. Its form is the verifier's to judge; here it is
 * told from certificates, of which none begins with a small number.
 */
static bool is_report(struct bytes text)
{
	return text.len >= ATTEST_SNP_REPORT_SIZE && bytes_le32(text, 0) <= VERSION_MAX;
}

static int take_report(struct given *given, struct bytes text, struct err *err)
{
	struct bytes rest = { text.at + ATTEST_SNP_REPORT_SIZE, text.len - ATTEST_SNP_REPORT_SIZE };

	if (given->report.len > 0)
		return err_coded(err, ERR_USAGE, -EINVAL, "there is more than one report");
	if (buf_add(&given->report, text.at, ATTEST_SNP_REPORT_SIZE) < 0)
		return err_num(err, -ENOMEM, "keep the report");
	return rest.len > 0 ? attest_certs_add(&given->certs, rest, err) : 0;
}

static void note_other(const char *name)
{
	CLEANUP(buf_done) struct buf text = { 0 };

	if (text_quote(&text, (struct bytes){ (const uint8_t *)name, strlen(name) }) == 0)
		cli_note("'%.*s': neither a report nor certificates: not looked at", (int)text.len,
			 (const char *)text.at);
}

/* By content. In a directory, what is neither is somebody else's. */
static int take_file(struct given *given, int dir_fd, const char *name, bool may_be_other,
		     struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct err why = { 0 };
	int r = file_read(dir_fd, name, ATTEST_CERTS_TEXT_MAX, &text, err);

	if (r < 0)
		return r;
	if (is_report(buf_bytes(&text)))
		r = take_report(given, buf_bytes(&text), &why);
	else
		r = attest_certs_add(&given->certs, buf_bytes(&text), &why);
	if (r == -EBADMSG && may_be_other) {
		note_other(name);
		return 0;
	}
	if (r < 0)
		return err_set(err, r, "read '%s': %s", name, why.msg);
	return 0;
}

static int take_dir(struct given *given, const char *path, struct err *err)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	cleanup_close int dir_fd = -1;
	int r = file_open_dir(AT_FDCWD, path, &dir_fd, err);

	if (r == 0)
		r = file_list(dir_fd, ".", &names, err);
	if (r == 0 && names.len > FILES_MAX)
		r = err_set(err, -E2BIG, "it has more than %d files", FILES_MAX);
	for (size_t i = 0; r >= 0 && i < names.len; i++) {
		struct stat st;

		if (fstatat(dir_fd, names.at[i], &st, 0) < 0 || !S_ISREG(st.st_mode))
			continue;
		r = take_file(given, dir_fd, names.at[i], true, err);
	}
	return r < 0 ? r : 0;
}

static int take_path(struct given *given, const char *flag, const char *path, struct err *err)
{
	struct stat st;
	int r;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		r = take_dir(given, path, err);
	else
		r = take_file(given, AT_FDCWD, path, false, err);
	return r < 0 ? err_recode(err, err_wrap(err, r, "--%s '%s'", flag, path), ERR_USAGE) : 0;
}

/* Two digits at at, up to most. */
static bool read_two(const char *at, int most, int *ret)
{
	if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9')
		return false;
	*ret = (at[0] - '0') * 10 + at[1] - '0';
	return *ret <= most;
}

/* RFC 3339, without fractions: "2026-01-31T12:00:00Z", "...+01:00". */
static bool read_time(const char *text, int64_t *ret)
{
	int century, year, month, day, hour, minute, second, off_hour = 0, off_minute = 0;
	struct tm tm = { 0 }, back;
	time_t when;

	if (strlen(text) < 20 || text[4] != '-' || text[7] != '-' || !strchr("Tt ", text[10]) ||
	    text[13] != ':' || text[16] != ':')
		return false;
	if (!read_two(text, 99, &century) || !read_two(text + 2, 99, &year) ||
	    !read_two(text + 5, 12, &month) || !read_two(text + 8, 31, &day) ||
	    !read_two(text + 11, 23, &hour) || !read_two(text + 14, 59, &minute) ||
	    !read_two(text + 17, 59, &second))
		return false;
	if (text[19] == '+' || text[19] == '-') {
		if (strlen(text) != 25 || text[22] != ':' || !read_two(text + 20, 23, &off_hour) ||
		    !read_two(text + 23, 59, &off_minute))
			return false;
	} else if ((text[19] != 'Z' && text[19] != 'z') || text[20]) {
		return false;
	}
	tm = (struct tm){ .tm_year = century * 100 + year - 1900,
			  .tm_mon = month - 1,
			  .tm_mday = day,
			  .tm_hour = hour,
			  .tm_min = minute,
			  .tm_sec = second };
	back = tm;
	when = timegm(&tm);
	if (tm.tm_mday != back.tm_mday || tm.tm_mon != back.tm_mon) /* the 31st of June */
		return false;
	*ret = (int64_t)when -
	       (text[19] == '-' ? -1 : 1) * (int64_t)(off_hour * 3600 + off_minute * 60);
	return true;
}

static int read_nonce(const char *hex, struct attest_expect *expect, struct err *err)
{
	size_t len = strlen(hex);

	if (len == 0 || len % 2 || len / 2 > sizeof(expect->report_data))
		return err_coded(err, ERR_USAGE, -EINVAL, "--nonce '%s': not up to %d hex digits",
				 hex, 2 * ATTEST_SNP_DATA_SIZE);
	memset(expect->report_data, 0, sizeof(expect->report_data));
	if (text_unhex(hex, len / 2, expect->report_data) < 0)
		return err_coded(err, ERR_USAGE, -EINVAL, "--nonce '%s': not hex digits", hex);
	expect->has_report_data = true;
	return 0;
}

static int read_policy(const char *path, struct attest_expect *expect, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	int r = file_read(AT_FDCWD, path, POLICY_MAX, &text, err);

	if (r >= 0)
		r = attest_expect_parse(buf_bytes(&text), expect, err);
	return r < 0 ? err_recode(err, err_wrap(err, r, "--policy '%s'", path), ERR_USAGE) : 0;
}

static int read_given(const struct options *options, struct given *ret, struct err *err)
{
	int r = 0;

	if (!options->evidence)
		return err_coded(err, ERR_USAGE, -EINVAL, "--evidence is missing");
	ret->now_s = (int64_t)time(NULL);
	if (options->at && !read_time(options->at, &ret->now_s))
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--at '%s': not a time, as 2026-01-31T12:00:00Z", options->at);
	if (options->policy)
		r = read_policy(options->policy, &ret->expect, err);
	if (r == 0 && options->nonce)
		r = read_nonce(options->nonce, &ret->expect, err);
	ret->has_expect = options->policy || options->nonce;
	if (r == 0)
		r = take_path(ret, "evidence", options->evidence, err);
	for (size_t i = 0; r == 0 && i < options->collateral.len; i++)
		r = take_path(ret, "collateral", options->collateral.at[i], err);
	if (r == 0 && ret->report.len == 0)
		return err_coded(err, ERR_USAGE, -EINVAL,
				 "--evidence '%s': there is no report in it", options->evidence);
	return r;
}

static int verify(const struct given *given, struct attest_verdict *verdict, struct err *err)
{
	struct attest_snp_report report;
	struct attest_roots roots;
	int r;

	attest_expect_roots(given->has_expect ? &given->expect : NULL, &roots);
	r = attest_snp_verify(
		&(struct attest_snp_question){
			.report = buf_bytes(&given->report),
			.certs = &given->certs,
			.roots = &roots,
			.expect = given->has_expect ? &given->expect : NULL,
			.now_s = given->now_s,
		},
		&report, verdict);
	return r < 0 ? err_num(err, r, "verify") : 0;
}

static int print_json(const struct attest_verdict *verdict, struct err *err)
{
	cleanup_free char *text = NULL;
	int r = attest_verdict_json(verdict, &text);

	if (r < 0)
		return err_num(err, r, "write the verdict");
	return puts(text) == EOF ? err_coded(err, ERR_HOST, -EIO, "write to standard output") : 0;
}

static void print_claim(const char *name, const json_t *value)
{
	cleanup_free char *text =
		json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

	(void)printf("    %-18s %s\n", name,
		     json_is_string(value) ? json_string_value(value)
		     : text		   ? text
					   : "");
}

static int print_text(const struct attest_verdict *verdict, struct err *err)
{
	const char *name;
	json_t *value;

	for (size_t i = 0; i < verdict->part_count; i++) {
		const struct attest_part *part = verdict->parts[i];

		(void)printf("%s: %s\n", attest_part_kind_name(part->kind),
			     part->is_done && !part->is_refused ? "ok" : "refused");
		json_object_foreach(part->claims, name, value)
			print_claim(name, value);
		for (size_t j = 0; j < part->refusal_count; j++)
			(void)printf("    refused: %s (%s)\n", part->refusals[j].text,
				     attest_reason_name(part->refusals[j].reason));
	}
	(void)printf("%s; freshness: %s; policy: %s%s\n",
		     attest_verdict_is_ok(verdict) ? "ok" : "refused",
		     verdict->freshness_checked ? "checked" : "unchecked",
		     verdict->policy_applied ? "applied" : "none",
		     verdict->is_simulated ? "; simulated: it protects nothing" : "");
	return fflush(stdout) == EOF ? err_coded(err, ERR_HOST, -EIO, "write to standard output")
				     : 0;
}

int cli_verify_main(int argc, char **argv)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	CLEANUP(options_done) struct options options = { 0 };
	CLEANUP(given_done) struct given given = { 0 };
	struct err err = { 0 };
	int status, r;

	if (!cli_parse(OPTIONS_VERIFY, argc, argv, &options, &status))
		return status;
	if (options.word_count > 0)
		return cli_usage("verify", "'%s': not understood: evidence is --evidence '%s'",
				 options.words[0], options.words[0]);
	/* A configuration of libcrypto's could say what a signature is: none is read. */
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	r = read_given(&options, &given, &err);
	if (r == 0)
		r = verify(&given, &verdict, &err);
	verdict.policy_applied = options.policy != NULL;
	if (r == 0)
		r = options.json ? print_json(&verdict, &err) : print_text(&verdict, &err);
	if (r < 0)
		return cli_fail("verify", &err, cli_status(&err));
	return attest_verdict_is_ok(&verdict) ? CLI_OK : CLI_NO;
}
