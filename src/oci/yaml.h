/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml - YAML files, as a list of paths and scalars.
 *
 * The part of YAML that says what it seems to say: one document, a mapping at its top; anchors,
 * aliases, tags, keys that are no scalars, a key twice in one mapping and more than the limits
 * below are refused. Text in UTF-8; scalars stay text, whatever YAML would make of "no" or "1e3".
 *
 *	static int set(void *data, const struct oci_yaml_scalar *s, struct err *err)
 *	{
 *		return s->text ? config_set(data, s->path, s->text, CONFIG_NODE, err)
 *			       : err_set(err, -EINVAL, "'%s' is no value", s->path);
 *	}
 *	r = oci_yaml_parse(buf_bytes(&file), set, &cfg, &err);
 *	if (r < 0)
 *		return err_wrap(&err, r, "read '%s'", path);
 *
 * gives "read '/x.yaml': 3:1: set 'acel': ..."
 */
#ifndef OCI_YAML_H
#define OCI_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
	OCI_YAML_MAX_SIZE = 1 << 20, /* bytes of a file */
	OCI_YAML_MAX_DEPTH = 16,     /* mappings and lists in each other, the top counted */
	OCI_YAML_MAX_ENTRIES = 1024, /* entries of one mapping or list */
};

/* Valid during the call only. */
struct oci_yaml_scalar {
	const char *path;    /* keys joined by dots, places in lists from 0: "a.b[0].c" */
	const char *text;    /* NULL: an empty mapping or list */
	bool is_plain;	     /* neither quoted nor a block: null, true, 1 are meant */
	size_t line, column; /* where it begins, from 1 */
};

/* 0 or negative, which ends the parse; the message gets the place put before it. */
typedef int oci_yaml_fn(void *data, const struct oci_yaml_scalar *scalar, struct err *err);

/*
 * Calls fn for each scalar, in the order of the file. Messages begin with "LINE:COLUMN: ". What fn
 * was told before an error stays told.
 *
 *	-EINVAL  not YAML, or none of the kind above
 *	-EEXIST  a key twice in one mapping
 *	-E2BIG   larger, deeper or longer than the limits
 *	-ENOMEM
 *	what fn returns
 */
int oci_yaml_parse(struct bytes text, oci_yaml_fn *fn, void *data, struct err *err);

#endif
