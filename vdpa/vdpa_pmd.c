/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DPDK driver: what rte_vhost calls, told to vdpa_dev. The only file that knows DPDK.
 *
 *   front-end ─ message ─► before() ─► vdpa_dev_message ─► rte_vhost's own handler ─► after()
 *                          (pre_msg_handle)                 │
 *                                set_vring_state(q, 1) ◄────┘ a ring is complete and enabled: vdpa_dev_ring_start
 *
 * Of the operations of a vDPA driver only set_vring_state(1) and dev_cleanup do anything; docs/vdpa.md says why.
 * All of them, and the handlers, run on rte_vhost's one thread; only get_* and *_stats may be called from others.
 */
#include "core/base/cc.h" /* before DPDK's headers, which leave its container_of alone */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_devargs.h>
#include <rte_eal.h>
#include <rte_log.h>
#include <rte_vdpa.h>
#include <rte_version.h>
#include <rte_vhost.h>
#ifdef VDPA_DPDK_SDK
#include <bus_vdev_driver.h>
#include <vdpa_driver.h>
#endif

#include "core/base/list.h"
#include "vdpa/vdpa_dev.h"
#include "vdpa/vdpa_dpdk_abi.h"

#define LOG_TAG "vdpa"
#include "core/base/log.h"

#if RTE_VERSION < RTE_VERSION_NUM(22, 11, 0, 0) || RTE_VERSION >= RTE_VERSION_NUM(25, 0, 0, 0)
#error "vdpa_dpdk_abi.h holds the layouts of DPDK 22.11 to 24.11"
#endif

#define VIDS_MAX 1024 /* connections that rte_vhost can have */

/* Protocol features that are offered through rte_vhost: what both it and the session, or the session alone, can do. */
#define PROTOCOL_OFFERED                                                                                     \
	(VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_LOG_SHMFD) | VU_BIT(VU_PROTOCOL_F_REPLY_ACK) |      \
	 VU_BIT(VU_PROTOCOL_F_BACKEND_REQ) | VU_BIT(VU_PROTOCOL_F_CONFIG) |                                  \
	 VU_BIT(VU_PROTOCOL_F_INFLIGHT_SHMFD) | VU_BIT(VU_PROTOCOL_F_STATUS))

struct pmd {
	struct list link;
	struct rte_vdev_device *vdev;
	struct rte_vdpa_device *vdpa;
	struct vdpa_dev *dev;
	bool widen;
	int vid; /* whom it serves; -1: nobody */
	/* the message that is worked on */
	uint32_t request;
	bool seen; /* by before() */
	int reply_fds[VU_FDS_MAX];
	unsigned nreply_fds;
};

/* Guards pmds and by_vid. What they point to changes by rte_vhost's thread only, or while no socket has the device. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list pmds = { &pmds, &pmds };
static struct pmd *by_vid[VIDS_MAX];
static int log_type, vhost_log_type;

static const char *pmd_name(const struct pmd *p)
{
	return p->vdev->device.name;
}

/*
 * Whose is it?
 */
static struct pmd *find_locked(const struct rte_vdpa_device *vdpa)
{
	struct list *pos;

	list_for_each (pos, &pmds) {
		struct pmd *p = list_entry(pos, struct pmd, link);

		if (p->vdpa == vdpa)
			return p;
	}
	return NULL;
}

static struct pmd *pmd_of_vdpa(const struct rte_vdpa_device *vdpa)
{
	struct pmd *p;

	pthread_mutex_lock(&lock);
	p = find_locked(vdpa);
	pthread_mutex_unlock(&lock);
	return p;
}

/*
 * The device that connection @vid is served by, if it is. A device has one front-end: rte_vhost accepts others on the
 * same socket, and they get nowhere.
 */
static struct pmd *pmd_of_vid(int vid)
{
	struct pmd *p = NULL;

