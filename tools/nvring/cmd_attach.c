/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring attach, nvring detach. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "tools/nvring/attach.h"
#include "tools/nvring/client.h"
#include "tools/nvring/show.h"
#include "tools/nvring/table.h"
#include "tools/shared/diskuri.h"
#include "vdpa/nbd.h"
#include "vdpa/ublk.h"

/*
 * Attach
 */

/* A URI, a path, or a vhost-user socket, as a URI that is the same from any folder. */
static int take_uri(const char *text, char uri[ATTACHREC_URI_MAX])
{
	char first[ATTACHREC_URI_MAX], path[ATTACHREC_URI_MAX];
	struct stat st;
	int n = ATTACHREC_URI_MAX;

	if (stat(text, &st) == 0 && S_ISSOCK(st.st_mode)) {
		if (!diskuri_from_path(text, path, sizeof(path))) /* as of a file: encoded */
			n = snprintf(first, sizeof(first), "virtio-user:%s", path + strlen("file:"));
	} else if (!diskuri_from_text(text, first, sizeof(first))) {
		n = 0;
	}
	if (n >= ATTACHREC_URI_MAX)
		return cli_error(CLI_USAGE, "the name of the disk is too long");
	diskuri_absolute(first, uri, ATTACHREC_URI_MAX);
	return CLI_OK;
}

/* Refuses a second server of one file; clears away what one that died has left but its device, which the next one takes over. */
static int look_for_server(void *arg, const struct attachrec *r)
{
	const char *uri = arg;

	if (strcmp(r->uri, uri) != 0)
		return 0;
	if (!attachrec_is_served(r)) {
		if (attach_is_own(r))
			attach_end_server(r);
		return 0;
	}
	if (strncmp(uri, "file:", 5) != 0)
		return 0;
	return cli_error(CLI_FAILED, "it is attached already: %s, served by process %d", r->node, r->pid);
}

static int check_way(const char *as)
{
	if (as && strcmp(as, "ublk") != 0 && strcmp(as, "nbd") != 0 && strcmp(as, "fuse") != 0)
		return cli_error(CLI_USAGE, "--as: ublk, nbd or fuse, not '%s'", as);
	return CLI_OK;
}

/* The path of a file, the same from any folder; who gives one wants a file. */
static int take_path(struct attach_wish *wish, char path[ATTACHREC_PATH_MAX])
{
	char cwd[ATTACHREC_PATH_MAX] = "";
	int n;

	if (!wish->path)
		return CLI_OK;
	if (wish->as && strcmp(wish->as, "fuse") != 0)
		return cli_error(CLI_USAGE, "--path: only a file has one (--as fuse)");
	if (wish->path[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return cli_error(CLI_USAGE, "--path: this folder: %s", strerror(errno));
	n = snprintf(path, ATTACHREC_PATH_MAX, "%s%s%s", cwd, cwd[0] && strcmp(cwd, "/") != 0 ? "/" : "", wish->path);
	if (n >= ATTACHREC_PATH_MAX)
		return cli_error(CLI_USAGE, "--path: longer than %d bytes", ATTACHREC_PATH_MAX - 1);
	wish->as = "fuse";
	wish->path = path;
	return CLI_OK;
}

/* *ret_why is NULL where it is the best way at all. */
static int choose_way(struct attach_wish *wish, const char **ret_why)
{
	wish->as = attach_best(ret_why);
	if (wish->as)
		return CLI_OK;
	if (!NVRING_HAS_FUSE)
		return cli_error(CLI_FAILED, "this kernel has neither ublk nor NBD: modprobe ublk_drv (Linux 6.4 or newer) or "
					     "modprobe nbd (this nvring was built without FUSE)");
	return cli_error(CLI_FAILED, "this kernel has neither ublk nor NBD nor FUSE: modprobe ublk_drv (Linux 6.4 or newer), "
				     "modprobe nbd, or modprobe fuse");
}

static void tell_way(const char *as, const char *why)
{
	if (why)
		(void)cli_error(CLI_OK, "attached as %s, since %s", as, why);
	else
		(void)cli_error(CLI_OK, "attached as %s, the best of this kernel", as);
}

static const char *state_of(const struct attachrec *r)
{
	if (attachrec_is_served(r))
		return "served";
	return r->seq == attachrec_seq(r->node) ? "waits" : "gone";
}

static int add_row(void *arg, const struct attachrec *r)
{
	char pid[SHOW_TEXT_MAX];

	table_row(arg, r->node, r->type, state_of(r),
		  attachrec_is_served(r) ? show_count((uint64_t)r->pid, pid) : "-", r->uri);
	return 0;
}

static int add_json(void *arg, const struct attachrec *r)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "node", json_object_new_string(r->node));
	json_object_object_add(obj, "as", json_object_new_string(r->type));
	json_object_object_add(obj, "state", json_object_new_string(state_of(r)));
	json_object_object_add(obj, "pid", attachrec_is_served(r) ? json_object_new_int(r->pid) : NULL);
	json_object_object_add(obj, "disk", json_object_new_string(r->disk));
	json_object_object_add(obj, "uri", json_object_new_string(r->uri));
	json_object_object_add(obj, "rpc", json_object_new_string(r->rpc));
	json_object_array_add(arg, obj);
	return 0;
}

