// SPDX-License-Identifier: Apache-2.0
#include "agent/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/buf.h"
#include "base/macro.h"
#include "sys/dm.h"
#include "sys/fsmount.h"

#define WRITABLE "rw"

enum { OPTIONS_MAX = SPEC_LAYERS_MAX + 16 };

static void name_device(const struct layers *layers, size_t index, char *ret, size_t size)
{
	(void)snprintf(ret, size, "container-%u.%zu", layers->number, index);
}

/* The kernel checks it too; this names the numbers. */
static int check_size(dev_t device, const Agent__Layer *layer, struct err *err)
{
	uint64_t need = layer->hash_start + dm_verity_hash_blocks(layer->data_blocks), size;
	cleanup_close int fd = -1;
	char path[64];

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/size", major(device),
		       minor(device));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open '%s'", path);
	memset(path, 0, sizeof(path));
	if (read(fd, path, sizeof(path) - 1) < 0)
		return err_sys(err, "read a disk's size");
	size = strtoull(path, NULL, 10) / (DM_BLOCK / 512);
	if (size < need)
		return err_set(err, -EINVAL, "its disk has %llu blocks, data and hashes %llu",
			       (unsigned long long)size, (unsigned long long)need);
	return 0;
}

static int mount_layer(const struct layers *layers, dev_t verity, const char *at, struct err *err)
{
	cleanup_close int mount_fd = -1;
	char node[32];
	int r;

	(void)snprintf(node, sizeof(node), "/dev/dm-%u", minor(verity));
	r = fsmount_make("erofs", (struct fsmount_option[]){ { "source", node }, { "ro", NULL } },
			 2, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, &mount_fd, err);
	if (r == -EIO)
		return err_set(err, r,
			       "open its file system: its disk can't be read, or holds "
			       "something else than its root hash says");
	if (r < 0)
		return r;
	if (mkdirat(layers->dir_fd, at, 0700) < 0)
		return err_sys(err, "make directory '%s'", at);
	return fsmount_place(mount_fd, layers->dir_fd, at, err);
}

static int open_layer(struct layers *layers, int dm_fd, const Agent__Layer *layer, dev_t device,
		      struct err *err)
{
	struct dm_verity verity = {
		.device = device,
		.data_blocks = layer->data_blocks,
		.hash_start = layer->hash_start,
	};
	char name[64], at[32];
	dev_t opened = 0;
	int r;

	memcpy(verity.root, layer->root.data, sizeof(verity.root));
	name_device(layers, layers->opened, name, sizeof(name));
	(void)snprintf(at, sizeof(at), "%zu", layers->opened);
	r = check_size(device, layer, err);
	if (r == 0)
		r = dm_verity_open(dm_fd, name, &verity, &opened, err);
	if (r < 0)
		return r;
	layers->opened++;
	return mount_layer(layers, opened, at, err);
}

/* A tmpfs with the two directories that overlayfs wants, the upper one like the image's root. */
static int make_writable(const struct layers *layers, uint64_t bytes, const char *top,
			 struct err *err)
{
	cleanup_close int mount_fd = -1;
	struct timespec times[2];
	char size[32];
	struct stat st;
	int r;

	(void)snprintf(size, sizeof(size), bytes ? "%llu" : "50%%", (unsigned long long)bytes);
	r = fsmount_make("tmpfs", (struct fsmount_option[]){ { "size", size }, { "mode", "0700" } },
			 2, MOUNT_ATTR_NODEV, &mount_fd, err);
	if (r < 0)
		return r;
	if (fstatat(layers->dir_fd, top, &st, 0) < 0)
		return err_sys(err, "look at the image's root");
	if (mkdirat(mount_fd, "work", 0700) < 0 || mkdirat(mount_fd, "upper", 0700) < 0 ||
	    fchownat(mount_fd, "upper", st.st_uid, st.st_gid, 0) < 0 ||
	    fchmodat(mount_fd, "upper", st.st_mode & 07777, 0) < 0)
		return err_sys(err, "make the container's upper directory");
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	if (utimensat(mount_fd, "upper", times, 0) < 0 ||
	    mkdirat(layers->dir_fd, WRITABLE, 0700) < 0)
		return err_sys(err, "make the container's upper directory");
	return fsmount_place(mount_fd, layers->dir_fd, WRITABLE, err);
}

