// SPDX-License-Identifier: Apache-2.0
#include "agent/reaper.h"

#include <errno.h>
#include <stdlib.h>

#include "sys/child.h"

/* A crun that starts something leaves one or two processes of its own behind. */
enum { EARLY_MAX = 256 };

struct expected {
	struct expected *next;
	pid_t pid;
	reaper_fn *fn;
	void *data;
};

struct early {
	uint64_t at; /* value of the counter when it ended; 0: empty */
	pid_t pid;
	uint32_t status;
};

struct reaper {
	int fd;
	struct loop_source *source;
	struct expected *expected;
	struct early early[EARLY_MAX];
	uint64_t counter; /* of marks and ends */
	size_t early_next;
	unsigned marks;
};

static void deliver(struct reaper *reaper, pid_t pid, uint32_t status)
{
	struct expected **at = &reaper->expected, *found;

	while (*at && (*at)->pid != pid)
		at = &(*at)->next;
	found = *at;
	if (found) {
		*at = found->next;
		found->fn(found->data, status);
		free(found);
	} else if (reaper->marks > 0) {
		reaper->early[reaper->early_next++ % EARLY_MAX] =
			(struct early){ ++reaper->counter, pid, status };
	}
}

static void on_child(void *data, uint32_t events)
{
	struct reaper *reaper = data;
	uint32_t status;
	pid_t pid;

	(void)events;
	while (child_next(reaper->fd, &pid, &status) == 0)
		deliver(reaper, pid, status);
}

int reaper_new(struct loop *loop, struct reaper **ret_reaper, struct err *err)
{
	struct reaper *reaper = calloc(1, sizeof(*reaper));
	int r;

	if (!reaper)
		return err_num(err, -ENOMEM, "watch children");
	reaper->fd = -1;
	r = child_watch(&reaper->fd, err);
	if (r == 0) {
		r = loop_add(loop, reaper->fd, EPOLLIN, on_child, reaper, &reaper->source);
		if (r < 0)
			err_num(err, r, "watch children");
	}
	if (r < 0) {
		(void)reaper_free(reaper);
		return r;
	}
	*ret_reaper = reaper;
	return 0;
}

struct reaper *reaper_free(struct reaper *reaper)
{
	struct expected *next;

	if (!reaper)
		return NULL;
	for (struct expected *e = reaper->expected; e; e = next) {
		next = e->next;
		free(e);
	}
	(void)loop_source_free(reaper->source);
	if (reaper->fd >= 0)
		(void)close(reaper->fd);
	free(reaper);
	return NULL;
}

uint64_t reaper_mark(struct reaper *reaper)
{
	reaper->marks++;
	return ++reaper->counter;
}

void reaper_unmark(struct reaper *reaper)
{
	reaper->marks--;
}

int reaper_expect(struct reaper *reaper, pid_t pid, uint64_t since, reaper_fn *fn, void *data,
		  uint32_t *ret_status)
{
	struct expected *expected;

	for (size_t i = 0; i < EARLY_MAX; i++) {
		if (reaper->early[i].pid != pid || reaper->early[i].at <= since)
			continue;
		*ret_status = reaper->early[i].status;
		return 1;
	}
	expected = malloc(sizeof(*expected));
	if (!expected)
		return -ENOMEM;
	*expected = (struct expected){ reaper->expected, pid, fn, data };
	reaper->expected = expected;
	return 0;
}

void reaper_forget(struct reaper *reaper, const void *data)
{
	struct expected **at = &reaper->expected, *gone;

	while ((gone = *at)) {
		if (gone->data == data) {
			*at = gone->next;
			free(gone);
		} else {
			at = &gone->next;
		}
	}
}
