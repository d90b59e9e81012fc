/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack - images one over the other, seen as overlayfs shows them: what the writer of the next
 * layer asks when that layer leaves something out.
 */
#ifndef IMAGE_STACK_H
#define IMAGE_STACK_H

#include "image/reader.h"

enum { IMAGE_STACK_MAX = 128 };

struct image_stack;

/*
 * readers come lowest first, as in an OCI manifest, are borrowed, and have to outlive the stack.
 * -EFBIG with ERR_IMAGE_LIMIT: more than IMAGE_STACK_MAX; -ENOMEM.
 */
int image_stack_new(struct image_reader *const *readers, size_t count,
		    struct image_stack **ret_stack, struct err *err);
struct image_stack *image_stack_free(struct image_stack *stack); /* NULL is fine */
CLEANUP_PTR(struct image_stack, image_stack_free)

/* For image_writer_use_lower(); valid as long as the stack. */
struct image_lower image_stack_lower(struct image_stack *stack);

#endif
