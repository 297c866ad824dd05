/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread that looks after the connection, so that no reactor ever waits for a handshake.
 *
 *   watch ─ the server goes ─► all channels WAIT ─► attempts ─┬─ one succeeds ─► all RUN ─► watch
 *                                                              └─ patience ends, or somebody waits for I/O to end ─►
 *                                                                 what is in flight is forgotten, all FAIL ─► attempts
 */
#include "drivers/virtio/vub_priv.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOG_TAG "virtio-user"
#include "core/base/log.h"
#include "core/base/mono.h"
#include "core/worker.h"

#define RETRY_MS 20

void vub_keeper_wake(struct vub *dev)
{
	const uint64_t one = 1;

	(void)!write(dev->wake_fd, &one, sizeof(one)); /* full means awake already */
}

static void wake_take(struct vub *dev)
{
	uint64_t drop;

	(void)!read(dev->wake_fd, &drop, sizeof(drop)); /* only to empty it */
}

static bool is_stopping(struct vub *dev)
{
	return __atomic_load_n(&dev->stop, __ATOMIC_ACQUIRE);
}

struct turn_over {
	struct vub *dev;
	enum vub_state state;
};

/* Channels come to and leave a reactor on itself, so those that are here stay meanwhile. */
static void turn_over_here(void *arg)
{
	const struct turn_over *t = arg;
	struct vub_chan *here[VUB_QUEUES_MAX];
	unsigned n = 0;
	struct list *pos;

	pthread_mutex_lock(&t->dev->lock);
	list_for_each (pos, &t->dev->chans) {
		struct vub_chan *vc = list_entry(pos, struct vub_chan, link);

		if (vc->chan->reactor == reactor_self() && vc->state != t->state)
			here[n++] = vc;
	}
	pthread_mutex_unlock(&t->dev->lock);
	for (unsigned i = 0; i < n; i++)
		vub_chan_set(here[i], t->state);
}

/* When this returns no channel is in another state. */
static void turn_over(struct vub *dev, enum vub_state state)
{
	struct turn_over t = { dev, state };
	struct reactor *reactors[VUB_QUEUES_MAX];
	unsigned n = 0;
	struct list *pos;

	pthread_mutex_lock(&dev->lock);
	dev->state = state; /* of channels that start from now on */
	list_for_each (pos, &dev->chans)
		reactors[n++] = list_entry(pos, struct vub_chan, link)->chan->reactor;
	pthread_mutex_unlock(&dev->lock);
	for (unsigned i = 0; i < n; i++)
		reactor_call(reactors[i], turn_over_here, &t);
}

static void give_up(struct vub *dev, const char *why)
{
	int err = virtio_user_drop(dev->vu);

	if (err)
		log_error("%s: %s", dev->path, strerror(-err));
	turn_over(dev, VUB_FAILS);
	log_error("%s: no server (%s): I/O fails until there is one", dev->path, why);
}

static bool is_over(const struct vub *dev, uint64_t since)
{
	if (bdev_is_draining(&dev->bdev))
		return true;
	return dev->patience_ms && mono_ns() - since >= dev->patience_ms * MONO_NS_PER_MS;
}

static void away(struct vub *dev)
{
	struct pollfd p = { .fd = dev->wake_fd, .events = POLLIN };
	struct errbuf eb = { "" }, last = { "" };
	uint64_t since = mono_ns();
	bool failing = false;

	log_warn("%s: the server is gone; I/O waits for its successor", dev->path);
	turn_over(dev, VUB_WAITS);
	while (virtio_user_reconnect(dev->vu, 0, &eb)) {
		if (strcmp(eb.text, last.text))
			log_notice("%s", eb.text);
		last = eb;
		if (!failing && (is_stopping(dev) || is_over(dev, since))) {
			give_up(dev, eb.text);
			failing = true;
		}
		if (is_stopping(dev))
			return;
		if (poll(&p, 1, RETRY_MS) > 0)
			wake_take(dev);
	}
	turn_over(dev, VUB_RUNS);
	log_notice("%s: there is a server again, after %llu ms", dev->path,
		   (unsigned long long)((mono_ns() - since) / MONO_NS_PER_MS));
	vub_size_look(dev);
}

static void *keep(void *arg)
{
	struct vub *dev = arg;

	while (!is_stopping(dev)) {
		if (virtio_user_watch(dev->vu, dev->wake_fd))
			away(dev);
		else
			wake_take(dev);
	}
	return NULL;
}

int vub_keeper_start(struct vub *dev)
{
	int err;

	dev->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (dev->wake_fd < 0)
		return -errno;
	err = worker_thread_create(&dev->keeper, keep, dev);
	dev->has_keeper = !err;
	return err;
}

void vub_keeper_stop(struct vub *dev)
{
	if (dev->has_keeper) {
		__atomic_store_n(&dev->stop, true, __ATOMIC_RELEASE);
		vub_keeper_wake(dev);
		(void)pthread_join(dev->keeper, NULL); /* it is ours, and joined once */
	}
	dev->has_keeper = false;
	if (dev->wake_fd >= 0)
		(void)close(dev->wake_fd); /* nothing was written that could get lost */
	dev->wake_fd = -1;
}
