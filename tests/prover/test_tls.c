// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/macro.h"
#include "prover/tls.h"

enum { BIG = 300 << 10 };

/* A server in a child, over two pipes; its certificate says nothing but its key. */
static struct fixture {
	int in_fd, out_fd; /* the client's */
	pid_t pid;
	EVP_PKEY *key;
	X509 *cert;
	uint8_t digest[TLS_KEY_SIZE];
} f;

enum server { ECHOES, SPEAKS_OLD, HANGS_UP, BREAKS_OFF, SAYS_GOODBYE };

static void make_cert(void)
{
	uint8_t *der = NULL;
	int len;

	f.key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	f.cert = X509_new();
	assert_non_null(f.cert);
	assert_int_equal(X509_set_pubkey(f.cert, f.key), 1);
	/* over long ago: nobody looks */
	assert_non_null(ASN1_TIME_set(X509_getm_notBefore(f.cert), 1));
	assert_non_null(ASN1_TIME_set(X509_getm_notAfter(f.cert), 2));
	assert_true(X509_sign(f.cert, f.key, EVP_sha256()) > 0);
	len = i2d_PUBKEY(f.key, &der);
	assert_true(len > 0);
	assert_int_equal(EVP_Digest(der, (size_t)len, f.digest, NULL, EVP_sha256(), NULL), 1);
	OPENSSL_free(der);
}

static void echo(SSL *ssl)
{
	static char bytes[4096];
	size_t n;

	while (SSL_read_ex(ssl, bytes, sizeof(bytes), &n) == 1)
		if (SSL_write_ex(ssl, bytes, n, &n) != 1)
			break;
}

static void serve(enum server server, int in_fd, int out_fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL *ssl;
	size_t n;

	if (server == HANGS_UP)
		_exit(0);
	(void)SSL_CTX_use_certificate(ctx, f.cert);
	(void)SSL_CTX_use_PrivateKey(ctx, f.key);
	if (server == SPEAKS_OLD)
		(void)SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	ssl = SSL_new(ctx);
	SSL_set_bio(ssl, BIO_new_fd(in_fd, BIO_NOCLOSE), BIO_new_fd(out_fd, BIO_NOCLOSE));
	if (SSL_accept(ssl) != 1)
		_exit(1);
	if (server == ECHOES)
		echo(ssl);
	else
		(void)SSL_write_ex(ssl, "a", 1, &n);
	if (server == SAYS_GOODBYE)
		(void)SSL_shutdown(ssl);
	_exit(0);
}

static void start(enum server server)
{
	int to[2], from[2];

	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	f.pid = fork();
	if (f.pid == 0) {
		(void)close(to[1]);
		(void)close(from[0]);
		serve(server, to[0], from[1]);
	}
	(void)close(to[0]);
	(void)close(from[1]);
	f.in_fd = from[0];
	f.out_fd = to[1];
}

static int set_up(void **state)
{
	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	f = (struct fixture){ .in_fd = -1, .out_fd = -1 };
	make_cert();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)close(f.in_fd);
	(void)close(f.out_fd);
	assert_int_equal(waitpid(f.pid, NULL, 0), f.pid);
	EVP_PKEY_free(f.key);
	X509_free(f.cert);
	return 0;
}

static int dial(struct prover_tls **ret, struct attest_refusal *refusal)
{
	const struct prover_tls_opts opts = { f.in_fd, f.out_fd, "broker.example", f.digest };

	return prover_tls_connect(&opts, ret, refusal);
}

static void the_one_with_the_key_is_talked_to(void **state)
{
	static uint8_t sent[BIG], got[BIG];
	CLEANUP(prover_tls_free) struct prover_tls *tls = NULL;
	struct attest_refusal refusal;
	size_t len = 0;

	(void)state;
	start(ECHOES);
	for (size_t i = 0; i < BIG; i++)
		sent[i] = (uint8_t)(i * 7);
	assert_int_equal(dial(&tls, &refusal), 0);
	/* a piece at a time: a pipe each way holds no more */
	for (size_t at = 0; at < BIG; at += BIG / 16) {
		assert_int_equal(prover_tls_write(tls, (struct bytes){ sent + at, BIG / 16 }), 0);
		while (len < at + BIG / 16) {
			ssize_t n = prover_tls_read(tls, got + len, BIG - len);

			assert_true(n > 0);
			len += (size_t)n;
		}
	}
	assert_memory_equal(sent, got, BIG);
}

static void another_key_is_no_broker(void **state)
{
	struct attest_refusal refusal;
	struct prover_tls *tls;

	(void)state;
	start(ECHOES);
	f.digest[TLS_KEY_SIZE - 1] ^= 1;
	assert_int_equal(dial(&tls, &refusal), -EACCES);
	assert_int_equal(refusal.reason, ATTEST_BROKER_KEY_MISMATCH);
}

static void an_older_tls_is_not_spoken(void **state)
{
	struct attest_refusal refusal;
	struct prover_tls *tls;

	(void)state;
	start(SPEAKS_OLD);
	assert_int_equal(dial(&tls, &refusal), -EPIPE);
	assert_int_equal(refusal.reason, ATTEST_BROKER_UNREACHABLE);
}

static void nobody_is_told_from_somebody(void **state)
{
	struct attest_refusal refusal;
	struct prover_tls *tls;

	(void)state;
	start(HANGS_UP);
	assert_int_equal(dial(&tls, &refusal), -EPIPE);
	assert_int_equal(refusal.reason, ATTEST_BROKER_UNREACHABLE);
	assert_non_null(strstr(refusal.text, "nobody"));
}

static void an_end_that_was_not_said_is_no_end(void **state)
{
	CLEANUP(prover_tls_free) struct prover_tls *tls = NULL;
	struct attest_refusal refusal;
	char byte;

	(void)state;
	start(BREAKS_OFF);
	assert_int_equal(dial(&tls, &refusal), 0);
	assert_int_equal(prover_tls_read(tls, &byte, 1), 1);
	assert_int_equal(prover_tls_read(tls, &byte, 1), -EPIPE);
	assert_int_equal(prover_tls_write(tls, (struct bytes){ (const uint8_t *)"a", 1 }), -EPIPE);
}

static void an_end_that_was_said_is_one(void **state)
{
	CLEANUP(prover_tls_free) struct prover_tls *tls = NULL;
	struct attest_refusal refusal;
	char byte;

	(void)state;
	start(SAYS_GOODBYE);
	assert_int_equal(dial(&tls, &refusal), 0);
	assert_int_equal(prover_tls_read(tls, &byte, 1), 1);
	assert_int_equal(prover_tls_read(tls, &byte, 1), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_one_with_the_key_is_talked_to),  TEST(another_key_is_no_broker),
		TEST(an_older_tls_is_not_spoken),	  TEST(nobody_is_told_from_somebody),
		TEST(an_end_that_was_not_said_is_no_end), TEST(an_end_that_was_said_is_one),
	};

	return cmocka_run_group_tests_name("prover/tls", tests, NULL, NULL);
}
