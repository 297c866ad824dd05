/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring disk limit, freeze, thaw; nvring group … */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/nvring/cli.h"
#include "tools/nvring/client.h"
#include "tools/nvring/show.h"
#include "tools/nvring/table.h"
#include "tools/shared/jget.h"
#include "tools/shared/size.h"

/* The daemon gives up a freeze so long before the command gives up its answer: no disk is left frozen by a failure. */
#define FREEZE_MARGIN_MS 500

static struct json_object *name_params(const char *name)
{
	struct json_object *obj = json_object_new_object();

	if (name)
		json_object_object_add(obj, "name", json_object_new_string(name));
	return obj;
}

/* What is no number stays a text: the daemon knows what it takes. NULL: none. */
static struct json_object *value_of(const char *text)
{
	long long n;
	char *end;

	if (strcmp(text, "none") == 0)
		return NULL;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || end == text || *end)
		return json_object_new_string(text);
	return json_object_new_int64(n);
}

/* Each option is a parameter with '_' for '-'. The number of them. */
static unsigned add_options(struct cli *cli, struct json_object *params)
{
	unsigned n = 0;
	char key[32];

	for (unsigned i = 0; i < CLI_OPTS_MAX && cli->cmd->opts[i].name; i++) {
		if (!cli->opts[i])
			continue;
		snprintf(key, sizeof(key), "%s", cli->cmd->opts[i].name);
		for (char *s = key; *s; s++)
			*s = *s == '-' ? '_' : *s;
		json_object_object_add(params, key,
				       strcmp(key, "group") == 0 && strcmp(cli->opts[i], "none") ?
					       json_object_new_string(cli->opts[i]) :
					       value_of(cli->opts[i]));
		n++;
	}
	return n;
}

/* "100 MiB/s" for what is counted in bytes, "5 ms" for times, else as it is. */
static const char *show_value(const char *key, struct json_object *v, char buf[SHOW_TEXT_MAX])
{
	char size[SIZE_TEXT_MAX];

	if (!json_object_is_type(v, json_type_int))
		return json_object_get_string(v);
	if (strstr(key, "bps"))
		snprintf(buf, SHOW_TEXT_MAX, "%s%s", size_format(json_object_get_uint64(v), size),
			 strstr(key, "burst") ? "" : "/s");
	else if (strstr(key, "_us"))
		show_ns(json_object_get_uint64(v) * 1000, buf);
	else if (strstr(key, "_ms") && json_object_get_uint64(v))
		show_ns(json_object_get_uint64(v) * 1000000, buf);
	else if (strstr(key, "_ms"))
		return "off";
	else
		show_count(json_object_get_uint64(v), buf);
	return buf;
}

static void show_set(struct json_object *set, struct table *t)
{
	char buf[SHOW_TEXT_MAX];

	json_object_object_foreach(set, key, v)
		table_row(t, key, show_value(key, v, buf));
}

static void show_waits(struct json_object *stats, struct table *t)
{
	char n[3][SHOW_TEXT_MAX];

	table_row(t, "delayed so far", show_count(jget_number(stats, "delayed"), n[0]));
	table_row(t, "time throttled", show_ns(jget_number(stats, "throttled_us") * 1000, n[1]));
	table_row(t, "waiting now", show_count(jget_number(stats, "waiting"), n[2]));
}

/* Of the first disk. */
static void show_limits(struct json_object *result)
{
	struct json_object *d = json_object_array_get_idx(result, 0);
	struct table *t = table_create("WHAT|>VALUE");

	show_set(jget(d, "qos"), t);
	if (!jget(d, "qos/weight"))
		table_row(t, "weight", "100 (default)");
	if (!jget(d, "qos/path_timeout_ms"))
		table_row(t, "path_timeout_ms", "30 s (default)");
	show_waits(jget(d, "qos_stats"), t);
	table_row(t, "frozen", jget_bool(d, "frozen") ? "yes" : "no");
	table_print(t);
}

int cli_disk_limit(struct cli *cli)
{
	struct json_object *params = name_params(cli->args[0]);

	if (add_options(cli, params))
		return show_call(cli, "bdev_set_qos", params, NULL);
	return show_call(cli, "bdev_get_bdevs", params, show_limits);
}

int cli_disk_freeze(struct cli *cli)
{
	struct json_object *params = name_params(cli->args[0]);

	json_object_object_add(params, "timeout_ms",
			       json_object_new_int64(cli->timeout_s * INT64_C(1000) -
						     FREEZE_MARGIN_MS));
	return show_call(cli, "bdev_freeze", params, NULL);
}

int cli_disk_thaw(struct cli *cli)
{
	return show_call(cli, "bdev_thaw", name_params(cli->args[0]), NULL);
}

/* "iops 5000, bps 10 MiB/s"; cut where the room ends. */
static const char *show_line(struct json_object *set, char *line, size_t len)
{
	char buf[SHOW_TEXT_MAX];
	size_t n = 0;

	line[0] = '\0';
	json_object_object_foreach(set, key, v)
	{
		if (n < len)
			n += (size_t)snprintf(line + n, len - n, "%s%s %s", n ? ", " : "", key,
					      show_value(key, v, buf));
	}
	return n ? line : NULL;
}

static const char *show_names(struct json_object *arr, char *line, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < jget_count(arr, "") && n < len; i++)
		n += (size_t)snprintf(line + n, len - n, "%s%s", n ? " " : "",
				      json_object_get_string(json_object_array_get_idx(arr, i)));
	return n ? line : NULL;
}

static void show_groups(struct json_object *groups)
{
	struct table *t = table_create("GROUP|>DELAYED|>THROTTLED|>WAITING|LIMITS|DISKS");

	for (size_t i = 0; i < jget_count(groups, ""); i++) {
		struct json_object *g = json_object_array_get_idx(groups, i);
		char n[3][SHOW_TEXT_MAX], limits[512], disks[1024];

		table_row(t, jget_text(g, "name"),
			  show_count(jget_number(g, "qos_stats/delayed"), n[0]),
			  show_ns(jget_number(g, "qos_stats/throttled_us") * 1000, n[1]),
			  show_count(jget_number(g, "qos_stats/waiting"), n[2]),
			  show_line(jget(g, "limits"), limits, sizeof(limits)),
			  show_names(jget(g, "disks"), disks, sizeof(disks)));
	}
	table_print(t);
}

int cli_group_list(struct cli *cli)
{
	return show_call(cli, "qos_get_groups", NULL, show_groups);
}

int cli_group_add(struct cli *cli)
{
	struct json_object *params = name_params(cli->args[0]);

	(void)add_options(cli, params); /* none is fine: limits can be set later */
	return show_call(cli, "qos_create_group", params, NULL);
}

int cli_group_set(struct cli *cli)
{
	struct json_object *params = name_params(cli->args[0]);

	if (!add_options(cli, params)) {
		json_object_put(params);
		return cli_error(CLI_USAGE, "say which limit to set or, with none, to remove");
	}
	return show_call(cli, "qos_set_group", params, NULL);
}

int cli_group_delete(struct cli *cli)
{
	return show_call(cli, "qos_delete_group", name_params(cli->args[0]), NULL);
}
