/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring pool … and nvring volume … */
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/nvring/cli.h"
#include "tools/nvring/client.h"
#include "tools/nvring/show.h"
#include "tools/nvring/table.h"
#include "tools/shared/jget.h"
#include "tools/shared/size.h"

/* NAME and --pool. */
static struct json_object *volume_params(const struct cli *cli)
{
	struct json_object *obj = json_object_new_object();

	if (cli->args[0])
		json_object_object_add(obj, "name", json_object_new_string(cli->args[0]));
	if (cli_opt(cli, "pool"))
		json_object_object_add(obj, "pool", json_object_new_string(cli_opt(cli, "pool")));
	return obj;
}

static void add_flag(const struct cli *cli, const char *opt, const char *key, struct json_object *params)
{
	if (cli_opt(cli, opt))
		json_object_object_add(params, key, json_object_new_boolean(1));
}

static void show_pools(struct json_object *result)
{
	struct table *t = table_create("POOL|>VOLUMES|>FREE|>OF|URI");
	char n[SHOW_TEXT_MAX], size[2][SIZE_TEXT_MAX];

	for (size_t i = 0; i < jget_count(result, ""); i++) {
		struct json_object *p = json_object_array_get_idx(result, i);

		table_row(t, jget_text(p, "name"), show_count(jget_number(p, "volumes"), n),
			  size_format(jget_number(p, "free_bytes"), size[0]),
			  size_format(jget_number(p, "size_bytes"), size[1]), jget_text(p, "uri"));
	}
	table_print(t);
	for (size_t i = 0; i < jget_count(result, ""); i++) {
		struct json_object *p = json_object_array_get_idx(result, i);

		if (jget(p, "trouble"))
			printf("%s: %s\n", jget_text(p, "name"), jget_text(p, "trouble"));
	}
}

int cli_pool_list(struct cli *cli)
{
	return show_call(cli, "pool_list", NULL, show_pools);
}

int cli_pool_init(struct cli *cli)
{
	struct json_object *params = volume_params(cli);

	add_flag(cli, "force", "force", params);
	return show_call(cli, "pool_init", params, NULL);
}

static void show_volumes(struct json_object *result)
{
	struct table *t = table_create("VOLUME|POOL|>SIZE|>USED|>OFFSET|DISK|>PEER|SOCKET");
	char peer[SHOW_TEXT_MAX], size[3][SIZE_TEXT_MAX];

	for (size_t i = 0; i < jget_count(result, ""); i++) {
		struct json_object *v = json_object_array_get_idx(result, i);
		struct json_object *e = jget(v, "exports/0");

		table_row(t, jget_text(v, "name"), jget_text(v, "pool"),
			  size_format(jget_number(v, "size_bytes"), size[0]),
			  size_format(jget_number(v, "used_bytes"), size[1]),
			  jget(v, "offset_bytes") ? size_format(jget_number(v, "offset_bytes"), size[2]) : NULL,
			  jget(v, "disk") ? jget_text(v, "disk") : NULL,
			  jget_number(e, "peer_pid") ? show_count(jget_number(e, "peer_pid"), peer) : NULL,
			  e ? jget_text(e, "socket") : NULL);
	}
	table_print(t);
}

int cli_volume_list(struct cli *cli)
{
	return show_call(cli, "volume_list", volume_params(cli), show_volumes);
}

int cli_volume_create(struct cli *cli)
{
	struct json_object *params = volume_params(cli);

	json_object_object_add(params, "size", json_object_new_string(cli->args[1]));
	return show_call(cli, "volume_create", params, NULL);
}

int cli_volume_resize(struct cli *cli)
{
	struct json_object *params = volume_params(cli);

	json_object_object_add(params, "size", json_object_new_string(cli->args[1]));
	add_flag(cli, "shrink", "shrink", params);
	return show_call(cli, "volume_resize", params, NULL);
}

int cli_volume_remove(struct cli *cli)
{
	return show_call(cli, "volume_remove", volume_params(cli), NULL);
}

static void show_path(struct json_object *result)
{
	puts(json_object_get_string(result));
}

int cli_volume_export(struct cli *cli)
{
	struct json_object *params = volume_params(cli);
	char cwd[PATH_MAX], path[PATH_MAX + 128];

	if (cli->args[1] && cli->args[1][0] != '/') {
		if (!getcwd(cwd, sizeof(cwd)) ||
		    (size_t)snprintf(path, sizeof(path), "%s/%s", cwd, cli->args[1]) >= sizeof(path)) {
			json_object_put(params);
			return cli_error(CLI_USAGE, "the path of the socket is too long");
		}
		json_object_object_add(params, "socket", json_object_new_string(path));
	} else if (cli->args[1]) {
		json_object_object_add(params, "socket", json_object_new_string(cli->args[1]));
	}
	if (cli_opt(cli, "mode"))
		json_object_object_add(params, "mode", json_object_new_string(cli_opt(cli, "mode")));
	add_flag(cli, "read-only", "readonly", params);
	return show_call(cli, "volume_export", params, show_path);
}

int cli_volume_unexport(struct cli *cli)
{
	struct json_object *params = volume_params(cli);

	add_flag(cli, "force", "force", params);
	return show_call(cli, "volume_unexport", params, NULL);
}
