/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls of the daemon's control interface, one after the other each over a connection of its own. */
#ifndef TOOLS_NVRING_CLIENT_H
#define TOOLS_NVRING_CLIENT_H

#include "core/base/errbuf.h"

struct cli;
struct json_object;

/* The socket that would be used: --socket or the default. 0 or -ENOENT with eb. */
int client_path(const struct cli *cli, char *buf, size_t len, struct errbuf *eb);

/**
 * client_call - @params (taken over; NULL: none) to @method; *ret_result is the caller's to put.
 * CLI_OK; CLI_FAILED (the daemon's refusal) or CLI_UNREACHABLE after one line on standard error.
 */
int client_call(struct cli *cli, const char *method, struct json_object *params,
		struct json_object **ret_result);

/* The same without a line: eb has it. */
int client_try(struct cli *cli, const char *method, struct json_object *params,
	       struct json_object **ret_result, struct errbuf *eb);

#endif
