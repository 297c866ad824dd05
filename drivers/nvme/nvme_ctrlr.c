/* SPDX-License-Identifier: BSD-3-Clause */
/* A controller: open, close, and what its users ask of it. */
#include "drivers/nvme/nvme_ctrlr.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOG_TAG "nvme"
#include "core/base/log.h"
#include "drivers/nvme/nvme_admin.h"
#include "drivers/nvme/nvme_ctrlr_priv.h"

static const char *const state_names[] = {
	[NVME_CTRLR_ABSENT] = "absent", [NVME_CTRLR_RESETTING] = "resetting",
	[NVME_CTRLR_READY] = "ready",	[NVME_CTRLR_FAILED] = "failed",
	[NVME_CTRLR_CLOSED] = "closed",
};

/* The arrows of the drawing in nvme_ctrlr.h; ABSENT ends when it is not opened after all. */
static inline bool move_is_legal(uint32_t from, enum nvme_ctrlr_state to)
{
	switch ((enum nvme_ctrlr_state)from) {
	case NVME_CTRLR_ABSENT:
		return to == NVME_CTRLR_READY || to == NVME_CTRLR_CLOSED;
	case NVME_CTRLR_READY:
		return to == NVME_CTRLR_RESETTING || to == NVME_CTRLR_FAILED ||
		       to == NVME_CTRLR_CLOSED;
	case NVME_CTRLR_RESETTING:
		return to == NVME_CTRLR_READY || to == NVME_CTRLR_FAILED;
	case NVME_CTRLR_FAILED:
		return to == NVME_CTRLR_CLOSED;
	case NVME_CTRLR_CLOSED:
		break;
	}
	return false;
}

enum nvme_ctrlr_state nvme_ctrlr_state(const struct nvme_ctrlr *c)
{
	return (enum nvme_ctrlr_state)__atomic_load_n(&c->state, __ATOMIC_ACQUIRE);
}

void nvme_set_state(struct nvme_ctrlr *c, enum nvme_ctrlr_state state)
{
	pthread_mutex_lock(&c->lock);
	assert(move_is_legal(c->state, state));
	log_debug("%s: %s -> %s", c->name, state_names[c->state], state_names[state]);
	__atomic_store_n(&c->state, (uint32_t)state, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&c->lock);
}

const char *nvme_ctrlr_state_name(enum nvme_ctrlr_state state)
{
	return state_names[state];
}

const char *nvme_ctrlr_name(const struct nvme_ctrlr *c)
{
	return c->name;
}

void nvme_ctrlr_get_id(struct nvme_ctrlr *c, struct nvme_id_ctrlr *ret_id)
{
	pthread_mutex_lock(&c->lock);
	*ret_id = c->id;
	pthread_mutex_unlock(&c->lock);
}

void nvme_get_said(struct nvme_ctrlr *c, struct nvme_said *ret_said)
{
	pthread_mutex_lock(&c->lock);
	*ret_said = (struct nvme_said){
		.cap = c->cap, .info = c->info, .quirks = c->quirks, .queues = c->queues
	};
	pthread_mutex_unlock(&c->lock);
}

int nvme_check_ready(const struct nvme_ctrlr *c)
{
	return nvme_ctrlr_state(c) == NVME_CTRLR_READY ? 0 : -ENODEV;
}

void nvme_explain_state(const struct nvme_ctrlr *c, struct errbuf *eb)
{
	enum nvme_ctrlr_state state = nvme_ctrlr_state(c);

	if (state == NVME_CTRLR_FAILED)
		errbuf_write(eb, "the controller has failed: delete all its disks, then create them anew");
	else
		errbuf_write(eb, "the controller is %s: try again", nvme_ctrlr_state_name(state));
}

/* The message that the namespaces may have changed. It may still be under way when the controller
 * is closed. */
struct nvme_changed {
	struct reactor_msg msg;
	struct nvme_ctrlr *ctrlr; /* NULL: closed */
	bool is_sent, is_due;	  /* under way; once more after that */
};

/* Guards the above of all controllers, and their lists of listeners. */
static pthread_mutex_t changed_lock = PTHREAD_MUTEX_INITIALIZER;

static void changed_arrived(struct reactor_msg *msg)
{
	struct nvme_changed *ch = container_of(msg, struct nvme_changed, msg);
	struct nvme_ctrlr *c;
	struct list *pos, *tmp;

	pthread_mutex_lock(&changed_lock);
	c = ch->ctrlr;
	if (c) {
		list_for_each_safe (pos, tmp, &c->listeners) {
			struct nvme_ns_listener *l = list_entry(pos, struct nvme_ns_listener, link);

			l->changed(l);
		}
		ch->is_sent = ch->is_due;
		ch->is_due = false;
		if (ch->is_sent)
			reactor_send(c->opts.control, &ch->msg, changed_arrived);
	} else {
		free(ch);
	}
	pthread_mutex_unlock(&changed_lock);
}