	if (vid < 0 || vid >= VIDS_MAX)
		return NULL;
	pthread_mutex_lock(&lock);
	if (!by_vid[vid]) /* after RESET_OWNER */
		by_vid[vid] = find_locked(rte_vhost_get_vdpa_device(vid));
	p = by_vid[vid];
	if (p && p->vid < 0)
		p->vid = vid;
	if (p && p->vid != vid)
		p = NULL;
	pthread_mutex_unlock(&lock);
	return p;
}

/*
 * Messages
 */
static void msg_from_dpdk(const struct vdpa_dpdk_msg *d, struct vu_msg *ret)
{
	uint32_t size = d->size <= VDPA_DPDK_PAYLOAD_MAX ? d->size : 0;

	vu_msg_init(ret, d->request, d->flags & VU_FLAG_NEED_REPLY, size);
	memcpy(&ret->p, d->payload, size);
	for (int i = 0; i < d->nfds && i < VU_FDS_MAX; i++)
		ret->fds[ret->nfds++] = d->fds[i];
}

/* rte_vhost closes the fds of messages that it works on itself; those that never get there are ours to close. */
static void dpdk_close_fds(struct vdpa_dpdk_msg *d)
{
	for (int i = 0; i < d->nfds && i < VDPA_DPDK_FDS_MAX; i++) {
		if (d->fds[i] >= 0)
			close(d->fds[i]);
		d->fds[i] = -1;
	}
	d->nfds = 0;
}

/* rte_vhost sends what is in @d and leaves the fds open: after() closes them. */
static void reply_to_dpdk(struct pmd *p, const struct vu_msg *m, struct vdpa_dpdk_msg *d)
{
	dpdk_close_fds(d);
	d->size = CC_MIN(m->h.size, (uint32_t)VDPA_DPDK_PAYLOAD_MAX);
	memcpy(d->payload, &m->p, d->size);
	d->nfds = (int)m->nfds;
	p->nreply_fds = m->nfds;
	for (unsigned i = 0; i < m->nfds; i++)
		p->reply_fds[i] = d->fds[i] = m->fds[i];
}

static void reply_close_fds(struct pmd *p)
{
	for (unsigned i = 0; i < p->nreply_fds; i++)
		close(p->reply_fds[i]);
	p->nreply_fds = 0;
}

/*
 * What the guest's driver can cause (a write to a configuration field that cannot be written) is told where an answer
 * was asked for, and is no reason to hang up: rte_vhost does so for any other error without an answer.
 */
static enum rte_vhost_msg_result refuse(struct pmd *p, struct vdpa_dpdk_msg *d, int err, const char *why)
{
	bool is_soft = err == -EREMOTEIO && d->request == VU_SET_CONFIG;

	log_at(is_soft ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "%s: %s", pmd_name(p), why);
	dpdk_close_fds(d);
	if (is_soft && !(d->flags & VU_FLAG_NEED_REPLY))
		return RTE_VHOST_MSG_RESULT_OK;
	return RTE_VHOST_MSG_RESULT_ERR;
}

static enum rte_vhost_msg_result hand_on(struct pmd *p, struct vdpa_dpdk_msg *d)
{
	struct errbuf eb = { "" };
	struct vu_msg m;
	int result;

	msg_from_dpdk(d, &m);
	result = vdpa_dev_message(p->dev, &m, &eb);
	switch (result) {
	case 0:
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED; /* by us alone: rte_vhost goes on */
	case VDPA_DEV_REPLY:
		reply_to_dpdk(p, &m, d);
		return RTE_VHOST_MSG_RESULT_REPLY;
	case VDPA_DEV_TAKEN:
		dpdk_close_fds(d);
		return RTE_VHOST_MSG_RESULT_OK;
	default:
		return refuse(p, d, result, eb.text);
	}
}

