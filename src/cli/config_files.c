// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "oci/yaml.h"
#include "sys/file.h"

#define CONFIG_DIR "/etc/casemate"

static int set_scalar(void *data, const struct oci_yaml_scalar *scalar, struct err *err)
{
	if (!scalar->text)
		return err_coded(err, ERR_CONFIG, -EINVAL, "'%s': not a value", scalar->path);
	return config_set(data, scalar->path, scalar->text, CONFIG_NODE, err);
}

/* A file that is not there is no error: 0. */
static int load_file(int dir_fd, const char *folder, const char *name, struct config *config,
		     struct err *err)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	int r;

	r = file_read(dir_fd, name, OCI_YAML_MAX_SIZE, &text, err);
	if (r == -ENOENT) {
		*err = (struct err){ 0 };
		return 0;
	}
	if (r >= 0)
		r = oci_yaml_parse(buf_bytes(&text), set_scalar, config, err);
	if (r < 0)
		return err_recode(err, err_wrap(err, r, "read '%s/%s'", folder, name), ERR_CONFIG);
	return 0;
}

static int is_yaml(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

static int load_folder(int dir_fd, struct config *config, struct err *err)
{
	struct dirent **entries;
	int count, r = 0;

	count = scandirat(dir_fd, "config.d", &entries, is_yaml, alphasort);
	if (count < 0)
		return errno == ENOENT ? 0 : err_sys(err, "read '" CONFIG_DIR "/config.d'");
	for (int i = 0; i < count; i++) {
		char path[sizeof(entries[i]->d_name) + 16] = "config.d/";

		memcpy(path + 9, entries[i]->d_name, strlen(entries[i]->d_name) + 1);
		if (r >= 0)
			r = load_file(dir_fd, CONFIG_DIR, path, config, err);
		free(entries[i]);
	}
	free(entries);
	return r;
}

int cli_config_load(char *const *flags, size_t flag_count, struct config *ret, struct err *err)
{
	cleanup_close int dir_fd = -1;
	int r = 0;

	config_init(ret);
	for (size_t i = 0; r >= 0 && i < flag_count; i++) {
		cleanup_free char *name = strdup(flags[i]);
		char *equals = name ? strchr(name, '=') : NULL;

		if (!equals)
			return err_coded(err, ERR_USAGE, -EINVAL, "--config '%s': not KEY=VALUE",
					 flags[i]);
		*equals = '\0';
		r = config_set(ret, name, equals + 1, CONFIG_FLAG, err);
	}
	if (r < 0 || file_open_dir(AT_FDCWD, CONFIG_DIR, &dir_fd, NULL) < 0)
		return r;
	r = load_file(dir_fd, CONFIG_DIR, "config.yaml", ret, err);
	return r < 0 ? r : load_folder(dir_fd, ret, err);
}
