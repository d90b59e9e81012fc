// SPDX-License-Identifier: Apache-2.0
/*
 * broker-client PORT HANDSHAKES fresh|kept FOLDER DOCUMENT LAUNCH RESOURCE
 *
 * Guests, one after the other, that each get a secret: nonce, report, secret, unwrapped. Prints for
 * each the microseconds of all of it and, of those, what the guest itself computed (its key, its
 * processor's signature, the unwrapping). "fresh" has a TLS connection for each, "kept" one for
 * all. FOLDER is a made-up processor's, DOCUMENT the agent policy's.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "../tests/attest/made.h"
#include "attest/kbs.h"
#include "base/text.h"

enum { HEAD_MAX = 8192, BODY_MAX = 1 << 20, FILE_MAX = 1 << 20, COOKIE_LEN = 32 };

#define REQUIRE(what)                                                                           \
	do {                                                                                    \
		if (!(what)) {                                                                  \
			(void)fprintf(stderr, "broker-client: %s, line %d\n", #what, __LINE__); \
			exit(1);                                                                \
		}                                                                               \
	} while (0)

struct client {
	SSL_CTX *tls;
	SSL *ssl; /* NULL: not connected */
	uint16_t port;
	char cookie[COOKIE_LEN + 1];
	EVP_PKEY *chip;
	struct attest_kbs_request request; /* all but nonce, key and report */
	uint8_t launch[ATTEST_SNP_DIGEST_SIZE];
	double computed_us;
};

static double now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void read_file(const char *folder, const char *name, struct buf *ret)
{
	char path[4096];
	uint8_t part[4096];
	FILE *file;
	size_t n;

	(void)snprintf(path, sizeof(path), "%s%s%s", folder, name[0] ? "/" : "", name);
	file = fopen(path, "re");
	REQUIRE(file);
	while ((n = fread(part, 1, sizeof(part), file)) > 0)
		REQUIRE(buf_add(ret, part, n) == 0 && ret->len <= FILE_MAX);
	(void)fclose(file);
}

