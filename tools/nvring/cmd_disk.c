/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring disk … */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bdev.h"
#include "drivers/uri.h"
#include "tools/nvring/cli.h"
#include "tools/nvring/client.h"
#include "tools/nvring/show.h"
#include "tools/nvring/table.h"
#include "tools/shared/diskuri.h"
#include "tools/shared/jget.h"
#include "tools/shared/size.h"

static struct json_object *name_params(const char *name)
{
	struct json_object *obj = json_object_new_object();

	if (name)
		json_object_object_add(obj, "name", json_object_new_string(name));
	return obj;
}

int cli_disk_list(struct cli *cli)
{
	return show_call(cli, "bdev_get_bdevs", NULL, show_disks);
}

/* The daemon runs elsewhere in the file system: it gets absolute paths. @text is a path or a URI. */
static int absolute_uri(const char *text, char uri[BDEV_URI_MAX])
{
	char cwd[PATH_MAX], path[PATH_MAX + BDEV_URI_MAX];
	const char *rest = strncmp(text, "file:", 5) == 0 ? text + 5 : text;
	bool is_encoded = rest != text;

	if ((diskuri_is_uri(text) && !is_encoded) || rest[0] == '/')
		return diskuri_from_text(text, uri, BDEV_URI_MAX);
	if (!getcwd(cwd, sizeof(cwd)))
		return -errno;
	if (is_encoded) {
		if (diskuri_from_path(cwd, uri, BDEV_URI_MAX))
			return -ENAMETOOLONG;
		if (strlen(uri) + strlen(rest) + 2 > BDEV_URI_MAX)
			return -ENAMETOOLONG;
		snprintf(uri + strlen(uri), BDEV_URI_MAX - strlen(uri), "/%s", rest);
		return 0;
	}
	snprintf(path, sizeof(path), "%s/%s", cwd, rest);
	return diskuri_from_path(path, uri, BDEV_URI_MAX);
}

/* A new sparse file of @size at the plain path @path. */
static int make_file(const char *path, const char *size)
{
	uint64_t bytes;
	int fd;

	if (diskuri_is_uri(path))
		return cli_error(CLI_USAGE, "--size makes a file: give a plain path, not '%s'", path);
	if (uri_size_parse(size, &bytes) || bytes == 0)
		return cli_error(CLI_USAGE, "--size: '%s' is no size such as 10G", size);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return cli_error(CLI_FAILED, "cannot make %s: %s", path, strerror(errno));
	if (ftruncate(fd, (off_t)bytes)) {
		cli_error(0, "cannot make %s: %s", path, strerror(errno));
		close(fd);
		unlink(path);
		return CLI_FAILED;
	}
	close(fd);
	return CLI_OK;
}

int cli_disk_create(struct cli *cli)
{
	struct json_object *params, *result = NULL;
	char uri[BDEV_URI_MAX];
	int rc = CLI_OK;

	if (absolute_uri(cli->args[1], uri))
		return cli_error(CLI_USAGE, "the path is too long");
	if (cli_opt(cli, "size"))
		rc = make_file(cli->args[1], cli_opt(cli, "size"));
	if (rc)
		return rc;
	params = name_params(cli->args[0]);
	json_object_object_add(params, "uri", json_object_new_string(uri));
	if (cli_opt(cli, "read-only"))
		json_object_object_add(params, "read_only", json_object_new_boolean(1));
	rc = client_call(cli, "bdev_create", params, &result);
	if (rc && cli_opt(cli, "size"))
		unlink(cli->args[1]); /* made above, by us alone */
	if (!rc && cli->json)
		show_json(result);
	json_object_put(result);
	return rc;
}

int cli_disk_resize(struct cli *cli)
{
	struct json_object *params = name_params(cli->args[0]);

	if (cli->args[1])
		json_object_object_add(params, "size", json_object_new_string(cli->args[1]));
	return show_call(cli, "bdev_resize", params, NULL);
}

int cli_disk_delete(struct cli *cli)
{
	return show_call(cli, "bdev_delete", name_params(cli->args[0]), NULL);
}

int cli_disk_faults(struct cli *cli)
{
	struct json_object *params = name_params(cli->args[0]);

	if (cli->args[1])
		json_object_object_add(params, "rules", json_object_new_string(cli->args[1]));
	return show_call(cli, "fault_set_rules", params, NULL);
}

