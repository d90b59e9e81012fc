// SPDX-License-Identifier: Apache-2.0
#include "broker/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/text.h"
#include "sys/file.h"

enum {
	CODES_MAX = 16, /* of one line */
	TIME_SIZE = 32,
	NAME_SIZE = 32,
};

struct broker_audit {
	int dir_fd;
	int fd;
	size_t size, max;
	struct buf pending;
};

static int open_log(struct broker_audit *audit, struct err *err)
{
	struct stat st;

	audit->fd = openat(audit->dir_fd, BROKER_AUDIT_FILE,
			   O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (audit->fd < 0 || fstat(audit->fd, &st) < 0)
		return err_sys(err, "open '" BROKER_AUDIT_FILE "'");
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "open '" BROKER_AUDIT_FILE "': it is no file");
	audit->size = (size_t)st.st_size;
	return 0;
}

int broker_audit_open(const char *folder, size_t max_bytes, struct broker_audit **ret,
		      struct err *err)
{
	struct broker_audit *audit = calloc(1, sizeof(*audit));
	int r;

	if (!audit)
		return err_num(err, -ENOMEM, "open the audit log");
	audit->dir_fd = audit->fd = -1;
	audit->max = max_bytes;
	r = file_open_dir(AT_FDCWD, folder, &audit->dir_fd, err);
	if (r == 0)
		r = open_log(audit, err);
	if (r < 0) {
		(void)broker_audit_close(audit);
		return r;
	}
	*ret = audit;
	return 0;
}

struct broker_audit *broker_audit_close(struct broker_audit *audit)
{
	if (!audit)
		return NULL;
	cleanup_close_fd(&audit->dir_fd);
	cleanup_close_fd(&audit->fd);
	buf_done(&audit->pending);
	free(audit);
	return NULL;
}

static json_t *hex_or_null(const uint8_t *report, size_t at, size_t len)
{
	char hex[2 * ATTEST_SNP_CHIP_ID_SIZE + 1];

	if (!report)
		return json_null();
	text_hex(report + at, len, hex);
	return json_string(hex);
}

/* The first one, then those that follow, each once. */
static json_t *list_codes(const struct broker_decision *d)
{
	json_t *codes = json_array();
	unsigned char seen[ATTEST_REASON_COUNT] = { 0 };

	if (codes && d->refusal) {
		seen[d->refusal->reason] = 1;
		(void)json_array_append_new(codes,
					    json_string(attest_reason_name(d->refusal->reason)));
	}
	for (size_t i = 0; codes && d->refusal && d->judgement && i < d->judgement->part_count;
	     i++) {
		const struct attest_part *part = d->judgement->parts[i];

		for (size_t k = 0; k < part->refusal_count; k++) {
			enum attest_reason reason = part->refusals[k].reason;

			if (seen[reason]++ || json_array_size(codes) >= CODES_MAX)
				continue;
			(void)json_array_append_new(codes, json_string(attest_reason_name(reason)));
		}
	}
	return codes;
}

