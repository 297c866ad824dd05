/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring cdi … */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "tools/nvring/cdi.h"
#include "tools/nvring/cli.h"
#include "tools/nvring/client.h"
#include "tools/shared/jget.h"

static const char *cdi_dir(const struct cli *cli)
{
	const char *dir = cli_opt(cli, "dir");

	return dir ? dir : CDI_DIR_DEFAULT;
}

static int put(const struct cli *cli, const struct cdi_device *d)
{
	char path[PATH_MAX];
	struct errbuf eb;

	if (cdi_write(cdi_dir(cli), d, path, &eb))
		return cli_error(CLI_FAILED, "%s", eb.text);
	printf("%s=%s\n", CDI_KIND, d->name);
	if (d->what == CDI_SOCKET)
		(void)cli_error(0, "%s: the folder of %s holds more than it, so the container gets this socket alone, and "
				   "loses it when nvringd is restarted", d->name, d->host);
	return CLI_OK;
}

/* NULL: no export of that name. */
static struct json_object *find(struct json_object *exports, const char *name)
{
	for (size_t i = 0; i < jget_count(exports, ""); i++) {
		struct json_object *e = json_object_array_get_idx(exports, i);

		if (strcmp(jget_text(e, "ctrlr"), name) == 0)
			return e;
	}
	return NULL;
}

/* Everything is checked before the first file is written. */
static int device_of(struct json_object *export, const char *name, struct cdi_device *ret)
{
	struct errbuf eb;

	if (!export)
		return cli_error(CLI_FAILED, "no export named \"%s\"", name);
	if (jget_text(export, "socket")[0] != '/')
		return cli_error(CLI_FAILED, "%s: its socket is \"%s\", which only nvringd can find: export it with a whole path",
				 name, jget_text(export, "socket"));
	if (cdi_name_check(name, &eb) || cdi_socket(name, jget_text(export, "socket"), ret, &eb))
		return cli_error(CLI_FAILED, "%s", eb.text);
	return CLI_OK;
}

static const char *wanted(const struct cli *cli, struct json_object *exports, size_t i)
{
	if (cli->args[0])
		return i < CLI_ARGS_MAX ? cli->args[i] : NULL;
	return i < jget_count(exports, "") ? jget_text(json_object_array_get_idx(exports, i), "ctrlr") : NULL;
}

static int write_sockets(struct cli *cli)
{
	struct json_object *exports = NULL;
	struct cdi_device d;
	const char *name;
	int rc = client_call(cli, "vhost_get_controllers", NULL, &exports);

	for (size_t i = 0; !rc && (name = wanted(cli, exports, i)); i++)
		rc = device_of(find(exports, name), name, &d);
	for (size_t i = 0; !rc && (name = wanted(cli, exports, i)); i++) {
		rc = device_of(find(exports, name), name, &d);
		if (!rc)
			rc = put(cli, &d);
	}
	json_object_put(exports);
	return rc;
}

int cli_cdi_write(struct cli *cli)
{
	const char *node = cli_opt(cli, "node"), *name = cli->args[0];
	struct cdi_device d;
	struct errbuf eb;

	if (!node)
		return write_sockets(cli);
	if (!name || cli->args[1])
		return cli_error(CLI_USAGE, "--node is for one NAME");
	if (cdi_name_check(name, &eb) || cdi_node(name, node, &d, &eb))
		return cli_error(CLI_FAILED, "%s", eb.text);
	return put(cli, &d);
}

int cli_cdi_remove(struct cli *cli)
{
	int rc = CLI_OK;

	for (unsigned i = 0; i < CLI_ARGS_MAX && cli->args[i]; i++) {
		struct errbuf eb;

		if (cdi_name_check(cli->args[i], &eb) || cdi_remove(cdi_dir(cli), cli->args[i], &eb))
			rc = cli_error(CLI_FAILED, "%s", eb.text);
	}
	return rc;
}