static void ways_row(struct table *t, const char *disk, const char *reactor, struct json_object *st)
{
	char n[5][SHOW_TEXT_MAX], bytes[SIZE_TEXT_MAX];

	table_row(t, disk, reactor, show_count(jget_number(st, "splits"), n[0]),
		  show_count(jget_number(st, "bounces"), n[1]),
		  size_format(jget_number(st, "bounced_bytes"), bytes),
		  show_count(jget_number(st, "fixed"), n[2]),
		  show_count(jget_number(st, "queued"), n[3]),
		  show_count(jget_number(st, "requeued"), n[4]));
}

/* Of each disk, then of its channels. */
static void show_ways(struct json_object *disks)
{
	struct table *t =
		table_create("DISK|REACTOR|>SPLIT|>BOUNCED|>BOUNCED BYTES|>FIXED|>QUEUED|>REQUEUED");

	for (size_t i = 0; i < jget_count(disks, ""); i++) {
		struct json_object *d = json_object_array_get_idx(disks, i);
		struct json_object *chans = jget(d, "channels");

		ways_row(t, jget_text(d, "name"), "all", d);
		for (size_t k = 0; k < jget_count(chans, ""); k++) {
			struct json_object *c = json_object_array_get_idx(chans, k);

			ways_row(t, jget_text(d, "name"), jget_text(c, "reactor"), c);
		}
	}
	table_print(t);
}

/* Seven cells: "mean", "p50" and so on of @lat. */
#define LATENCY_HEADS "|>MEAN|>P50|>P90|>P99|>P99.9|>P99.99|>MAX"
#define LATENCIES     7

static void latency_cells(struct json_object *lat, char ns[LATENCIES][SHOW_TEXT_MAX],
			  const char *cells[LATENCIES])
{
	static const char *const keys[LATENCIES] = { "mean",  "p50",	"p90", "p99",
						     "p99.9", "p99.99", "max" };

	for (unsigned i = 0; i < LATENCIES; i++)
		cells[i] = show_ns(jget_number(lat, keys[i]), ns[i]);
}

static void add_totals(struct table *t, const char *disk, const char *op, struct json_object *st)
{
	char n[2][SHOW_TEXT_MAX], bytes[SIZE_TEXT_MAX], ns[LATENCIES][SHOW_TEXT_MAX];
	const char *l[LATENCIES];

	latency_cells(jget(st, "latency_ns"), ns, l);
	table_row(t, disk, op, show_count(jget_number(st, "ios"), n[0]),
		  size_format(jget_number(st, "bytes"), bytes),
		  show_count(jget_number(st, "errors"), n[1]), l[0], l[1], l[2], l[3], l[4], l[5],
		  l[6]);
}

static void add_part(struct table *t, const char *const names[3], struct json_object *lat)
{
	char n[SHOW_TEXT_MAX], ns[LATENCIES][SHOW_TEXT_MAX];
	const char *l[LATENCIES];

	latency_cells(lat, ns, l);
	table_row(t, names[0], names[1], names[2], show_count(jget_number(lat, "count"), n), l[0],
		  l[1], l[2], l[3], l[4], l[5], l[6]);
}

/* Where the time went, of operations that occurred. */
static void add_parts(struct table *t, const char *disk, const char *op, struct json_object *st)
{
	static const struct {
		const char *name, *path;
	} parts[] = {
		{ "scheduler", "scheduler_ns" },
		{ "driver", "driver_ns" },
		{ "notification, called", "notification_ns/called" },
		{ "notification, suppressed", "notification_ns/suppressed" },
	};

	if (!jget_number(st, "ios"))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		const char *names[3] = { disk, op, parts[i].name };

		add_part(t, names, jget(st, parts[i].path));
	}
}

static void show_stats(struct json_object *result)
{
	struct table *totals = table_create("DISK|OPERATION|>COUNT|>BYTES|>ERRORS" LATENCY_HEADS);
	struct table *parts = table_create("DISK|OPERATION|TIME IN|>COUNT" LATENCY_HEADS);
	struct json_object *arr = jget(result, "bdevs");

	for (size_t i = 0; i < jget_count(arr, ""); i++) {
		struct json_object *d = json_object_array_get_idx(arr, i);
		struct json_object *each = jget(d, "operations");

		json_object_object_foreach(each, op, st) {
			add_totals(totals, jget_text(d, "name"), op, st);
			add_parts(parts, jget_text(d, "name"), op, st);
		}
	}
	table_print(totals);
	putchar('\n');
	table_print(parts);
	if (jget_count(arr, ""))
		putchar('\n');
	show_ways(arr);
}

int cli_disk_stats(struct cli *cli)
{
	return show_call(cli, "bdev_get_iostat", name_params(cli->args[0]), show_stats);
}
