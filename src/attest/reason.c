// SPDX-License-Identifier: Apache-2.0
#include "attest/reason.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct attest_reason_info reasons[] = {
	[ATTEST_EVIDENCE_MALFORMED] = { "evidence-malformed",
					"The report is not of the form that its kind has.",
					"Take it from the guest again, whole; a certificate table behind it is collateral." },
	[ATTEST_REPORT_VERSION] = { "report-version",
				    "The report is of a version that is not known here.",
				    "A newer casemate may know it; nothing is guessed about it." },
	[ATTEST_REPORT_UNSIGNED] = { "report-unsigned",
				     "The report has no signature, or one by an algorithm that is not known here.",
				     "The host's firmware was told to mask its key: MASK_CHIP_KEY has to be off." },
	[ATTEST_REPORT_SIGNATURE] = { "report-signature",
				      "The report's signature is not by the key of the certificate.",
				      "The report was altered, or the certificate is that of another chip or TCB." },
	[ATTEST_REPORT_BY_HOST] = { "report-by-host",
				    "The host asked for the report, not the guest: its report data prove nothing.",
				    "Ask for it in the guest." },
	[ATTEST_CERTIFICATE_MISSING] = { "certificate-missing",
					 "A certificate between the report and a trusted root is not there.",
					 "Give it as collateral: the chip's (VCEK or VLEK), its issuer's and the root's." },
	[ATTEST_CERTIFICATE_INVALID] = { "certificate-invalid",
					 "A certificate is not signed by its issuer, or may not be used for this.",
					 "Fetch it from the maker again; if it stays so, do not trust it." },
	[ATTEST_CERTIFICATE_EXPIRED] = { "certificate-expired",
					 "A certificate is not valid at the time that was asked about.",
					 "Fetch the one that is valid now; --at asks about another time." },
	[ATTEST_CERTIFICATE_UNTRUSTED] = { "certificate-untrusted",
					   "The chain ends at a root that is not trusted.",
					   "Makers' roots are built in; a simulated one has to be named by the policy." },
	[ATTEST_CERTIFICATE_REVOKED] = { "certificate-revoked",
					 "The maker has revoked a certificate of the chain.",
					 "Do not trust this machine." },
	[ATTEST_COLLATERAL_EXPIRED] = { "collateral-expired",
					"A list of revoked certificates is not valid at the time that was asked about.",
					"Fetch a fresh one." },
	[ATTEST_REVOCATION_UNCHECKED] = { "revocation-unchecked",
					  "The policy wants revocation checked, and there is no list to check with.",
					  "Give the maker's CRL as collateral." },
	[ATTEST_PRODUCT_MISMATCH] = { "product-mismatch",
				      "Report, certificate and root speak of different processors.",
				      "Certificates belong to one product: fetch those of this one." },
	[ATTEST_CHIP_MISMATCH] = { "chip-mismatch",
				   "The certificate is that of another chip than the report's.",
				   "Fetch the certificate for the chip id in the report." },
	[ATTEST_CHIP_NOT_ALLOWED] = { "chip-not-allowed",
				      "The policy names chips, and this is none of them.",
				      "Add the chip's id, if the machine is meant to be trusted." },
	[ATTEST_TCB_MISMATCH] = { "tcb-mismatch",
				  "The certificate is for another firmware level than the report states.",
				  "Fetch the certificate for the reported TCB." },
	[ATTEST_TCB_INCONSISTENT] = { "tcb-inconsistent",
				      "The firmware levels in the report contradict each other.",
				      "The platform reports more than it runs: update its firmware, or do not trust it." },
	[ATTEST_TCB_TOO_LOW] = { "tcb-too-low", "The firmware is older than the policy wants.",
				 "Update the machine's firmware and microcode." },
	[ATTEST_GUEST_DEBUG] = { "guest-debug",
				 "The guest was launched so that the host may read and alter its memory.",
				 "Launch it without the debug bit." },
	[ATTEST_GUEST_MIGRATABLE] = { "guest-migratable",
				      "The guest may be given to a migration agent.",
				      "Launch it without, or let the policy allow migration." },
	[ATTEST_GUEST_POLICY] = { "guest-policy",
				  "The guest's launch policy permits what the policy here does not.",
				  "Launch the guest with the stricter policy." },
	[ATTEST_GUEST_SVN] = { "guest-svn", "The guest's own security version is too low.",
			       "Launch the newer guest." },
	[ATTEST_PLATFORM] = { "platform", "The platform lacks a protection that the policy wants.",
			      "Turn it on in the firmware, or use another machine." },
	[ATTEST_VMPL] = { "vmpl", "The report is from a privilege level that is not allowed.",
			  "Name the level in the policy, if it is meant to ask." },
	[ATTEST_ID_KEY] = { "id-key", "The launch was not signed by a key that the policy names.",
			    "Launch with the right ID block." },
	[ATTEST_REPORT_DATA_MISMATCH] = { "report-data-mismatch",
					  "The report was not made for this nonce and key.",
					  "It is an old one, or another guest's: ask again with a fresh nonce." },
	[ATTEST_HOST_DATA_MISMATCH] = { "host-data-mismatch",
					"The guest was not launched with the expected agent policy.",
					"Compare the policy's digest with what the launcher was given." },
	[ATTEST_LAUNCH_DIGEST_MISMATCH] = { "launch-digest-mismatch",
					    "What was launched is not what was expected: firmware, kernel, command line or vCPUs.",
					    "`casemate measure` says what the digest of a launch is; find what differs." },
	[ATTEST_SIMULATED] = { "simulated", "The evidence is from the simulated processor.",
			       "It protects nothing. For tests, let the policy allow it in so many words." },
	[ATTEST_POLICY_MALFORMED] = { "policy-malformed", "The agent policy cannot be understood.",
				      "Make it with `casemate policy generate`." },
	[ATTEST_POLICY_FIELD] = { "policy-field",
				  "What was asked for has a part that policies do not know.",
				  "Nothing that cannot be judged is let through: use versions that belong together." },
	[ATTEST_POLICY_LAYERS] = { "policy-layers", "The image's layers are not those allowed.",
				   "Use the image that the policy was made for, or make a policy for this one." },
	[ATTEST_POLICY_ARGS] = { "policy-args", "The command is not the one allowed.",
				 "Run the command that the policy was made for." },
	[ATTEST_POLICY_ENV] = { "policy-env", "The environment is not the one allowed.",
				"Leave out what was added, or make a policy with it." },
	[ATTEST_POLICY_CWD] = { "policy-cwd", "The working directory is not the one allowed.",
				"Leave it as the policy has it." },
	[ATTEST_POLICY_USER] = { "policy-user", "The user is not the one allowed.",
				 "Leave it as the policy has it." },
	[ATTEST_POLICY_TERMINAL] = { "policy-terminal", "A terminal is, or is not, allowed.",
				     "Leave it as the policy has it." },
	[ATTEST_POLICY_HOSTNAME] = { "policy-hostname", "The host name is not the one allowed.",
				     "Leave it as the policy has it." },
	[ATTEST_POLICY_READ_ONLY] = { "policy-read-only",
				      "Whether the root may be written to is not as allowed.",
				      "Leave it as the policy has it." },
	[ATTEST_POLICY_RESOURCES] = { "policy-resources", "The limits are not those allowed.",
				      "Leave them as the policy has them." },
	[ATTEST_POLICY_CAPABILITIES] = { "policy-capabilities",
					 "The capabilities are not those allowed.",
					 "Leave them as the policy has them." },
	[ATTEST_POLICY_NO_NEW_PRIVILEGES] = { "policy-no-new-privileges",
					      "Whether privileges may be gained is not as allowed.",
					      "Leave it as the policy has it." },
	[ATTEST_POLICY_RLIMITS] = { "policy-rlimits", "The resource limits are not those allowed.",
				    "Leave them as the policy has them." },
	[ATTEST_POLICY_DEVICES] = { "policy-devices",
				    "The devices are not those allowed, by model and count.",
				    "Give the pod what the policy names." },
	[ATTEST_POLICY_EXEC] = { "policy-exec", "The policy does not allow this exec.",
				 "Only what the policy lists can be run in a container beside its own process." },
	[ATTEST_POLICY_SECRET] = { "policy-secret", "The policy does not give this secret here.",
				   "Secrets are listed for each container, by name and address." },
	[ATTEST_RESOURCE_DENIED] = { "resource-denied",
				     "The broker has no such secret, or no rule that gives it to this guest.",
				     "The broker's audit log, and `casemate-broker explain`, say which rule is missing." },
	[ATTEST_SESSION_UNKNOWN] = { "session-unknown",
				     "The broker does not know this session, its nonce was used, or it is over.",
				     "Begin again: a nonce is for one report." },
	[ATTEST_MESSAGE_MALFORMED] = { "message-malformed",
				       "A message between guest and broker is not of the protocol's form.",
				       "Both have to speak version 0.4.0 of the KBS protocol." },
	[ATTEST_BROKER_KEY_MISMATCH] = { "broker-key-mismatch",
					 "Whoever answered does not have the key of the policy's broker.",
					 "`casemate-broker key` prints the broker's; look who answers at its address." },
	[ATTEST_BROKER_UNREACHABLE] = { "broker-unreachable",
					"The broker did not answer, or not to the end.",
					"Look at its address in the policy, and whether it runs." },
	[ATTEST_REPORT_UNAVAILABLE] = { "report-unavailable",
					"The guest's processor does not give it a report.",
					"Without one nothing can be proved: look at the processor's service on the host." },
};

static_assert(sizeof(reasons) / sizeof(reasons[0]) == ATTEST_REASON_COUNT, "one for each");

const struct attest_reason_info *attest_reason_info(size_t i)
{
	return i < ATTEST_REASON_COUNT ? &reasons[i] : NULL;
}

const char *attest_reason_name(enum attest_reason reason)
{
	assert((size_t)reason < ATTEST_REASON_COUNT);
	return reasons[reason].name;
}

enum attest_reason attest_reason_find(const char *name)
{
	size_t i = 0;

	while (i < ATTEST_REASON_COUNT && strcmp(reasons[i].name, name) != 0)
		i++;
	return (enum attest_reason)i;
}

void attest_refusal_set(struct attest_refusal *refusal, enum attest_reason reason, const char *fmt,
			...)
{
	va_list ap;

	refusal->reason = reason;
	va_start(ap, fmt);
	(void)vsnprintf(refusal->text, sizeof(refusal->text), fmt, ap);
	va_end(ap);
}
