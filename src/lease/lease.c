// SPDX-License-Identifier: Apache-2.0
#include "lease/lease.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/text.h"
#include "lease/journal.h"
#include "lease/kind_priv.h"
#include "sys/file.h"
#include "sys/lockfile.h"

enum { OPEN_TRIES = 8 };

static const char journal_suffix[] = ".journal";

/* A pod's own lease, or, in a recovery, a dead pod's. Its journal is locked in both cases. */
struct lease {
	struct lease_opts opts;
	char name[TEXT_NAME_MAX + 1];
	char file[TEXT_NAME_MAX + sizeof(journal_suffix)]; /* the journal's name */
	int leases_fd;
	int journal_fd;
	int dir_fd; /* the pod's run directory, -1 in a recovery */
	int process_fds[LEASE_MAX_PROCESSES];
	size_t process_count;
	struct arena arena; /* holds what journal points to */
	struct lease_journal journal;
	size_t room;   /* of journal.entries, in our own lease */
	bool is_stale; /* the journal is of another boot */
};

static void at_step(const struct lease *lease, const char *where)
{
	if (lease->opts.after_step)
		lease->opts.after_step(lease->opts.data, where);
}

struct lease_site lease_site(const struct lease *lease)
{
	return (struct lease_site){
		.pod = lease->name,
		.run_fd = lease->opts.run_fd,
		.proc_fd = lease->opts.proc_fd,
		.sysfs_fd = lease->opts.sysfs_fd,
		.dev_fd = lease->opts.dev_fd,
		.grace_ms = lease->opts.grace_ms ? lease->opts.grace_ms : LEASE_GRACE_MS,
		.kill_ms = lease->opts.kill_ms ? lease->opts.kill_ms : LEASE_KILL_MS,
		.is_stale = lease->is_stale,
		.after_step = lease->opts.after_step,
		.data = lease->opts.data,
	};
}

static void close_processes(struct lease *lease)
{
	while (lease->process_count > 0)
		(void)close(lease->process_fds[--lease->process_count]);
}

struct lease *lease_free(struct lease *lease)
{
	if (!lease)
		return NULL;
	close_processes(lease);
	if (lease->dir_fd >= 0)
		(void)close(lease->dir_fd);
	if (lease->journal_fd >= 0)
		(void)close(lease->journal_fd);
	if (lease->leases_fd >= 0)
		(void)close(lease->leases_fd);
	arena_done(&lease->arena);
	free(lease);
	return NULL;
}

static struct lease *lease_new(const struct lease_opts *opts, const char *name)
{
	struct lease *lease = calloc(1, sizeof(*lease));

	if (!lease)
		return NULL;
	lease->opts = *opts;
	lease->leases_fd = lease->journal_fd = lease->dir_fd = -1;
	(void)snprintf(lease->name, sizeof(lease->name), "%s", name);
	(void)snprintf(lease->file, sizeof(lease->file), "%s%s", lease->name, journal_suffix);
	return lease;
}

static int open_leases(const struct lease_opts *opts, int *ret, struct err *err)
{
	return file_open_beneath(opts->run_fd, "leases", O_RDONLY | O_DIRECTORY, ret, err);
}

int lease_look(int run_fd, const char *name)
{
	char path[sizeof("leases/") + TEXT_NAME_MAX + sizeof(journal_suffix)];
	int fd, r;

	(void)snprintf(path, sizeof(path), "leases/%s%s", name, journal_suffix);
	r = file_open_beneath(run_fd, path, O_PATH, &fd, NULL);
	return r < 0 ? r : fd;
}

/* The journal loses its name with the last step. */
bool lease_is_held(int look_fd)
{
	struct stat st;

	return look_fd >= 0 && fstat(look_fd, &st) == 0 && st.st_nlink > 0;
}