static int list(struct cli *cli)
{
	struct json_object *arr;
	struct table *t;

	if (!cli->json) {
		t = table_create("NODE|AS|STATE|>SERVER|DISK");
		(void)attachrec_for_each(add_row, t);
		table_print(t);
		return CLI_OK;
	}
	arr = json_object_new_array();
	(void)attachrec_for_each(add_json, arr);
	show_json(arr);
	json_object_put(arr);
	return CLI_OK;
}

int cli_attach(struct cli *cli)
{
	struct attach_wish wish = {
		.as = cli_opt(cli, "as"),
		.number = cli_opt(cli, "number"),
		.queues = cli_opt(cli, "queues"),
		.depth = cli_opt(cli, "depth"),
		.cpus = cli_opt(cli, "cpus"),
		.path = cli_opt(cli, "path"),
		.read_only = cli_opt(cli, "read-only") != NULL,
	};
	char uri[ATTACHREC_URI_MAX], node[ATTACHREC_PATH_MAX], path[ATTACHREC_PATH_MAX];
	const char *why = NULL;
	bool is_chosen;
	int rc;

	attach_clear_left();
	if (cli_opt(cli, "list"))
		return cli->args[0] ? cli_error(CLI_USAGE, "--list takes no disk") : list(cli);
	if (!cli->args[0])
		return cli_error(CLI_USAGE, "which disk? nvring attach URI, or --list");
	rc = check_way(wish.as);
	if (!rc)
		rc = take_path(&wish, path);
	if (!rc)
		rc = take_uri(cli->args[0], uri);
	if (!rc)
		rc = attachrec_for_each(look_for_server, uri);
	is_chosen = !wish.as;
	if (!rc && is_chosen)
		rc = choose_way(&wish, &why);
	if (rc)
		return rc;
	wish.uri = uri;
	rc = attach_serve(cli, &wish, node);
	if (rc)
		return rc;
	if (is_chosen)
		tell_way(wish.as, why);
	puts(node);
	return CLI_OK;
}

/*
 * Detach
 */
static int detach_served(struct cli *cli, const struct attachrec *r)
{
	struct json_object *params = json_object_new_object(), *result = NULL;
	struct cli at = *cli;
	char method[32], key[16];
	int rc;

	if (!r->rpc[0]) {
		json_object_put(params);
		return cli_error(CLI_FAILED, "%s is served by process %d, which has no control socket: end that",
				 r->node, r->pid);
	}
	at.socket = r->rpc;
	snprintf(method, sizeof(method), "%s_stop_disk", r->type);
	snprintf(key, sizeof(key), "%s_id", r->type);
	json_object_object_add(params, key, json_object_new_int64(r->id));
	if (cli_opt(cli, "force"))
		json_object_object_add(params, "force", json_object_new_boolean(1));
	rc = client_call(&at, method, params, &result);
	json_object_put(result);
	if (!rc && attach_is_own(r))
		attach_end_server(r);
	return rc;
}

static int detach_left(struct cli *cli, const struct attachrec *r)
{
	bool is_there = r->seq == attachrec_seq(r->node);
	struct errbuf eb;
	int err = 0;

	if (strcmp(r->type, "fuse") == 0) {
		attach_clear_left();
		return CLI_OK;
	}
	if (is_there && !cli_opt(cli, "force"))
		return cli_error(CLI_FAILED,
				 "the server of %s is gone, and its I/O waits for the next one: attach %s again, or "
				 "--force to give up what waits",
				 r->node, r->uri);
	if (is_there)
		err = strcmp(r->type, "nbd") == 0 ? nbd_remove(r->id, &eb) : ublk_remove(r->id, &eb);
	if (err && err != -ENODEV)
		return cli_error(CLI_FAILED, "%s", eb.text);
	attachrec_remove(r);
	if (attach_is_own(r))
		attach_end_server(r);
	return CLI_OK;
}

int cli_detach(struct cli *cli)
{
	struct attachrec r;

	if (attachrec_find_node(cli->args[0], &r))
		return cli_error(CLI_FAILED, "%s is not attached by nvring (nvring attach --list tells what is)",
				 cli->args[0]);
	return attachrec_is_served(&r) ? detach_served(cli, &r) : detach_left(cli, &r);
}
