/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk behind a vhost-user socket: in this process, or in a child that can be killed. */
#ifndef TESTS_INTEGRATION_DISK_SERVER_H
#define TESTS_INTEGRATION_DISK_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/bdev.h"
#include "core/reactor.h"
#include "vhost/blk/vblk.h"
#include "vhost/user/vu_server.h"

#define DISK_SERVER_REACTORS 2
#define DISK_SERVER_QUEUES   4
#define DISK_SERVER_DOORS    3

struct disk_server {
	struct reactor *control, *data[DISK_SERVER_REACTORS];
	struct bdev *bdev;
	struct vblk *blk[DISK_SERVER_DOORS];
	struct vu_server *server[DISK_SERVER_DOORS];
	unsigned ndoors; /* front-ends that the disk can serve at a time */
	const char *path; /* of the next */
	bool read_only, done; /* done: atomic */
	int err;
	uint64_t bytes;
	const char *rules;
};

/* Opens @uri and serves it at @path. Fails the test when it cannot. */
void disk_server_start(struct disk_server *s, const char *uri, const char *path, bool read_only);
/* Ends the sessions, closes the disk, joins the threads. */
void disk_server_stop(struct disk_server *s);
void disk_server_resize(struct disk_server *s, uint64_t bytes);
/* Serves the same disk at @path, too. */
void disk_server_add(struct disk_server *s, const char *path);
/* Of a fault device. */
void disk_server_rules(struct disk_server *s, const char *rules);

/* The same in a child process, not yet listening when this returns. No reactor may run in this
 * process. */
pid_t disk_server_fork(const char *uri, const char *path);
/* Debian's qemu-storage-daemon serving @node (--blockdev, named n0), or -1 when it is not
 * installed. */
pid_t disk_server_qemu(const char *node, const char *path);
/* kill -9, and wait for the end. */
void disk_server_kill(pid_t pid);

#endif
