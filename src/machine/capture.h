/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture - what was read of a host, as data: a bounded map from path to bytes.
 *
 * A capture is either a tree, with paths as on the host but without the leading slash
 * ("sys/devices/pci0000:00/0000:00:01.0/class"), each a file, a link or a directory that has
 * something to say by being there; or a text, one document of some tool. src/capture fills it
 * from a live host, a directory or an archive; machine_decode() reads it.
 *
 * The capture owns everything in it, in its arena. Adding keeps it unsorted;
 * machine_capture_seal() sorts, and the rest works on a sealed one.
 */
#ifndef MACHINE_CAPTURE_H
#define MACHINE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
	MACHINE_CAPTURE_ENTRIES_MAX = 1 << 18,
	MACHINE_CAPTURE_PATH_MAX = 1024,
	MACHINE_CAPTURE_FILE_MAX = 4 << 20, /* bytes of a file of a tree; all hold ARENA_MAX */
	MACHINE_CAPTURE_TEXT_MAX = 32 << 20,
};

enum machine_capture_kind {
	MACHINE_CAPTURE_FILE,
	MACHINE_CAPTURE_LINK, /* data is its target */
	MACHINE_CAPTURE_DIR,  /* no data */
};

struct machine_capture_entry {
	const char *path;
	enum machine_capture_kind kind;
	struct bytes data; /* a NUL follows, not counted */
	size_t order;	   /* as they were added */
};

struct machine_capture {
	struct arena arena;
	struct machine_capture_entry *entries; /* by path, bytewise, each once; of a tree */
	size_t count;
	size_t cap;
	bool is_text;
	struct bytes text;
};

/* A zeroed struct is an empty capture. */
void machine_capture_done(struct machine_capture *capture);
CLEANUP_FUNC(struct machine_capture, machine_capture_done)

/*
 * Copies path and data. -EINVAL with ERR_USAGE for a path that is empty, absolute, ends in a
 * slash, or has an empty, "." or ".." component; -E2BIG for more than a limit; -ENOMEM.
 */
int machine_capture_add(struct machine_capture *capture, const char *path,
			enum machine_capture_kind kind, struct bytes data, struct err *err);

/* Makes it a text, which is copied; -E2BIG or -ENOMEM. */
int machine_capture_set_text(struct machine_capture *capture, struct bytes text, struct err *err);

/*
 * The paths that machine_decode() looks at: what is worth reading of a host, and keeping of an
 * archive. The rest of a host's files says nothing here. In a pattern "*" is a component, or the
 * rest of one, and "#" a number; the names are those in the directory of a PCI function, which is
 * anywhere below sys/devices. Both lists end with NULL.
 */
extern const char *const machine_capture_patterns[];
extern const char *const machine_capture_device_names[];

bool machine_capture_wants(const char *path);
bool machine_capture_matches(const char *pattern, const char *path);

/*
 * A file of this name says that the capture was made from the whole of a host by somebody who
 * looked for all that is wanted: then what is not there was not there.
 */
#define MACHINE_CAPTURE_MARK "casemate/capture"

/* Sorts; of a path that was added twice the last one stays. */
void machine_capture_seal(struct machine_capture *capture);

/* NULL if there is no such path. */
const struct machine_capture_entry *machine_capture_find(const struct machine_capture *capture,
							 const char *path);

/* The index of the first entry at or after path in the order: where a prefix's entries start. */
size_t machine_capture_from(const struct machine_capture *capture, const char *path);

/* DIR/NAME, if it is there and of that kind; NULL. */
const struct machine_capture_entry *machine_capture_at(const struct machine_capture *capture,
						       const char *dir, const char *name,
						       enum machine_capture_kind kind);

/* The text of a file without the newlines and blanks at its end; .at is NULL if there is none. */
struct bytes machine_capture_text(const struct machine_capture *capture, const char *dir,
				  const char *name);

/* The last component of a link's target, in the capture; NULL if there is none. */
const char *machine_capture_link(const struct machine_capture *capture, const char *dir,
				 const char *name);

#endif
