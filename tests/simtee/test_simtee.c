// SPDX-License-Identifier: Apache-2.0
/* The whole program: launches and reports that verify, refusals, and what is out of reach. */
#include "machine.h"

#include <grp.h>
#include <sys/ptrace.h>

#include <openssl/evp.h>

#include "attest/sim_launch.h"
#include "attest/snp_verify.h"
#include "rpc/conn.h"
#include "vmm/roms.h"
#include "wire/proto/tee.pb-c.h"

#define NOW INT64_C(1767225600)

static struct machine machine;

static int set_up(void **state)
{
	if (geteuid() != 0)
		return 0;
	assert_int_equal(folder_set_up(state), 0);
	machine_init(&machine);
	machine_start(&machine);
	return 0;
}

static int tear_down(void **state)
{
	if (geteuid() != 0)
		return 0;
	if (machine.pid > 0)
		machine_stop(&machine, SIGTERM, 0);
	return folder_tear_down(state);
}

static void only_as_root(void)
{
	if (geteuid() != 0)
		skip();
}

/* --- the guest -------------------------------------------------------------------------------- */

static int ask(int fd, const uint8_t *data, size_t len, struct buf *ret_payload, struct err *err)
{
	Tee__ReportRequest request = TEE__REPORT_REQUEST__INIT;
	struct rpc_conn *conn = NULL;
	uint8_t copy[256];
	struct loop *loop;
	int r;

	memcpy(copy, data, len);
	request.report_data = (ProtobufCBinaryData){ .data = copy, .len = len };
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(rpc_conn_new(loop, dup(fd), &(struct rpc_conn_opts){ 0 }, &conn), 0);
	r = rpc_conn_wait(conn, "casemate.tee.v1.Processor", "Report", 5000, &request.base,
			  ret_payload, err);
	(void)rpc_conn_free(conn);
	(void)loop_free(loop);
	return r;
}

static Tee__ReportResponse *report(const struct launch *launch, uint8_t first)
{
	CLEANUP(buf_done) struct buf payload = { 0 };
	uint8_t data[ATTEST_SNP_DATA_SIZE] = { first };
	Tee__ReportResponse *response;
	struct err err = { 0 };

	if (ask(launch->relay_fd, data, sizeof(data), &payload, &err) < 0)
		fail_msg("%s", err.msg);
	response = tee__report_response__unpack(NULL, payload.len, payload.at);
	assert_non_null(response);
	assert_int_equal(response->report.len, ATTEST_SNP_REPORT_SIZE);
	return response;
}

/* --- the tenant ------------------------------------------------------------------------------- */

static void expected_digest(const struct launch *launch, unsigned vcpus, uint8_t *ret)
{
	CLEANUP(vmm_roms_done) struct vmm_roms roms = { 0 };
	struct attest_sim_rom hashed[VMM_ROMS_MAX];
	const char *args[16];
	struct attest_sim_launch in = { .args = args, .roms = hashed, .vcpus = vcpus };
	int root_fd;

	assert_int_equal(file_open_dir(AT_FDCWD, "/", &root_fd, NULL), 0);
	assert_int_equal(vmm_roms_read(root_fd, &roms, NULL), 0);
	assert_int_equal(close(root_fd), 0);
	for (size_t i = 0; i < roms.count; i++)
		assert_int_equal(attest_sim_rom_hash(roms.at[i].name,
						     buf_bytes(&roms.at[i].contents), &hashed[i]),
				 0);
	in.rom_count = roms.count;
	in.arg_count = launch_args(launch, args);
	in.firmware = (struct bytes){ launch->firmware, sizeof(launch->firmware) };
	assert_int_equal(attest_boot_hash((struct bytes){ launch->kernel, sizeof(launch->kernel) },
					  (struct bytes){ 0 }, launch->append, &in.boot),
			 0);
	assert_int_equal(attest_sim_launch_digest(&in, ret, NULL), 0);
}