void nvme_tell_changed(struct nvme_ctrlr *c)
{
	struct nvme_changed *ch = c->changed;

	if (!c->opts.control)
		return;
	pthread_mutex_lock(&changed_lock);
	if (ch->is_sent)
		ch->is_due = true;
	else
		reactor_send(c->opts.control, &ch->msg, changed_arrived);
	ch->is_sent = true;
	pthread_mutex_unlock(&changed_lock);
}

static void changed_forget(struct nvme_ctrlr *c)
{
	pthread_mutex_lock(&changed_lock);
	assert(list_is_empty(&c->listeners));
	if (c->changed && c->changed->is_sent)
		c->changed->ctrlr = NULL;
	else
		free(c->changed);
	pthread_mutex_unlock(&changed_lock);
}

void nvme_listen(struct nvme_ctrlr *c, struct nvme_ns_listener *l)
{
	pthread_mutex_lock(&changed_lock);
	list_add_tail(&c->listeners, &l->link);
	pthread_mutex_unlock(&changed_lock);
}

void nvme_unlisten(struct nvme_ns_listener *l)
{
	pthread_mutex_lock(&changed_lock);
	list_del(&l->link);
	pthread_mutex_unlock(&changed_lock);
}

static int vectors_open(struct nvme_ctrlr *c)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned want = 1 + (unsigned)CC_MAX(cpus, 1); /* admin, and a queue for each CPU */

	if (c->opts.poll_only || !c->hw->ops->set_vectors)
		return 0;
	want = CC_MIN(want, CC_MIN(c->hw->nvectors, NVME_VECTORS_MAX));
	for (c->nvectors = 0; c->nvectors < want; c->nvectors++) {
		int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		if (fd < 0)
			return -errno;
		c->vector_fds[c->nvectors] = fd;
	}
	return 0;
}

static struct nvme_ctrlr *ctrlr_alloc(struct nvme_hw *hw, const struct nvme_ctrlr_opts *opts)
{
	struct nvme_ctrlr *c =
		aligned_alloc(CACHELINE_BYTES, CC_ALIGN_UP(sizeof(*c), CACHELINE_BYTES));

	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->hw = hw;
	c->opts = *opts;
	(void)snprintf(c->name, sizeof(c->name), "%s", hw->name);
	if (!c->opts.depth)
		c->opts.depth = NVME_DEPTH;
	if (!c->opts.io_timeout_ms)
		c->opts.io_timeout_ms = NVME_IO_TIMEOUT_MS;
	if (!c->opts.admin_timeout_ms)
		c->opts.admin_timeout_ms = NVME_ADMIN_TIMEOUT_MS;
	c->wake_fd = -1;
	c->removal_fd = hw->removal_fd;
	c->admin.data.fd = -1;
	c->dbbuf.mem.fd = -1;
	c->hmb.mem.fd = -1;
	list_init(&c->listeners);
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->life_lock, NULL);
	return c;
}

/* The hardware has been given back: no device knows of the memory. */
static void ctrlr_free(struct nvme_ctrlr *c)
{
	nvme_queues_close(c);
	changed_forget(c);
	nvme_hmb_fini(c);
	nvme_dbbuf_fini(c);
	if (c->admin.qp.sq)
		nvme_syncq_fini(&c->admin);
	for (unsigned i = 0; i < NVME_VECTORS_MAX; i++)
		if (c->vector_fds[i] > 0)
			(void)close(c->vector_fds[i]);
	if (c->wake_fd >= 0)
		(void)close(c->wake_fd);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->life_lock);
	free(c);
}

static int ctrlr_open(struct nvme_ctrlr *c, struct errbuf *eb)
{
	int err;

	c->changed = calloc(1, sizeof(*c->changed));
	if (!c->changed)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	c->changed->ctrlr = c;
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = c->wake_fd < 0 ? -errno : vectors_open(c);
	if (err)
		return errbuf_set(eb, err, "eventfd: %s", strerror(-err));
	err = nvme_enable(c, eb);
	if (err)
		return err;
	nvme_set_state(c, NVME_CTRLR_READY);
	err = c->opts.control ? nvme_keeper_start(c) : 0;
	if (err)
		return errbuf_set(eb, err, "no thread for it: %s", strerror(-err));
	return 0;
}

int nvme_ctrlr_open(struct nvme_hw *hw, const struct nvme_ctrlr_opts *opts,
		    struct nvme_ctrlr **ret_ctrlr, struct errbuf *eb)
{
	struct nvme_ctrlr *c = ctrlr_alloc(hw, opts);
	struct errbuf why = { "" };
	int err;

