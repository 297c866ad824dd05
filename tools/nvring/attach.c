/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server of an attached disk is an nvringd with this one disk, in a session of its own: it has a control socket like
 * any other (nvring -s), and a log, both beside the record.
 */
#include "tools/nvring/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/base/mono.h"
#include "tools/nvring/client.h"
#include "tools/shared/fuseleft.h"
#include "tools/shared/jget.h"

#define START_MS 90000 /* a server that adopts may wait for the last one to go */
#define END_MS	 30000
#define LOOK_NS	 2000000
#define ARGS_MAX 24
#define DOOR_MAX (256 + 2 * ATTACHREC_PATH_MAX)
#define PATH_LEN (ATTACHREC_PATH_MAX + 32)

extern char **environ;

const char *attach_best(const char **ret_why)
{
	*ret_why = NULL;
	if (access("/dev/ublk-control", F_OK) == 0)
		return "ublk";
	*ret_why = "there is no /dev/ublk-control (modprobe ublk_drv, Linux 6.4 or newer)";
	if (access("/sys/module/nbd", F_OK) == 0)
		return "nbd";
	*ret_why = "there is no /dev/ublk-control (modprobe ublk_drv, Linux 6.4 or newer), nor the module nbd";
	if (NVRING_HAS_FUSE && access("/dev/fuse", F_OK) == 0)
		return "fuse";
	return NULL;
}

static void pause_a_little(void)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };

	(void)nanosleep(&pause, NULL);
}

/* Beside this program, as installed and as built; else by PATH. */
static void find_nvringd(char path[PATH_MAX])
{
	static const char *const beside[] = { "nvringd", "../nvringd/nvringd" };
	char exe[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[CC_MAX(n, (ssize_t)0)] = '\0';
	slash = strrchr(exe, '/');
	for (size_t i = 0; slash && i < ARRAY_SIZE(beside); i++) {
		struct stat st;

		if (snprintf(path, PATH_MAX, "%.*s/%s", (int)(slash - exe), exe, beside[i]) < PATH_MAX &&
		    !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK))
			return;
	}
	snprintf(path, PATH_MAX, "nvringd");
}

/* The files of the server started by process @pid. */
static int server_path(pid_t pid, const char *suffix, char path[PATH_LEN])
{
	char dir[ATTACHREC_PATH_MAX];
	int err = attachrec_folder(dir, sizeof(dir));

	if (!err)
		snprintf(path, PATH_LEN, "%s/%d.%s", dir, pid, suffix);
	return err;
}

/* What --ublk and its like take; a comma in a path is written twice. */
static void write_door(const struct attach_wish *wish, char door[DOOR_MAX])
{
	size_t n = (size_t)snprintf(door, DOOR_MAX, "disk%s%s%s%s%s%s%s%s", wish->number ? "=" : "",
				    wish->number ? wish->number : "", wish->queues ? ",queues=" : "",
				    wish->queues ? wish->queues : "", wish->depth ? ",depth=" : "",
				    wish->depth ? wish->depth : "", wish->read_only ? ",ro" : "",
				    wish->path ? ",path=" : "");

	for (const char *s = wish->path ? wish->path : ""; *s && n + 3 < DOOR_MAX; s++) {
		door[n++] = *s;
		if (*s == ',')
			door[n++] = ',';
		door[n] = '\0';
	}
}

static int spawn(const struct attach_wish *wish, const char *rpc, const char *log, pid_t *ret_pid)
{
	char program[PATH_MAX], disk[ATTACHREC_URI_MAX + 16], door[DOOR_MAX];
	const char *argv[ARGS_MAX] = { "nvringd", "--rpc", rpc, "--disk", disk, NULL };
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	unsigned n = 5;
	int err;

	find_nvringd(program);
	snprintf(disk, sizeof(disk), "disk=%s", wish->uri);
	write_door(wish, door);
	argv[3] = wish->read_only ? "--disk-ro" : "--disk";
	argv[n++] = strcmp(wish->as, "nbd") == 0 ? "--nbd" : strcmp(wish->as, "fuse") == 0 ? "--fuse" : "--ublk";
	argv[n++] = door;
	if (wish->cpus) {
		argv[n++] = "--cpus";
		argv[n++] = wish->cpus;
	}
	argv[n] = NULL;
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&fa, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	err = posix_spawnp(ret_pid, program, &fa, &attr, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	return -err;
}

/* Without what stands before each line of the server's, and what tells its options, which nobody here has written. */
static const char *without_head(const char *text)
{
	static const char *const heads[] = { "nvring: error: ", "nvringd: ", "--disk", "--ublk ", "--nbd ", "--fuse ", "uri: " };
	const char *behind;

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		if (strncmp(text, heads[i], strlen(heads[i])) != 0)
			continue;
		behind = heads[i][0] == '-' ? strstr(text, ": ") : text + strlen(heads[i]) - 2;
		text = behind ? behind + 2 : text;
	}
	return text;
}