static void read_root(struct attest_expect *expect)
{
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 };
	char path[96];
	unsigned len;

	(void)snprintf(path, sizeof(path), "%s/root.pem", machine.dir);
	assert_int_equal(file_read(AT_FDCWD, path, 65536, &text, NULL), 0);
	assert_int_equal(attest_certs_add(&certs, buf_bytes(&text), NULL), 0);
	assert_int_equal(certs.count, 1);
	assert_int_equal(X509_digest(certs.at[0], EVP_sha256(), expect->sim_roots[0], &len), 1);
	expect->sim_root_count = 1;
}

static void verify(const Tee__ReportResponse *response, const struct attest_expect *expect,
		   struct attest_verdict *verdict)
{
	CLEANUP(attest_certs_done) struct attest_certs certs = { 0 };
	struct attest_snp_report parsed;
	struct attest_roots roots;
	struct attest_snp_question question = {
		.report = { response->report.data, response->report.len },
		.certs = &certs,
		.roots = &roots,
		.expect = expect,
		.now_s = NOW,
	};

	attest_expect_roots(expect, &roots);
	assert_int_equal(attest_certs_add(&certs,
					  (struct bytes){ response->certificates.data,
							  response->certificates.len },
					  NULL),
			 0);
	assert_int_equal(attest_snp_verify(&question, &parsed, verdict), 0);
}

static void says_no(const Tee__ReportResponse *response, const struct attest_expect *expect,
		    enum attest_reason reason)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };

	verify(response, expect, &verdict);
	assert_false(attest_verdict_is_ok(&verdict));
	assert_true(attest_verdict_has(&verdict, reason));
}

static void expect_all(const struct launch *launch, uint8_t first, struct attest_expect *ret)
{
	*ret = (struct attest_expect){ .allow = ATTEST_ALLOW_SIMULATED,
				       .has_report_data = true,
				       .report_data = { first },
				       .host_data_count = 1,
				       .launch_digests.count = 1 };
	memcpy(ret->host_data[0], launch->host_data, sizeof(launch->host_data));
	expected_digest(launch, 2, ret->launch_digests.at[0]);
	read_root(ret);
}

static void a_guest_gets_a_report_that_verifies(void **state)
{
	CLEANUP(attest_verdict_done) struct attest_verdict verdict = { 0 };
	struct launch launch = launch_sound(&machine);
	struct attest_expect *expect = malloc(sizeof(*expect));
	Tee__ReportResponse *response;

	(void)state;
	only_as_root();
	assert_non_null(expect);
	launch_start(&launch);
	response = report(&launch, 1);
	expect_all(&launch, 1, expect);
	verify(response, expect, &verdict);
	if (!attest_verdict_is_ok(&verdict))
		fail_msg("%s", attest_verdict_first(&verdict)->text);
	assert_true(verdict.is_simulated);

	expect->allow = 0;
	says_no(response, expect, ATTEST_SIMULATED);
	expect_all(&launch, 2, expect);
	says_no(response, expect, ATTEST_REPORT_DATA_MISMATCH);
	expect_all(&launch, 1, expect);
	expect->sim_root_count = 0;
	says_no(response, expect, ATTEST_CERTIFICATE_UNTRUSTED);
	expect_all(&launch, 1, expect);
	expect->launch_digests.at[0][47] ^= 1;
	says_no(response, expect, ATTEST_LAUNCH_DIGEST_MISMATCH);

	tee__report_response__free_unpacked(response, NULL);
	launch_done(&launch);
	free(expect);
}

/* Each input, altered between the one who plans and the processor, is seen in the digest. */
static void the_digest_is_of_what_was_started(void **state)
{
	struct launch launches[6];
	uint8_t digests[ARRAY_SIZE(launches)][ATTEST_LAUNCH_DIGEST];

	(void)state;
	only_as_root();
	for (size_t i = 0; i < ARRAY_SIZE(launches); i++)
		launches[i] = launch_sound(&machine);
	launches[1].kernel[99] ^= 1;
	launches[2].firmware[2 * PAGE - 1] ^= 1;
	launches[3].append[0] ^= 1;
	launches[4].extra[0] ^= 1;
	(void)snprintf(launches[5].smp, sizeof(launches[5].smp), "cpus=3");
	for (size_t i = 0; i < ARRAY_SIZE(launches); i++) {
		struct attest_snp_report parsed;
		struct attest_refusal refusal;
		Tee__ReportResponse *response;

		launch_start(&launches[i]);
		response = report(&launches[i], 0);
		assert_int_equal(attest_snp_report_parse((struct bytes){ response->report.data,
									 response->report.len },
							 &parsed, &refusal),
				 0);
		expected_digest(&launches[i], i == 5 ? 3 : 2, digests[i]);
		assert_memory_equal(parsed.launch_digest, digests[i], ATTEST_LAUNCH_DIGEST);
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(digests[i], digests[j], ATTEST_LAUNCH_DIGEST);
		tee__report_response__free_unpacked(response, NULL);
		launch_done(&launches[i]);
	}
}

