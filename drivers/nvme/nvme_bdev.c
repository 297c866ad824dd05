/* SPDX-License-Identifier: BSD-3-Clause */
/* The adapter of a namespace to struct bdev_ops. */
#include "drivers/nvme/nvme_bdev.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_TAG "nvme"
#include "core/base/log.h"
#include "core/bdev.h"
#include "core/numa.h"
#include "drivers/nvme/nvme_admin.h"
#include "drivers/nvme/nvme_ctrlr_priv.h"
#include "drivers/nvme/nvme_status.h"

#define DISCARD_BYTES_MAX (4ull << 30) /* of one command: bounds how long others wait for it */
#define NSIDS_SHOWN	  8	       /* of those there are, in a message */

struct nvme_bdev {
	struct bdev bdev;
	struct nvme_ctrlr *ctrlr;
	uint32_t nsid;
	struct nvme_bdev_opts opts;
	uint8_t shift;
	bool has_deac;
	struct nvme_ns_listener listener;
	uint64_t disk; /* its bit of ctrlr->disks; 0: none was left */
};

static struct nvme_bdev *nvme_bdev_of(struct bdev *bdev)
{
	return container_of(bdev, struct nvme_bdev, bdev);
}

/*
 * Looking at a namespace. Set-up and worker threads.
 */

/* "; there are 1, 2, 7", as far as it can be found out. */
static void list_others(struct nvme_ctrlr *c, char *text, size_t size)
{
	le32 *page = calloc(1, NVME_ID_BYTES);
	uint32_t *nsids = calloc(NVME_NS_LIST_MAX, sizeof(*nsids));
	unsigned n = 0;
	size_t at = 0;

	text[0] = '\0';
	if (page && nsids &&
	    !nvme_admin_identify(&c->admin, NVME_CNS_ACTIVE_NS_LIST, 0, page, NULL))
		n = nvme_ns_list_parse(page, 0, nsids);
	for (unsigned i = 0; i < CC_MIN(n, NSIDS_SHOWN) && at < size; i++)
		at += (size_t)snprintf(text + at, size - at, "%s%u", i ? ", " : "; there are ",
				       nsids[i]);
	if (n == 1)
		(void)snprintf(text, size, "; there is %u", nsids[0]);
	free(page);
	free(nsids);
}

static int ns_identify(struct nvme_ctrlr *c, uint32_t cns, uint32_t nsid, void *page,
		       struct errbuf *eb)
{
	int err = nvme_admin_identify(&c->admin, cns, nsid, page, eb);

	nvme_report(c, err);
	return err;
}

static int ns_check_csi(struct nvme_ctrlr *c, uint32_t nsid, void *page, struct errbuf *eb)
{
	struct nvme_ns_ids ids;
	int err = ns_identify(c, NVME_CNS_NS_DESC_LIST, nsid, page, eb);

	/* Since 1.3, and older devices refuse it: NVM it is. */
	if (err)
		return err == -ETIMEDOUT || err == -EPROTO ? err : 0;
	nvme_ns_descs_parse(page, &ids);
	if (ids.csi == 0)
		return 0;
	return errbuf_set(eb, -ENOTSUP, "it is of command set %u (2: zoned); nvring uses NVM",
			  ids.csi);
}

static int ns_look(struct nvme_ctrlr *c, uint32_t nsid, struct nvme_ns_info *ret_info,
		   struct errbuf *eb)
{
	struct nvme_id_ns *page = calloc(1, sizeof(*page));
	int err = page ? nvme_check_ready(c) : -ENOMEM;

	if (err)
		nvme_explain_state(c, eb);
	if (!err && (nsid == 0 || nsid == NVME_NSID_ALL))
		err = errbuf_set(eb, -ENODEV, "there is no such number");
	if (!err)
		err = ns_check_csi(c, nsid, page, eb);
	if (!err)
		err = ns_identify(c, NVME_CNS_NS, nsid, page, eb);
	if (!err)
		err = nvme_ns_info_parse(page, ret_info, eb);
	free(page);
	return err;
}

/*
 * struct bdev_ops
 */