/* rte_vhost answers with what it believes the position to be. */
static enum rte_vhost_msg_result stop_ring(struct pmd *p, struct vdpa_dpdk_msg *d)
{
	struct errbuf eb = { "" };
	struct vu_msg m;
	uint32_t base = 0;
	uint16_t avail, used;
	int err;

	msg_from_dpdk(d, &m);
	err = vu_msg_check(&m, &eb);
	if (!err)
		err = vdpa_dev_ring_stop(p->dev, m.p.state.index, &base, &eb);
	if (err)
		return refuse(p, d, err, eb.text);
	avail = (uint16_t)base;
	used = base >> 16 ? (uint16_t)(base >> 16) : avail; /* of a split ring, which is drained: the same */
	if (rte_vhost_set_vring_base(p->vid, (uint16_t)m.p.state.index, avail, used))
		return refuse(p, d, -EINVAL, "rte_vhost does not know this ring");
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

/*
 * The application has offered less than the device can do (the example: no FLUSH, no packed ring, no inflight region).
 * With rte_vhost's lock free, which it is not in get_features.
 */
static void widen(const struct pmd *p)
{
	uint64_t protocol = vdpa_dev_protocol_features(p->dev) & PROTOCOL_OFFERED;
	char path[256];

	if (!p->widen || rte_vhost_get_ifname(p->vid, path, sizeof(path)))
		return;
	if (rte_vhost_driver_set_features(path, vdpa_dev_features(p->dev)) ||
	    rte_vhost_driver_set_protocol_features(path, protocol))
		log_warn("%s: %s: the features offered could not be widened", pmd_name(p), path);
}

static enum rte_vhost_msg_result before(int vid, void *msg)
{
	struct vdpa_dpdk_msg *d = msg;
	struct pmd *p = pmd_of_vid(vid);

	if (!p) {
		log_warn("connection %d is refused: the device serves another one", vid);
		dpdk_close_fds(d);
		return RTE_VHOST_MSG_RESULT_ERR;
	}
	reply_close_fds(p); /* of one that could not be sent */
	p->request = d->request;
	p->seen = true;
	/* of networks, cryptography, postcopy: rte_vhost would begin to work on it */
	if (!vu_shape_find(d->request))
		return refuse(p, d, -EOPNOTSUPP, "a message that no block device knows");
	switch (d->request) {
	case VU_GET_PROTOCOL_FEATURES:
		widen(p);
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	case VU_GET_VRING_BASE:
		return stop_ring(p, d);
	default:
		return hand_on(p, d);
	}
}

/* What came before we were asked for features, and so before there was a before(). Without fds: those are gone. */
static enum rte_vhost_msg_result catch_up(struct pmd *p, struct vdpa_dpdk_msg *d)
{
	struct vdpa_dpdk_msg copy = *d;
	enum rte_vhost_msg_result result;