static void dial(struct client *c)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(c->port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int one = 1;

	REQUIRE(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	REQUIRE(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
	c->ssl = SSL_new(c->tls);
	REQUIRE(c->ssl && SSL_set_fd(c->ssl, fd) == 1 && SSL_connect(c->ssl) == 1);
}

static void hang_up(struct client *c)
{
	int fd = SSL_get_fd(c->ssl);

	(void)SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	(void)close(fd);
	c->ssl = NULL;
}

/* The head with its blank line, and behind it what of the body came along. */
static size_t read_head(struct client *c, char head[HEAD_MAX + 1], size_t *ret_more)
{
	size_t len = 0;

	for (;;) {
		int n = SSL_read(c->ssl, head + len, (int)(HEAD_MAX - len));
		char *end;

		REQUIRE(n > 0);
		len += (size_t)n;
		head[len] = '\0';
		end = strstr(head, "\r\n\r\n");
		if (end) {
			*ret_more = len - (size_t)(end + 4 - head);
			return (size_t)(end + 4 - head);
		}
		REQUIRE(len < HEAD_MAX);
	}
}

static void take_cookie(struct client *c, const char *head)
{
	const char *at = strstr(head, ATTEST_KBS_COOKIE "=");

	if (at)
		(void)snprintf(c->cookie, sizeof(c->cookie), "%s",
			       at + strlen(ATTEST_KBS_COOKIE "="));
}

/* The answer's body, of status 200. */
static void call(struct client *c, const char *method, const char *path, struct bytes body,
		 struct buf *ret)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	char head[HEAD_MAX + 1];
	size_t more = 0, at;
	const char *length;

	REQUIRE(buf_addf(&text,
			 "%s %s HTTP/1.1\r\nHost: localhost\r\nCookie: " ATTEST_KBS_COOKIE
			 "=%s\r\nContent-Length: %zu\r\n\r\n",
			 method, path, c->cookie, body.len) == 0);
	REQUIRE(buf_add(&text, body.at, body.len) == 0);
	REQUIRE(SSL_write(c->ssl, text.at, (int)text.len) == (int)text.len);
	at = read_head(c, head, &more);
	REQUIRE(strncmp(head, "HTTP/1.1 200", 12) == 0);
	take_cookie(c, head);
	length = strcasestr(head, "content-length: ");
	REQUIRE(length);
	ret->len = 0;
	REQUIRE(buf_add(ret, head + at, more) == 0);
	at = strtoul(length + 16, NULL, 10);
	REQUIRE(at <= BODY_MAX && buf_reserve(ret, at) == 0);
	while (ret->len < at) {
		int n = SSL_read(c->ssl, ret->at + ret->len, (int)(at - ret->len));

		REQUIRE(n > 0);
		ret->len += (size_t)n;
	}
}

static void make_report(struct client *c, const uint8_t key[ATTEST_JWK_SCALAR])
{
	struct attest_kbs_request *r = &c->request;

	REQUIRE(attest_jwk_make(key, &r->key) == 0);
	made_report(r->report);
	made_put(r->report, 0x188, 0, 3);
	REQUIRE(attest_kbs_report_data(r->nonce, &r->key, r->report + 0x50) == 0);
	memcpy(r->report + 0x90, c->launch, sizeof(c->launch));
	REQUIRE(EVP_Digest(r->init_data.at, r->init_data.len, r->report + 0xc0, NULL, EVP_sha256(),
			   NULL) == 1);
	made_sign(r->report, c->chip);
}

static void shake_hands(struct client *c, const char *resource)
{
	CLEANUP(buf_done) struct buf text = { 0 }, answer = { 0 }, secret = { 0 };
	uint8_t key[ATTEST_JWK_SCALAR];
	char path[512];
	double began;

	c->cookie[0] = '\0';
	REQUIRE(attest_kbs_auth_print(ATTEST_KBS_SIM, &text) == 0);
	call(c, "POST", ATTEST_KBS_AUTH, buf_bytes(&text), &answer);
	REQUIRE(attest_kbs_challenge_parse(buf_bytes(&answer), c->request.nonce, NULL) == 0);
	began = now_us();
	REQUIRE(getrandom(key, sizeof(key), 0) == sizeof(key));
	key[0] &= 0x7f; /* a number that is a key */
	make_report(c, key);
	text.len = 0;
	REQUIRE(attest_kbs_request_print(&c->request, &text, NULL) == 0);
	c->computed_us += now_us() - began;
	call(c, "POST", ATTEST_KBS_ATTEST, buf_bytes(&text), &answer);
	(void)snprintf(path, sizeof(path), ATTEST_KBS_RESOURCE "%s", resource);
	call(c, "GET", path, (struct bytes){ 0 }, &answer);
	began = now_us();
	REQUIRE(attest_jwe_unwrap(key, buf_bytes(&answer), &secret, NULL) == 0);
	c->computed_us += now_us() - began;
}

static void prepare(struct client *c, char **argv)
{
	CLEANUP(buf_done) struct buf pem = { 0 }, certs = { 0 };
	BIO *bio;

	c->port = (uint16_t)strtoul(argv[1], NULL, 10);
	read_file(argv[4], "chip.pem", &pem);
	read_file(argv[4], "certs.pem", &certs);
	read_file(argv[5], "", &c->request.init_data);
	REQUIRE(attest_certs_add(&c->request.certs, buf_bytes(&certs), NULL) == 0);
	REQUIRE(text_unhex(argv[6], sizeof(c->launch), c->launch) == 0);
	bio = BIO_new_mem_buf(pem.at, (int)pem.len);
	c->chip = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	c->tls = SSL_CTX_new(TLS_client_method());
	REQUIRE(c->chip && c->tls);
	BIO_free(bio);
}

int main(int argc, char **argv)
{
	struct client c = { 0 };
	unsigned long count;
	bool is_kept;

	REQUIRE(argc == 8);
	prepare(&c, argv);
	count = strtoul(argv[2], NULL, 10);
	is_kept = strcmp(argv[3], "kept") == 0;
	for (unsigned long i = 0; i < count; i++) {
		double began = now_us();

		c.computed_us = 0;
		if (!c.ssl)
			dial(&c);
		shake_hands(&c, argv[7]);
		if (!is_kept)
			hang_up(&c);
		(void)printf("%.0f %.0f\n", now_us() - began, c.computed_us);
	}
	if (c.ssl)
		hang_up(&c);
	SSL_CTX_free(c.tls);
	EVP_PKEY_free(c.chip);
	attest_kbs_request_done(&c.request);
	return 0;
}