static void print_time(int64_t time_s, char ret[TIME_SIZE])
{
	time_t when = (time_t)time_s;
	struct tm tm;

	if (!gmtime_r(&when, &tm) || strftime(ret, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		(void)snprintf(ret, TIME_SIZE, "?");
}

int broker_audit_add(struct broker_audit *audit, const struct broker_decision *d)
{
	char when[TIME_SIZE];
	cleanup_free char *line = NULL;
	json_t *json;
	int r;

	print_time(d->time_s, when);
	json = json_pack("{s:s, s:s, s:s?, s:s, s:s?, s:s?, s:s?, s:o, s:o, s:o, s:o}", "time",
			 when, "event", d->event, "resource", d->resource, "verdict", d->verdict,
			 "peer", d->peer, "tee", d->tee, "text",
			 d->refusal ? d->refusal->text : NULL, "codes", list_codes(d), "policy",
			 hex_or_null(d->report, ATTEST_SNP_HOST_DATA_AT, ATTEST_SNP_HOST_DATA_SIZE),
			 "launch",
			 hex_or_null(d->report, ATTEST_SNP_DIGEST_AT, ATTEST_SNP_DIGEST_SIZE),
			 "chip",
			 hex_or_null(d->report, ATTEST_SNP_CHIP_ID_AT, ATTEST_SNP_CHIP_ID_SIZE));
	line = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII) : NULL;
	json_decref(json);
	if (!line || strlen(line) >= BROKER_AUDIT_LINE_MAX)
		return -ENOMEM;
	r = buf_add(&audit->pending, line, strlen(line));
	return r < 0 ? r : buf_add(&audit->pending, "\n", 1);
}

/* 0: the newest. */
static void old_name(int i, char ret[NAME_SIZE])
{
	if (i == 0)
		(void)snprintf(ret, NAME_SIZE, BROKER_AUDIT_FILE);
	else
		(void)snprintf(ret, NAME_SIZE, BROKER_AUDIT_FILE ".%d", i);
}

/* audit.log -> .1 -> .2 ...; the oldest goes. What cannot be moved stays, and grows. */
static int rotate(struct broker_audit *audit, struct err *err)
{
	char from[NAME_SIZE], to[NAME_SIZE];

	for (int i = BROKER_AUDIT_OLD; i > 0; i--) {
		old_name(i, to);
		old_name(i - 1, from);
		if (renameat(audit->dir_fd, from, audit->dir_fd, to) < 0 && errno != ENOENT)
			return err_sys(err, "rename '%s'", from);
	}
	cleanup_close_fd(&audit->fd);
	audit->fd = -1;
	return open_log(audit, err);
}

int broker_audit_sync(struct broker_audit *audit, struct err *err)
{
	size_t len = audit->pending.len;
	int r = 0;

	if (len == 0)
		return 0;
	if (audit->fd < 0)
		r = open_log(audit, err);
	if (r == 0 && audit->size > 0 && audit->size + len > audit->max)
		r = rotate(audit, err);
	if (r == 0)
		r = file_write_all(audit->fd, buf_bytes(&audit->pending), err);
	if (r == 0 && fdatasync(audit->fd) < 0)
		r = err_sys(err, "sync '" BROKER_AUDIT_FILE "'");
	audit->size += len;
	audit->pending.len = 0;
	return r;
}

static const char *word(const json_t *json, const char *name, const char *none)
{
	const char *text = json_string_value(json_object_get(json, name));

	return text ? text : none;
}

static void print_for_people(const json_t *json)
{
	const json_t *codes = json_object_get(json, "codes");
	CLEANUP(buf_done) struct buf line = { 0 }, shown = { 0 };
	int r;

	r = buf_addf(&line, "%s  %-8s  %-8s  %s  from %s", word(json, "time", "?"),
		     word(json, "event", "?"), word(json, "verdict", "?"),
		     word(json, "resource", "-"), word(json, "peer", "?"));
	for (size_t i = 0; r == 0 && i < json_array_size(codes); i++)
		r = buf_addf(&line, "%s%s", i ? ", " : "  ",
			     json_string_value(json_array_get(codes, i)));
	if (r == 0 && word(json, "text", NULL))
		r = buf_addf(&line, ": %s", word(json, "text", ""));
	if (r == 0)
		r = text_quote(&shown, buf_bytes(&line));
	if (r == 0)
		(void)printf("%.*s\n", (int)shown.len, (const char *)shown.at);
}

static void print_line(struct bytes line, bool as_json)
{
	json_t *json;

	if (as_json) {
		(void)printf("%.*s\n", (int)line.len, (const char *)line.at);
		return;
	}
	json = json_loadb((const char *)line.at, line.len, 0, NULL);
	if (json_is_object(json))
		print_for_people(json);
	else
		(void)printf("(a line that is none)\n");
	json_decref(json);
}

/* 1: there is such a file. */
static int print_file(int dir_fd, const char *name, bool as_json, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	int r = file_read(dir_fd, name, (size_t)4 * BROKER_AUDIT_MAX, &text, err);
	const uint8_t *at = text.at, *end = text.at + text.len, *stop;

	if (r < 0)
		return r;
	for (; at < end; at = stop + 1) {
		stop = memchr(at, '\n', (size_t)(end - at));
		if (!stop)
			stop = end;
		print_line((struct bytes){ at, (size_t)(stop - at) }, as_json);
	}
	return 1;
}

int broker_audit_print(const char *path, bool as_json, struct err *err)
{
	cleanup_close int dir_fd = -1;
	char name[NAME_SIZE];
	struct stat st;
	int r, found = 0;

	if (stat(path, &st) < 0)
		return err_sys(err, "open '%s'", path);
	if (!S_ISDIR(st.st_mode)) {
		r = print_file(AT_FDCWD, path, as_json, err);
		return r < 0 ? r : 0;
	}
	r = file_open_dir(AT_FDCWD, path, &dir_fd, err);
	for (int i = BROKER_AUDIT_OLD; r >= 0 && i >= 0; i--) {
		old_name(i, name);
		r = print_file(dir_fd, name, as_json, err);
		found += r == 1;
		r = r == -ENOENT ? 0 : r;
	}
	if (r >= 0 && found == 0)
		return err_set(err, -ENOENT, "'%s' has no '" BROKER_AUDIT_FILE "'", path);
	return r < 0 ? r : 0;
}