	if (!c) {
		if (hw->ops->close)
			hw->ops->close(hw);
		return errbuf_set(eb, -ENOMEM, "%s: out of memory", hw->name);
	}
	err = ctrlr_open(c, &why);
	if (err) {
		errbuf_write(eb, "%s: %s", c->name, why.text);
		/* It may have been enabled, and may still write to the queues. */
		if (c->admin.qp.sq)
			(void)nvme_force_off(c, NULL);
		nvme_give_back(c);
		ctrlr_free(c);
		return err;
	}
	log_info("%s: %s, serial %s, firmware %s, %u I/O queues, %u vectors", c->name,
		 c->info.model, c->info.serial, c->info.firmware, c->queues, c->nvectors);
	*ret_ctrlr = c;
	return 0;
}

/* Politely, as 3.6.1 wants it: queues first, then the shutdown, then off. Each command may take its
 * whole time: the first that fails is the last, because off it goes in any case. */
static void ctrlr_shut_down(struct nvme_ctrlr *c)
{
	struct errbuf eb = { "" };
	int err = c->sync_io ? nvme_admin_delete_queues(&c->admin, &c->sync_io->qp) : 0;

	for (unsigned i = 0; i < c->nioqs && !err; i++)
		if (c->ioqs[i]->is_created)
			err = nvme_admin_delete_queues(&c->admin, &c->ioqs[i]->qp);
	if (!err)
		nvme_hmb_disable(c);
	nvme_shutdown(c);
	if (nvme_force_off(c, &eb))
		log_warn("%s: %s", c->name, eb.text);
}

void nvme_ctrlr_close(struct nvme_ctrlr *c)
{
	if (!c)
		return;
	nvme_keeper_stop(c);
	pthread_mutex_lock(&c->life_lock);
	nvme_queues_call(c, nvme_ioq_detach); /* nobody touches a doorbell any more */
	if (nvme_ctrlr_state(c) == NVME_CTRLR_READY)
		ctrlr_shut_down(c);
	nvme_set_state(c, NVME_CTRLR_CLOSED);
	nvme_give_back(c);
	pthread_mutex_unlock(&c->life_lock);
	ctrlr_free(c);
}

/* What would take the queues from under the driver. */
static bool is_ours_alone(const struct nvme_passthru *cmd)
{
	switch (cmd->opc) {
	case NVME_ADM_DELETE_SQ:
	case NVME_ADM_CREATE_SQ:
	case NVME_ADM_DELETE_CQ:
	case NVME_ADM_CREATE_CQ:
	case NVME_ADM_ABORT:
	case NVME_ADM_ASYNC_EVENT:
	case NVME_ADM_DBBUF_CONFIG:
		return true;
	case NVME_ADM_SET_FEATURES:
		return (cmd->cdw10 & 0xff) == NVME_FEAT_NUM_QUEUES ||
		       (cmd->cdw10 & 0xff) == NVME_FEAT_HMB;
	default:
		return false;
	}
}

void nvme_report(struct nvme_ctrlr *c, int err)
{
	if (err != -ETIMEDOUT && err != -EPROTO)
		return;
	(void)__atomic_fetch_or(&c->report, err == -EPROTO ? NVME_REPORT_LIE : NVME_REPORT_RESET,
				__ATOMIC_RELEASE);
	nvme_ctrlr_wake_keeper(c);
}

int nvme_ctrlr_passthru(struct nvme_ctrlr *c, struct nvme_passthru *cmd)
{
	int err = nvme_check_ready(c);

	if (err)
		return err;
	if (is_ours_alone(cmd))
		return -EPERM;
	err = nvme_syncq_exec(&c->admin, cmd);
	nvme_report(c, err);
	return err;
}

void nvme_ctrlr_hurry(struct nvme_ctrlr *c)
{
	nvme_syncq_hurry(&c->admin);
}

int nvme_ctrlr_io_passthru(struct nvme_ctrlr *c, struct nvme_passthru *cmd)
{
	return c->opts.no_io ? -EINVAL : nvme_queues_exec(c, cmd);
}

int nvme_ctrlr_read_reg(struct nvme_ctrlr *c, uint32_t off, unsigned bytes, uint64_t *ret_value)
{
	uint32_t value = 0;
	int err = -ENODEV;

	if ((bytes != 4 && bytes != 8) || off % bytes || off > NVME_REG_DOORBELLS - bytes)
		return -EINVAL;
	pthread_mutex_lock(&c->lock);
	if (c->hw && bytes == 8)
		err = nvme_reg_read64(c->hw, off, ret_value);
	else if (c->hw)
		err = nvme_reg_read(c->hw, off, &value);
	pthread_mutex_unlock(&c->lock);
	if (!err && bytes == 4)
		*ret_value = value;
	return err;
}

int nvme_ctrlr_reset(struct nvme_ctrlr *c, bool subsystem, struct errbuf *eb)
{
	return nvme_recover_reset(c, subsystem, "asked for", eb);
}

int nvme_ctrlr_rescan(struct nvme_ctrlr *c)
{
	int err = nvme_check_ready(c);

	if (!err)
		nvme_tell_changed(c);
	return err;
}