static int read_boot(const struct lease_opts *opts, char ret[static LEASE_BOOT_MAX + 1],
		     struct err *err)
{
	CLEANUP(buf_done) struct buf id = { 0 };
	int r = file_read(opts->proc_fd, "sys/kernel/random/boot_id", LEASE_BOOT_MAX, &id, err);

	if (r < 0)
		return r;
	while (id.len > 0 && id.at[id.len - 1] == '\n')
		id.len--;
	(void)snprintf(ret, LEASE_BOOT_MAX + 1, "%.*s", (int)id.len, (const char *)id.at);
	return 0;
}

/* Adds a line, which r says is there, to the journal. */
static int write_line(struct lease *lease, int r, const struct buf *line, struct err *err)
{
	if (r < 0)
		return err_num(err, r, "word a line of the journal of pod '%s'", lease->name);
	r = lockfile_append(lease->journal_fd, buf_bytes(line), &lease->journal.len, err);
	return r < 0 ? err_wrap(err, r, "write the journal of pod '%s'", lease->name) : 0;
}

/* Reads what is in the journal; -ENODATA if it is a new one. */
static int load(struct lease *lease, struct err *err)
{
	CLEANUP(buf_done) struct buf data = { 0 };
	char boot[LEASE_BOOT_MAX + 1];
	int r = read_boot(&lease->opts, boot, err);

	if (r == 0)
		r = file_read(lease->leases_fd, lease->file, LEASE_JOURNAL_MAX, &data, err);
	if (r < 0)
		return r;
	if (data.len == 0)
		return -ENODATA;
	r = lease_journal_read(&lease->arena, buf_bytes(&data), &lease->journal);
	if (r == -EPROTONOSUPPORT)
		return err_set(err, r, "read '%s': a later version wrote it", lease->file);
	if (r < 0)
		return err_num(err, r, "read '%s'", lease->file);
	/* Whose boot cannot be read is taken for this one's: looking costs little. */
	lease->is_stale = lease->journal.boot[0] && strcmp(lease->journal.boot, boot) != 0;
	return 0;
}

/* 0 undone, 1 dropped, negative if it stays. What is to be told all the same is in remark. */
static int undo_entry(struct lease *lease, size_t step, struct err *remark, struct err *err)
{
	struct lease_entry *entry = &lease->journal.entries[step];
	const struct lease_kind *kind = lease_kind_find(entry->kind);
	struct lease_site site = lease_site(lease);
	CLEANUP(buf_done) struct buf line = { 0 };
	int r, result = 0;

	site.remark = remark;
	if (!kind)
		return err_set(err, -EPROTONOSUPPORT, "this version knows nothing of the kind");
	if (lease->is_stale && !kind->outlives_boot)
		result = 1;
	else
		result = kind->undo(&site, entry->arg, err);
	if (result < 0)
		return result;
	at_step(lease, "undone");
	entry->is_undone = true;
	/* A full disk must not keep us from giving back: undoing twice does no harm. */
	r = lease_journal_undone(&line, step);
	(void)write_line(lease, r, &line, NULL);
	at_step(lease, "marked");
	return result;
}

/* The last words of a journal of which everything is undone. */
static int remove_journal(struct lease *lease, struct err *err)
{
	char kept[TEXT_NAME_MAX + sizeof(".damaged")];
	int r;

	if (!lease->journal.is_damaged) {
		r = file_remove_tree(lease->leases_fd, lease->file, err);
		at_step(lease, "freed");
		return r;
	}
	(void)snprintf(kept, sizeof(kept), "%s.damaged", lease->name);
	r = file_rename(lease->leases_fd, lease->file, kept, err);
	if (r < 0)
		return r;
	return err_set(err, -EBADMSG, "it is damaged, and kept as 'leases/%s'", kept);
}

static void tell_one(const struct lease *lease, const struct lease_entry *entry, int num,
		     const struct err *why, lease_report_fn *tell, void *data)
{
	const struct lease_report report = {
		.pod = lease->name,
		.kind = entry ? entry->kind : "journal",
		.arg = entry ? entry->arg : lease->file,
		.num = num,
		.msg = why->msg[0] ? why->msg : NULL,
	};

	if (tell)
		tell(data, &report);
}

