/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring kata … */
#include <json-c/json.h>
#include <stdio.h>

#include "tools/nvring/cdi.h"
#include "tools/nvring/cli.h"
#include "tools/nvring/client.h"
#include "tools/nvring/kata.h"
#include "tools/shared/jget.h"

static const char *kata_dir(const struct cli *cli)
{
	const char *dir = cli_opt(cli, "dir");

	return dir ? dir : KATA_DIR_DEFAULT;
}

int cli_kata_write(struct cli *cli)
{
	struct json_object *params = json_object_new_object(), *exports = NULL, *obj;
	const char *fstype = cli_opt(cli, "fstype");
	const char *socket;
	struct cdi_device d;
	struct errbuf eb;
	int rc;

	json_object_object_add(params, "name", json_object_new_string(cli->args[0]));
	rc = client_call(cli, "vhost_get_controllers", params, &exports);
	if (rc)
		return rc;
	socket = jget_text(exports, "0/socket");
	if (socket[0] != '/')
		rc = cli_error(CLI_FAILED, "%s: its socket is \"%s\", which only nvringd can find: export it with a whole path",
			       cli->args[0], socket);
	else if (cdi_socket(cli->args[0], socket, &d, &eb)) /* is it one? */
		rc = cli_error(CLI_FAILED, "%s", eb.text);
	obj = kata_build(socket, fstype ? fstype : "ext4");
	if (!rc && kata_write(kata_dir(cli), cli->args[1], obj, &eb))
		rc = cli_error(CLI_FAILED, "%s", eb.text);
	json_object_put(obj);
	json_object_put(exports);
	return rc;
}

int cli_kata_remove(struct cli *cli)
{
	struct errbuf eb;

	if (kata_remove(kata_dir(cli), cli->args[0], &eb))
		return cli_error(CLI_FAILED, "%s", eb.text);
	return CLI_OK;
}
