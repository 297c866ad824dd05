/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BLKDISCARD, which blocks, on a thread of its own: for block devices of kernels that have no
 * better way.
 *
 *   reactor ─ inbox, semaphore ─► thread: ioctl ─ message ─► reactor: bdev_complete
 */
#include "drivers/uring/urb_priv.h"

#include <errno.h>
#include <linux/fs.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "core/worker.h"

struct urb_discard_thread {
	struct mpsc inbox;
	sem_t wake; /* one up for each job, and one to end */
	pthread_t thread;
	int fd;
	bool stop;
};

/* Lives in bio->drv. The message's node serves the inbox on the way there. */
struct discard_job {
	struct reactor_msg msg;
	int32_t res;
};
static_assert(sizeof(struct discard_job) <= sizeof(((struct bio *)0)->drv), "fits into the bio");

static struct bio *bio_of(struct discard_job *job)
{
	return (struct bio *)(void *)((char *)job - offsetof(struct bio, drv));
}

static void job_done(struct reactor_msg *msg)
{
	struct discard_job *job = container_of(msg, struct discard_job, msg);

	bdev_complete(bio_of(job), job->res);
}

static void job_run(struct urb_discard_thread *t, struct discard_job *job)
{
	const struct bio *bio = bio_of(job);
	uint64_t range[2] = { bio->off, bio->len };

	job->res = ioctl(t->fd, BLKDISCARD, range) ? -errno : 0;
	reactor_send(bio->chan->reactor, &job->msg, job_done);
}

static void *discard_main(void *arg)
{
	struct urb_discard_thread *t = arg;

	(void)pthread_setname_np(pthread_self(), "discard"); /* cosmetic */
	for (;;) {
		struct mpsc_node *node, *next;

		while (sem_wait(&t->wake) && errno == EINTR)
			;
		for (node = mpsc_take_all(&t->inbox); node; node = next) {
			next = node->next;
			job_run(t, container_of(node, struct discard_job, msg.node));
		}
		if (__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE))
			return NULL;
	}
}

int urb_discard_thread_create(int fd, struct urb_discard_thread **ret)
{
	struct urb_discard_thread *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->fd = fd;
	mpsc_init(&t->inbox);
	if (sem_init(&t->wake, 0, 0)) {
		err = -errno;
		goto fail;
	}
	err = worker_thread_create(&t->thread, discard_main, t);
	if (err) {
		(void)sem_destroy(&t->wake);
		goto fail;
	}
	*ret = t;
	return 0;
fail:
	free(t);
	return err;
}

void urb_discard_thread_destroy(struct urb_discard_thread *t)
{
	if (!t)
		return;
	__atomic_store_n(&t->stop, true, __ATOMIC_RELEASE);
	(void)sem_post(&t->wake);
	(void)pthread_join(t->thread, NULL);
	(void)sem_destroy(&t->wake);
	free(t);
}

void urb_discard_submit(struct urb_discard_thread *t, struct bio *bio)
{
	struct discard_job *job = (struct discard_job *)(void *)bio->drv;

	(void)mpsc_push(&t->inbox, &job->msg.node);
	(void)sem_post(&t->wake);
}