static void each_guest_has_its_own_reports(void **state)
{
	struct launch one = launch_sound(&machine), two = launch_sound(&machine);
	Tee__ReportResponse *of_one, *again, *of_two;

	(void)state;
	only_as_root();
	two.host_data[0] ^= 1;
	launch_start(&one);
	launch_start(&two);
	of_one = report(&one, 1);
	again = report(&one, 2);
	of_two = report(&two, 1);
	assert_memory_equal(of_one->report.data + 0xc0, one.host_data, 32);
	assert_memory_equal(of_two->report.data + 0xc0, two.host_data, 32);
	assert_memory_equal(of_one->report.data + 0x140, again->report.data + 0x140, 32);
	assert_memory_not_equal(of_one->report.data + 0x140, of_two->report.data + 0x140, 32);
	/* the chip is one */
	assert_memory_equal(of_one->report.data + 0x1a0, of_two->report.data + 0x1a0, 64);
	tee__report_response__free_unpacked(of_one, NULL);
	tee__report_response__free_unpacked(again, NULL);
	tee__report_response__free_unpacked(of_two, NULL);
	launch_done(&one);
	launch_done(&two);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void is_refused(struct launch *launch, int num, const char *why)
{
	struct err err = { 0 };

	assert_int_equal(launch_try(launch, &err), num);
	if (!strstr(err.msg, why))
		fail_msg("'%s' doesn't say '%s'", err.msg, why);
	assert_int_equal(launch->pidfd, -1);
	launch_done(launch);
}

static void what_it_cannot_vouch_for_is_refused(void **state)
{
	struct machine other = machine;
	struct launch launch = launch_sound(&machine);

	(void)state;
	only_as_root();
	launch.is_unsealed = true;
	is_refused(&launch, -EPERM, "not a sealed memory file");
	launch = launch_sound(&machine);
	launch.uid = UID_FIRST + UID_COUNT;
	is_refused(&launch, -EPERM, "not one of those set aside");
	launch.uid = 0;
	is_refused(&launch, -EPERM, "no VM runs as root");
	launch.uid = KEY_UID;
	is_refused(&launch, -EPERM, "the key's user");
	launch = launch_sound(&machine);
	(void)snprintf(launch.smp, sizeof(launch.smp), "2");
	is_refused(&launch, -EINVAL, "-smp is not cpus=N");
	(void)snprintf(other.qemu, sizeof(other.qemu), "/bin/sleep");
	launch = launch_sound(&other);
	is_refused(&launch, -EINVAL, "starts '");
	/* and it goes on */
	launch = launch_sound(&machine);
	launch_start(&launch);
	launch_done(&launch);
}

/* Runs fn as a user without rights; it returns 0 or the number of what went wrong. */
static void as_nobody(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
		    setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(100);
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int try_as(uid_t uid, uint64_t memlock, struct launch *ret)
{
	*ret = launch_sound(&machine);
	ret->uid = uid;
	ret->memlock = memlock;
	return launch_try(ret, NULL);
}

static int launch_as_nobody(void)
{
	struct launch launch;
	struct stat st;
	char path[32];

	if (try_as(NOBODY, 0, &launch) < 0)
		return 1;
	(void)snprintf(path, sizeof(path), "/proc/%d", launch.pid);
	if (stat(path, &st) < 0 || st.st_uid != NOBODY || st.st_gid != NOBODY)
		return 2;
	launch_done(&launch);
	if (try_as(NOBODY - 1, 0, &launch) != -EPERM || try_as(UID_FIRST, 0, &launch) != -EPERM ||
	    try_as(KEY_UID, 0, &launch) != -EPERM || try_as(0, 0, &launch) != -EPERM)
		return 3;
	return try_as(NOBODY, 4096, &launch) == -EPERM ? 0 : 4;
}

static void a_user_launches_as_himself_only(void **state)
{
	(void)state;
	only_as_root();
	as_nobody(launch_as_nobody);
}

static int connect_often(void)
{
	uint8_t byte;
	int fd;

	for (int i = 0; i < 64; i++)
		if (processor_connect(machine.socket, &fd, NULL) < 0)
			return 1;
	if (processor_connect(machine.socket, &fd, NULL) < 0)
		return 2;
	return recv(fd, &byte, 1, 0) == 0 ? 0 : 3;
}

static void a_user_has_so_many_connections(void **state)
{
	struct launch launch = launch_sound(&machine);

	(void)state;
	only_as_root();
	as_nobody(connect_often);
	launch_start(&launch);
	launch_done(&launch);
}

/* --- the key ---------------------------------------------------------------------------------- */

static pid_t key_process(void)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	char path[64];
	pid_t pid;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", machine.pid, machine.pid);
	assert_int_equal(file_read(AT_FDCWD, path, 4096, &text, NULL), 0);
	assert_int_equal(buf_add(&text, "", 1), 0);
	/* it is the first that was started */
	pid = (pid_t)strtol((const char *)text.at, NULL, 10);
	assert_true(pid > 1);
	return pid;
}

static bool is_shut(pid_t pid, const char *name, int flags)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 && (errno == EACCES || errno == EPERM);
}

