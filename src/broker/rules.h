/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules - the file that says which guests get which secrets. Nothing else does.
 *
 *	rules:
 *	  - resource: default/model/key
 *	    policies: [HEX]           # SHA-256 of agent policies' documents
 *	    launch_digests: [HEX]
 *	    allow: [simulated]        # debug, migration, cxl
 *	    sim_roots: [HEX]          # SHA-256 of simulated processors' root certificates
 *	    tcb: {snp: 24, microcode: 219}
 *	    require: [no-smt]
 *
 * YAML, of the kind that oci/yaml.h takes, and closed. The first three are needed in each rule;
 * the rest is as in attest/expect.h, and so are chip_ids, id_key_digests, author_key_digests,
 * launch_tcb, guest_svn and vmpl. Several rules may be for one resource: any of them will do.
 */
#ifndef BROKER_RULES_H
#define BROKER_RULES_H

#include <stddef.h>

#include "attest/expect.h"
#include "attest/kbs.h"
#include "attest/memo.h"
#include "attest/verdict.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
	BROKER_RULES_MAX = 1024,
	BROKER_RESOURCES_MAX = 256, /* of one policy: different ones */
};

/* What a guest is told of a resource that is not for it. */
#define BROKER_DENIED "no rule gives it to this guest"

struct broker_rule {
	char resource[ATTEST_KBS_RESOURCE_MAX + 1];
	struct attest_expect expect; /* policies are its host_data; report_data are not set */
	size_t line;		     /* where it begins */
};

struct broker_rules {
	struct broker_rule **at;
	size_t count;
};

void broker_rules_done(struct broker_rules *rules);
CLEANUP_FUNC(struct broker_rules, broker_rules_done)

/*
 * *ret is empty before, and empty again after an error, whose message begins with the place.
 * -EINVAL, -EEXIST, -E2BIG, -ENOMEM.
 */
int broker_rules_parse(struct bytes text, struct broker_rules *ret, struct err *err);

/*
 * Those certificates that some rule names as a simulated root: for the judgement of evidence
 * before it is known which rule it is for.
 */
void broker_rules_roots(const struct broker_rules *rules, const struct attest_certs *certs,
			struct attest_roots *ret);

/* Evidence, as much of it as there is. */
struct broker_evidence {
	enum attest_kbs_tee tee;
	const uint8_t *report; /* ATTEST_SNP_REPORT_SIZE bytes */
	const struct attest_certs *certs;
	const uint8_t *report_data;   /* what they have to be; NULL: not known (`explain`) */
	const struct strv *resources; /* that the policy lists; NULL: not known */
	struct attest_memo *memo;     /* NULL: none */
	int64_t now_s;
};

/*
 * Is it a rule for this guest? 1: yes; 0: no, *ret_refusal says why first, and verdict, which the
 * caller owns, all there is to say; -ENOMEM.
 */
int broker_rule_judge(const struct broker_rule *rule, const struct broker_evidence *evidence,
		      struct attest_verdict *verdict, struct attest_refusal *ret_refusal);

/* What matters most of what is wrong: that it is simulated, else what came first. */
void broker_refusal_pick(const struct attest_verdict *verdict, struct attest_refusal *ret);

/*
 * Judges by all rules for a resource. 1: *ret_rule is the first that holds; 0: none does, and
 * *ret_refusal and verdict are of the nearest, or ATTEST_RESOURCE_DENIED and an empty verdict
 * where there is none at all.
 */
int broker_rules_judge(const struct broker_rules *rules, const char *resource,
		       const struct broker_evidence *evidence, const struct broker_rule **ret_rule,
		       struct attest_verdict *verdict, struct attest_refusal *ret_refusal);

#endif
