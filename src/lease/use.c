// SPDX-License-Identifier: Apache-2.0
/*
 * What the host does with a device, found where the kernel shows it: its disks are those entries
 * of class/block that lead through it, its interfaces those of class/net. A namespace of an NVMe
 * subsystem leads through none of its controllers, so the subsystem is looked up.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "lease/kind_priv.h"
#include "sys/file.h"
#include "sys/pcidev.h"

enum {
	TABLE_MAX = 16 << 20, /* bytes of a table of mounts or routes */
	WORDS_MAX = 64,
	LINK_LOCAL = 0x20, /* IPV6_ADDR_LINKLOCAL of if_inet6 */
	INTERFACE_UP = 1,  /* IFF_UP */
};

/* The tables of /proc, each read once; what cannot be read is empty. */
struct use {
	const struct lease_site *site;
	const char *through; /* "/ADDRESS/" */
	char *subsystem;     /* "/nvme-subsystem/NAME/", or NULL */
	char *mounts, *swaps, *routes, *routes6, *addresses6;
};

static int held(struct err *err, const char *what, const char *name, const char *how,
		const char *by)
{
	return err_coded(err, ERR_DEVICE_HELD, -EBUSY, "the host uses it: its %s '%s' is %s%s%s%s",
			 what, name, how, by[0] ? " '" : "", by, by[0] ? "'" : "");
}

static char *use_read(const struct lease_site *site, const char *path)
{
	CLEANUP(buf_done) struct buf text = { 0 };

	if (file_read(site->proc_fd, path, TABLE_MAX, &text, NULL) < 0 || buf_add(&text, "", 1) < 0)
		return strdup("");
	return (char *)steal_ptr(&text.at);
}

static void use_done(struct use *use)
{
	free(use->subsystem);
	free(use->mounts);
	free(use->swaps);
	free(use->routes);
	free(use->routes6);
	free(use->addresses6);
}
CLEANUP_FUNC(struct use, use_done)

/*
 * The next line of a table, cut into words: how many, 0 at its end. *at is the table first, and
 * moves; the lines are not changed, so words end where the next blank is.
 */
static size_t next_words(const char **at, const char *words[static WORDS_MAX],
			 size_t lens[static WORDS_MAX])
{
	size_t count = 0;

	while (**at == '\n')
		(*at)++;
	while (**at && **at != '\n') {
		size_t len = strcspn(*at, " \t\n");

		if (len > 0 && count < WORDS_MAX) {
			words[count] = *at;
			lens[count++] = len;
		}
		*at += len;
		*at += strspn(*at, " \t");
	}
	return count;
}

static bool is_word(const char *word, size_t len, const char *text)
{
	return strlen(text) == len && memcmp(word, text, len) == 0;
}

/* "/dev/NAME", as mounts and swaps have it. */
static bool is_node(const char *word, size_t len, const char *name)
{
	return len > 5 && memcmp(word, "/dev/", 5) == 0 && is_word(word + 5, len - 5, name);
}

static int check_mounts(const struct use *use, const char *disk, const char *number,
			struct err *err)
{
	const char *words[WORDS_MAX], *at = use->mounts;
	size_t lens[WORDS_MAX], count;

	/* ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG]... - TYPE SOURCE OPTIONS (proc(5)) */
	while ((count = next_words(&at, words, lens)) > 0) {
		size_t dash = 6;
		char point[PATH_MAX];

		while (dash < count && !is_word(words[dash], lens[dash], "-"))
			dash++;
		if (dash + 2 >= count)
			continue;
		/* Some file systems have numbers of their own. */
		if (!is_word(words[2], lens[2], number) &&
		    !is_node(words[dash + 2], lens[dash + 2], disk))
			continue;
		(void)snprintf(point, sizeof(point), "%.*s", (int)lens[4], words[4]);
		return held(err, "disk", disk, "mounted on", point);
	}
	return 0;
}

static int check_swaps(const struct use *use, const char *disk, struct err *err)
{
	const char *words[WORDS_MAX], *at = use->swaps;
	size_t lens[WORDS_MAX];

	while (next_words(&at, words, lens) > 0)
		if (is_node(words[0], lens[0], disk))
			return held(err, "disk", disk, "swap", "");
	return 0;
}

static int check_disk(const struct use *use, const char *disk, struct err *err)
{
	CLEANUP(strv_done) struct strv holders = { 0 };
	char path[PATH_MAX], number[32] = "";
	int r;

	(void)snprintf(path, sizeof(path), "class/block/%s/holders", disk);
	if (file_list(use->site->sysfs_fd, path, &holders, NULL) == 0 && holders.len > 0)
		return held(err, "disk", disk, "held by", holders.at[0]);
	(void)snprintf(path, sizeof(path), "class/block/%s/dev", disk);
	(void)pcidev_read(use->site->sysfs_fd, path, number, sizeof(number), NULL);
	r = check_mounts(use, disk, number, err);
	if (r == 0)
		r = check_swaps(use, disk, err);
	if (r < 0)
		return r;
	/* Mounts of other namespaces are in no table that we see. */
	if (pcidev_disk_try(use->site->dev_fd, disk) < 0)
		return held(err, "disk", disk, "in use", "");
	return 0;
}

/* A route: also one of an address, where that cannot be asked for. The default one has no mask. */
static bool has_route(const char *table, const char *name, bool is_default)
{
	const char *words[WORDS_MAX], *at = table;
	size_t lens[WORDS_MAX];

	/* Iface Destination Gateway Flags RefCnt Use Metric Mask ... */
	while (next_words(&at, words, lens) > 7) {
		if (is_word(words[0], lens[0], name) &&
		    (!is_default || is_word(words[7], lens[7], "00000000")))
			return true;
	}
	return false;
}