static pid_t key_pid;

static int reach_for_the_key(void)
{
	static const char *const names[] = { "mem", "maps", "environ", "fd/3",
					     "root/identity.pem" };
	char path[96];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/identity.pem", machine.dir);
	if (open(path, O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES ||
	    open(path, O_WRONLY | O_CLOEXEC) >= 0 || unlink(path) == 0)
		return 1;
	if (open(machine.dir, O_RDONLY | O_CLOEXEC) >= 0)
		return 2;
	(void)snprintf(path, sizeof(path), "%s/x", machine.dir);
	if (open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0)
		return 3;
	/* what anybody may have */
	(void)snprintf(path, sizeof(path), "%s/root.pem", machine.dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 4;
	if (ptrace(PTRACE_ATTACH, key_pid, NULL, NULL) == 0 || errno != EPERM ||
	    ptrace(PTRACE_SEIZE, key_pid, NULL, NULL) == 0 || kill(key_pid, SIGKILL) == 0 ||
	    ptrace(PTRACE_ATTACH, machine.pid, NULL, NULL) == 0)
		return 5;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!is_shut(key_pid, names[i], O_RDONLY))
			return 10 + (int)i;
	return is_shut(machine.pid, "mem", O_RDWR) ? 0 : 6;
}

static void status_says(const char *line)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", key_pid);
	assert_int_equal(file_read(AT_FDCWD, path, 65536, &text, NULL), 0);
	if (!memmem(text.at, text.len, line, strlen(line)))
		fail_msg("%.*s\ndoesn't say %s", (int)text.len, text.at, line);
}

static void the_key_is_out_of_reach(void **state)
{
	struct stat st;
	char path[32];

	(void)state;
	only_as_root();
	key_pid = key_process();
	as_nobody(reach_for_the_key);
	/* undumpable: not even another process of its user may trace it */
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", key_pid);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 0);
	status_says("\nUid:\t69999\t69999\t69999\t69999\nGid:\t69999\t69999\t69999\t69999\n");
	status_says("\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
		    "CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n");
}

/* Standard streams and the one it is asked on; its directory is all it sees. */
static void the_key_has_nothing_else(void **state)
{
	CLEANUP(strv_done) struct strv fds = { 0 };
	char path[64], root[128];
	ssize_t len;

	(void)state;
	only_as_root();
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", key_process());
	assert_int_equal(file_list(AT_FDCWD, path, &fds, NULL), 0);
	assert_int_equal(fds.len, 4);
	(void)snprintf(path, sizeof(path), "/proc/%d/root", key_process());
	len = readlink(path, root, sizeof(root) - 1);
	assert_true(len > 0);
	root[len] = '\0';
	assert_string_equal(root, machine.dir);
}

