/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands about the daemon as a whole: status, version, reactors, log, configuration, raw calls. */
#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/nvring/cli.h"
#include "tools/nvring/client.h"
#include "tools/nvring/show.h"
#include "tools/shared/jget.h"

/* The calls that make up the status; the keys of its JSON. */
static const struct {
	const char *key, *method;
} status_calls[] = {
	{ "version", "nvring_get_version" },
	{ "disks", "bdev_get_bdevs" },
	{ "exports", "vhost_get_controllers" },
	{ "vduse", "vduse_get_devices" },
	{ "reactors", "framework_get_reactors" },
};

static void show_status(struct cli *cli, struct json_object *all)
{
	char path[PATH_MAX] = "";

	(void)client_path(cli, path, sizeof(path), NULL); /* it has just been used */
	printf("%s, pid %u, on %s\n", jget_text(all, "version/version"),
	       (unsigned)jget_number(all, "reactors/pid"), path);
	putchar('\n');
	show_disks(jget(all, "disks"));
	putchar('\n');
	show_exports(jget(all, "exports"));
	putchar('\n');
	if (jget_count(all, "vduse")) {
		show_vduses(jget(all, "vduse"));
		putchar('\n');
	}
	show_reactors(jget(all, "reactors"));
}

int cli_status(struct cli *cli)
{
	struct json_object *all = json_object_new_object();
	int rc = CLI_OK;

	for (unsigned i = 0; i < sizeof(status_calls) / sizeof(status_calls[0]) && !rc; i++) {
		struct json_object *result = NULL;

		rc = client_call(cli, status_calls[i].method, NULL, &result);
		json_object_object_add(all, status_calls[i].key, result);
	}
	if (!rc && cli->json)
		show_json(all);
	else if (!rc)
		show_status(cli, all);
	json_object_put(all);
	return rc;
}

int cli_version(struct cli *cli)
{
	struct json_object *result = NULL;
	struct errbuf eb;

	if (cli->json)
		return show_call(cli, "nvring_get_version", NULL, NULL);
	puts("nvring " NVRING_VERSION);
	if (client_try(cli, "nvring_get_version", NULL, &result, &eb))
		puts("daemon: not reachable");
	else
		printf("daemon: %s\n", jget_text(result, "version"));
	json_object_put(result);
	return CLI_OK;
}

int cli_reactor_list(struct cli *cli)
{
	return show_call(cli, "framework_get_reactors", NULL, show_reactors);
}

/* @text may be NULL: all of them. */
static void add_reactor_id(struct json_object *params, const char *text)
{
	const char *id = text ? text : "all";

	if (isdigit((unsigned char)id[0]))
		json_object_object_add(params, "id", json_tokener_parse(id));
	else
		json_object_object_add(params, "id", json_object_new_string(id));
}

int cli_reactor_idle(struct cli *cli)
{
	static const char *const keys[] = { "min_us", "max_us" };
	struct json_object *params = json_object_new_object();

	for (unsigned i = 0; i < 2; i++) {
		const char *text = cli->args[i];
		unsigned long us;
		char *end;

		errno = 0;
		us = strtoul(text, &end, 10);
		if (!isdigit((unsigned char)text[0]) || *end || errno || us > INT_MAX) {
			json_object_put(params);
			return cli_error(CLI_USAGE, "%s: a number of microseconds, not \"%.60s\"",
					 i == 0 ? "MIN" : "MAX", text);
		}
		json_object_object_add(params, keys[i], json_object_new_int((int)us));
	}
	add_reactor_id(params, cli->args[2]);
	return show_call(cli, "reactor_set_idle", params, NULL);
}

int cli_reactor_mode(struct cli *cli)
{
	struct json_object *params = json_object_new_object();

	json_object_object_add(params, "mode", json_object_new_string(cli->args[0]));
	add_reactor_id(params, cli->args[1]);
	return show_call(cli, "reactor_set_mode", params, NULL);
}

static void show_rebalance(struct json_object *result)
{
	uint64_t n = jget_number(result, "moves");
	char moves[SHOW_TEXT_MAX];

	printf("%s, %s queue%s moved so far\n", jget_bool(result, "enabled") ? "on" : "off",
	       show_count(n, moves), n == 1 ? "" : "s");
}

int cli_reactor_rebalance(struct cli *cli)
{
	const char *arg = cli->args[0];
	struct json_object *params;

	if (!arg)
		return show_call(cli, "reactor_get_rebalance", NULL, show_rebalance);
	if (strcmp(arg, "on") != 0 && strcmp(arg, "off") != 0)
		return cli_error(CLI_USAGE, "reactor rebalance: on or off, not '%s'", arg);
	params = json_object_new_object();
	json_object_object_add(params, "enabled", json_object_new_boolean(strcmp(arg, "on") == 0));
	return show_call(cli, "reactor_set_rebalance", params, NULL);
}

static void show_text(struct json_object *result)
{
	puts(json_object_get_string(result));
}

int cli_log(struct cli *cli)
{
	struct json_object *params;

	if (!cli->args[0])
		return show_call(cli, "log_get_level", NULL, show_text);
	params = json_object_new_object();
	json_object_object_add(params, "level", json_object_new_string(cli->args[0]));
	return show_call(cli, "log_set_level", params, NULL);
}

int cli_config_show(struct cli *cli)
{
	return show_call(cli, "framework_get_config", NULL, show_json);
}

static void show_saved(struct json_object *result)
{
	printf("written to %s\n", jget_text(result, "path"));
}

int cli_config_save(struct cli *cli)
{
	struct json_object *params = json_object_new_object();
	const char *file = cli->args[0];
	char cwd[PATH_MAX], path[PATH_MAX + NAME_MAX];

	if (file && file[0] != '/') {
		if (!getcwd(cwd, sizeof(cwd)) ||
		    (size_t)snprintf(path, sizeof(path), "%s/%s", cwd, file) >= sizeof(path)) {
			json_object_put(params);
			return cli_error(CLI_USAGE, "the path is too long");
		}
		file = path;
	}
	if (file)
		json_object_object_add(params, "path", json_object_new_string(file));
	return show_call(cli, "save_config", params, show_saved);
}

int cli_rpc(struct cli *cli)
{
	struct json_object *params = NULL;
	enum json_tokener_error err;

	if (cli->args[1]) {
		params = json_tokener_parse_verbose(cli->args[1], &err);
		if (!json_object_is_type(params, json_type_object)) {
			json_object_put(params);
			return cli_error(CLI_USAGE, "PARAMS must be a JSON object, not '%s'",
					 cli->args[1]);
		}
	}
	return show_call(cli, cli->args[0], params, show_json);
}
