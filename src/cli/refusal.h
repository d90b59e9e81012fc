/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refusal - what the agent or a broker has refused, said as casemate says what went wrong: with its
 * code at the end.
 */
#ifndef CLI_REFUSAL_H
#define CLI_REFUSAL_H

#include <stddef.h>

/*
 * "STEP: CODE: text (refused)" becomes "STEP: text (CODE)", if CODE is the name of a reason
 * (attest/reason.h); in place of "refused" may be any of base/err.h's codes, or none. Any other
 * text is left as it is. What does not fit into size bytes is cut before the code.
 */
void refusal_rewrite(char *text, size_t size);

#endif
