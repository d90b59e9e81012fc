// SPDX-License-Identifier: Apache-2.0
#include "cli/reference.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attest/certs.h"
#include "attest/expect.h"
#include "base/text.h"
#include "sys/file.h"

enum { ROOT_MAX = 64 << 10 };

static json_t *hex_list(const uint8_t *at, size_t len)
{
	char hex[2 * ATTEST_LAUNCH_DIGEST + 1];

	text_hex(at, len, hex);
	return json_pack("[s]", hex);
}

/* Of the processor that has been on this host; NULL: none has. */
static int add_root(const struct reference *reference, json_t *json, struct err *err)
{
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 };
	cleanup_free char *path = NULL;
	uint8_t root[ATTEST_ROOT_SIZE];
	int r;

	if (asprintf(&path, "%s/root.pem", reference->dir) < 0) {
		path = NULL;
		return err_num(err, -ENOMEM, "read the simulated processor's root");
	}
	/* its directory is not for everybody to list: the file is for everybody to read */
	r = faccessat(AT_FDCWD, path, F_OK, 0);
	if (r < 0 && errno == ENOENT)
		return 0;
	r = file_read(AT_FDCWD, path, ROOT_MAX, &text, err);
	if (r >= 0)
		r = attest_certs_add(&certs, buf_bytes(&text), err);
	if (r < 0)
		return err_wrap(err, r, "read the simulated processor's root in '%s'",
				reference->dir);
	if (certs.count != 1 || X509_digest(certs.at[0], EVP_sha256(), root, NULL) != 1)
		return err_set(err, -EBADMSG,
			       "read the simulated processor's root in '%s': not one certificate",
			       reference->dir);
	return json_object_set_new(json, "sim_roots", hex_list(root, sizeof(root))) < 0
		       ? err_num(err, -ENOMEM, "write the reference values")
		       : 0;
}

static int read_old(const struct reference *reference, json_t **ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	struct attest_expect expect;
	int r;

	r = file_read(AT_FDCWD, reference->path, ATTEST_EXPECT_TEXT_MAX, &text, err);
	if (r >= 0)
		r = attest_expect_parse(buf_bytes(&text), &expect, err);
	if (r < 0)
		return err_recode(err, err_wrap(err, r, "--reference '%s'", reference->path),
				  ERR_USAGE);
	*ret = json_loadb((const char *)text.at, text.len, 0, NULL);
	return *ret ? 0 : err_num(err, -ENOMEM, "read the reference values");
}

static int make_new(const struct reference *reference, json_t **ret, struct err *err)
{
	*ret = json_pack("{s:i, s:o, s:[s]}", "schema", 1, "launch_digests",
			 hex_list(reference->launch_digest, ATTEST_LAUNCH_DIGEST), "allow",
			 "simulated");
	return *ret ? 0 : err_num(err, -ENOMEM, "write the reference values");
}

/* What a path with no '/' is beside is the working directory. */
static int write_file(const char *path, const char *text, struct err *err)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	cleanup_close int dir_fd = -1;
	int r;

	if (!folder)
		return err_num(err, -ENOMEM, "write '%s'", path);
	r = file_open_dir(AT_FDCWD, folder, &dir_fd, err);
	if (r >= 0)
		r = file_write_atomic(dir_fd, slash ? slash + 1 : path,
				      (struct bytes){ (const uint8_t *)text, strlen(text) }, 0644,
				      err);
	return r < 0 ? err_recode(err, err_wrap(err, r, "--reference '%s'", path), ERR_USAGE) : 0;
}

int reference_write(const struct reference *reference, struct err *err)
{
	cleanup_free char *text = NULL;
	cleanup_free char *line = NULL;
	json_t *json = NULL;
	int r;

	r = reference->has_launch_digest ? make_new(reference, &json, err)
					 : read_old(reference, &json, err);
	if (r >= 0 &&
	    json_object_set_new(json, "host_data",
				hex_list(reference->host_data, sizeof(reference->host_data))) < 0)
		r = err_num(err, -ENOMEM, "write the reference values");
	if (r >= 0)
		r = add_root(reference, json, err);
	if (r >= 0)
		text = json_dumps(json, JSON_INDENT(2));
	json_decref(json);
	if (r < 0)
		return r;
	if (!text || asprintf(&line, "%s\n", text) < 0) {
		line = NULL;
		return err_num(err, -ENOMEM, "write the reference values");
	}
	return write_file(reference->path, line, err);
}
