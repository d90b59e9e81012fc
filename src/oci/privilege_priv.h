/* SPDX-License-Identifier: Apache-2.0 */
/*
 * privilege - the part of a bundle's config.json that says what its process may do.
 *
 * Each returns 0, or what oci_bundle_parse() does; *ret may have been written in part.
 */
#ifndef OCI_PRIVILEGE_PRIV_H
#define OCI_PRIVILEGE_PRIV_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/privilege.h"
#include "oci/json.h"

/*
 * "Unlimited" is 2^64-1 in a rlimit, and the one number runtimes write that jansson's integers
 * can't hold. This makes fractions of the same length and place of such numbers, which the
 * functions below know again and everything else refuses. *ret is text, or lives in arena.
 */
int oci_privilege_load_unlimited(struct arena *arena, struct bytes text, struct bytes *ret,
				 struct err *err);

/* process.capabilities. Ambient ones that are not inheritable are left out: see oci/bundle.h. */
int oci_privilege_read_capabilities(const struct oci_json *at, struct privilege_sets *ret,
				    struct err *err);

/* One of process.rlimits; limits has PRIVILEGE_LIMITS. */
int oci_privilege_read_limit(const struct oci_json *at, struct privilege_limit *limits,
			     struct err *err);

#endif