static void without_its_key_it_ends(void **state)
{
	struct launch launch = launch_sound(&machine);
	int status;

	(void)state;
	only_as_root();
	launch_start(&launch);
	assert_int_equal(kill(key_process(), SIGKILL), 0);
	assert_int_equal(waitpid(machine.pid, &status, 0), machine.pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	machine.pid = -1;
	launch_has_ended(&launch);
	launch_done(&launch);
}

static void the_key_outlives_the_processor(void **state)
{
	struct launch launch = launch_sound(&machine);
	Tee__ReportResponse *before, *after;

	(void)state;
	only_as_root();
	launch_start(&launch);
	before = report(&launch, 1);
	launch_done(&launch);
	machine_stop(&machine, SIGTERM, 0);
	assert_int_equal(access(machine.socket, F_OK), -1);
	machine_start(&machine);
	launch = launch_sound(&machine);
	launch_start(&launch);
	after = report(&launch, 1);
	assert_int_equal(before->certificates.len, after->certificates.len);
	assert_memory_equal(before->certificates.data, after->certificates.data,
			    after->certificates.len);
	tee__report_response__free_unpacked(before, NULL);
	tee__report_response__free_unpacked(after, NULL);
	launch_done(&launch);
}

/* --- what others say -------------------------------------------------------------------------- */

static void garbage_to_the_processor_harms_nobody(void **state)
{
	static const struct {
		const char *at;
		size_t len;
	} texts[] = { { "\0\0\0\1x", 5 },	 { "\0\0\0\0", 4 },
		      { "\0\0\0\1xx", 6 },	 { "\0\4\0\1", 4 },
		      { "\377\377\377\377", 4 }, { "GET / HTTP/1.1\r\n\r\n", 18 } };
	struct launch launch = launch_sound(&machine);
	struct err err;
	int fd, status;

	(void)state;
	only_as_root();
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP(buf_done) struct buf answer = { 0 };
		size_t count;
		int none;

		assert_int_equal(processor_connect(machine.socket, &fd, NULL), 0);
		assert_int_equal(write(fd, texts[i].at, texts[i].len), (ssize_t)texts[i].len);
		assert_int_equal(sock_set_timeout(fd, 3000), 0);
		assert_int_equal(sock_recv_msg(fd, 65536, &answer, &none, 0, &count, &err), 0);
		assert_true(processor_read_end(fd, &status, NULL) < 0);
		assert_int_equal(close(fd), 0);
	}
	/* a part of a request, and then nobody */
	assert_int_equal(processor_connect(machine.socket, &fd, NULL), 0);
	assert_int_equal(write(fd, "\0\0\1\0abc", 7), 7);
	assert_int_equal(close(fd), 0);
	launch_start(&launch);
	launch_done(&launch);
}

static void too_many_descriptors_are_refused(void **state)
{
	int many[200], fd, status;
	CLEANUP(buf_done) struct buf answer = { 0 };
	size_t count;

	(void)state;
	only_as_root();
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = STDIN_FILENO;
	assert_int_equal(processor_connect(machine.socket, &fd, NULL), 0);
	assert_int_equal(
		sock_send_msg(fd, (struct bytes){ (const uint8_t *)"x", 1 }, many, 128, NULL), 0);
	assert_int_equal(sock_set_timeout(fd, 3000), 0);
	assert_int_equal(sock_recv_msg(fd, 65536, &answer, &status, 0, &count, NULL), 0);
	assert_non_null(memmem(answer.at, answer.len, "more than 127 descriptors", 25));
	assert_int_equal(close(fd), 0);
}

static void who_says_nothing_is_sent_away(void **state)
{
	CLEANUP(buf_done) struct buf answer = { 0 };
	size_t count;
	int fd, none;

	(void)state;
	only_as_root();
	assert_int_equal(processor_connect(machine.socket, &fd, NULL), 0);
	assert_int_equal(sock_set_timeout(fd, 8000), 0);
	assert_int_equal(sock_recv_msg(fd, 65536, &answer, &none, 0, &count, NULL), 0);
	assert_non_null(memmem(answer.at, answer.len, "takes too long", 14));
	assert_int_equal(close(fd), 0);
}

