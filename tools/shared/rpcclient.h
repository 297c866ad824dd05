/* SPDX-License-Identifier: BSD-3-Clause */
/* One call of nvringd's control interface, over a connection of its own. */
#ifndef TOOLS_SHARED_RPCCLIENT_H
#define TOOLS_SHARED_RPCCLIENT_H

#include "core/base/errbuf.h"

struct json_object;

/**
 * rpcclient_call - @params (taken over; NULL: none) to @method on the socket @path; *ret_result is the caller's to put.
 * 0; -EIO: the daemon refuses, and eb says why; -ENOTCONN: nobody there, or no answer within @timeout_s.
 */
int rpcclient_call(const char *path, unsigned timeout_s, const char *method, struct json_object *params,
		   struct json_object **ret_result, struct errbuf *eb);

#endif