static int undo_all(struct lease *lease, lease_report_fn *tell, void *data, struct err *err)
{
	int first = 0;

	close_processes(lease);
	for (size_t i = lease->journal.count; i-- > 0;) {
		struct lease_entry *entry = &lease->journal.entries[i];
		const struct lease_kind *kind = lease_kind_find(entry->kind);
		struct err step_err = { 0 }, remark = { 0 };
		int r;

		if (entry->is_undone)
			continue;
		r = undo_entry(lease, i, &remark, &step_err);
		tell_one(lease, entry, r, r < 0 ? &step_err : &remark, tell, data);
		if (r < 0 && first == 0)
			first = err_set(err, r, "undo %s '%s' of pod '%s': %.300s", entry->kind,
					entry->arg, lease->name, step_err.msg);
		if (r < 0 && (!kind || kind->holds_the_rest))
			return first;
	}
	if (first == 0) {
		struct err step_err = { 0 };

		first = remove_journal(lease, &step_err);
		if (first < 0) {
			tell_one(lease, NULL, first, &step_err, tell, data);
			(void)err_set(err, first, "remove the journal of pod '%s': %.300s",
				      lease->name, step_err.msg);
		}
	}
	return first;
}

int lease_undo(struct lease *lease, struct err *err)
{
	return undo_all(lease, NULL, NULL, err);
}

/* Locks the journal, waiting for a recovery that may be at it, but not for a live pod. */
static int lock_journal(struct lease *lease, struct err *err)
{
	cleanup_close int recovery_fd = -1;
	int r = lockfile_open(lease->leases_fd, lease->file, true, 0, &lease->journal_fd, err);

	if (r != -EWOULDBLOCK)
		return r;
	/* A lock on a directory is its open file's; this one must not be our leases_fd. */
	r = open_leases(&lease->opts, &recovery_fd, err);
	if (r < 0)
		return r;
	(void)file_lock(recovery_fd, false, LEASE_RECOVERY_MS);
	r = lockfile_open(lease->leases_fd, lease->file, true, 0, &lease->journal_fd, err);
	if (r != -EWOULDBLOCK)
		return r;
	return err_coded(err, ERR_NAME_TAKEN, -EEXIST, "take the name '%s': a pod has it",
			 lease->name);
}

/* Leaves nothing of a dead pod of that name: the journal is gone then. */
static int clear_dead(struct lease *lease, struct err *err)
{
	int r = load(lease, err);

	if (r == 0)
		r = undo_all(lease, NULL, NULL, err);
	else if (r == -ENODATA)
		return r;
	(void)close(steal_fd(&lease->journal_fd));
	arena_done(&lease->arena);
	lease->journal = (struct lease_journal){ 0 };
	lease->is_stale = false;
	/* One that was damaged is out of the way now; the recovery that finds one tells of it. */
	if (r == 0 || r == -EBADMSG)
		return 0;
	(void)err_wrap(err, r, "take the name '%s'", lease->name);
	if (err)
		err->num = -EBUSY;
	return -EBUSY;
}

static int start_journal(struct lease *lease, struct err *err)
{
	CLEANUP(buf_done) struct buf line = { 0 };
	char boot[LEASE_BOOT_MAX + 1];
	int r = read_boot(&lease->opts, boot, err);

	if (r < 0)
		return r;
	r = write_line(lease, lease_journal_boot(&line, boot), &line, err);
	if (r == 0)
		r = file_sync_dir(lease->leases_fd, err);
	if (r == 0)
		at_step(lease, "started");
	return r;
}

