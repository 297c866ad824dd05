/* SPDX-License-Identifier: BSD-3-Clause */
/* Reactors, servers and the echo device of the integration tests. */
#include "tests/integration/vu_rig.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/log.h"

#define RIG_WAIT_MS 20000 /* far beyond what any test needs, also under sanitizers */

/*
 * The log
 */
static unsigned errors;
static char last_error[1024];
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER; /* the two above */

static void log_sink(enum log_level level, const char *tag, const char *text)
{
	if (getenv("RIG_LOG"))
		fprintf(stderr, "%s: %s: %s\n", log_level_name(level), tag, text);
	if (level > LOG_LEVEL_WARN)
		return;
	pthread_mutex_lock(&log_lock);
	errors++;
	snprintf(last_error, sizeof(last_error), "%s", text);
	pthread_mutex_unlock(&log_lock);
}

unsigned rig_errors(const char **ret_last)
{
	static char copy[sizeof(last_error)];
	unsigned n;

	pthread_mutex_lock(&log_lock);
	n = errors;
	errors = 0;
	memcpy(copy, last_error, sizeof(copy));
	pthread_mutex_unlock(&log_lock);
	if (ret_last)
		*ret_last = copy;
	return n;
}

/*
 * The device
 */
struct rig_request {
	struct vq_elem e;
	struct rig_request *next; /* held */
};

struct rig_queue {
	struct list link;
	struct vdev_queue *q;
	struct rig_request *held;
	struct reactor_msg msg;
};

static struct rig_dev *dev_of(const struct vdev *v)
{
	return container_of(v, struct rig_dev, vdev);
}

static void request_answer(struct vdev_queue *q, struct rig_request *req)
{
	uint64_t v = 0;

	vq_elem_read(&req->e, 0, &v, sizeof(v));
	v++;
	vdev_queue_done(q, &req->e, (uint32_t)vq_elem_write(&req->e, 0, &v, sizeof(v)));
}

static void dev_process(struct vdev_queue *q, struct vq_elem **elems, unsigned n)
{
	struct rig_dev *dev = dev_of(q->dev);
	struct rig_queue *rq = q->priv;

	for (unsigned i = 0; i < n; i++) {
		struct rig_request *req = container_of(elems[i], struct rig_request, e);

		if (!__atomic_load_n(&dev->hold, __ATOMIC_ACQUIRE)) {
			request_answer(q, req);
			continue;
		}
		req->next = rq->held;
		rq->held = req;
		__atomic_fetch_add(&dev->held, 1, __ATOMIC_RELEASE);
	}
}

static void queue_release(struct reactor_msg *msg)
{
	struct rig_queue *rq = container_of(msg, struct rig_queue, msg);

	while (rq->held) {
		struct rig_request *req = rq->held;

		rq->held = req->next;
		__atomic_fetch_sub(&dev_of(rq->q->dev)->held, 1, __ATOMIC_RELEASE);
		request_answer(rq->q, req);
	}
}

static int dev_queue_open(struct vdev_queue *q, struct errbuf *eb)
{
	struct rig_queue *rq = calloc(1, sizeof(*rq));

	if (!rq)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	rq->q = q;
	list_add_tail(&dev_of(q->dev)->queues, &rq->link);
	q->priv = rq;
	return 0;
}

static void dev_queue_close(struct vdev_queue *q)
{
	struct rig_queue *rq = q->priv;

	assert_null(rq->held);
	list_del(&rq->link);
	free(rq);
}

static uint64_t dev_features(const struct vdev *v)
{
	(void)v;
	return VIRTIO_BIT(9);
}

static uint32_t dev_config_get(const struct vdev *v, uint8_t config[VDEV_CONFIG_MAX])
{
	memcpy(config, dev_of(v)->config, RIG_CONFIG_BYTES);
	return RIG_CONFIG_BYTES;
}

static int dev_config_set(struct vdev *v, uint32_t off, const void *buf, uint32_t len)
{
	if (off != 32 || len != 1)
		return -EROFS;
	dev_of(v)->config[32] = *(const uint8_t *)buf;
	return 0;
}

