/* SPDX-License-Identifier: BSD-3-Clause */
/* A device that is to rest, as slow as asked for, or patient: what the control thread wants of all its channels. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "core/bdev_priv.h"
#include "core/iosched.h"

/* Who waits for a freeze to be complete. */
struct bdev_freezer {
	struct list link;
	struct reactor_msg msg;
	void (*frozen)(void *arg);
	void *arg;
};

static void tell_all(struct bdev *bdev)
{
	struct list *pos;

	list_for_each (pos, &bdev->chans)
		iosched_tell(list_entry(pos, struct bdev_chan, link));
}

static void freezer_done(struct reactor_msg *msg)
{
	struct bdev_freezer *f = container_of(msg, struct bdev_freezer, msg);

	f->frozen(f->arg);
	free(f);
}

/* Not from inside a call of whoever waits. */
static void complete_all(struct bdev *bdev)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &bdev->freezers) {
		struct bdev_freezer *f = list_entry(pos, struct bdev_freezer, link);

		list_del(&f->link);
		reactor_send(bdev->control, &f->msg, freezer_done);
	}
}

void bdev_freeze_check(struct bdev *bdev)
{
	struct list *pos;

	list_for_each (pos, &bdev->chans) {
		if (list_entry(pos, struct bdev_chan, link)->sched.gate->emptied != bdev->freeze)
			return;
	}
	complete_all(bdev);
}

int bdev_freeze(struct bdev *bdev, void (*frozen)(void *arg), void *arg)
{
	struct bdev_freezer *f = malloc(sizeof(*f));

	if (!f)
		return -ENOMEM;
	*f = (struct bdev_freezer){ .frozen = frozen, .arg = arg };
	list_add_tail(&bdev->freezers, &f->link);
	if (bdev->nfreezes++ == 0) {
		bdev->freeze++;
		tell_all(bdev);
	}
	bdev_freeze_check(bdev);
	return 0;
}

void bdev_thaw(struct bdev *bdev)
{
	assert(bdev->nfreezes > 0);
	if (--bdev->nfreezes > 0)
		return;
	tell_all(bdev);
	complete_all(bdev);
}

void bdev_set_depth(struct bdev *bdev, uint32_t depth)
{
	bdev->depth = depth;
	tell_all(bdev);
}

void bdev_set_path_timeout(struct bdev *bdev, uint64_t ns)
{
	bdev->path_timeout_ns = ns;
	tell_all(bdev);
}

void bdev_set_deadlines(struct bdev *bdev, uint64_t read_ns, uint64_t write_ns)
{
	bdev->patience_ns[QOS_CLASS_READ] = read_ns;
	bdev->patience_ns[QOS_CLASS_WRITE] = write_ns;
	tell_all(bdev);
}