static int nvme_chan_create(struct bdev *bdev, struct bdev_chan *chan)
{
	struct nvme_bdev *nb = nvme_bdev_of(bdev);
	struct nvme_target *t = aligned_alloc(CACHELINE_BYTES, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	*t = (struct nvme_target){
		.head = { [BIO_READ] = NVME_NVM_READ | (uint64_t)nb->nsid << 32,
			  [BIO_WRITE] = NVME_NVM_WRITE | (uint64_t)nb->nsid << 32 },
		.first_lba = nb->opts.off >> nb->shift,
		.shift = nb->shift,
		.has_deac = nb->has_deac,
		.nsid = nb->nsid,
		.disk = nb->disk,
	};
	nvme_tenant_init(&t->tenant);
	err = nvme_queues_get(nb->ctrlr, chan->reactor, &t->ioq, &t->is_remote);
	if (err) {
		free(t);
		return err;
	}
	chan->drv = t;
	return 0;
}

static void nvme_chan_destroy(struct bdev *bdev, struct bdev_chan *chan)
{
	struct nvme_target *t = chan->drv;

	nvme_queues_put(nvme_bdev_of(bdev)->ctrlr, t->ioq);
	free(t);
}

/* What the disk has now. 0 bytes: nothing that it could go on with, which stops all I/O. */
static uint64_t bytes_now(const struct nvme_bdev *nb, const struct nvme_ns_info *info)
{
	uint64_t left = info->bytes > nb->opts.off ? info->bytes - nb->opts.off : 0;

	if (info->shift != nb->shift)
		return 0;
	return nb->opts.bytes ? CC_MIN(nb->opts.bytes, left) : left;
}

/* While nobody resets the controller: -ENODEV then means the namespace, or a controller that has
 * failed. */
static int ns_look_at_rest(struct nvme_bdev *nb, struct nvme_ns_info *ret_info, struct errbuf *eb)
{
	int err;

	pthread_mutex_lock(&nb->ctrlr->life_lock);
	err = ns_look(nb->ctrlr, nb->nsid, ret_info, eb);
	pthread_mutex_unlock(&nb->ctrlr->life_lock);
	return err;
}

static int nvme_resize(struct bdev *bdev, uint64_t bytes, uint64_t *ret_bytes, struct errbuf *eb)
{
	struct nvme_bdev *nb = nvme_bdev_of(bdev);
	struct nvme_ns_info info;
	int err;

	if (bytes)
		return errbuf_set(
			eb, -EOPNOTSUPP,
			"the size of %s is that of namespace %u of %s; a new one is noticed",
			bdev->name, nb->nsid, nb->ctrlr->name);
	err = ns_look_at_rest(nb, &info, eb);
	if (err && err != -ENODEV && err != -ENOTSUP)
		return err;
	*ret_bytes = err ? 0 : bytes_now(nb, &info);
	if (err && nvme_ctrlr_state(nb->ctrlr) != NVME_CTRLR_FAILED)
		log_error("%s: namespace %u can be used no longer: %s", nb->ctrlr->name, nb->nsid,
			  eb->text);
	else if (!err && info.shift != nb->shift)
		log_error("%s: namespace %u has blocks of %u bytes now: the disk has to be opened "
			  "again",
			  nb->ctrlr->name, nb->nsid, 1u << info.shift);
	return 0;
}

static uint64_t disk_bit_get(struct nvme_ctrlr *c)
{
	uint64_t bit;

	pthread_mutex_lock(&c->lock);
	bit = ~c->disks & (c->disks + 1);
	c->disks |= bit;
	pthread_mutex_unlock(&c->lock);
	return bit;
}

static void disk_bit_put(struct nvme_ctrlr *c, uint64_t bit)
{
	pthread_mutex_lock(&c->lock);
	c->disks &= ~bit;
	pthread_mutex_unlock(&c->lock);
}

/* On a worker thread: the last one shuts the controller down. */
static void nvme_close(struct bdev *bdev)
{
	struct nvme_bdev *nb = nvme_bdev_of(bdev);

	nvme_unlisten(&nb->listener);
	disk_bit_put(nb->ctrlr, nb->disk);
	if (nb->opts.release)
		nb->opts.release(nb->opts.release_arg);
	free(nb);
}

static const struct bdev_ops nvme_ops = {
	.name = "nvme",
	.close = nvme_close,
	.chan_create = nvme_chan_create,
	.chan_destroy = nvme_chan_destroy,
	.chan_start = nvme_ioq_chan_start,
	.submit = nvme_ioq_submit,
	.submit_batch = nvme_ioq_submit_batch,
	.resize = nvme_resize,
};

/*
 * Opening
 */

static void resize_done(void *arg, int err, const char *why)
{
	struct nvme_bdev *nb = arg;

	if (err && err != -EBUSY)
		log_warn("%s: namespace %u: %s", nb->ctrlr->name, nb->nsid, why);
}

static void ns_changed(struct nvme_ns_listener *l)
{
	struct nvme_bdev *nb = container_of(l, struct nvme_bdev, listener);

	if (!nb->bdev.closing)
		bdev_resize(&nb->bdev, 0, resize_done, nb);
}

static int opts_check(const struct nvme_bdev_opts *o, const struct nvme_ns_info *info,
		      struct errbuf *eb)
{
	uint32_t block = 1u << info->shift;

	if ((o->off | o->bytes) & (block - 1))
		return errbuf_set(eb, -EINVAL,
				  "offset and size must be multiples of its blocks of %u bytes",
				  block);
	if (o->off >= info->bytes || o->bytes > info->bytes - o->off)
		return errbuf_set(eb, -EINVAL,
				  "offset %llu and size %llu reach beyond its %llu bytes",
				  (unsigned long long)o->off, (unsigned long long)o->bytes,
				  (unsigned long long)info->bytes);
	return 0;
}

static uint32_t boundary_of(const struct nvme_said *said, const struct nvme_ns_info *info,
			    uint64_t off)
{
	uint32_t b = info->boundary_bytes;

	if (!b && said->quirks & NVME_QUIRK_STRIPE && said->info.stripe && said->info.stripe < 16)
		b = NVME_PAGE_BYTES_MIN << said->info.stripe;
	/* a hint: a disk that begins elsewhere would be split at the wrong places */
	return b && off % b == 0 ? b : 0;
}

static void limits_fill(struct nvme_ctrlr *c, const struct nvme_ns_info *info,
			const struct nvme_bdev_opts *o, struct bdev_limits *lim)
{
	struct nvme_qpair_opts qp = { .entries = c->opts.depth };
	bool can_write = !o->read_only && !info->is_write_protected;
	struct nvme_said said;
	uint32_t list_bytes;

	nvme_get_said(c, &said);
	qp.entries_max = said.cap.entries_max;
	list_bytes = nvme_queues_list_bytes(&said.info);
	*lim = (struct bdev_limits){
		.block_bytes = 1u << info->shift,
		.phys_bytes = info->phys_bytes,
		.opt_io_bytes = info->opt_io_bytes,
		.buf_align = NVME_PRP_ALIGN,
		.depth = nvme_qpair_depth(&qp),
		.boundary_bytes = boundary_of(&said, info, o->off),
		/* NLB has 16 bits */
		.bytes_max = CC_MIN((uint64_t)said.info.xfer_bytes_max,
				    (uint64_t)NVME_NLB_MAX << info->shift),
		.discard_align = info->discard_align,
		.read_only = !can_write,
		.has_flush = said.info.has_vwc,
		.has_fua = true,
	};
	/* Without SGLs, pieces meet at page borders, and there are never more than pages. With
	 * them, half of the descriptors are kept for pieces that go from one region of memory into
	 * the next. */
	lim->seam_bytes = said.info.has_sgl ? 0 : NVME_PAGE_BYTES_MIN;
	lim->iovs_max = list_bytes / (uint32_t)sizeof(le64);
	if (said.info.has_sgl)
		lim->iovs_max = list_bytes / (2 * (uint32_t)sizeof(struct nvme_sgl_desc));
	lim->iovs_max = CC_MIN(lim->iovs_max, (uint32_t)BDEV_IOVS_MAX);
	if (can_write && said.info.oncs & NVME_ONCS_DSM)
		lim->discard_max = DISCARD_BYTES_MAX;
	if (can_write && said.info.oncs & NVME_ONCS_WRITE_ZEROES &&
	    !(said.quirks & NVME_QUIRK_NO_WRITE_ZEROES))
		lim->zeroes_max = (uint64_t)NVME_NLB_MAX << info->shift;
}

/* The controller's address, of a long one the end. */
static void shares_fill(const char *name, char shares[BDEV_SHARES_MAX])
{
	size_t len = strlen(name), skip = len < BDEV_SHARES_MAX ? 0 : len - (BDEV_SHARES_MAX - 1);

	memcpy(shares, name + skip, len - skip + 1);
}

static int ns_open(struct nvme_bdev *nb, struct errbuf *eb)
{
	struct nvme_ns_info info;
	struct bdev_limits lim;
	int err = ns_look(nb->ctrlr, nb->nsid, &info, eb);

	if (!err)
		err = opts_check(&nb->opts, &info, eb);
	if (err)
		return err;
	nb->shift = info.shift;
	nb->has_deac = info.has_deac;
	limits_fill(nb->ctrlr, &info, &nb->opts, &lim);
	err = bdev_init(&nb->bdev, &nvme_ops, bytes_now(nb, &info), &lim);
	if (err)
		return errbuf_set(eb, err, "impossible limits");
	nb->bdev.close_blocks = true;
	/* behind a socket there is no such function, and no node */
	nb->bdev.numa_node = numa_node_of_pci("/sys", nvme_ctrlr_name(nb->ctrlr));
	shares_fill(nb->ctrlr->name, nb->bdev.shares);
	return 0;
}

int nvme_bdev_open(struct nvme_ctrlr *ctrlr, uint32_t nsid, const struct nvme_bdev_opts *opts,
		   struct bdev **ret_bdev, struct errbuf *eb)
{
	struct nvme_bdev *nb;
	struct errbuf why = { "" };
	char others[128];
	int err;

	if (!ctrlr->opts.control || ctrlr->opts.no_io)
		return errbuf_set(eb, -EINVAL, "%s was opened without I/O", ctrlr->name);
	nb = calloc(1, sizeof(*nb));
	if (!nb)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	nb->ctrlr = ctrlr;
	nb->nsid = nsid;
	nb->opts = *opts;
	nb->bdev.control = ctrlr->opts.control;
	nb->listener.changed = ns_changed;
	err = ns_open(nb, &why);
	if (err) {
		others[0] = '\0';
		if (err == -ENODEV && !nvme_check_ready(ctrlr))
			list_others(ctrlr, others, sizeof(others));
		free(nb);
		return errbuf_set(eb, err, "namespace %u of %s: %s%s", nsid, ctrlr->name, why.text,
				  others);
	}
	nb->disk = disk_bit_get(ctrlr);
	nvme_listen(ctrlr, &nb->listener);
	*ret_bdev = &nb->bdev;
	return 0;
}

int nvme_bdev_size(struct nvme_ctrlr *ctrlr, uint32_t nsid, uint64_t *ret_bytes,
		   uint32_t *ret_block_bytes, struct errbuf *eb)
{
	struct nvme_ns_info info;
	int err = ns_look(ctrlr, nsid, &info, eb);

	if (err)
		return err;
	*ret_bytes = info.bytes;
	*ret_block_bytes = 1u << info.shift;
	return 0;
}

int nvme_bdev_peek(struct nvme_ctrlr *ctrlr, uint32_t nsid, uint64_t off, void *ret_buf,
		   uint32_t bytes)
{
	struct nvme_ns_info info;
	struct nvme_said said;
	int err = ns_look(ctrlr, nsid, &info, NULL);
	uint32_t step;

	if (err)
		return err;
	nvme_get_said(ctrlr, &said);
	step = CC_MIN(said.info.xfer_bytes_max, NVME_SYNCQ_DATA_BYTES);
	if (step < 1u << info.shift)
		return -ENOTSUP; /* not even one block: nvme_bdev_open() refuses it, too */
	if ((off | bytes) & ((1u << info.shift) - 1) || off > info.bytes ||
	    bytes > info.bytes - off)
		return -EINVAL;
	for (uint32_t at = 0, n; at < bytes && !err; at += n) {
		uint64_t lba = (off + at) >> info.shift;
		struct nvme_passthru cmd = {
			.opc = NVME_NVM_READ,
			.nsid = nsid,
			.cdw10 = (uint32_t)lba,
			.cdw11 = (uint32_t)(lba >> 32),
			.data = (char *)ret_buf + at,
		};

		n = CC_MIN(bytes - at, step);
		cmd.cdw12 = (n >> info.shift) - 1;
		cmd.data_bytes = n;
		err = nvme_queues_exec(ctrlr, &cmd);
		if (!err)
			err = nvme_status_errno(cmd.status);
	}
	return err;
}

bool nvme_bdev_where(const struct bdev_chan *chan, const struct bio *bio, uint16_t *ret_qid, uint16_t *ret_cid)
{
	const struct nvme_target *t = chan->drv;

	if (chan->bdev->ops != &nvme_ops || t->is_remote || !t->ioq->slots)
		return false;
	for (uint32_t i = 0; i <= t->ioq->slot_mask; i++) {
		if (t->ioq->slots[i].bio != bio)
			continue;
		*ret_qid = t->ioq->qp.id;
		*ret_cid = t->ioq->slots[i].cid;
		return true;
	}
	return false;
}