static void a_guest_that_asks_wrongly_is_told(void **state)
{
	struct launch launch = launch_sound(&machine);
	const uint8_t data[65] = { 0 };
	CLEANUP(buf_done) struct buf payload = { 0 };

	(void)state;
	only_as_root();
	launch_start(&launch);
	assert_int_equal(ask(launch.relay_fd, data, 63, &payload, NULL), -EINVAL);
	assert_int_equal(ask(launch.relay_fd, data, 65, &payload, NULL), -EINVAL);
	assert_int_equal(ask(launch.relay_fd, data, 0, &payload, NULL), -EINVAL);
	assert_int_equal(ask(launch.relay_fd, data, 64, &payload, NULL), 0);
	launch_done(&launch);
}

static void a_guest_that_says_garbage_gets_no_more_reports(void **state)
{
	struct launch bad = launch_sound(&machine), good = launch_sound(&machine);
	CLEANUP(buf_done) struct buf payload = { 0 };
	const uint8_t data[64] = { 0 };
	Tee__ReportResponse *response;

	(void)state;
	only_as_root();
	launch_start(&bad);
	launch_start(&good);
	assert_int_equal(write(bad.relay_fd, "\377\377\377\377 no frame at all", 21), 21);
	assert_true(ask(bad.relay_fd, data, 64, &payload, NULL) < 0);
	/* its VM goes on, and so does the other */
	assert_int_equal(spawn_wait(bad.pidfd, 0, &(int){ 0 }, NULL), -ETIMEDOUT);
	response = report(&good, 1);
	tee__report_response__free_unpacked(response, NULL);
	launch_done(&bad);
	launch_done(&good);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void the_vm_dies_with_its_connection(void **state)
{
	struct launch launch = launch_sound(&machine);

	(void)state;
	only_as_root();
	launch_start(&launch);
	assert_int_equal(spawn_wait(launch.pidfd, 0, &(int){ 0 }, NULL), -ETIMEDOUT);
	assert_int_equal(close(launch.fd), 0);
	launch.fd = -1;
	launch_has_ended(&launch);
	launch_done(&launch);

	/* there is nothing more to be said on it */
	launch = launch_sound(&machine);
	launch_start(&launch);
	assert_int_equal(write(launch.fd, "x", 1), 1);
	launch_has_ended(&launch);
	launch_done(&launch);
}

static void the_launcher_is_told_how_it_ended(void **state)
{
	struct launch launch = launch_sound(&machine);
	int status = -1;

	(void)state;
	only_as_root();
	(void)snprintf(launch.extra, sizeof(launch.extra), "exit=7");
	(void)snprintf(launch.append, sizeof(launch.append), "a exit=7");
	launch_start(&launch);
	assert_int_equal(processor_read_end(launch.fd, &status, NULL), 0);
	assert_int_equal(status, 7);
	launch_has_ended(&launch);
	launch_done(&launch);
	launch = launch_sound(&machine);
	launch_start(&launch);
	assert_int_equal(spawn_kill(launch.pidfd, SIGKILL), 0);
	assert_int_equal(processor_read_end(launch.fd, &status, NULL), 0);
	assert_int_equal(status, 137);
	launch_done(&launch);
}

static void the_vm_dies_with_the_processor(void **state)
{
	static const int signals[] = { SIGKILL, SIGTERM };

	(void)state;
	only_as_root();
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct launch launch = launch_sound(&machine);
		int status;

		launch_start(&launch);
		machine_stop(&machine, signals[i], signals[i] == SIGKILL ? 137 : 0);
		launch_has_ended(&launch);
		assert_true(processor_read_end(launch.fd, &status, NULL) < 0);
		launch_done(&launch);
		/* over what the one that was killed has left */
		machine_start(&machine);
	}
}

