/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvring vduse …: the daemon makes the device, the kernel's vDPA bus takes it, a driver there makes a node of it.
 *
 *   attach:  vduse_create_blk_device ─► vdpa dev add ─► /dev/vdX or /dev/vhost-vdpa-N
 *   detach:  vdpa dev del ─► vduse_delete_device
 *
 * The step on the bus is done here and not in the daemon: while it lasts, the kernel asks the daemon.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/mono.h"
#include "tools/nvring/cli.h"
#include "tools/nvring/client.h"
#include "tools/nvring/show.h"
#include "tools/nvring/table.h"
#include "tools/shared/jget.h"

#define BUS	     "/sys/bus/vdpa/devices"
#define NODE_WAIT_MS 60000 /* for a driver that looks at the device behind our back */
#define NODE_LOOK_MS 50
#define SAID_MAX     512 /* of what the tool says */

extern char **environ;

/*
 * The bus
 */
static bool bus_has(const char *name)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), BUS "/%s", name) < (int)sizeof(path) &&
	       access(path, F_OK) == 0;
}

/* The first entry of BUS/@below that begins with @prefix, into @buf. */
static bool bus_entry(const char *below, const char *prefix, char buf[NAME_MAX + 1])
{
	char path[PATH_MAX];
	struct dirent *de;
	bool found = false;
	DIR *dir;

	if (snprintf(path, sizeof(path), BUS "/%s", below) >= (int)sizeof(path))
		return false;
	dir = opendir(path);
	while (dir && !found && (de = readdir(dir))) {
		found = strncmp(de->d_name, prefix, strlen(prefix)) == 0 && de->d_name[0] != '.';
		if (found)
			snprintf(buf, NAME_MAX + 1, "%s", de->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* What a driver has made of it: "/dev/vda", "/dev/vhost-vdpa-0". */
static bool bus_node(const char *name, char node[NAME_MAX + 8])
{
	char virtio[NAME_MAX + 1], leaf[NAME_MAX + 1], below[PATH_MAX];

	if (bus_entry(name, "vhost-vdpa", leaf)) {
		snprintf(node, NAME_MAX + 8, "/dev/%s", leaf);
		return true;
	}
	if (!bus_entry(name, "virtio", virtio))
		return false;
	snprintf(below, sizeof(below), "%.255s/%.255s/block", name, virtio);
	if (!bus_entry(below, "", leaf))
		return false;
	snprintf(node, NAME_MAX + 8, "/dev/%s", leaf);
	return access(node, F_OK) == 0;
}

/* The first line of what comes through @fd, until it ends. */
static void read_line(int fd, char said[SAID_MAX])
{
	size_t len = 0;
	ssize_t n;
	char rest[256];

	while ((n = read(fd, len < SAID_MAX - 1 ? said + len : rest,
			 len < SAID_MAX - 1 ? SAID_MAX - 1 - len : sizeof(rest))) > 0)
		len = CC_MIN(len + (size_t)n, (size_t)SAID_MAX - 1);
	said[len] = '\0';
	said[strcspn(said, "\n")] = '\0';
}

/* Runs the vdpa program with @argv. 0; or -errno, and what it said or why it could not in @said. */
static int run_vdpa(const char *const words[], char said[SAID_MAX])
{
	char *const *argv = (char *const *)words; /* posix_spawn changes nothing */
	posix_spawn_file_actions_t fa;
	int fds[2], err, status = 0;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, fds[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&fa, fds[1], STDERR_FILENO);
	err = posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ);
	if (err == ENOENT && strchr(argv[0], '/') == NULL) /* where root's programs are, out of others' PATH */
		err = posix_spawn(&pid, "/sbin/vdpa", &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(fds[1]);
	if (!err)
		read_line(fds[0], said);
	close(fds[0]);
	if (err == ENOENT)
		snprintf(said, SAID_MAX, "the program vdpa is missing: install iproute2 (5.12 or newer)");
	else if (err)
		snprintf(said, SAID_MAX, "vdpa: %s", strerror(err));
	if (err)
		return -err;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (!said[0])
		snprintf(said, SAID_MAX, "vdpa ended with status %d", status);
	return -EIO;
}

static int bus_add(const char *name)
{
	const char *const words[] = { "vdpa", "dev", "add", "name", name, "mgmtdev", "vduse", NULL };
	char said[SAID_MAX] = "";

	if (!run_vdpa(words, said))
		return CLI_OK;
	return cli_error(CLI_FAILED, "%s cannot be attached to the vDPA bus: %s%s", name, said,
			 geteuid() ? " (this needs root)" : "");
}

static int bus_del(const char *name)
{
	const char *const words[] = { "vdpa", "dev", "del", name, NULL };
	char said[SAID_MAX] = "";

	if (!run_vdpa(words, said))
		return CLI_OK;
	return cli_error(CLI_FAILED, "%s cannot be detached from the vDPA bus: %s%s", name, said,
			 geteuid() ? " (this needs root)" : "");
}

/*
 * Attach
 */
static struct json_object *name_params(const char *name)
{
	struct json_object *params = json_object_new_object();

	json_object_object_add(params, "name", json_object_new_string(name));
	return params;
}

static int create_params(struct cli *cli, const char *name, struct json_object **ret_params)
{
	struct json_object *params = name_params(name);
	const char *queues = cli_opt(cli, "queues");
	char *end = NULL;

	json_object_object_add(params, "dev_name", json_object_new_string(cli->args[0]));
	if (queues) {
		long n = strtol(queues, &end, 10);

		if (end == queues || *end) {
			json_object_put(params);
			return cli_error(CLI_USAGE, "--queues: a number, not '%s'", queues);
		}
		json_object_object_add(params, "queues", json_object_new_int64(n));
	}
	if (cli_opt(cli, "read-only"))
		json_object_object_add(params, "readonly", json_object_new_boolean(1));
	if (cli_opt(cli, "no-packed"))
		json_object_object_add(params, "packed_ring", json_object_new_boolean(0));
	if (cli_opt(cli, "write-through"))
		json_object_object_add(params, "write_cache", json_object_new_boolean(0));
	if (cli_opt(cli, "serial"))
		json_object_object_add(params, "serial",
				       json_object_new_string(cli_opt(cli, "serial")));
	if (cli_opt(cli, "cpus"))
		json_object_object_add(params, "cpus",
				       json_object_new_string(cli_opt(cli, "cpus")));
	*ret_params = params;
	return CLI_OK;
}

/* The daemon has it already, as --vduse or the file say: then it must be of this disk. *ret: it was made now. */
static int make_device(struct cli *cli, const char *name, bool *ret_made)
{
	struct json_object *result = NULL, *params = NULL;
	struct errbuf eb;
	int rc;

	*ret_made = false;
	if (!client_try(cli, "vduse_get_devices", name_params(name), &result, &eb)) {
		bool is_same = strcmp(jget_text(result, "0/dev_name"), cli->args[0]) == 0;

		rc = is_same ? CLI_OK :
			       cli_error(CLI_FAILED, "%s is a device of the disk %s: give another --name",
					 name, jget_text(result, "0/dev_name"));
		json_object_put(result);
		return rc;
	}
	rc = create_params(cli, name, &params);
	if (!rc)
		rc = client_call(cli, "vduse_create_blk_device", params, &result);
	json_object_put(result);
	*ret_made = rc == CLI_OK;
	return rc;
}

static void pause_ms(unsigned ms)
{
	const struct timespec ts = { .tv_nsec = (long)ms * 1000000 };

	(void)nanosleep(&ts, NULL);
}

/* On standard output the node; or on standard error why there is none. */
static void tell_node(const char *name)
{
	const uint64_t end = mono_ns() + NODE_WAIT_MS * MONO_NS_PER_MS;
	char node[NAME_MAX + 8], below[PATH_MAX];

	while (!bus_node(name, node)) {
		snprintf(below, sizeof(below), BUS "/%.255s/driver", name);
		if (access(below, F_OK) || mono_ns() > end) {
			cli_error(0, "%s is attached, and no driver has made a node of it: load "
				     "virtio_vdpa (for /dev/vdX) or vhost_vdpa (for QEMU)",
				  name);
			return;
		}
		pause_ms(NODE_LOOK_MS);
	}
	puts(node);
}

int cli_vduse_attach(struct cli *cli)
{
	const char *name = cli_opt(cli, "name");
	struct json_object *result = NULL;
	struct errbuf eb;
	bool made;
	int rc;

	name = name ? name : cli->args[0];
	rc = make_device(cli, name, &made);
	if (rc)
		return rc;
	rc = bus_has(name) ? cli_error(CLI_FAILED, "%s is attached already", name) : bus_add(name);
	if (rc && made) { /* nothing half done */
		(void)client_try(cli, "vduse_delete_device", name_params(name), &result, &eb);
		json_object_put(result);
	}
	if (!rc)
		tell_node(name);
	return rc;
}

/*
 * Detach
 */

/* Mounted, swapped on, or part of something else. */
static bool node_is_used(const char *node)
{
	int fd = open(node, O_RDONLY | O_EXCL | O_CLOEXEC);

	if (fd < 0)
		return errno == EBUSY;
	close(fd);
	return false;
}

int cli_vduse_detach(struct cli *cli)
{
	const char *name = cli->args[0];
	bool was_there = strchr(name, '/') == NULL && bus_has(name);
	struct json_object *result = NULL;
	char node[NAME_MAX + 8];
	struct errbuf eb;
	int rc = CLI_OK;

	if (was_there && !cli_opt(cli, "force") && bus_node(name, node) && node_is_used(node))
		return cli_error(CLI_FAILED, "%s is %s, which is in use: unmount it first, or --force",
				 name, node);
	if (was_there)
		rc = bus_del(name);
	if (rc)
		return rc;
	if (!was_there)
		return show_call(cli, "vduse_delete_device", name_params(name), NULL);
	/* a daemon that does not know it has nothing to give up */
	rc = client_try(cli, "vduse_delete_device", name_params(name), &result, &eb);
	json_object_put(result);
	return rc == CLI_UNREACHABLE ? cli_error(CLI_OK, "%s is detached; no nvringd answers, so /dev/vduse/%s stays",
						 name, name) :
				       CLI_OK;
}

/*
 * List
 */
void show_vduses(struct json_object *devices)
{
	struct table *t = table_create("NAME|DISK|NODE|STATE|>QUEUES|>IN FLIGHT|MEMORY");
	char queues[SHOW_TEXT_MAX], inflight[SHOW_TEXT_MAX], node[NAME_MAX + 8];

	for (size_t i = 0; i < jget_count(devices, ""); i++) {
		struct json_object *v = json_object_array_get_idx(devices, i);
		const char *name = jget_text(v, "name");

		table_row(t, name, jget_text(v, "dev_name"),
			  bus_node(name, node)	   ? node :
			  jget_bool(v, "attached") ? "no driver" :
						     "not attached",
			  jget_text(v, "session/state"),
			  show_count(jget_number(v, "queues"), queues),
			  show_count(jget_number(v, "session/inflight_task_cnt"), inflight),
			  jget_bool(v, "umem") ? "ours" : "kernel's");
	}
	table_print(t);
}

int cli_vduse_list(struct cli *cli)
{
	return show_call(cli, "vduse_get_devices", NULL, show_vduses);
}
