// SPDX-License-Identifier: Apache-2.0
#include "agent/users.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum { PASSWD_FIELDS = 7, GROUP_FIELDS = 4, FIELDS_MAX = PASSWD_FIELDS };

/* One line, cut at its colons. */
struct line {
	struct bytes field[FIELDS_MAX];
};

/* The next line with exactly that many fields and without a NUL; false at the end. */
static bool next_line(struct bytes *rest, size_t fields, struct line *ret)
{
	while (rest->len > 0) {
		const uint8_t *end = memchr(rest->at, '\n', rest->len);
		size_t len = end ? (size_t)(end - rest->at) : rest->len;
		struct bytes line = { rest->at, len };
		size_t n = 0, start = 0;

		rest->at += len + (end != NULL);
		rest->len -= len + (end != NULL);
		for (size_t i = 0; i <= len; i++) {
			if (i < len && line.at[i] != ':')
				continue;
			if (n < fields)
				ret->field[n] = (struct bytes){ line.at + start, i - start };
			n++;
			start = i + 1;
		}
		if (n == fields && (len == 0 || !memchr(line.at, '\0', len)))
			return true;
	}
	return false;
}

static bool equals(struct bytes field, struct bytes text)
{
	return field.len == text.len && field.len > 0 && memcmp(field.at, text.at, text.len) == 0;
}

/* Decimal digits and nothing else, up to USERS_ID_MAX. */
static bool parse_id(struct bytes text, uint32_t *ret_id)
{
	uint64_t id = 0;

	if (text.len == 0 || text.len > 10)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
		id = id * 10 + (uint64_t)(text.at[i] - '0');
	}
	if (id > USERS_ID_MAX)
		return false;
	*ret_id = (uint32_t)id;
	return true;
}

/* Is name one of "a,b,c"? */
static bool lists(struct bytes members, struct bytes name)
{
	size_t start = 0;

	for (size_t i = 0; i <= members.len; i++) {
		if (i < members.len && members.at[i] != ',')
			continue;
		if (equals((struct bytes){ members.at + start, i - start }, name))
			return true;
		start = i + 1;
	}
	return false;
}

/*
 * Looks for a user by number, if text is one, else by name. ret_name is empty if there is no
 * line, which only a number may lack.
 */
static int find_user(struct arena *arena, struct bytes passwd, struct bytes text,
		     struct user *ret_user, struct bytes *ret_name)
{
	uint32_t want = 0, uid, gid;
	bool by_id = text.len == 0 || parse_id(text, &want);
	struct line line;

	while (next_line(&passwd, PASSWD_FIELDS, &line)) {
		if (line.field[0].len == 0 || !parse_id(line.field[2], &uid) ||
		    !parse_id(line.field[3], &gid))
			continue;
		if (by_id ? uid != want : !equals(line.field[0], text))
			continue;
		*ret_user = (struct user){ .uid = uid, .gid = gid, .home = "/" };
		if (line.field[5].len > 0)
			ret_user->home = arena_strndup(arena, (const char *)line.field[5].at,
						       line.field[5].len);
		*ret_name = line.field[0];
		return ret_user->home ? 0 : -ENOMEM;
	}
	if (!by_id)
		return -ESRCH;
	*ret_user = (struct user){ .uid = want, .home = "/" };
	*ret_name = (struct bytes){ 0 };
	return 0;
}

static int find_group(struct bytes group, struct bytes text, uint32_t *ret_gid)
{
	struct line line;

	if (parse_id(text, ret_gid))
		return 0;
	while (next_line(&group, GROUP_FIELDS, &line))
		if (equals(line.field[0], text) && parse_id(line.field[2], ret_gid))
			return 0;
	return -ESRCH;
}

static int find_groups_of(struct arena *arena, struct bytes group, struct bytes name,
			  struct user *user)
{
	uint32_t *groups = arena_array(arena, USERS_GROUPS_MAX, sizeof(*groups));
	struct line line;
	uint32_t gid;

	if (!groups)
		return -ENOMEM;
	user->groups = groups;
	while (next_line(&group, GROUP_FIELDS, &line)) {
		if (!lists(line.field[3], name) || !parse_id(line.field[2], &gid))
			continue;
		if (user->group_count == USERS_GROUPS_MAX)
			return -E2BIG;
		groups[user->group_count++] = gid;
	}
	return 0;
}

int users_resolve(struct arena *arena, struct bytes passwd, struct bytes group, const char *text,
		  struct user *ret_user, struct err *err)
{
	const char *colon = strchr(text, ':');
	size_t len = strlen(text), user_len = colon ? (size_t)(colon - text) : len;
	struct bytes user_text = { (const uint8_t *)text, user_len }, name;
	struct user user = { 0 };
	int r;

	if (len > USERS_TEXT_MAX || (colon && (!colon[1] || strchr(colon + 1, ':'))))
		return err_set(err, -EINVAL, "find user '%.300s': not USER or USER:GROUP", text);
	r = find_user(arena, passwd, user_text, &user, &name);
	if (r == -ESRCH)
		return err_set(err, r, "find user '%s': the image's /etc/passwd has none", text);
	if (r == 0 && colon) {
		struct bytes want = { (const uint8_t *)colon + 1, len - user_len - 1 };

		r = find_group(group, want, &user.gid);
		if (r == -ESRCH)
			return err_set(err, r,
				       "find user '%s': the image's /etc/group has no such "
				       "group",
				       text);
	} else if (r == 0 && name.len > 0) {
		r = find_groups_of(arena, group, name, &user);
	}
	if (r < 0)
		return err_num(err, r, "find user '%s'", text);
	*ret_user = user;
	return 0;
}