static void dev_reset(struct vdev *v)
{
	__atomic_fetch_add(&dev_of(v)->resets, 1, __ATOMIC_RELEASE);
}

static uint32_t dev_save(const struct vdev *v, uint8_t state[VDEV_STATE_MAX])
{
	state[0] = dev_of(v)->config[32];
	return 1;
}

static int dev_load(struct vdev *v, const uint8_t *state, uint32_t len, struct errbuf *eb)
{
	if (len != 1 || state[0] & 0x80)
		return errbuf_set(eb, -EINVAL, "not the state of an echo");
	dev_of(v)->config[32] = state[0];
	return 0;
}

static const struct vdev_state_ops dev_state_ops = {
	.save = dev_save,
	.load = dev_load,
};

static const struct vdev_ops dev_ops = {
	.name = "echo",
	.virtio_id = 2,
	.slot_bytes = sizeof(struct rig_request),
	.features = dev_features,
	.config_get = dev_config_get,
	.config_set = dev_config_set,
	.queue_open = dev_queue_open,
	.queue_close = dev_queue_close,
	.process = dev_process,
	.reset = dev_reset,
	.state = &dev_state_ops,
};

/*
 * Calls on the control reactor
 */
struct call {
	struct rig *r;
	unsigned i, at;
	uint8_t value;
	int err;
	struct errbuf eb;
	struct vu_session_info *info;
	bool done; /* atomic */
};

static void server_start(void *arg)
{
	struct call *c = arg;
	const struct vu_server_opts opts = {
		.name = c->i ? "good" : "victim",
		.path = c->r->path[c->i],
		.fd = -1,
		.dev = &c->r->dev[c->i].vdev,
		.control = c->r->control,
		.reactors = c->r->data,
		.nreactors = RIG_REACTORS,
		.nnear = c->r->nnear,
	};

	c->err = vu_server_create(&opts, &c->r->server[c->i], &c->eb);
}

static void call_is_done(void *arg)
{
	__atomic_store_n(&((struct call *)arg)->done, true, __ATOMIC_RELEASE);
}

static void server_stop(void *arg)
{
	struct call *c = arg;

	vu_server_destroy(c->r->server[c->i], call_is_done, c);
}

static void server_info(void *arg)
{
	struct call *c = arg;

	c->err = vu_server_get_info(c->r->server[c->i], c->info);
}

static void device_release(void *arg)
{
	struct call *c = arg;
	struct list *pos;

	list_for_each (pos, &c->r->dev[c->i].queues) {
		struct rig_queue *rq = list_entry(pos, struct rig_queue, link);

		reactor_send(rq->q->reactor, &rq->msg, queue_release);
	}
}

static void device_change(void *arg)
{
	struct call *c = arg;

	c->r->dev[c->i].config[c->at] = c->value;
	vdev_config_changed(&c->r->dev[c->i].vdev);
}

static void nothing(void *arg)
{
	(void)arg;
}

void rig_wait(bool (*fn)(void *arg), void *arg)
{
	const struct timespec ms = { 0, 1000000 };

	for (unsigned i = 0; i < RIG_WAIT_MS; i++) {
		if (fn(arg))
			return;
		nanosleep(&ms, NULL);
	}
	fail_msg("waited in vain");
}

void rig_server_start(struct rig *r, unsigned i)
{
	struct call c = { .r = r, .i = i };

	reactor_call(r->control, server_start, &c);
	if (c.err)
		fail_msg("%s", c.eb.text);
}

static bool stop_is_done(void *arg)
{
	return __atomic_load_n(&((struct call *)arg)->done, __ATOMIC_ACQUIRE);
}

void rig_server_stop(struct rig *r, unsigned i)
{
	struct call c = { .r = r, .i = i };

	reactor_call(r->control, server_stop, &c);
	rig_wait(stop_is_done, &c);
	r->server[i] = NULL;
}

