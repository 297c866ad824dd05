/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control interface: JSON-RPC 2.0 on a UNIX socket. One call at a time per client, several clients.
 *
 *   recv ─► jsonrpc_stream ─► one message or batch ─► rpc_method.fn(call) ─► rpc_answer / rpc_fail ─► send ─► next message
 *
 * A client that does not read its answer is not read from: what it may occupy is one request and one answer.
 * Everything runs on the control thread.
 */
#ifndef TOOLS_NVRINGD_RPC_SERVER_H
#define TOOLS_NVRINGD_RPC_SERVER_H

#include "core/base/errbuf.h"
#include "tools/nvringd/jread.h"

struct json_object;
struct rpc_call;
struct rpc_server;
struct wiring;

#define RPC_CLIENTS_MAX	     64
#define RPC_PARAMS_BYTES_MAX 4096

struct rpc_method {
	const char *name;
	const struct jread_field *fields; /* of params; the values land in a struct of params_bytes */
	unsigned nfields;
	size_t params_bytes;
	const void *defaults; /* of that struct; NULL: zeroes */
	/* Ends in rpc_answer() or rpc_fail(), once, now or later; @params stay until then. */
	void (*fn)(struct rpc_call *call, const void *params);
};

/* Binds @path (0600; a stale file of a dead process is replaced); who connects waits. 0 or -errno with eb. */
int rpc_server_create(struct wiring *w, const char *path, struct rpc_server **ret_s,
		      struct errbuf *eb);
/* From now on calls are answered. 0 or -errno with eb. */
int rpc_server_start(struct rpc_server *s, struct errbuf *eb);
/* Clients are cut off, calls under way are answered to nobody; the socket file goes. NULL is fine. */
void rpc_server_destroy(struct rpc_server *s);

/* @result is taken over. */
void rpc_answer(struct rpc_call *call, struct json_object *result);
void rpc_fail(struct rpc_call *call, int code, const char *fmt, ...) cc_printf(3, 4);

struct wiring *rpc_wiring(const struct rpc_call *call);
const void *rpc_params(const struct rpc_call *call);

#endif