	if (d->flags & VU_FLAG_REPLY) /* the answer is in it already: a question, nothing for us */
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	copy.nfds = 0;
	result = hand_on(p, &copy);
	return result == RTE_VHOST_MSG_RESULT_ERR ? result : RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static enum rte_vhost_msg_result after(int vid, void *msg)
{
	struct pmd *p = pmd_of_vid(vid);
	enum rte_vhost_msg_result result = RTE_VHOST_MSG_RESULT_NOT_HANDLED;

	if (!p)
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	if (!p->seen)
		result = catch_up(p, msg);
	reply_close_fds(p);
	p->request = 0;
	p->seen = false;
	return result;
}

static const struct rte_vhost_user_extern_ops handlers = {
	.pre_msg_handle = before,
	.post_msg_handle = after,
};

/*
 * rte_vhost does not tell a driver of a new connection, but asks it for its features first. With its log silent: it
 * has an error for each number that is no connection.
 */
static void watch_connections(struct pmd *p)
{
	int level = rte_log_get_level((uint32_t)vhost_log_type);

	(void)rte_log_set_level((uint32_t)vhost_log_type, 0); /* in vain: more lines */
	pthread_mutex_lock(&lock);
	for (int vid = 0; vid < VIDS_MAX; vid++) {
		if (rte_vhost_get_vdpa_device(vid) != p->vdpa || by_vid[vid])
			continue;
		if (rte_vhost_extern_callback_register(vid, &handlers, p))
			continue; /* it has gone */
		by_vid[vid] = p;
		if (p->vid < 0)
			p->vid = vid;
	}
	pthread_mutex_unlock(&lock);
	if (level >= 0)
		(void)rte_log_set_level((uint32_t)vhost_log_type, (uint32_t)level);
}

/*
 * The operations of a vDPA driver
 */
static int op_get_queue_num(struct rte_vdpa_device *vdpa, uint32_t *ret)
{
	const struct pmd *p = pmd_of_vdpa(vdpa);

	if (!p)
		return -ENODEV;
	*ret = vdpa_dev_nqueues(p->dev);
	return 0;
}

static int op_get_features(struct rte_vdpa_device *vdpa, uint64_t *ret)
{
	struct pmd *p = pmd_of_vdpa(vdpa);

	if (!p)
		return -ENODEV;
	watch_connections(p);
	*ret = vdpa_dev_features(p->dev);
	return 0;
}

static int op_get_protocol_features(struct rte_vdpa_device *vdpa, uint64_t *ret)
{
	const struct pmd *p = pmd_of_vdpa(vdpa);

	if (!p)
		return -ENODEV;
	*ret = vdpa_dev_protocol_features(p->dev) & PROTOCOL_OFFERED;
	return 0;
}

static int op_get_dev_type(struct rte_vdpa_device *vdpa, uint32_t *ret)
{
	(void)vdpa;
	*ret = RTE_VHOST_VDPA_DEVICE_TYPE_BLK;
	return 0;
}

/* Comes late or never; what there was to configure came with the messages, and rings start one by one. */
static int op_dev_conf(int vid)
{
	return pmd_of_vid(vid) ? 0 : -ENODEV;
}

/*
 * Comes within a change of memory, which our session stands with its rings running, and within GET_VRING_BASE, which has
 * stopped the ring that it names, and may not stop others. Else all rings are meant.
 */
static int op_dev_close(int vid)
{
	struct pmd *p = pmd_of_vid(vid);
	struct errbuf eb = { "" };
	int err;

	if (!p)
		return -ENODEV;
	if (p->request == VU_SET_MEM_TABLE || p->request == VU_GET_VRING_BASE)
		return 0;
	err = vdpa_dev_pause(p->dev, &eb);
	if (err)
		log_error("%s: %s", pmd_name(p), eb.text);
	return err;
}

/* The connection has gone, or everything is forgotten (RESET_OWNER). */
static int op_dev_cleanup(int vid)
{
	struct pmd *p = pmd_of_vid(vid);

	if (vid < 0 || vid >= VIDS_MAX)
		return -EINVAL;
	if (p) {
		vdpa_dev_disconnect(p->dev);
		reply_close_fds(p);
	}
	pthread_mutex_lock(&lock);
	by_vid[vid] = NULL;
	if (p) {
		p->vid = -1;
		p->request = 0;
		p->seen = false;
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

/*
 * A ring is complete and enabled: it runs from now on. The contrary also comes when it is only to be given another
 * call fd, and has been done by the message where it was meant (ENABLE(0), GET_VRING_BASE).
 */
static int op_set_vring_state(int vid, int vring, int state)
{
	struct pmd *p = pmd_of_vid(vid);
	struct errbuf eb = { "" };
	int err;

	if (!p || vring < 0)
		return -ENODEV;
	if (!state)
		return 0;
	err = vdpa_dev_ring_start(p->dev, (unsigned)vring, &eb);
	if (err)
		log_error("%s: queue %d does not start: %s", pmd_name(p), vring, eb.text);
	return err;
}

static int op_set_features(int vid)
{
	return pmd_of_vid(vid) ? 0 : -ENODEV; /* the message came by */
}

/* @size is the front-end's, and nobody has looked at it. */
static int op_get_config(int vid, uint8_t *config, uint32_t size)
{
	struct pmd *p = pmd_of_vid(vid);
	struct errbuf eb = { "" };
	int err = p ? vdpa_dev_config_get(p->dev, config, size, &eb) : -ENODEV;

	if (err && p)
		log_error("%s: %s", pmd_name(p), eb.text);
	return err;
}

static int op_set_config(int vid, uint8_t *config, uint32_t offset, uint32_t size, uint32_t flags)
{
	(void)config;
	(void)offset;
	(void)size;
	(void)flags;
	return pmd_of_vid(vid) ? 0 : -ENODEV; /* the message came by, or was refused */
}

/* Without room for all of them: how many there are. */
static int op_get_stats_names(struct rte_vdpa_device *vdpa, struct rte_vdpa_stat_name *names, unsigned size)
{
	(void)vdpa;
	if (!names || size < VDPA_STATS)
		return VDPA_STATS;
	for (unsigned i = 0; i < VDPA_STATS; i++)
		snprintf(names[i].name, sizeof(names[i].name), "%s", vdpa_dev_stat_name(i));
	return VDPA_STATS;
}

static int op_get_stats(struct rte_vdpa_device *vdpa, int qid, struct rte_vdpa_stat *stats, unsigned n)
{
	struct pmd *p = pmd_of_vdpa(vdpa);
	uint64_t values[VDPA_STATS];
	int err;

	if (!p || qid < 0)
		return -ENODEV;
	err = vdpa_dev_get_stats(p->dev, (unsigned)qid, values);
	if (err)
		return err;
	n = CC_MIN(n, (unsigned)VDPA_STATS);
	for (unsigned i = 0; i < n; i++)
		stats[i] = (struct rte_vdpa_stat){ .id = i, .value = values[i] };
	return (int)n;
}

static int op_reset_stats(struct rte_vdpa_device *vdpa, int qid)
{
	struct pmd *p = pmd_of_vdpa(vdpa);

	return p && qid >= 0 ? vdpa_dev_reset_stats(p->dev, (unsigned)qid) : -ENODEV;
}

static struct rte_vdpa_dev_ops ops = {
	.get_queue_num = op_get_queue_num,
	.get_features = op_get_features,
	.get_protocol_features = op_get_protocol_features,
	.dev_conf = op_dev_conf,
	.dev_close = op_dev_close,
	.dev_cleanup = op_dev_cleanup,
	.set_vring_state = op_set_vring_state,
	.set_features = op_set_features,
	.get_stats_names = op_get_stats_names,
	.get_stats = op_get_stats,
	.reset_stats = op_reset_stats,
	.get_config = op_get_config,
	.set_config = op_set_config,
	.get_dev_type = op_get_dev_type,
};

/*
 * Probe and remove
 */
static void log_to_dpdk(enum log_level level, const char *tag, const char *text)
{
	static const uint32_t levels[] = {
		[LOG_LEVEL_ERROR] = RTE_LOG_ERR,   [LOG_LEVEL_WARN] = RTE_LOG_WARNING,
		[LOG_LEVEL_NOTICE] = RTE_LOG_NOTICE, [LOG_LEVEL_INFO] = RTE_LOG_INFO,
		[LOG_LEVEL_DEBUG] = RTE_LOG_DEBUG,
	};

	(void)rte_log(levels[level], (uint32_t)log_type, "nvring: %s: %s\n", tag, text); /* nowhere to tell */
}

/* --log-level=pmd.vdpa.nvring:info */
static void log_set_up(void)
{
	static const enum log_level levels[] = {
		[RTE_LOG_WARNING] = LOG_LEVEL_WARN,
		[RTE_LOG_NOTICE] = LOG_LEVEL_NOTICE,
		[RTE_LOG_INFO] = LOG_LEVEL_INFO,
		[RTE_LOG_DEBUG] = LOG_LEVEL_DEBUG,
	};
	int level = CC_MIN(rte_log_get_level((uint32_t)log_type), (int)RTE_LOG_DEBUG);

	log_set_sink(log_to_dpdk);
	log_set_level(level < (int)RTE_LOG_WARNING ? LOG_LEVEL_ERROR : levels[level]);
}

/* The layouts in vdpa_dpdk_abi.h are those of the release it was built with. */
static int version_check(struct errbuf *eb)
{
	char built[32];

	snprintf(built, sizeof(built), "DPDK %d.%02d.", RTE_VER_YEAR, RTE_VER_MONTH);
	if (strncmp(rte_version(), built, strlen(built)) == 0)
		return 0;
	return errbuf_set(eb, -ENOTSUP, "built for %.*s, this is %.40s: build nvring against it",
			  (int)strlen(built) - 1, built, rte_version());
}

static int pmd_open(struct pmd *p, struct errbuf *eb)
{
	const struct rte_devargs *devargs = p->vdev->device.devargs;
	struct vdpa_args args;
	int err = version_check(eb);

	if (!err && rte_eal_process_type() != RTE_PROC_PRIMARY)
		err = errbuf_set(eb, -ENOTSUP, "only the primary process can have it");
	if (!err)
		err = vdpa_args_parse(devargs && devargs->args ? devargs->args : "", &args, eb);
	if (!err)
		err = vdpa_dev_create(pmd_name(p), &args, &p->dev, eb);
	if (err)
		return err;
	p->widen = args.widen;
	p->vdpa = rte_vdpa_register_device(&p->vdev->device, &ops);
	return p->vdpa ? 0 : errbuf_set(eb, -ENODEV, "rte_vdpa does not take the device");
}

static int probe(struct rte_vdev_device *vdev)
{
	struct pmd *p = calloc(1, sizeof(*p));
	struct errbuf eb = { "" };
	int err;

	log_set_up();
	if (!p)
		return -ENOMEM;
	p->vdev = vdev;
	p->vid = -1;
	err = pmd_open(p, &eb);
	if (err) {
		log_error("%s: %s", pmd_name(p), eb.text);
		vdpa_dev_destroy(p->dev);
		free(p);
		return err;
	}
	pthread_mutex_lock(&lock);
	list_add_tail(&pmds, &p->link);
	pthread_mutex_unlock(&lock);
	return 0;
}

static int remove_device(struct rte_vdev_device *vdev)
{
	struct list *pos, *tmp;
	struct pmd *p = NULL;

	pthread_mutex_lock(&lock);
	list_for_each_safe (pos, tmp, &pmds) {
		struct pmd *q = list_entry(pos, struct pmd, link);

		if (q->vdev != vdev)
			continue;
		p = q;
		list_del(&p->link);
	}
	for (unsigned i = 0; i < VIDS_MAX && p; i++) {
		if (by_vid[i] == p)
			by_vid[i] = NULL;
	}
	pthread_mutex_unlock(&lock);
	if (!p)
		return -ENODEV;
	(void)rte_vdpa_unregister_device(p->vdpa); /* it was registered */
	vdpa_dev_destroy(p->dev);
	reply_close_fds(p);
	free(p);
	return 0;
}

static struct rte_vdev_driver driver = {
	.driver = { .name = "vdpa_nvring" },
	.probe = probe,
	.remove = remove_device,
};

static void __attribute__((constructor)) register_driver(void)
{
	log_type = rte_log_register_type_and_pick_level("pmd.vdpa.nvring", RTE_LOG_NOTICE);
	vhost_log_type = rte_log_register("lib.vhost.config");
	rte_vdev_register(&driver);
}