/* What the server said last. */
static int tell_failure(const char *log)
{
	char line[1024] = "", last[1024] = "it ended without a word";
	FILE *f = fopen(log, "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, "error"))
			memcpy(last, line, sizeof(last));
	}
	if (f)
		fclose(f);
	last[strcspn(last, "\n")] = '\0';
	return cli_error(CLI_FAILED, "%s", without_head(last));
}

static bool ask_node(struct cli *cli, const char *rpc, char node[ATTACHREC_PATH_MAX])
{
	struct json_object *result = NULL;
	struct cli at = *cli;
	struct errbuf eb;
	bool found = false;

	at.socket = rpc;
	if (!client_try(&at, "attach_get_disks", NULL, &result, &eb) && jget_count(result, "") > 0) {
		snprintf(node, ATTACHREC_PATH_MAX, "%s", jget_text(result, "0/node"));
		found = true;
	}
	json_object_put(result);
	return found;
}

static int make_folder(void)
{
	char dir[ATTACHREC_PATH_MAX];
	int err;

	if (attachrec_folder(dir, sizeof(dir)))
		return cli_error(CLI_FAILED, "XDG_RUNTIME_DIR is not set: there is no place for the server's files");
	err = attachrec_make_folder();
	return err ? cli_error(CLI_FAILED, "%s: %s", dir, strerror(-err)) : CLI_OK;
}

int attach_serve(struct cli *cli, const struct attach_wish *wish, char node[ATTACHREC_PATH_MAX])
{
	uint64_t limit = mono_ns() + START_MS * MONO_NS_PER_MS;
	char rpc[PATH_LEN], log[PATH_LEN];
	int status = 0, rc = make_folder();
	pid_t pid;

	if (rc)
		return rc;
	(void)server_path(getpid(), "sock", rpc);
	(void)server_path(getpid(), "log", log);
	rc = spawn(wish, rpc, log, &pid);
	if (rc)
		return cli_error(CLI_FAILED, "nvringd cannot be started: %s", strerror(-rc));
	while (waitpid(pid, &status, WNOHANG) == 0 && mono_ns() < limit) {
		if (ask_node(cli, rpc, node))
			return CLI_OK;
		pause_a_little();
	}
	if (mono_ns() >= limit) {
		(void)kill(pid, SIGTERM);
		rc = cli_error(CLI_FAILED, "the device did not come within %d s: see %s", START_MS / 1000, log);
	} else {
		rc = tell_failure(log);
		(void)unlink(log);
	}
	(void)unlink(rpc);
	return rc;
}

bool attach_is_own(const struct attachrec *r)
{
	char dir[ATTACHREC_PATH_MAX];

	return !attachrec_folder(dir, sizeof(dir)) && strncmp(r->rpc, dir, strlen(dir)) == 0 &&
	       r->rpc[strlen(dir)] == '/';
}

void attach_end_server(const struct attachrec *r)
{
	struct pollfd server = { .fd = attachrec_open_server(r), .events = POLLIN };
	char log[ATTACHREC_PATH_MAX + 8];
	size_t stem = strlen(r->rpc) - strlen("sock");

	if (server.fd >= 0) {
		(void)pidfd_send_signal(server.fd, SIGTERM, NULL, 0);
		(void)poll(&server, 1, END_MS);
		close(server.fd);
	}
	snprintf(log, sizeof(log), "%.*slog", (int)stem, r->rpc);
	(void)unlink(log);
	(void)unlink(r->rpc);
}

static void told(void *arg, const char *path)
{
	(void)arg;
	(void)cli_error(CLI_OK, "%s, whose server is gone, was cleared away", path);
}

static int end_dead(void *arg, const struct attachrec *r)
{
	(void)arg;
	if (strcmp(r->type, "fuse") == 0 && !attachrec_is_served(r) && attach_is_own(r))
		attach_end_server(r);
	return 0;
}

void attach_clear_left(void)
{
	(void)attachrec_for_each(end_dead, NULL);
	fuseleft_clear(told, NULL);
}
