/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's rules, as far as a server can break them, are watched: violations. */
#include "tests/unit/fake_ublk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WAIT_TURNS 20000 /* of half a millisecond: a test that waits longer has failed */

struct fake_ublk fake_ublk = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct ublk_ctl {
	char unused;
};

struct ublk_ring {
	unsigned queue, depth;
	bool enabled;
	struct ublk_io_cmd posted[FAKE_UBLK_DEPTH];
	uint32_t ops[FAKE_UBLK_DEPTH];
	unsigned nposted;
};

static void lock(void)
{
	pthread_mutex_lock(&fake_ublk.lock);
}

static void unlock(void)
{
	pthread_mutex_unlock(&fake_ublk.lock);
}

static unsigned nr_of(uint32_t op)
{
	return op & 0x3f;
}

void fake_ublk_reset(void)
{
	struct fake_ublk *k = &fake_ublk;

	lock();
	memset((char *)k + sizeof(k->lock), 0, sizeof(*k) - sizeof(k->lock));
	k->features = UBLK_FEAT_RECOVERY | UBLK_FEAT_REISSUE | UBLK_FEAT_IOCTL_ENCODE;
	k->cpus = FAKE_UBLK_QUEUES;
	unlock();
}

void fake_ublk_orphan(unsigned id, uint64_t bytes, unsigned queues, unsigned depth)
{
	struct fake_ublk *k = &fake_ublk;

	k->exists = k->used = true;
	k->info = (struct ublk_dev_info){ .dev_id = id, .nqueues = (uint16_t)queues, .depth = (uint16_t)depth,
					  .state = UBLK_STATE_QUIESCED, .server_pid = 4711 };
	k->params.basic.sectors = bytes >> 9;
	k->params.basic.logical_shift = 9;
}

/*
 * The control device
 */
int ublk_ctl_open(struct ublk_ctl **ret, struct errbuf *eb)
{
	if (fake_ublk.open_err)
		return errbuf_set(eb, fake_ublk.open_err, "no control device");
	*ret = calloc(1, sizeof(**ret));
	fake_ublk.nopen++;
	return 0;
}

void ublk_ctl_close(struct ublk_ctl *ctl)
{
	if (ctl)
		fake_ublk.nopen--;
	free(ctl);
}

static int add(struct fake_ublk *k, const struct ublk_ctl_cmd *cmd)
{
	struct ublk_dev_info *info = (struct ublk_dev_info *)(uintptr_t)cmd->addr;

	if (k->exists && (info->dev_id == UINT32_MAX || info->dev_id == k->info.dev_id))
		return -EEXIST;
	if (info->dev_id == UINT32_MAX)
		info->dev_id = 0;
	if (info->nqueues > k->cpus)
		info->nqueues = (uint16_t)k->cpus;
	k->exists = true;
	k->info = *info;
	k->info.state = UBLK_STATE_DEAD;
	return 0;
}

static bool all_in_state(const struct fake_ublk *k, bool (*is_right)(const struct fake_ublk_tag *t))
{
	for (unsigned q = 0; q < k->info.nqueues; q++) {
		for (unsigned t = 0; t < k->info.depth; t++) {
			if (!is_right(&k->tags[q][t]))
				return false;
		}
	}
	return true;
}

/* Unlocks while it waits. 0 or -ETIMEDOUT. */
static int wait_for(bool (*is_right)(const struct fake_ublk_tag *t))
{
	const struct timespec pause = { .tv_nsec = 500000 };

	for (unsigned i = 0; i < WAIT_TURNS; i++) {
		if (all_in_state(&fake_ublk, is_right))
			return 0;
		unlock();
		(void)nanosleep(&pause, NULL);
		lock();
	}
	return -ETIMEDOUT;
}

static bool is_fetched(const struct fake_ublk_tag *t)
{
	return t->state != FAKE_TAG_NONE;
}

static bool is_not_taken(const struct fake_ublk_tag *t)
{
	return t->state != FAKE_TAG_TAKEN;
}

static void event(unsigned q, unsigned t, int result)
{
	struct fake_ublk_tag *tag = &fake_ublk.tags[q][t];
	uint64_t one = 1;

	tag->has_event = true;
	tag->event = (struct ublk_event){ .tag = (uint16_t)t, .result = result };
	if (write(fake_ublk.event_fds[q], &one, sizeof(one)) != (ssize_t)sizeof(one))
		fake_ublk.violations++;
}

