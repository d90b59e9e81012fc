// SPDX-License-Identifier: Apache-2.0
#include "prover/report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/macro.h"
#include "rpc/conn.h"
#include "sys/file.h"
#include "sys/guest.h"
#include "sys/host.h"
#include "sys/loop.h"
#include "wire/proto/tee.pb-c.h"

#define REPORT_SERVICE "casemate.tee.v1.Processor"

enum { BUSY_MS = 10, TRIES = 4 };

static int unavailable(struct attest_refusal *ret, const char *why)
{
	attest_refusal_set(ret, ATTEST_REPORT_UNAVAILABLE, "%.200s", why);
	return -EIO;
}

/* Another prover may have it: each asks for a moment only. */
static int open_port(struct loop *loop, struct rpc_conn **ret_conn, struct err *err)
{
	cleanup_close int sysfs_fd = -1, dev_fd = -1;
	int port_fd, r;

	r = file_open_dir(AT_FDCWD, "/sys", &sysfs_fd, err);
	if (r == 0)
		r = file_open_dir(AT_FDCWD, "/dev", &dev_fd, err);
	if (r < 0)
		return r;
	while ((r = guest_port_open(sysfs_fd, dev_fd, REPORT_PORT, &port_fd, err)) == -EBUSY)
		host_sleep_ms(BUSY_MS);
	if (r < 0)
		return r;
	r = rpc_conn_new(loop, port_fd, &(struct rpc_conn_opts){ 0 }, ret_conn);
	return r < 0 ? err_num(err, r, "use the processor's port") : 0;
}

/* NULL: err says why. The caller frees it. */
static Tee__ReportResponse *ask(struct rpc_conn *conn, const uint8_t data[ATTEST_SNP_DATA_SIZE],
				struct err *err)
{
	Tee__ReportRequest request = TEE__REPORT_REQUEST__INIT;
	CLEANUP(buf_done) struct buf payload = { 0 };
	Tee__ReportResponse *response;
	uint8_t copy[ATTEST_SNP_DATA_SIZE];

	memcpy(copy, data, sizeof(copy));
	request.report_data.data = copy;
	request.report_data.len = sizeof(copy);
	if (rpc_conn_wait(conn, REPORT_SERVICE, "Report", 0, &request.base, &payload, err) < 0)
		return NULL;
	response = tee__report_response__unpack(NULL, payload.len, payload.at);
	if (response && response->report.len == ATTEST_SNP_REPORT_SIZE &&
	    response->certificates.len <= REPORT_CERTIFICATES_MAX)
		return response;
	if (response)
		tee__report_response__free_unpacked(response, NULL);
	err_set(err, -EPROTO, "the processor's answer has no report");
	return NULL;
}

/* -EAGAIN: it is on other data. Who signs it is for the broker to see. */
static int check(const uint8_t report[ATTEST_SNP_REPORT_SIZE],
		 const uint8_t data[ATTEST_SNP_DATA_SIZE], struct bytes document,
		 struct attest_refusal *ret_refusal)
{
	uint8_t digest[ATTEST_SNP_HOST_DATA_SIZE];
	struct attest_snp_report facts;
	int r;

	r = attest_snp_report_parse((struct bytes){ report, ATTEST_SNP_REPORT_SIZE }, &facts,
				    ret_refusal);
	if (r < 0)
		return r;
	if (memcmp(facts.report_data, data, ATTEST_SNP_DATA_SIZE) != 0)
		return -EAGAIN;
	if (EVP_Digest(document.at, document.len, digest, NULL, EVP_sha256(), NULL) != 1)
		return unavailable(ret_refusal, "no SHA-256");
	if (memcmp(facts.host_data, digest, sizeof(digest)) == 0)
		return 0;
	attest_refusal_set(ret_refusal, ATTEST_HOST_DATA_MISMATCH,
			   "the policy is not the one that the guest was started with");
	return -EACCES;
}

int report_get(const uint8_t data[ATTEST_SNP_DATA_SIZE], struct bytes document,
	       uint8_t ret_report[ATTEST_SNP_REPORT_SIZE], struct buf *ret_certificates,
	       struct attest_refusal *ret_refusal)
{
	CLEANUP(loop_free) struct loop *loop = NULL;
	CLEANUP(rpc_conn_free) struct rpc_conn *conn = NULL;
	Tee__ReportResponse *response;
	struct err err = { 0 };
	int r = -EAGAIN;

	if (loop_new(&loop) < 0 || open_port(loop, &conn, &err) < 0)
		return unavailable(ret_refusal, err.msg);
	/* an answer that a prover no longer waited for may be in the port still */
	for (int i = 0; i < TRIES && r == -EAGAIN; i++) {
		response = ask(conn, data, &err);
		if (!response)
			return unavailable(ret_refusal, err.msg);
		r = check(response->report.data, data, document, ret_refusal);
		if (r == 0)
			r = buf_add(ret_certificates, response->certificates.data,
				    response->certificates.len);
		if (r == 0)
			memcpy(ret_report, response->report.data, ATTEST_SNP_REPORT_SIZE);
		tee__report_response__free_unpacked(response, NULL);
	}
	return r == -EAGAIN ? unavailable(ret_refusal, "the processor reported on other data") : r;
}
