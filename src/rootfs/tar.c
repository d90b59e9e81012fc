// SPDX-License-Identifier: Apache-2.0
#include "rootfs/tar.h"

#include <errno.h>
#include <stdio.h>

struct archive *rootfs_tar_free(struct archive *tar)
{
	if (tar)
		(void)archive_read_free(tar);
	return NULL;
}

int rootfs_tar_fail(struct archive *tar, const char *file, struct err *err)
{
	const char *why = archive_error_string(tar);
	char words[200];

	if (archive_errno(tar) == ENOMEM)
		return err_num(err, -ENOMEM, "read '%s'", file);
	(void)snprintf(words, sizeof(words), "%s", why ? why : "libarchive does not say why");
	/* it quotes names, which come from the file */
	for (char *c = words; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
	return err_coded(err, ERR_IMAGE, -EINVAL, "read '%s': %s", file, words);
}