void rig_hold(struct rig *r, unsigned i)
{
	__atomic_store_n(&r->dev[i].hold, true, __ATOMIC_RELEASE);
}

void rig_release(struct rig *r, unsigned i)
{
	struct call c = { .r = r, .i = i };

	__atomic_store_n(&r->dev[i].hold, false, __ATOMIC_RELEASE);
	/* A poll that saw hold is over once its reactor has taken a message. */
	for (unsigned k = 0; k < RIG_REACTORS; k++)
		reactor_call(r->data[k], nothing, NULL);
	reactor_call(r->control, device_release, &c);
	for (unsigned k = 0; k < RIG_REACTORS; k++)
		reactor_call(r->data[k], nothing, NULL);
}

void rig_config_change(struct rig *r, unsigned i, unsigned at, uint8_t value)
{
	struct call c = { .r = r, .i = i, .at = at, .value = value };

	reactor_call(r->control, device_change, &c);
}

void rig_info(struct rig *r, unsigned i, struct vu_session_info *ret)
{
	struct call c = { .r = r, .i = i, .info = ret };

	reactor_call(r->control, server_info, &c);
	assert_int_equal(c.err, 0);
}

struct server_ref {
	struct rig *r;
	unsigned i;
};

static bool server_is_free(void *arg)
{
	struct server_ref *ref = arg;
	struct vu_session_info info;
	bool free_now;

	rig_info(ref->r, ref->i, &info);
	free_now = strcmp(info.state, "LISTENING") == 0;
	vu_session_info_fini(&info);
	return free_now;
}

void rig_wait_free(struct rig *r, unsigned i)
{
	struct server_ref ref = { r, i };

	rig_wait(server_is_free, &ref);
}

static unsigned count_entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

unsigned rig_count_fds(void)
{
	return count_entries("/proc/self/fd");
}

unsigned rig_count_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned n = 0;
	int c;

	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

void rig_start(struct rig *r)
{
	struct reactor_opts opts = { .name = "data", .cpu = -1, .mode = REACTOR_ADAPTIVE };

	memset(r, 0, sizeof(*r));
	signal(SIGPIPE, SIG_IGN);
	mono_init();
	log_set_sink(log_sink);
	if (getenv("RIG_LOG"))
		log_set_level(LOG_LEVEL_DEBUG);
	snprintf(r->dir, sizeof(r->dir), "/tmp/nvring-test-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	for (unsigned i = 0; i < RIG_REACTORS; i++) {
		assert_int_equal(reactor_create(&opts, &r->data[i]), 0);
		assert_int_equal(reactor_start(r->data[i]), 0);
	}
	opts.name = "control";
	opts.mode = REACTOR_INTERRUPT;
	assert_int_equal(reactor_create(&opts, &r->control), 0);
	assert_int_equal(reactor_start(r->control), 0);
	for (unsigned i = 0; i < RIG_SERVERS; i++) {
		vdev_init(&r->dev[i].vdev, &dev_ops, RIG_QUEUES);
		list_init(&r->dev[i].queues);
		for (unsigned k = 0; k < RIG_CONFIG_BYTES; k++)
			r->dev[i].config[k] = (uint8_t)(k + 1);
		snprintf(r->path[i], sizeof(r->path[i]), "%s/s%u", r->dir, i);
		rig_server_start(r, i);
	}
	(void)rig_errors(NULL);
}

void rig_stop(struct rig *r)
{
	for (unsigned i = 0; i < RIG_SERVERS; i++) {
		if (r->server[i])
			rig_server_stop(r, i);
	}
	for (unsigned i = 0; i < RIG_REACTORS; i++) {
		reactor_stop(r->data[i]);
		reactor_join(r->data[i]);
		reactor_destroy(r->data[i]);
	}
	reactor_stop(r->control);
	reactor_join(r->control);
	reactor_destroy(r->control);
	assert_int_equal(rmdir(r->dir), 0); /* the sockets are gone */
	log_set_sink(NULL);
}
