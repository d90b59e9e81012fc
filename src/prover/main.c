// SPDX-License-Identifier: Apache-2.0
/*
 * casemate-prover FD - does one job for the agent, in a guest with a TEE, and ends.
 *
 * The job is on FD, a file in memory, and the outcome goes over it; standard input and output lead
 * to the broker. Whatever it is in the middle of when its time is up is what the outcome says: so
 * that is written down before it is begun.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "prover/broker.h"
#include "prover/report.h"
#include "sys/file.h"
#include "wire/proto/prover.pb-c.h"

enum { JOB_MAX = 4 << 20, FD_MIN = 3, SECOND_MS = 1000 };

struct job {
	int fd;
	Prover__Job *asked;
	struct buf secrets[BROKER_SECRETS_MAX];
};

static void on_alarm(int signal)
{
	(void)signal;
	_exit(0);
}

static int read_job(int fd, Prover__Job **ret)
{
	struct stat st;
	uint8_t *text;
	ssize_t n;

	if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > JOB_MAX)
		return -EINVAL;
	text = malloc((size_t)st.st_size);
	if (!text)
		return -ENOMEM;
	n = pread(fd, text, (size_t)st.st_size, 0);
	*ret = n == st.st_size ? prover__job__unpack(NULL, (size_t)n, text) : NULL;
	free(text);
	if (!*ret)
		return -EINVAL;
	return (*ret)->n_uris > BROKER_SECRETS_MAX || ((*ret)->url[0] && (*ret)->key.len != 32)
		       ? -EINVAL
		       : 0;
}

static int write_outcome(int fd, Prover__Outcome *outcome)
{
	uint8_t *text;
	size_t len;
	int r;

	outcome->is_whole = true;
	len = prover__outcome__get_packed_size(outcome);
	text = malloc(len + 1);
	if (!text)
		return -ENOMEM;
	(void)prover__outcome__pack(outcome, text);
	r = ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0
		    ? -errno
		    : file_write_all(fd, (struct bytes){ text, len }, NULL);
	explicit_bzero(text, len);
	free(text);
	return r;
}

static int write_refusal(int fd, const struct attest_refusal *refusal)
{
	Prover__Outcome outcome = PROVER__OUTCOME__INIT;
	const char *code = attest_reason_name(refusal->reason);
	char text[ATTEST_REFUSAL_TEXT];

	(void)snprintf(text, sizeof(text), "%s", refusal->text);
	memcpy(&outcome.code, &code, sizeof(outcome.code));
	outcome.text = text;
	return write_outcome(fd, &outcome);
}

static int write_late(int fd, enum attest_reason reason, const char *who)
{
	struct attest_refusal refusal;

	attest_refusal_set(&refusal, reason, "%s did not answer in time", who);
	return write_refusal(fd, &refusal);
}

static int write_secrets(const struct job *job)
{
	Prover__Outcome outcome = PROVER__OUTCOME__INIT;
	ProtobufCBinaryData secrets[BROKER_SECRETS_MAX];

	for (size_t i = 0; i < job->asked->n_uris; i++)
		secrets[i] = (ProtobufCBinaryData){ job->secrets[i].len, job->secrets[i].at };
	outcome.n_secrets = job->asked->n_uris;
	outcome.secrets = secrets;
	return write_outcome(job->fd, &outcome);
}

static int look_at_report(const struct job *job, struct attest_refusal *refusal)
{
	CLEANUP(buf_done) struct buf certificates = { 0 };
	const uint8_t data[ATTEST_SNP_DATA_SIZE] = { 0 };
	uint8_t report[ATTEST_SNP_REPORT_SIZE];

	return report_get(data,
			  (struct bytes){ job->asked->document.data, job->asked->document.len },
			  report, &certificates, refusal);
}

static int ask_broker(struct job *job, struct attest_refusal *refusal)
{
	const Prover__Job *asked = job->asked;

	return broker_ask(
		&(struct broker_ask){
			.url = asked->url,
			.key = asked->key.data,
			.in_fd = STDIN_FILENO,
			.out_fd = STDOUT_FILENO,
			.document = { asked->document.data, asked->document.len },
			.uris = asked->uris,
			.uri_count = asked->n_uris,
		},
		job->secrets, refusal);
}

static int do_job(struct job *job)
{
	struct attest_refusal refusal = { .reason = ATTEST_REPORT_UNAVAILABLE };
	bool with_broker = job->asked->url[0] != '\0';
	int r;

	r = with_broker ? write_late(job->fd, ATTEST_BROKER_UNREACHABLE, "the broker")
			: write_late(job->fd, ATTEST_REPORT_UNAVAILABLE, "the processor");
	if (r < 0)
		return r;
	(void)alarm((job->asked->timeout_ms + SECOND_MS - 1) / SECOND_MS);
	r = with_broker ? ask_broker(job, &refusal) : look_at_report(job, &refusal);
	(void)alarm(0);
	r = r < 0 ? write_refusal(job->fd, &refusal) : write_secrets(job);
	for (size_t i = 0; i < job->asked->n_uris; i++)
		if (job->secrets[i].len > 0)
			explicit_bzero(job->secrets[i].at, job->secrets[i].len);
	return r;
}

int main(int argc, char **argv)
{
	struct job job = { .fd = argc == 2 ? (int)strtol(argv[1], NULL, 10) : -1 };
	int r = job.fd >= FD_MIN ? read_job(job.fd, &job.asked) : -EINVAL;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGALRM, on_alarm);
	if (r == 0)
		r = do_job(&job);
	if (r < 0)
		fprintf(stderr, "casemate-prover: this is for the agent to start\r\n");
	return r < 0 ? 1 : 0;
}