/*
 * Nothing in a layer may redirect a lookup or stand for content elsewhere: redirect_dir and
 * metacopy stay off whatever the kernel's defaults are.
 */
static int mount_stack(const struct layers *layers, struct err *err)
{
	struct fsmount_option options[OPTIONS_MAX] = {
		{ "source", "container" }, { "redirect_dir", "nofollow" },
		{ "metacopy", "off" },	   { "index", "off" },
		{ "xino", "off" },
	};
	CLEANUP(strv_done) struct strv paths = { 0 };
	cleanup_close int mount_fd = -1;
	size_t count = 5;
	int r = 0;

	for (size_t i = 0; i < layers->opened && r == 0; i++)
		r = strv_addf(&paths, "%s/%zu", layers->dir, layers->opened - 1 - i);
	if (r == 0)
		r = strv_addf(&paths, "%s/" WRITABLE "/upper", layers->dir);
	if (r == 0)
		r = strv_addf(&paths, "%s/" WRITABLE "/work", layers->dir);
	if (r < 0)
		return err_num(err, r, "stack layers");
	for (size_t i = 0; i < layers->opened; i++)
		options[count++] = (struct fsmount_option){ "lowerdir+", paths.at[i] };
	options[count++] = (struct fsmount_option){ "upperdir", paths.at[layers->opened] };
	options[count++] = (struct fsmount_option){ "workdir", paths.at[layers->opened + 1] };
	r = fsmount_make("overlay", options, count, MOUNT_ATTR_NODEV, &mount_fd, err);
	if (r < 0)
		return r;
	if (mkdirat(layers->dir_fd, LAYERS_ROOT, 0700) < 0)
		return err_sys(err, "make directory '" LAYERS_ROOT "'");
	return fsmount_place(mount_fd, layers->dir_fd, LAYERS_ROOT, err);
}

/* The stack has mounts of its own of all its parts; these only slow down who copies the table. */
static void remove_parts(const struct layers *layers)
{
	char at[32];

	for (size_t i = 0; i < layers->opened; i++) {
		(void)snprintf(at, sizeof(at), "%zu", i);
		(void)fsmount_remove(layers->dir_fd, at, NULL);
		(void)unlinkat(layers->dir_fd, at, AT_REMOVEDIR);
	}
	(void)fsmount_remove(layers->dir_fd, WRITABLE, NULL);
	(void)unlinkat(layers->dir_fd, WRITABLE, AT_REMOVEDIR);
}

int layers_mount(struct layers *layers, int dm_fd, const Agent__ContainerSpec *spec,
		 const dev_t *devices, struct err *err)
{
	uint64_t bytes = spec->resources ? spec->resources->memory_bytes : 0;
	char top[32];
	int r = 0;

	for (size_t i = 0; i < spec->n_layers && r == 0; i++) {
		r = open_layer(layers, dm_fd, spec->layers[i], devices[i], err);
		if (r < 0)
			err_wrap(err, r, "layer %zu", i);
	}
	(void)snprintf(top, sizeof(top), "%zu", spec->n_layers - 1);
	if (r == 0)
		r = make_writable(layers, bytes, top, err);
	if (r == 0)
		r = mount_stack(layers, err);
	remove_parts(layers);
	layers->is_mounted = r == 0;
	if (r < 0)
		layers_unmount(layers, dm_fd);
	return r;
}

void layers_unmount(struct layers *layers, int dm_fd)
{
	char name[64];

	if (layers->is_mounted)
		(void)fsmount_remove(layers->dir_fd, LAYERS_ROOT, NULL);
	layers->is_mounted = false;
	(void)unlinkat(layers->dir_fd, LAYERS_ROOT, AT_REMOVEDIR);
	while (layers->opened > 0) {
		name_device(layers, --layers->opened, name, sizeof(name));
		(void)dm_remove(dm_fd, name, NULL);
	}
}
