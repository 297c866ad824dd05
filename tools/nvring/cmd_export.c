/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring export … */
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/nvring/cli.h"
#include "tools/nvring/client.h"
#include "tools/nvring/show.h"
#include "tools/nvring/table.h"
#include "tools/shared/jget.h"
#include "tools/shared/size.h"

int cli_export_list(struct cli *cli)
{
	return show_call(cli, "vhost_get_controllers", NULL, show_exports);
}

static int add_socket(struct json_object *params, const char *socket)
{
	char cwd[PATH_MAX], path[PATH_MAX + 128];

	if (socket[0] == '/') {
		json_object_object_add(params, "socket", json_object_new_string(socket));
		return CLI_OK;
	}
	if (!getcwd(cwd, sizeof(cwd)) ||
	    (size_t)snprintf(path, sizeof(path), "%s/%s", cwd, socket) >= sizeof(path))
		return cli_error(CLI_USAGE, "the path of the socket is too long");
	json_object_object_add(params, "socket", json_object_new_string(path));
	return CLI_OK;
}

static int add_number(struct json_object *params, const char *key, const char *what, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end)
		return cli_error(CLI_USAGE, "%s: a number, not '%s'", what, text);
	json_object_object_add(params, key, json_object_new_int64(n));
	return CLI_OK;
}

static void show_path(struct json_object *result)
{
	puts(json_object_get_string(result));
}

int cli_export_create(struct cli *cli)
{
	struct json_object *params = json_object_new_object();
	const char *name = cli_opt(cli, "name");
	int rc = CLI_OK;

	json_object_object_add(params, "ctrlr",
			       json_object_new_string(name ? name : cli->args[0]));
	json_object_object_add(params, "dev_name", json_object_new_string(cli->args[0]));
	if (cli->args[1])
		rc = add_socket(params, cli->args[1]);
	if (!rc && cli_opt(cli, "queues"))
		rc = add_number(params, "queues", "--queues", cli_opt(cli, "queues"));
	if (rc) {
		json_object_put(params);
		return rc;
	}
	if (cli_opt(cli, "read-only"))
		json_object_object_add(params, "readonly", json_object_new_boolean(1));
	if (cli_opt(cli, "serial"))
		json_object_object_add(params, "serial",
				       json_object_new_string(cli_opt(cli, "serial")));
	if (cli_opt(cli, "mode"))
		json_object_object_add(params, "mode",
				       json_object_new_string(cli_opt(cli, "mode")));
	if (cli_opt(cli, "cpus"))
		json_object_object_add(params, "cpus",
				       json_object_new_string(cli_opt(cli, "cpus")));
	if (cli_opt(cli, "no-packed"))
		json_object_object_add(params, "packed_ring", json_object_new_boolean(0));
	if (cli_opt(cli, "write-through"))
		json_object_object_add(params, "write_cache", json_object_new_boolean(0));
	return show_call(cli, "vhost_create_blk_controller", params, show_path);
}

int cli_export_delete(struct cli *cli)
{
	struct json_object *params = json_object_new_object();

	json_object_object_add(params, "ctrlr", json_object_new_string(cli->args[0]));
	return show_call(cli, "vhost_delete_controller", params, NULL);
}

int cli_vhost_move(struct cli *cli)
{
	struct json_object *params = json_object_new_object();
	int rc = add_number(params, "queue", "QUEUE", cli->args[1]);

	json_object_object_add(params, "ctrlr", json_object_new_string(cli->args[0]));
	if (!rc)
		rc = add_number(params, "reactor", "REACTOR", cli->args[2]);
	if (rc) {
		json_object_put(params);
		return rc;
	}
	return show_call(cli, "vhost_move_queue", params, NULL);
}

/*
 * Show
 */

/* "  features: A B C", folded at some 90 columns. */
static void print_names(const char *what, struct json_object *arr)
{
	int col = printf("%-19s", what);

	for (size_t i = 0; i < jget_count(arr, ""); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(arr, i));

		if (col + (int)strlen(name) > 90)
			col = printf("\n%-19s", "") - 1;
		col += printf(" %s", name);
	}
	putchar('\n');
}

