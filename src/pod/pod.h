/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pod - one VM and the containers in it, driven on one event loop.
 *
 * Each step that takes time has a callback, which is called exactly once, from the loop or before
 * the call returns; what its result points at lives until it returns. The state tables decide
 * what may happen when; the lease is written before the host is changed.
 *
 *	pod_new(&(struct pod_opts){ .loop = loop, .name = "a", .lease = lease, ... }, &pod)
 *	pod_create(pod, &(struct pod_create){ .id = "main", ... }, created, data)
 *		prepare child: image, plan -> VM (first container only) -> disks -> agent
 *	pod_start(pod, "main", "", started, data)
 *	pod_wait(pod, "main", "", ended, data)
 *	pod_delete(pod, "main", "", deleted, data)
 *	pod_end(pod); loop_run() until opts.on_end
 *	pod_free(pod)
 *
 * exec_id "" means the container's first process, everywhere.
 */
#ifndef POD_POD_H
#define POD_POD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "state/process.h"
#include "sys/loop.h"
#include "wire/proto/agent.pb-c.h"
#include "wire/proto/casemate.pb-c.h"

enum {
	POD_MAX_CONTAINERS = 64,
	POD_MAX_EXECS = 256, /* in all containers */
	POD_ID_MAX = 64,     /* bytes in a name */
	/* The output of one stream that is asked for and not yet written on: POD_STREAM_READS
	 * reads of POD_STREAM_READ bytes. */
	POD_STREAM_READ = 32 << 10,
	POD_STREAM_READS = 4,
	POD_STREAM_WINDOW = POD_STREAM_READ * POD_STREAM_READS,
};

struct pod;
struct lease;

struct pod_opts {
	struct loop *loop;
	struct lease *lease; /* borrowed; its run directory is there */
	const char *name;
	const char *program;	    /* `casemate`: exec'd for image work and planning */
	uint64_t began_us;	    /* when the request came in (CLOCK_BOOTTIME) */
	void (*on_end)(void *data); /* the VM is gone and every waiter has been told */
	void *data;
};

/* What a step came to. */
struct pod_result {
	int num; /* 0, or a negative errno */
	enum err_code code;
	const char *text;  /* set if num is: one line, and the console's last ones */
	uint32_t status;   /* wait, delete: exit status, or 128 + signal */
	int64_t exited_ns; /* wait, delete: CLOCK_REALTIME */
	uint32_t pid;	   /* start: in the guest */
};

typedef void pod_done_fn(void *data, const struct pod_result *result);

/* Where a process's streams go: FIFOs of the client's, by path; "" for none. */
struct pod_io {
	const char *in;
	const char *out;
	const char *err; /* not with a terminal */
	bool terminal;
};

struct pod_create {
	const char *id;
	const Casemate__Request *request;
	struct pod_io io;
	const void *owner; /* who has asked: see pod_owner_gone() */
};

struct pod_exec {
	const char *id;
	const char *exec_id;
	struct bytes process; /* a packed agent.Process */
	struct pod_io io;     /* no stream at all: it outlives whoever asked */
	const void *owner;
};

/* 0 and *ret, -EINVAL for a name that is none, -ENOMEM. */
int pod_new(const struct pod_opts *opts, struct pod **ret, struct err *err);

/* Kills what is left of the VM; undoing the lease is the caller's. NULL is fine. */
struct pod *pod_free(struct pod *pod);

void pod_create(struct pod *pod, const struct pod_create *create, pod_done_fn *done, void *data);
void pod_exec(struct pod *pod, const struct pod_exec *exec, pod_done_fn *done, void *data);
void pod_start(struct pod *pod, const char *id, const char *exec_id, pod_done_fn *done, void *data);

/* May be called by several, and after the end. */
void pod_wait(struct pod *pod, const char *id, const char *exec_id, pod_done_fn *done, void *data);

void pod_kill(struct pod *pod, const char *id, const char *exec_id, uint32_t signal, bool all,
	      pod_done_fn *done, void *data);
void pod_resize(struct pod *pod, const char *id, const char *exec_id, uint32_t width,
		uint32_t height, pod_done_fn *done, void *data);
void pod_close_input(struct pod *pod, const char *id, const char *exec_id, pod_done_fn *done,
		     void *data);

/* Ended or never started ones only; a container's takes those exec'd into it along. */
void pod_delete(struct pod *pod, const char *id, const char *exec_id, pod_done_fn *done,
		void *data);

/* The processes of a container, as the agent's packed ListResponse in text's place. */
typedef void pod_list_fn(void *data, const struct pod_result *result, struct bytes list);
void pod_list(struct pod *pod, const char *id, pod_list_fn *done, void *data);

struct pod_view {
	enum process_state state;
	uint32_t status;
	int64_t exited_ns;
	uint32_t pid;
	bool terminal;
	bool is_logging; /* more may come into its log */
};

/* 0 and *ret, or -ENOENT. */
int pod_view(struct pod *pod, const char *id, const char *exec_id, struct pod_view *ret);

/*
 * What the policy of a pod with a TEE has refused; NULL: nothing can be said of it (any more), which
 * is not that it has refused nothing.
 */
typedef void pod_refusals_fn(void *data, const Agent__ListRefusalsResponse *list);
void pod_refusals(struct pod *pod, pod_refusals_fn *done, void *data);

/* Fills a response that borrows from the pod; lists are the caller's to free() (not deep). */
int pod_describe(struct pod *pod, Casemate__DescribeResponse *ret);
void pod_describe_done(Casemate__DescribeResponse *ret);

/*
 * Ends and removes what owner asked for and did not detach, which is not before the start. True if that is the pod's first container: then
 * the pod ends with it, and nobody will want its remains.
 */
bool pod_owner_gone(struct pod *pod, const void *owner);

/* True if the pod's first container was to be removed when it has ended. */
bool pod_is_removable(const struct pod *pod);

/* True once every container has been deleted and nothing is under way. */
bool pod_is_empty(const struct pod *pod);

/* Ends the VM now. on_end follows, also if there was none, or it had ended before. */
void pod_end(struct pod *pod);

#endif
