/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls of nvringd's control interface (JSON-RPC 2.0), each over a connection of its own, each with a deadline. */
#ifndef VDPA_VDPA_RPC_H
#define VDPA_VDPA_RPC_H

#include "core/base/errbuf.h"

struct json_object;

/**
 * vdpa_rpc_call - @params (taken over) to @method of the daemon at @path, within @ms. *ret is the caller's to put. 0;
 * -EREMOTEIO: the daemon's refusal; -ETIMEDOUT, -EBADMSG, what connect(2) says; with eb.
 */
int vdpa_rpc_call(const char *path, unsigned ms, const char *method, struct json_object *params,
		  struct json_object **ret, struct errbuf *eb);

#endif