static void print_regions(struct json_object *regions)
{
	struct table *t = table_create("REGION|GUEST ADDRESS|FRONT-END ADDRESS|>SIZE");
	char n[SHOW_TEXT_MAX], size[SIZE_TEXT_MAX];

	for (size_t i = 0; i < jget_count(regions, ""); i++) {
		struct json_object *r = json_object_array_get_idx(regions, i);

		table_row(t, show_count(i, n), jget_text(r, "gpa"), jget_text(r, "uva"),
			  size_format(jget_number(r, "bytes"), size));
	}
	putchar('\n');
	table_print(t);
}

static void print_queues(struct json_object *queues)
{
	struct table *t = table_create(">QUEUE|STATE|LAYOUT|>SIZE|>AVAIL|>USED|>IN FLIGHT|>REACTOR|>CPU|"
				       ">REQUESTS|>KICKS|>CALLS");
	static const char *const keys[] = { "index",	"size",	   "avail_idx", "used_idx", "inflight",
					    "reactor", "cpu", "requests", "kicks", "calls" };
	char n[10][SHOW_TEXT_MAX];

	for (size_t i = 0; i < jget_count(queues, ""); i++) {
		struct json_object *q = json_object_array_get_idx(queues, i);
		const char *state = jget_bool(q, "broken")   ? "broken" :
				    !jget_bool(q, "started") ? "stopped" :
				    jget_bool(q, "enabled")  ? "running" :
							       "disabled";

		for (unsigned k = 0; k < 10; k++)
			show_count(jget_number(q, keys[k]), n[k]);
		table_row(t, n[0], state, jget_text(q, "layout"), n[1], n[2], n[3], n[4], n[5], n[6],
			  n[7], n[8], n[9]);
	}
	putchar('\n');
	table_print(t);
	for (size_t i = 0; i < jget_count(queues, ""); i++) {
		struct json_object *q = json_object_array_get_idx(queues, i);

		if (jget_bool(q, "broken"))
			printf("queue %u is broken: %s\n", (unsigned)jget_number(q, "index"),
			       jget_text(q, "why"));
	}
}

static void show_export(struct json_object *result)
{
	struct json_object *c = json_object_array_get_idx(result, 0), *s = jget(c, "sessions/0");

	printf("%-20s%s\n", "export", jget_text(c, "ctrlr"));
	printf("%-20s%s%s\n", "disk", jget_text(c, "backend_specific/block/bdev"),
	       jget_bool(c, "backend_specific/block/readonly") ? " (read-only)" : "");
	printf("%-20s%s\n", "socket", jget_text(c, "socket"));
	printf("%-20s%u\n", "queues offered", (unsigned)jget_number(c, "backend_specific/block/queues"));
	printf("%-20s%s%s%s\n", "CPUs", jget_text(c, "cpus"),
	       strcmp(jget_text(c, "cpus"), jget_text(c, "near_cpus")) ? ", by themselves on " : "",
	       strcmp(jget_text(c, "cpus"), jget_text(c, "near_cpus")) ? jget_text(c, "near_cpus")
								       : "");
	printf("%-20s%u\n", "connections so far", (unsigned)jget_number(c, "connections"));
	if (!s) {
		printf("%-20s%s\n", "state", "waiting for a front-end");
		return;
	}
	printf("%-20s%s\n", "state", jget_text(s, "state"));
	printf("%-20spid %u\n", "front-end", (unsigned)jget_number(s, "peer_pid"));
	print_names("features", jget(s, "feature_names"));
	print_names("protocol features", jget(s, "protocol_feature_names"));
	print_regions(jget(s, "regions"));
	print_queues(jget(s, "queues"));
}

int cli_export_show(struct cli *cli)
{
	struct json_object *params = json_object_new_object();

	json_object_object_add(params, "name", json_object_new_string(cli->args[0]));
	return show_call(cli, "vhost_get_controllers", params, show_export);
}
