/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_priv - between the parts of policy.
 */
#ifndef ATTEST_POLICY_PRIV_H
#define ATTEST_POLICY_PRIV_H

#include "attest/policy.h"

/* By vendor, device, class. */
void attest_policy_sort_devices(Agent__Device **devices, size_t count);

/* The JSON form. Errors as attest_policy_parse(); what is there then is to be thrown away. */
int attest_policy_parse_json(struct bytes text, struct attest_policy *policy, struct err *err);

/* A copy that lives in the arena; NULL: no memory. */
ProtobufCMessage *attest_policy_copy(struct arena *arena, const ProtobufCMessage *message);

/* What a name and an address may be. */
bool attest_policy_is_name(const char *text);
bool attest_policy_is_address(const char *text);

#endif
