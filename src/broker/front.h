/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front - the process that faces the network: TLS 1.3 and HTTP, and nothing to give away but the
 * TLS key.
 *
 * It turns requests into messages for the back and answers into responses; of what they say it
 * knows the length only. Who is slow is cut off: a request is whole, and its answer taken, within
 * BROKER_REQUEST_S.
 */
#ifndef BROKER_FRONT_H
#define BROKER_FRONT_H

#include "base/err.h"
#include "broker/tls.h"

enum {
	BROKER_CONNECTIONS_MAX = 512,
	BROKER_REQUEST_S = 30,
	BROKER_BODIES_MAX = 64 << 20, /* bytes of all bodies that are being received */
	BROKER_HEAD_MAX = 32 << 10,   /* bytes of a request without its body */
};

/*
 * Serves listen_fd until the back (back_fd) ends; takes both. Gives up what a process can give up
 * once the library is ready. 0: the back has ended.
 */
int broker_front_serve(int take_listen_fd, int take_back_fd, const struct broker_tls *tls,
		       struct err *err);

#endif
