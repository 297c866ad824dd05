/* SPDX-License-Identifier: BSD-3-Clause */
/* Disks behind sockets for the tests of the front-end half. */
#include "tests/integration/disk_server.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mono.h"
#include "drivers/catalogue.h"
#include "drivers/fault/faultb.h"

#define WAIT_MS 20000
#define LOCK_MS 10000

static void wait_done(struct disk_server *s)
{
	const struct timespec ms = { 0, 1000000 };

	for (unsigned i = 0; i < WAIT_MS; i++) {
		if (__atomic_load_n(&s->done, __ATOMIC_ACQUIRE))
			return;
		nanosleep(&ms, NULL);
	}
	fail_msg("waited in vain");
}

static void is_done(void *arg)
{
	__atomic_store_n(&((struct disk_server *)arg)->done, true, __ATOMIC_RELEASE);
}

static void call(struct disk_server *s, void (*fn)(void *arg))
{
	s->done = false;
	reactor_call(s->control, fn, s);
	wait_done(s);
}

/*
 * On the control reactor
 */

static void serve(void *arg)
{
	struct disk_server *s = arg;
	const struct vblk_opts bo = { .nqueues = DISK_SERVER_QUEUES, .read_only = s->read_only };
	struct errbuf eb = { "" };

	s->err = vblk_create(s->bdev, &bo, &s->blk[s->ndoors], &eb);
	if (!s->err) {
		const struct vu_server_opts so = {
			.name = "disk",
			.path = s->path,
			.fd = -1,
			.dev = vblk_vdev(s->blk[s->ndoors]),
			.control = s->control,
			.reactors = s->data,
			.nreactors = DISK_SERVER_REACTORS,
		};

		s->err = vu_server_create(&so, &s->server[s->ndoors], &eb);
		s->ndoors++;
	}
	if (s->err)
		fprintf(stderr, "disk server: %s\n", eb.text);
	is_done(s);
}

static void unserve(void *arg)
{
	struct disk_server *s = arg;

	vu_server_destroy(s->server[s->ndoors - 1], is_done, s);
}

static void close_disk(void *arg)
{
	struct disk_server *s = arg;

	for (unsigned i = 0; i < DISK_SERVER_DOORS; i++)
		vblk_destroy(s->blk[i]);
	bdev_close(s->bdev, is_done, s);
}

static void resized(void *arg, int err, const char *why)
{
	struct disk_server *s = arg;

	(void)why;
	s->err = err;
	is_done(s);
}

static void resize(void *arg)
{
	struct disk_server *s = arg;

	bdev_resize(s->bdev, s->bytes, resized, s);
}

static void replace_rules(void *arg)
{
	struct disk_server *s = arg;
	struct errbuf eb = { "" };

	s->err = faultb_set_rules(s->bdev, s->rules, &eb);
	is_done(s);
}

/*
 * From outside
 */

static int start(struct disk_server *s, const char *uri)
{
	struct reactor_opts ro = { .name = "control", .cpu = -1, .mode = REACTOR_INTERRUPT };
	struct bdev_open_opts bo = { .name = "disk", .lock_wait_ms = LOCK_MS };
	struct errbuf eb = { "" };
	int err = reactor_create(&ro, &s->control);

	if (err)
		return err;
	bo.control = s->control;
	bo.read_only = s->read_only;
	err = bdev_open(uri, &bo, &s->bdev, &eb);
	if (err) {
		fprintf(stderr, "disk server: %s\n", eb.text);
		return err;
	}
	ro.name = "data";
	ro.mode = REACTOR_ADAPTIVE;
	for (unsigned i = 0; i < DISK_SERVER_REACTORS && !err; i++) {
		err = reactor_create(&ro, &s->data[i]);
		if (!err)
			err = reactor_start(s->data[i]);
	}
	if (!err)
		err = reactor_start(s->control);
	if (err)
		return err;
	reactor_call(s->control, serve, s);
	return s->err;
}

void disk_server_start(struct disk_server *s, const char *uri, const char *path, bool read_only)
{
	memset(s, 0, sizeof(*s));
	s->path = path;
	s->read_only = read_only;
	mono_init();
	assert_int_equal(start(s, uri), 0);
}

void disk_server_stop(struct disk_server *s)
{
	for (; s->ndoors; s->ndoors--)
		call(s, unserve);
	call(s, close_disk);
	for (unsigned i = 0; i < DISK_SERVER_REACTORS; i++) {
		reactor_stop(s->data[i]);
		reactor_join(s->data[i]);
		reactor_destroy(s->data[i]);
	}
	reactor_stop(s->control);
	reactor_join(s->control);
	reactor_destroy(s->control);
}

void disk_server_resize(struct disk_server *s, uint64_t bytes)
{
	s->bytes = bytes;
	call(s, resize);
	assert_int_equal(s->err, 0);
}

void disk_server_add(struct disk_server *s, const char *path)
{
	assert_true(s->ndoors < DISK_SERVER_DOORS);
	s->path = path;
	call(s, serve);
	assert_int_equal(s->err, 0);
}

void disk_server_rules(struct disk_server *s, const char *rules)
{
	s->rules = rules;
	call(s, replace_rules);
	assert_int_equal(s->err, 0);
}

pid_t disk_server_fork(const char *uri, const char *path)
{
	static struct disk_server s;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	s.path = path;
	mono_init();
	if (start(&s, uri))
		_exit(1);
	for (;;)
		pause();
}

pid_t disk_server_qemu(const char *node, const char *path)
{
	char export[256];
	pid_t pid;

	if (access("/usr/bin/qemu-storage-daemon", X_OK) != 0)
		return -1;
	snprintf(export, sizeof(export),
		 "type=vhost-user-blk,id=e0,node-name=n0,addr.type=unix,addr.path=%s,writable=on,"
		 "num-queues=%u",
		 path, DISK_SERVER_QUEUES);
	pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl("/usr/bin/qemu-storage-daemon", "qemu-storage-daemon", "--blockdev", node, "--export",
	      export, NULL);
	_exit(1);
}

void disk_server_kill(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}
