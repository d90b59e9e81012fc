// SPDX-License-Identifier: Apache-2.0
#include "broker/session.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

int broker_sessions_new(struct broker_sessions **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

struct broker_sessions *broker_sessions_free(struct broker_sessions *sessions)
{
	for (size_t i = 0; sessions && i < BROKER_SESSIONS_MAX; i++)
		broker_session_clear(&sessions->at[i]);
	free(sessions);
	return NULL;
}

void broker_session_clear(struct broker_session *session)
{
	if (session->state == BROKER_FREE)
		return;
	attest_certs_done(&session->certs);
	strv_done(&session->resources);
	OPENSSL_cleanse(session, sizeof(*session));
}

static bool is_over(const struct broker_session *session, int64_t now_s)
{
	/* a clock that was put back is no reason to live longer */
	return now_s >= session->end_s || now_s < session->begin_s;
}

struct broker_session *broker_sessions_place(struct broker_sessions *sessions, int64_t now_s)
{
	struct broker_session *place = NULL;

	for (size_t i = 0; i < BROKER_SESSIONS_MAX; i++) {
		struct broker_session *s = &sessions->at[i];

		if (s->state != BROKER_FREE && is_over(s, now_s))
			broker_session_clear(s);
		if (s->state == BROKER_ATTESTED)
			continue;
		if (!place || (place->state != BROKER_FREE &&
			       (s->state == BROKER_FREE || s->begin_s < place->begin_s)))
			place = s;
	}
	if (place)
		broker_session_clear(place);
	return place;
}

struct broker_session *broker_sessions_find(struct broker_sessions *sessions,
					    enum broker_state state, const uint8_t *id,
					    int64_t now_s)
{
	for (size_t i = 0; i < BROKER_SESSIONS_MAX; i++) {
		struct broker_session *s = &sessions->at[i];

		if (s->state == state && CRYPTO_memcmp(s->id, id, sizeof(s->id)) == 0)
			return is_over(s, now_s) ? NULL : s;
	}
	return NULL;
}

struct broker_session *broker_sessions_find_token(struct broker_sessions *sessions,
						  const uint8_t token[BROKER_DIGEST_SIZE],
						  int64_t now_s)
{
	for (size_t i = 0; i < BROKER_SESSIONS_MAX; i++) {
		struct broker_session *s = &sessions->at[i];

		if (s->state == BROKER_ATTESTED &&
		    CRYPTO_memcmp(s->token, token, sizeof(s->token)) == 0)
			return is_over(s, now_s) ? NULL : s;
	}
	return NULL;
}

bool broker_sessions_make_room(struct broker_sessions *sessions, int64_t now_s)
{
	struct broker_session *first = NULL;
	size_t attested = 0;

	for (size_t i = 0; i < BROKER_SESSIONS_MAX; i++) {
		struct broker_session *s = &sessions->at[i];

		if (s->state != BROKER_ATTESTED || is_over(s, now_s))
			continue;
		attested++;
		if (s->answers > 0 && (!first || s->begin_s < first->begin_s))
			first = s;
	}
	if (attested < BROKER_ATTESTED_MAX)
		return true;
	if (first)
		broker_session_clear(first);
	return first != NULL;
}