static int stop(struct fake_ublk *k)
{
	int err = k->info.state == UBLK_STATE_LIVE ? wait_for(is_not_taken) : 0;

	for (unsigned q = 0; q < k->info.nqueues; q++) {
		for (unsigned t = 0; t < k->info.depth; t++) {
			if (k->tags[q][t].state != FAKE_TAG_WAITS)
				continue;
			k->tags[q][t].state = FAKE_TAG_NONE;
			event(q, t, -ENODEV);
		}
	}
	k->info.state = UBLK_STATE_DEAD;
	return err;
}

static int carry_out(struct fake_ublk *k, uint32_t op, const struct ublk_ctl_cmd *cmd)
{
	void *buf = (void *)(uintptr_t)cmd->addr;
	int err;

	if (op == UBLK_CTL_GET_FEATURES) {
		memcpy(buf, &k->features, sizeof(k->features));
		return 0;
	}
	if (op == UBLK_CTL_ADD)
		return add(k, cmd);
	if (!k->exists || cmd->dev_id != k->info.dev_id)
		return -ENODEV;
	switch (op) {
	case UBLK_CTL_GET_INFO:
		if (k->unnoticed && !--k->unnoticed)
			k->info.state = UBLK_STATE_QUIESCED;
		memcpy(buf, &k->info, sizeof(k->info));
		return 0;
	case UBLK_CTL_GET_PARAMS:
		memcpy(buf, &k->params, ((struct ublk_params *)buf)->len);
		return 0;
	case UBLK_CTL_SET_PARAMS:
		if (k->used)
			return -EACCES;
		memcpy(&k->params, buf, ((struct ublk_params *)buf)->len);
		return 0;
	case UBLK_CTL_START:
	case UBLK_CTL_RECOVER_END:
		err = wait_for(is_fetched);
		k->info.state = err ? k->info.state : UBLK_STATE_LIVE;
		k->info.server_pid = (int)cmd->data;
		k->used |= !err;
		return err;
	case UBLK_CTL_RECOVER_BEGIN:
		return k->info.state == UBLK_STATE_QUIESCED && !k->opened ? 0 : -EBUSY;
	case UBLK_CTL_STOP:
		return stop(k);
	case UBLK_CTL_DEL:
	case UBLK_CTL_DEL_ASYNC:
		k->violations += k->opened; /* it would wait for the server's end */
		k->exists = k->used = false;
		return 0;
	case UBLK_CTL_UPDATE_SIZE:
		k->params.basic.sectors = cmd->data;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

int ublk_ctl_call(struct ublk_ctl *ctl, uint32_t op, const struct ublk_ctl_cmd *cmd, unsigned limit_ms)
{
	struct fake_ublk *k = &fake_ublk;
	unsigned nr = nr_of(op);
	int err;

	(void)ctl;
	(void)limit_ms;
	lock();
	k->calls[nr]++;
	err = k->err[nr];
	if (err && k->times[nr] && !--k->times[nr])
		k->err[nr] = 0;
	if (!err)
		err = carry_out(k, op, cmd);
	unlock();
	return err;
}

int ublk_ctl_open_server(unsigned id)
{
	lock();
	fake_ublk.violations += fake_ublk.opened || id != fake_ublk.info.dev_id;
	fake_ublk.opened = true;
	unlock();
	return eventfd(0, EFD_CLOEXEC);
}

int ublk_ctl_sync(unsigned id)
{
	(void)id;
	fake_ublk.nsyncs++;
	return 0;
}

int ublk_ctl_no_scheduler(unsigned id)
{
	lock();
	fake_ublk.violations += id != fake_ublk.info.dev_id || fake_ublk.info.state != UBLK_STATE_LIVE;
	fake_ublk.nunscheduled++;
	unlock();
	return 0;
}

bool ublk_ctl_is_claimed(unsigned id)
{
	(void)id;
	return fake_ublk.claimed;
}

/*
 * Queues
 */
int ublk_ring_open(int fd, unsigned queue, unsigned depth, struct ublk_ring **ret)
{
	(void)fd;
	if (queue >= FAKE_UBLK_QUEUES || depth > FAKE_UBLK_DEPTH)
		return -EINVAL;
	*ret = calloc(1, sizeof(**ret));
	(*ret)->queue = queue;
	(*ret)->depth = depth;
	fake_ublk.event_fds[queue] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return 0;
}

void ublk_ring_close(struct ublk_ring *ring)
{
	if (!ring)
		return;
	fake_ublk.violations += ring->enabled; /* its thread would still hold it */
	lock();
	fake_ublk.opened = false;
	memset(fake_ublk.tags[ring->queue], 0, sizeof(fake_ublk.tags[ring->queue]));
	unlock();
	close(fake_ublk.event_fds[ring->queue]);
	free(ring);
}

void ublk_ring_enable(struct ublk_ring *ring)
{
	ring->enabled = true;
}

void ublk_ring_disable(struct ublk_ring *ring)
{
	fake_ublk.violations += !ring->enabled || ring->nposted;
	ring->enabled = false;
}

void ublk_ring_post(struct ublk_ring *ring, uint32_t op, const struct ublk_io_cmd *cmd)
{
	if (!ring->enabled || ring->nposted == ring->depth) {
		fake_ublk.violations++;
		return;
	}
	ring->ops[ring->nposted] = op;
	ring->posted[ring->nposted++] = *cmd;
}

static void take(struct ublk_ring *ring, uint32_t op, const struct ublk_io_cmd *cmd)
{
	struct fake_ublk_tag *tag = &fake_ublk.tags[ring->queue][cmd->tag];
	enum fake_ublk_tag_state want = op == UBLK_IO_FETCH ? FAKE_TAG_NONE : FAKE_TAG_TAKEN;

	if (tag->state != want || !cmd->addr || cmd->queue_id != ring->queue)
		fake_ublk.violations++;
	if (op != UBLK_IO_FETCH) {
		tag->has_result = true;
		tag->result = cmd->result;
	}
	tag->state = FAKE_TAG_WAITS;
	tag->addr = cmd->addr;
}

void ublk_ring_flush(struct ublk_ring *ring)
{
	lock();
	for (unsigned i = 0; i < ring->nposted; i++)
		take(ring, ring->ops[i], &ring->posted[i]);
	unlock();
	ring->nposted = 0;
}

unsigned ublk_ring_reap(struct ublk_ring *ring, struct ublk_event *ret, unsigned max)
{
	unsigned n = 0;

	lock();
	for (unsigned t = 0; t < ring->depth && n < max; t++) {
		struct fake_ublk_tag *tag = &fake_ublk.tags[ring->queue][t];

		if (tag->has_event)
			ret[n++] = tag->event;
		tag->has_event = false;
	}
	unlock();
	return n;
}

bool ublk_ring_is_behind(const struct ublk_ring *ring)
{
	return ring->nposted != 0;
}

struct ublk_io_desc ublk_ring_io(const struct ublk_ring *ring, unsigned tag)
{
	return fake_ublk.tags[ring->queue][tag].io;
}

int ublk_ring_fd(const struct ublk_ring *ring)
{
	return fake_ublk.event_fds[ring->queue];
}

bool ublk_ring_arm(struct ublk_ring *ring)
{
	bool found = false;

	lock();
	for (unsigned t = 0; t < ring->depth; t++)
		found |= fake_ublk.tags[ring->queue][t].has_event;
	unlock();
	return found;
}

void ublk_ring_disarm(struct ublk_ring *ring)
{
	uint64_t n;

	if (read(fake_ublk.event_fds[ring->queue], &n, sizeof(n)) < 0)
		return;
}

/*
 * For the test
 */
int fake_ublk_io(unsigned queue, uint32_t op_flags, uint64_t sector, uint32_t nsectors)
{
	int found = -1;

	lock();
	for (unsigned t = 0; t < fake_ublk.info.depth && found < 0; t++) {
		struct fake_ublk_tag *tag = &fake_ublk.tags[queue][t];

		if (tag->state != FAKE_TAG_WAITS)
			continue;
		found = (int)t;
		tag->state = FAKE_TAG_TAKEN;
		tag->has_result = false;
		tag->io = (struct ublk_io_desc){ .op_flags = op_flags, .sector = sector, .nsectors = nsectors,
						 .addr = tag->addr };
		event(queue, t, 0);
	}
	unlock();
	return found;
}

bool fake_ublk_has_result(unsigned queue, int tag, int *ret_result)
{
	const struct fake_ublk_tag *t = &fake_ublk.tags[queue][tag];
	bool has;

	lock();
	has = t->has_result;
	*ret_result = t->result;
	unlock();
	return has;
}

void *fake_ublk_buf(unsigned queue, int tag)
{
	return (void *)(uintptr_t)fake_ublk.tags[queue][tag].addr;
}