/* Makes room for one more entry in memory, so that nothing fails after it is on disk. */
static int grow(struct lease *lease)
{
	struct lease_journal *j = &lease->journal;
	size_t room = lease->room ? lease->room * 2 : 16;
	struct lease_entry *more;

	if (j->count == LEASE_ENTRIES_MAX)
		return -E2BIG;
	if (j->count < lease->room)
		return 0;
	more = arena_array(&lease->arena, room, sizeof(*more));
	if (!more)
		return -ENOMEM;
	if (j->count)
		memcpy(more, j->entries, j->count * sizeof(*more));
	j->entries = more;
	lease->room = room;
	return 0;
}

int lease_step(struct lease *lease, const char *kind_name, const char *arg, int *ret_fd,
	       struct err *err)
{
	const struct lease_kind *kind = lease_kind_find(kind_name);
	const struct lease_site site = lease_site(lease);
	CLEANUP(buf_done) struct buf line = { 0 };
	const char *copy = arena_strdup(&lease->arena, arg);
	size_t step = lease->journal.count;
	int r = grow(lease);

	assert(kind);
	if (r == 0 && !copy)
		r = -ENOMEM;
	if (r < 0)
		return err_num(err, r, "lease %s '%s'", kind_name, arg);
	r = write_line(lease, lease_journal_do(&line, step, kind_name, arg), &line, err);
	if (r < 0)
		return r;
	lease->journal.entries[step] = (struct lease_entry){ .kind = kind->name, .arg = copy };
	lease->journal.count++;
	at_step(lease, "written");
	r = kind->apply(&site, arg, ret_fd, err);
	if (r < 0) {
		(void)undo_entry(lease, step, NULL, NULL);
		return err_wrap(err, r, "lease %s '%s'", kind_name, arg);
	}
	at_step(lease, "taken");
	return 0;
}

int lease_open(const struct lease_opts *opts, const char *name, struct lease **ret, struct err *err)
{
	CLEANUP(lease_free) struct lease *lease = NULL;
	int r = -ENODATA;

	if (!text_name_valid(name))
		return err_coded(err, ERR_USAGE, -EINVAL, "take the name '%.64s': it is no name",
				 name);
	lease = lease_new(opts, name);
	if (!lease)
		return err_num(err, -ENOMEM, "take the name '%s'", name);
	r = file_mkdir_p(opts->run_fd, "leases", 0700, err);
	if (r == 0)
		r = open_leases(opts, &lease->leases_fd, err);
	for (int i = 0; r == 0 && i < OPEN_TRIES; i++) {
		r = lock_journal(lease, err);
		if (r == 0)
			r = clear_dead(lease, err);
	}
	if (r != -ENODATA)
		return r < 0 ? r
			     : err_set(err, -EBUSY, "take the name '%s': others keep taking it",
				       name);
	r = start_journal(lease, err);
	if (r == 0)
		r = lease_step(lease, "dir", name, &lease->dir_fd, err);
	if (r < 0) {
		(void)lease_undo(lease, NULL);
		return r;
	}
	*ret = steal_ptr(&lease);
	return 0;
}

int lease_dir(const struct lease *lease)
{
	return lease->dir_fd;
}

static bool has_name(const struct strv *names, const char *name)
{
	for (size_t i = 0; i < names->len; i++) {
		if (strcmp(names->at[i], name) == 0)
			return true;
	}
	return false;
}

int lease_uid(struct lease *lease, uid_t first, uint32_t count, uid_t *ret, struct err *err)
{
	CLEANUP(strv_done) struct strv taken = { 0 };
	int unused_fd = -1;
	int r = file_list(lease->opts.run_fd, "uids", &taken, err);

	if (r < 0 && r != -ENOENT)
		return r;
	for (uint32_t i = 0; i < count; i++) {
		char number[16];

		(void)snprintf(number, sizeof(number), "%u", first + i);
		if (has_name(&taken, number))
			continue;
		r = lease_step(lease, "uid", number, &unused_fd, err);
		if (r == 0)
			*ret = first + i;
		if (r != -EEXIST) /* else another pod was quicker */
			return r;
	}
	return err_coded(err, ERR_HOST, -ENOSPC, "lease a user id: all %u from %u on are taken",
			 count, first);
}

