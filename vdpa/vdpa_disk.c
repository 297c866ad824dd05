/* SPDX-License-Identifier: BSD-3-Clause */
/* Opens disks, and keeps count of who uses those that have a name. */
#include "vdpa/vdpa_disk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/deadline.h"
#include "core/qos.h"
#include "drivers/catalogue.h"
#include "vdpa/vdpa_wait.h"

#define LOG_TAG "vdpa"
#include "core/base/log.h"

#define LOCK_WAIT_MS 5000 /* for the image lock of a process that has just died */

struct vdpa_disk {
	struct list link;
	struct bdev *bdev;
	unsigned users;
	bool is_shared;
	sem_t closed;
	/* control thread */
	uint64_t look_ns; /* 0: nobody wants to know of another size */
	struct deadline look;
	bool is_looking, is_ending;
	sem_t looked; /* posted once is_ending and nobody looks any more */
};

/* Guards the list and the counts. Held while a disk is opened: whoever wants the same one waits for it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list disks = { &disks, &disks };

static void look_begin(struct deadline *look);

static struct vdpa_disk *disk_find(const char *name)
{
	struct list *pos;

	list_for_each (pos, &disks) {
		struct vdpa_disk *d = list_entry(pos, struct vdpa_disk, link);

		if (d->is_shared && !strcmp(d->bdev->name, name))
			return d;
	}
	return NULL;
}

static int disk_join(struct vdpa_disk *d, const struct vdpa_args *a, struct errbuf *eb)
{
	if (strcmp(d->bdev->uri, a->backend) != 0)
		return errbuf_set(eb, -EINVAL, "disk %s is another one already: backend=%.300s", a->disk,
				  d->bdev->uri);
	if (d->bdev->lim.read_only && !a->read_only)
		return errbuf_set(eb, -EROFS, "disk %s was opened with readonly=1: give that here, too",
				  a->disk);
	d->users++;
	return 0;
}

static int disk_new(const char *device, const struct vdpa_args *a, struct reactor *control,
		    struct vdpa_disk **ret_disk, struct errbuf *eb)
{
	const struct bdev_open_opts opts = {
		.name = a->disk[0] ? a->disk : device,
		.read_only = a->read_only,
		.lock_wait_ms = LOCK_WAIT_MS,
		.control = control,
	};
	struct vdpa_disk *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	err = bdev_open(a->backend, &opts, &d->bdev, eb);
	if (err) {
		free(d);
		return err;
	}
	(void)sem_init(&d->closed, 0, 0); /* 0 is a value it takes */
	(void)sem_init(&d->looked, 0, 0);
	deadline_init(&d->look, look_begin);
	d->users = 1;
	d->is_shared = a->disk[0] != '\0';
	list_add_tail(&disks, &d->link);
	*ret_disk = d;
	return 0;
}

/*
 * On the control thread
 */

/* A file has grown, or a block device: nobody tells us. */
static void look_done(void *arg, int err, const char *why)
{
	struct vdpa_disk *d = arg;

	d->is_looking = false;
	if (d->is_ending) {
		(void)sem_post(&d->looked); /* at 0: it cannot overflow */
		return;
	}
	if (err) {
		log_warn("%s: %s; no more looks for another size", d->bdev->name, why);
		d->look_ns = 0;
		return;
	}
	deadline_arm(d->bdev->control, &d->look, mono_ns() + d->look_ns);
}

static void look_begin(struct deadline *look)
{
	struct vdpa_disk *d = container_of(look, struct vdpa_disk, look);

	d->is_looking = true;
	bdev_resize(d->bdev, 0, look_done, d);
}

static void look_end(void *arg)
{
	struct vdpa_disk *d = arg;

	d->is_ending = true;
	deadline_cancel(&d->look);
	if (!d->is_looking)
		(void)sem_post(&d->looked); /* the same */
}

struct orders {
	struct vdpa_disk *d;
	struct bdev *bdev;
	struct qos_limits limits;
	uint64_t look_ns;
	struct errbuf *eb;
	int err;
};

static void look_start(void *arg)
{
	struct orders *c = arg;
	struct vdpa_disk *d = c->d;

	if (d->look_ns || !c->look_ns)
		return; /* it is looked at already */
	d->look_ns = c->look_ns;
	deadline_arm(d->bdev->control, &d->look, mono_ns() + d->look_ns);
}

static void limits_set(void *arg)
{
	struct orders *c = arg;
	struct qos_conf conf;

	qos_get(c->bdev, &conf);
	conf.limits = c->limits;
	c->err = qos_set(c->bdev, &conf, c->eb);
}

static int orders_apply(struct vdpa_disk *d, const struct vdpa_args *a, struct reactor *control,
			struct errbuf *eb)
{
	static const struct qos_limits none;
	struct orders c = { .d = d,
				 .bdev = d->bdev,
				 .limits = a->limits,
				 .look_ns = a->resize_s * MONO_NS_PER_SEC,
				 .eb = eb };

	if (c.look_ns)
		reactor_call(control, look_start, &c);
	if (!memcmp(&a->limits, &none, sizeof(none)))
		return 0;
	reactor_call(control, limits_set, &c);
	return c.err;
}

int vdpa_disk_open(const char *device, const struct vdpa_args *a, struct reactor *control,
		   struct vdpa_disk **ret_disk, struct errbuf *eb)
{
	struct vdpa_disk *d;
	int err;

	pthread_mutex_lock(&lock);
	d = a->disk[0] ? disk_find(a->disk) : NULL;
	err = d ? disk_join(d, a, eb) : disk_new(device, a, control, &d, eb);
	pthread_mutex_unlock(&lock);
	if (err)
		return err;
	err = orders_apply(d, a, control, eb);
	if (err) {
		(void)vdpa_disk_close(d, a->stop_ms); /* nothing is in flight */
		return err;
	}
	*ret_disk = d;
	return 0;
}

static void disk_closed(void *arg)
{
	struct vdpa_disk *d = arg;

	(void)sem_post(&d->closed); /* at 0: it cannot overflow */
}

bool vdpa_disk_close(struct vdpa_disk *d, uint64_t ms)
{
	bool is_last, is_closed = true;

	pthread_mutex_lock(&lock);
	is_last = --d->users == 0;
	if (is_last) {
		list_del(&d->link);
		reactor_call(d->bdev->control, look_end, d);
		is_closed = vdpa_wait(&d->looked, ms);
	}
	if (is_last && is_closed) {
		bdev_close(d->bdev, disk_closed, d);
		is_closed = vdpa_wait(&d->closed, ms); /* under the lock: who opens it again finds it free */
	}
	pthread_mutex_unlock(&lock);
	if (is_last && is_closed) {
		sem_destroy(&d->closed);
		sem_destroy(&d->looked);
		free(d);
	}
	return is_closed;
}

struct bdev *vdpa_disk_bdev(const struct vdpa_disk *d)
{
	return d->bdev;
}
