/* SPDX-License-Identifier: BSD-3-Clause */
/* One call of nvringd's control interface (JSON-RPC 2.0 on a UNIX socket), over a connection of its own. */
#ifndef CORE_RPC_RPCCLIENT_H
#define CORE_RPC_RPCCLIENT_H

#include "core/base/errbuf.h"

struct json_object;

/**
 * rpcclient_call - @params (taken over; NULL: none) to @method of the daemon at @path, within @ms. *ret is the caller's to
 * put. Any thread that may block.
 * 0; -EREMOTEIO: the daemon refuses, in its words; -EBADMSG: its answer makes no sense; -ETIMEDOUT; -ENOENT, -ECONNREFUSED:
 * nobody is there; or what else the socket says. With eb.
 */
int rpcclient_call(const char *path, unsigned ms, const char *method, struct json_object *params,
		   struct json_object **ret, struct errbuf *eb);

#endif