/* Relative, each component a name. */
static bool is_plain_path(const char *path)
{
	size_t len;

	for (;; path += len + 1) {
		len = strcspn(path, "/");
		if (len == 0 || (len == 1 && path[0] == '.') ||
		    (len == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (!path[len])
			return true;
	}
}

int lease_file(struct lease *lease, const char *path, struct err *err)
{
	int unused_fd = -1;

	if (!is_plain_path(path) || strlen(path) > LEASE_ARG_MAX)
		return err_set(err, -EINVAL, "lease file '%.64s': not a plain path", path);
	return lease_step(lease, "file", path, &unused_fd, err);
}

/* Undoing a second lock of the same name would wait for, and kill, who holds the first. */
static bool has_process(const struct lease *lease, const char *name)
{
	for (size_t i = 0; i < lease->journal.count; i++) {
		const struct lease_entry *entry = &lease->journal.entries[i];

		if (!entry->is_undone && strcmp(entry->kind, "process") == 0 &&
		    strcmp(entry->arg, name) == 0)
			return true;
	}
	return false;
}

int lease_process(struct lease *lease, const char *name, int *ret_fd, struct err *err)
{
	int fd = -1, r;

	if (!text_name_valid(name))
		return err_set(err, -EINVAL, "lease process '%.64s': it is no name", name);
	if (has_process(lease, name))
		return err_set(err, -EEXIST, "lease process '%s': there is one of that name", name);
	if (lease->process_count == LEASE_MAX_PROCESSES)
		return err_set(err, -E2BIG, "lease process '%s': more than %d", name,
			       LEASE_MAX_PROCESSES);
	r = lease_step(lease, "process", name, &fd, err);
	if (r < 0)
		return r;
	lease->process_fds[lease->process_count++] = fd;
	*ret_fd = fd;
	return 0;
}

/* What one journal says, if its owner is dead. */
static int recover_one(const struct lease_opts *opts, const char *name, lease_report_fn *tell,
		       void *data, struct err *err)
{
	CLEANUP(lease_free) struct lease *lease = lease_new(opts, name);
	struct err step_err = { 0 };
	int r;

	if (!lease)
		return err_num(err, -ENOMEM, "recover pod '%s'", name);
	r = open_leases(opts, &lease->leases_fd, &step_err);
	if (r == 0)
		r = lockfile_open(lease->leases_fd, lease->file, false, 0, &lease->journal_fd,
				  &step_err);
	if (r == -EWOULDBLOCK || r == -ENOENT)
		return 0; /* it lives, or is done with */
	if (r == 0)
		r = load(lease, &step_err);
	if (r < 0 && r != -ENODATA) {
		tell_one(lease, NULL, r, &step_err, tell, data);
		return err_set(err, r, "recover pod '%s': %.300s", name, step_err.msg);
	}
	return undo_all(lease, tell, data, err);
}

int lease_recover(const struct lease_opts *opts, lease_report_fn *tell, void *data, struct err *err)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	cleanup_close int leases_fd = -1;
	int r = open_leases(opts, &leases_fd, err), first = 0;

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	/* Tells lease_open() that we are at work. Without it nothing is less safe. */
	(void)file_lock(leases_fd, true, LEASE_RECOVERY_MS);
	r = file_list(leases_fd, ".", &names, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < names.len; i++) {
		size_t len = strlen(names.at[i]), end = strlen(journal_suffix);
		struct err one = { 0 };

		if (len <= end || strcmp(names.at[i] + len - end, journal_suffix) != 0)
			continue;
		names.at[i][len - end] = '\0';
		if (!text_name_valid(names.at[i]))
			continue;
		r = recover_one(opts, names.at[i], tell, data, &one);
		if (r < 0 && first == 0) {
			first = r;
			if (err)
				*err = one;
		}
	}
	return first;
}