static bool has_default6(const char *table, const char *name)
{
	const char *words[WORDS_MAX], *at = table;
	size_t lens[WORDS_MAX];

	/* destination, its prefix, source, its prefix, next hop, metric, refs, uses, flags, name */
	while (next_words(&at, words, lens) > 9) {
		if (is_word(words[9], lens[9], name) && is_word(words[1], lens[1], "00"))
			return true;
	}
	return false;
}

static bool has_address6(const char *table, const char *name)
{
	const char *words[WORDS_MAX], *at = table;
	size_t lens[WORDS_MAX];

	/* address, index, prefix, scope, flags, name */
	while (next_words(&at, words, lens) > 5) {
		if (is_word(words[5], lens[5], name) && strtoul(words[3], NULL, 16) != LINK_LOCAL)
			return true;
	}
	return false;
}

/* Whom it is a part of: "master" of a bridge or a bond, "upper_NAME" of these and of VLANs. */
static int check_uppers(const struct use *use, const char *interface, struct err *err)
{
	static const char upper[] = "upper_";
	CLEANUP(strv_done) struct strv names = { 0 };
	char path[PATH_MAX], master[NAME_MAX + 1];

	(void)snprintf(path, sizeof(path), "class/net/%s/master", interface);
	if (pcidev_link_name(use->site->sysfs_fd, path, master, sizeof(master)) == 0)
		return held(err, "interface", interface, "a member of", master);
	(void)snprintf(path, sizeof(path), "class/net/%s", interface);
	(void)file_list(use->site->sysfs_fd, path, &names, NULL);
	for (size_t i = 0; i < names.len; i++) {
		if (strncmp(names.at[i], upper, sizeof(upper) - 1) == 0)
			return held(err, "interface", interface, "what is below",
				    names.at[i] + sizeof(upper) - 1);
	}
	return 0;
}

static int check_interface(const struct use *use, const char *interface, struct err *err)
{
	char path[PATH_MAX], text[32] = "";
	int r = check_uppers(use, interface, err);

	(void)snprintf(path, sizeof(path), "class/net/%s/flags", interface);
	if (r < 0 || pcidev_read(use->site->sysfs_fd, path, text, sizeof(text), NULL) < 0 ||
	    !(strtoul(text, NULL, 16) & INTERFACE_UP))
		return r;
	if (has_route(use->routes, interface, true) || has_default6(use->routes6, interface))
		return held(err, "interface", interface, "where the default route goes", "");
	if (pcidev_interface_try(interface) < 0 || has_route(use->routes, interface, false) ||
	    has_address6(use->addresses6, interface))
		return held(err, "interface", interface, "up and has an address", "");
	return 0;
}

static bool leads_through(const struct use *use, const char *class, const char *name)
{
	char path[PATH_MAX], target[PATH_MAX];

	(void)snprintf(path, sizeof(path), "class/%s/%s", class, name);
	if (pcidev_link(use->site->sysfs_fd, path, target, sizeof(target)) < 0)
		return false;
	return strstr(target, use->through) || (use->subsystem && strstr(target, use->subsystem));
}

static int check_class(const struct use *use, const char *class,
		       int (*check)(const struct use *, const char *, struct err *),
		       struct err *err)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	char path[32];
	int r;

	(void)snprintf(path, sizeof(path), "class/%s", class);
	r = file_list(use->site->sysfs_fd, path, &names, err);
	if (r == -ENOENT)
		return 0;
	for (size_t i = 0; r == 0 && i < names.len; i++) {
		if (leads_through(use, class, names.at[i]))
			r = check(use, names.at[i], err);
	}
	return r;
}

/* The subsystem that has a controller of the device among its entries. */
static int find_subsystem(struct use *use)
{
	CLEANUP(strv_done) struct strv systems = { 0 };
	CLEANUP(strv_done) struct strv controllers = { 0 };
	const int sysfs_fd = use->site->sysfs_fd;

	if (file_list(sysfs_fd, "class/nvme-subsystem", &systems, NULL) < 0 ||
	    file_list(sysfs_fd, "class/nvme", &controllers, NULL) < 0)
		return 0;
	for (size_t i = 0; i < systems.len * controllers.len; i++) {
		const char *controller = controllers.at[i % controllers.len];
		const char *system = systems.at[i / controllers.len];
		char path[PATH_MAX], target[PATH_MAX];

		(void)snprintf(path, sizeof(path), "class/nvme-subsystem/%s/%s", system,
			       controller);
		if (!leads_through(use, "nvme", controller) ||
		    pcidev_link(sysfs_fd, path, target, sizeof(target)) < 0)
			continue;
		(void)snprintf(path, sizeof(path), "/nvme-subsystem/%.200s/", system);
		use->subsystem = strdup(path);
		return use->subsystem ? 0 : -ENOMEM;
	}
	return 0;
}

int lease_use_check(const struct lease_site *site, const char *address, struct err *err)
{
	CLEANUP(use_done) struct use use = { .site = site };
	char through[64];
	int r;

	(void)snprintf(through, sizeof(through), "/%s/", address);
	use.through = through;
	use.mounts = use_read(site, "self/mountinfo");
	use.swaps = use_read(site, "swaps");
	use.routes = use_read(site, "net/route");
	use.routes6 = use_read(site, "net/ipv6_route");
	use.addresses6 = use_read(site, "net/if_inet6");
	if (!use.mounts || !use.swaps || !use.routes || !use.routes6 || !use.addresses6 ||
	    find_subsystem(&use) < 0)
		return err_num(err, -ENOMEM, "see whether the host uses it");
	r = check_class(&use, "block", check_disk, err);
	return r < 0 ? r : check_class(&use, "net", check_interface, err);
}
