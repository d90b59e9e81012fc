/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client - a connection to a pod's shim.
 *
 *	r = client_open(&config, "a", &client, err);		a pod that is there
 *	r = client_start(&config, "a", &client, err);		or a new one: starts its shim
 *	r = client_call(&client, "Kill", &request.base, NULL, err);
 *	client_done(&client);
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "base/config.h"
#include "base/err.h"
#include "rpc/conn.h"
#include "sys/loop.h"
#include "wire/proto/casemate.pb-c.h"
#include "wire/proto/task.pb-c.h"

#define CLIENT_TASK "containerd.task.v2.Task"
#define CLIENT_POD "casemate.v1.Pod"

struct client {
	struct loop *loop;
	struct rpc_conn *conn;
	char *run_path;
	int run_fd;
	int pod_fd;	/* the pod's run directory */
	int journal_fd; /* of its lease */
	char pod[65];
	bool closed; /* the shim has gone */
};

#define CLIENT_NONE ((struct client){ .run_fd = -1, .pod_fd = -1, .journal_fd = -1 })

/* -ENOENT with ERR_NO_SUCH_POD: there is none, or its shim is dead. */
int client_open(const struct config *config, const char *pod, struct client *ret, struct err *err);

/* -EEXIST with ERR_NAME_TAKEN. */
int client_start(const struct config *config, const char *pod, struct client *ret, struct err *err);

void client_done(struct client *client);
CLEANUP_FUNC(struct client, client_done)

/*
 * Calls the Task API and waits. ret_payload may be NULL. -ENOENT with ERR_NO_SUCH_POD, and closed:
 * the pod has ended meanwhile.
 */
int client_call(struct client *client, const char *method, const ProtobufCMessage *request,
		struct buf *ret_payload, struct err *err);

/*
 * As client_call(), but -ETIMEDOUT of a shim that is at work for long. Free with
 * casemate__describe_response__free_unpacked().
 */
int client_describe(struct client *client, Casemate__DescribeResponse **ret, struct err *err);

/* Tells the shim to end its pod, and waits until it has: then as client_gone(). */
int client_shutdown(struct client *client, struct err *err);

/* Once it is closed: 0 if nothing is left of the pod, -EIO (ERR_HOST) if something is. */
int client_gone(const struct client *client, struct err *err);

#endif
