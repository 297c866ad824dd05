/* SPDX-License-Identifier: BSD-3-Clause */
/* Two vhost-user servers in this process, on reactors of their own, with a device type that echoes
 * numbers. */
#ifndef TESTS_INTEGRATION_VU_RIG_H
#define TESTS_INTEGRATION_VU_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/reactor.h"
#include "vhost/user/vu_server.h"

#define RIG_SERVERS	 2 /* 0 is tormented, 1 must not notice */
#define RIG_REACTORS	 2
#define RIG_QUEUES	 8
#define RIG_CONFIG_BYTES 60

/*
 * The device: 8 bytes in, the number plus one out. While hold is set, requests stay in flight until
 * rig_release. Of the configuration space only byte 32 may be written; it is the device's state, too,
 * and its highest bit makes that one which cannot be loaded.
 */
struct rig_dev {
	struct vdev vdev;
	bool hold;	       /* atomic */
	unsigned resets, held; /* atomic */
	uint8_t config[RIG_CONFIG_BYTES];
	struct list queues; /* open ones; control thread */
};

struct rig {
	struct reactor *control, *data[RIG_REACTORS];
	struct rig_dev dev[RIG_SERVERS];
	struct vu_server *server[RIG_SERVERS];
	char dir[64], path[RIG_SERVERS][96];
	unsigned nnear; /* of the servers made from now on */
};

void rig_start(struct rig *r);
void rig_stop(struct rig *r);

/* Make and remove server @i; rig_start has made both. */
void rig_server_start(struct rig *r, unsigned i);
void rig_server_stop(struct rig *r, unsigned i);

/* Requests of server @i's device stay in flight / are answered. */
void rig_hold(struct rig *r, unsigned i);
void rig_release(struct rig *r, unsigned i);

/* Change the device's configuration space and tell. */
void rig_config_change(struct rig *r, unsigned i, unsigned at, uint8_t value);

/* A picture of server @i; vu_session_info_fini(). */
void rig_info(struct rig *r, unsigned i, struct vu_session_info *ret);

/* Wait until nobody is connected to server @i (fails the test after some seconds). */
void rig_wait_free(struct rig *r, unsigned i);

/* Log lines of level error since the last call, and the text of the last one. */
unsigned rig_errors(const char **ret_last);

/* Files and mappings of this process. */
unsigned rig_count_fds(void);
unsigned rig_count_maps(void);

/* Run @fn(@arg) until it is true; the test fails when it is not after some seconds. */
void rig_wait(bool (*fn)(void *arg), void *arg);

#endif