static void a_second_one_is_refused(void **state)
{
	struct launch launch = launch_sound(&machine);
	struct machine second = machine;
	int status;

	(void)state;
	only_as_root();
	second.pid = fork();
	if (second.pid == 0)
		machine_exec(&second, -1);
	assert_int_equal(waitpid(second.pid, &status, 0), second.pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	launch_start(&launch);
	launch_done(&launch);
}

/* One that somebody starts for one connection ends with it, and says why it cannot start. */
static pid_t start_for(const struct machine *one, int pair[2])
{
	pid_t pid;

	assert_int_equal(sock_pair(SOCK_STREAM, pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		machine_exec(one, pair[1]);
	assert_int_equal(close(pair[1]), 0);
	return pid;
}

static void serves_one_connection(void **state)
{
	struct launch launch = launch_sound(&machine);
	struct machine own = machine;
	Tee__ReportResponse *response;
	struct err err = { 0 };
	int pair[2], status;
	pid_t pid;

	(void)state;
	only_as_root();
	pid = start_for(&machine, pair);
	if (launch_on(&launch, pair[0], &err) < 0)
		fail_msg("%s", err.msg);
	response = report(&launch, 1);
	tee__report_response__free_unpacked(response, NULL);
	assert_int_equal(close(launch.fd), 0);
	launch.fd = -1;
	launch_has_ended(&launch);
	launch_done(&launch);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);

	(void)snprintf(own.dir, sizeof(own.dir), "%s", folder_path);
	launch = launch_sound(&machine);
	pid = start_for(&own, pair);
	assert_int_equal(launch_on(&launch, pair[0], &err), -EPERM);
	assert_non_null(strstr(err.msg, "it is not empty"));
	assert_int_equal(err.code, ERR_OTHER);
	launch_done(&launch);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 1);
}

/* As sd_listen_fds(3) has it. */
static void takes_the_socket_that_is_passed(void **state)
{
	struct launch launch = launch_sound(&machine);
	int dir_fd, listen_fd;
	char text[16];
	pid_t pid;

	(void)state;
	only_as_root();
	machine_stop(&machine, SIGTERM, 0);
	(void)snprintf(machine.socket, sizeof(machine.socket), "%s/run", folder_path);
	assert_int_equal(file_open_dir(AT_FDCWD, machine.socket, &dir_fd, NULL), 0);
	assert_int_equal(sock_listen(dir_fd, "passed", &listen_fd, NULL), 0);
	assert_int_equal(close(dir_fd), 0);
	(void)snprintf(machine.socket, sizeof(machine.socket), "%s/run/passed", folder_path);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)snprintf(text, sizeof(text), "%d", getpid());
		(void)setenv("LISTEN_PID", text, 1);
		(void)setenv("LISTEN_FDS", "1", 1);
		(void)dup2(listen_fd, 3);
		(void)execl(machine_program(), "simtee", "--qemu", machine.qemu, "--dir",
			    machine.dir, "--uid", "69999", "--uid-first", "70000", "--uid-count",
			    "4", (char *)NULL);
		_exit(127);
	}
	machine.pid = pid;
	assert_int_equal(close(listen_fd), 0);
	launch_start(&launch);
	launch_done(&launch);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_guest_gets_a_report_that_verifies),
		TEST(the_digest_is_of_what_was_started),
		TEST(each_guest_has_its_own_reports),
		TEST(what_it_cannot_vouch_for_is_refused),
		TEST(a_user_launches_as_himself_only),
		TEST(a_user_has_so_many_connections),
		TEST(the_key_is_out_of_reach),
		TEST(the_key_has_nothing_else),
		TEST(without_its_key_it_ends),
		TEST(the_key_outlives_the_processor),
		TEST(garbage_to_the_processor_harms_nobody),
		TEST(too_many_descriptors_are_refused),
		TEST(who_says_nothing_is_sent_away),
		TEST(a_guest_that_asks_wrongly_is_told),
		TEST(a_guest_that_says_garbage_gets_no_more_reports),
		TEST(the_vm_dies_with_its_connection),
		TEST(the_launcher_is_told_how_it_ended),
		TEST(the_vm_dies_with_the_processor),
		TEST(a_second_one_is_refused),
		TEST(serves_one_connection),
		TEST(takes_the_socket_that_is_passed),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
