/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls of the daemon for commands: which socket, and which exit status. */
#include "tools/nvring/client.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>

#include "core/base/cc.h"
#include "core/rpc/rpcclient.h"
#include "tools/nvring/cli.h"
#include "tools/shared/rundir.h"

#define CLIENT_PATH_MAX 108 /* sun_path */

int client_path(const struct cli *cli, char *buf, size_t len, struct errbuf *eb)
{
	if (cli->socket) {
		if ((size_t)snprintf(buf, len, "%s", cli->socket) < len)
			return 0;
		return errbuf_set(eb, -ENOENT, "the path of the socket is too long");
	}
	if (rundir_rpc_path(buf, len) == 0)
		return 0;
	return errbuf_set(eb, -ENOENT, "XDG_RUNTIME_DIR is not set: give --socket PATH");
}

/* What a user may do about it. */
static const char *hint(int err)
{
	if (err == -ENOENT || err == -ECONNREFUSED)
		return " (is nvringd running? -s SOCKET names another socket)";
	return err == -ETIMEDOUT ? " (--timeout SECONDS)" : "";
}

int client_try(struct cli *cli, const char *method, struct json_object *params,
	       struct json_object **ret_result, struct errbuf *eb)
{
	char path[CLIENT_PATH_MAX];
	struct errbuf why;
	int err = client_path(cli, path, sizeof(path), eb);

	if (err) {
		json_object_put(params);
		return CLI_UNREACHABLE;
	}
	err = rpcclient_call(path, CC_MIN(cli->timeout_s, UINT_MAX / 1000) * 1000, method, params, ret_result, &why);
	if (!err)
		return CLI_OK;
	errbuf_write(eb, "%.400s%s", why.text, hint(err));
	return err == -EREMOTEIO || err == -EBADMSG ? CLI_FAILED : CLI_UNREACHABLE;
}

int client_call(struct cli *cli, const char *method, struct json_object *params,
		struct json_object **ret_result)
{
	struct errbuf eb;
	int rc = client_try(cli, method, params, ret_result, &eb);

	return rc ? cli_error(rc, "%s", eb.text) : CLI_OK;
}
