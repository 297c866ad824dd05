/* SPDX-License-Identifier: BSD-3-Clause */
/* NVM commands: data moves between the namespace's file and the client's memory without a stop in
 * between. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tools/ssd/ssd_priv.h"

/* What most commands say: a namespace and blocks in it. */
struct rw {
	struct ssd_ns *ns;
	uint64_t lba, nblocks, off, len;
	bool fua;
};

static uint16_t rw_parse(struct ssd *s, struct ssd_cmd *cmd, bool writes, struct rw *ret)
{
	struct ssd_ns *ns = ssd_ns_get(s, le32_get(cmd->sqe.nsid));
	uint32_t cdw12 = le32_get(cmd->sqe.cdw12);
	uint64_t blocks;

	if (!ns || !ns->attached)
		return NVME_SC_INVALID_NS;
	ret->ns = ns;
	ret->lba = le32_get(cmd->sqe.cdw10) | (uint64_t)le32_get(cmd->sqe.cdw11) << 32;
	ret->nblocks = (cdw12 & 0xffff) + 1;
	ret->fua = cdw12 & NVME_RW_FUA;
	cmd->lba = ret->lba;
	blocks = ssd_ns_blocks(ns);
	if (ret->lba >= blocks || ret->nblocks > blocks - ret->lba)
		return NVME_SC_LBA_RANGE;
	if (writes && ssd_ns_is_protected(ns))
		return NVME_SC_NS_WRITE_PROTECTED;
	if (cdw12 & 0x3c000000u) /* PRINFO: no format has metadata */
		return NVME_SC_INVALID_FIELD;
	ret->off = ret->lba << ns->shift;
	ret->len = ret->nblocks << ns->shift;
	if (ns->boundary && ret->off / ns->boundary != (ret->off + ret->len - 1) / ns->boundary)
		s->counters.crossings++;
	return 0;
}

static bool is_too_long(const struct ssd *s, uint64_t len)
{
	return len > (uint64_t)NVME_PAGE_BYTES_MIN << s->opts.mdts;
}

static uint16_t media_error(struct ssd *s, uint16_t status)
{
	s->health.media_errors++;
	return status;
}

/* What went wrong with the file or, when it says so, with the client's memory. */
static uint16_t file_error(struct ssd *s, int err, bool write)
{
	switch (err) {
	case EFAULT:
		s->counters.data_errors++;
		return NVME_SC_DATA_TRANSFER;
	case ENOSPC:
	case EDQUOT:
		return NVME_SC_CAPACITY;
	default:
		return media_error(s, write ? NVME_SC_WRITE_FAULT : NVME_SC_READ_ERROR);
	}
}

/* The file's bytes from or to s->iov, which is used up. Short files read as zeroes: somebody shrank
 * them. */
static uint16_t iov_move(struct ssd *s, struct ssd_ns *ns, uint64_t off, bool write)
{
	struct iovec *v = s->iov;
	unsigned n = s->niov;

	while (n) {
		ssize_t done = write ? pwritev(ns->fd, v, (int)n, (off_t)off)
				     : preadv(ns->fd, v, (int)n, (off_t)off);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return file_error(s, errno, write);
		if (done == 0 && write)
			return media_error(s, NVME_SC_WRITE_FAULT);
		if (done == 0) {
			memset(v->iov_base, 0, v->iov_len);
			done = (ssize_t)v->iov_len;
		}
		off += (uint64_t)done;
		while (n && (size_t)done >= v->iov_len) {
			done -= (ssize_t)v->iov_len;
			v++;
			n--;
		}
		if (n) {
			v->iov_base = (uint8_t *)v->iov_base + done;
			v->iov_len -= (size_t)done;
		}
	}
	return 0;
}

static uint16_t sync_if(struct ssd *s, struct ssd_ns *ns, bool wanted)
{
	if (!wanted || !ssd_ns_sync(ns))
		return 0;
	return media_error(s, NVME_SC_WRITE_FAULT);
}

static uint16_t uncorr_check(struct ssd *s, struct ssd_cmd *cmd, const struct rw *rw)
{
	if (cc_likely(!rw->ns->nuncorr) ||
	    !ssd_ns_uncorr_find(rw->ns, rw->lba, rw->nblocks, &cmd->lba))
		return 0;
	return media_error(s, NVME_SC_READ_ERROR);
}

/* Without a volatile write cache every write is on stable storage when it is answered. */
static bool must_sync(const struct ssd *s, const struct rw *rw)
{
	return rw->fua || !(s->feat[NVME_FEAT_VOLATILE_WC] & 1);
}

static uint16_t cmd_read(struct ssd *s, struct ssd_cmd *cmd)
{
	struct rw rw;
	uint16_t status = rw_parse(s, cmd, false, &rw);

	if (!status && is_too_long(s, rw.len))
		status = NVME_SC_INVALID_FIELD;
	if (!status)
		status = uncorr_check(s, cmd, &rw);
	if (!status)
		status = ssd_data_map(s, &cmd->sqe, rw.len, true);
	if (!status && !rw.ns->null)
		status = iov_move(s, rw.ns, rw.off, false);
	if (status)
		return status;
	s->health.reads++;
	s->health.read_bytes += rw.len;
	return 0;
}

static uint16_t cmd_write(struct ssd *s, struct ssd_cmd *cmd)
{
	struct rw rw;
	uint16_t status = rw_parse(s, cmd, true, &rw);

	if (!status && is_too_long(s, rw.len))
		status = NVME_SC_INVALID_FIELD;
	if (!status)
		status = ssd_data_map(s, &cmd->sqe, rw.len, false);
	if (!status && !rw.ns->null)
		status = iov_move(s, rw.ns, rw.off, true);
	if (!status)
		status = sync_if(s, rw.ns, must_sync(s, &rw));
	if (status)
		return status;
	if (rw.ns->nuncorr)
		ssd_ns_uncorr_clear(rw.ns, rw.lba, rw.nblocks);
	s->health.writes++;
	s->health.write_bytes += rw.len;
	return 0;
}

static uint16_t cmd_flush(struct ssd *s, struct ssd_cmd *cmd)
{
	uint32_t nsid = le32_get(cmd->sqe.nsid);
	struct ssd_ns *ns = ssd_ns_get(s, nsid);

	if (nsid != NVME_NSID_ALL)
		return ns && ns->attached ? sync_if(s, ns, true) : NVME_SC_INVALID_NS;
	for (uint32_t i = 1; i <= SSD_NS_MAX; i++) {
		ns = ssd_ns_get(s, i);
		if (ns && ns->attached && ssd_ns_sync(ns))
			return media_error(s, NVME_SC_WRITE_FAULT);
	}
	return 0;
}

static uint16_t cmd_write_zeroes(struct ssd *s, struct ssd_cmd *cmd)
{
	struct rw rw;
	uint16_t status = rw_parse(s, cmd, true, &rw);
	int err;

	if (status)
		return status;
	err = ssd_ns_clear(rw.ns, rw.off, rw.len, le32_get(cmd->sqe.cdw12) & NVME_RW_DEAC);
	if (err)
		return file_error(s, -err, true);
	ssd_ns_uncorr_clear(rw.ns, rw.lba, rw.nblocks);
	return sync_if(s, rw.ns, must_sync(s, &rw));
}

static uint16_t cmd_write_uncorrectable(struct ssd *s, struct ssd_cmd *cmd)
{
	struct rw rw;
	uint16_t status = rw_parse(s, cmd, true, &rw);

	if (!status)
		ssd_ns_uncorr_set(rw.ns, rw.lba, rw.nblocks);
	return status;
}

/* Into s->bounce, at most what a transfer may have. */
static uint16_t bounce_read(struct ssd *s, struct ssd_ns *ns, uint64_t off, uint64_t len)
{
	s->iov[0] = (struct iovec){ s->bounce, len };
	s->niov = 1;
	if (ns->null) {
		memset(s->bounce, 0, len);
		return 0;
	}
	return iov_move(s, ns, off, false);
}

static uint16_t cmd_compare(struct ssd *s, struct ssd_cmd *cmd)
{
	struct rw rw;
	uint16_t status = rw_parse(s, cmd, false, &rw);
	const uint8_t *p = s->bounce;

	if (!status && is_too_long(s, rw.len))
		status = NVME_SC_INVALID_FIELD;
	if (!status)
		status = uncorr_check(s, cmd, &rw);
	if (!status)
		status = bounce_read(s, rw.ns, rw.off, rw.len);
	if (!status)
		status = ssd_data_map(s, &cmd->sqe, rw.len, false);
	for (unsigned i = 0; !status && i < s->niov; i++) {
		if (memcmp(p, s->iov[i].iov_base, s->iov[i].iov_len))
			return NVME_SC_COMPARE_FAILED;
		p += s->iov[i].iov_len;
	}
	return status;
}

static uint16_t cmd_verify(struct ssd *s, struct ssd_cmd *cmd)
{
	uint64_t chunk = (uint64_t)NVME_PAGE_BYTES_MIN << SSD_MDTS_MAX;
	struct rw rw;
	uint16_t status = rw_parse(s, cmd, false, &rw);

	if (!status)
		status = uncorr_check(s, cmd, &rw);
	for (uint64_t at = 0; !status && at < rw.len; at += chunk)
		status = bounce_read(s, rw.ns, rw.off + at, CC_MIN(chunk, rw.len - at));
	return status;
}

/*
 * Data set management and copy: lists of ranges
 */
static uint16_t cmd_dsm(struct ssd *s, struct ssd_cmd *cmd)
{
	struct nvme_dsm_range range[NVME_DSM_RANGES_MAX];
	unsigned n = (le32_get(cmd->sqe.cdw10) & 0xff) + 1;
	struct ssd_ns *ns = ssd_ns_get(s, le32_get(cmd->sqe.nsid));
	uint16_t status;

	if (!ns || !ns->attached)
		return NVME_SC_INVALID_NS;
	status = ssd_data_from_host(s, cmd, range, n * sizeof(range[0]));
	if (status || !(le32_get(cmd->sqe.cdw11) & NVME_DSM_AD))
		return status;
	if (ssd_ns_is_protected(ns))
		return NVME_SC_NS_WRITE_PROTECTED;
	for (unsigned i = 0; i < n; i++) {
		uint64_t lba = le64_get(range[i].slba), nlb = le32_get(range[i].nlb),
			 blocks = ssd_ns_blocks(ns);

		cmd->lba = lba;
		if (lba > blocks || nlb > blocks - lba)
			return NVME_SC_LBA_RANGE;
	}
	for (unsigned i = 0; i < n; i++) {
		uint64_t lba = le64_get(range[i].slba), nlb = le32_get(range[i].nlb);
		int err = ssd_ns_clear(ns, lba << ns->shift, nlb << ns->shift, true);

		if (err)
			return file_error(s, -err, true);
		ssd_ns_uncorr_clear(ns, lba, nlb);
	}
	return 0;
}

#define COPY_RANGES_MAX 16     /* MSRC + 1, as Identify says */
#define COPY_BLOCKS_MAX 65536u /* MCL */

static uint16_t copy_check(struct ssd *s, struct ssd_cmd *cmd, struct rw *to,
			   const struct nvme_copy_range *range, unsigned n)
{
	uint64_t blocks = ssd_ns_blocks(to->ns), total = 0;

	for (unsigned i = 0; i < n; i++) {
		struct rw from = { .ns = to->ns, .lba = le64_get(range[i].slba) };
		uint16_t status;

		from.nblocks = le16_get(range[i].nlb) + 1u;
		cmd->lba = from.lba;
		if (from.lba >= blocks || from.nblocks > blocks - from.lba)
			return NVME_SC_LBA_RANGE;
		status = uncorr_check(s, cmd, &from);
		if (status)
			return status;
		total += from.nblocks;
	}
	cmd->lba = to->lba;
	if (total > COPY_BLOCKS_MAX)
		return NVME_SC_CMD_SIZE_LIMIT;
	if (to->lba >= blocks || total > blocks - to->lba)
		return NVME_SC_LBA_RANGE;
	to->nblocks = total;
	return 0;
}

static uint16_t copy_range(struct ssd *s, struct ssd_ns *ns, uint64_t from, uint64_t to,
			   uint64_t len)
{
	uint64_t chunk = (uint64_t)NVME_PAGE_BYTES_MIN << SSD_MDTS_MAX;

	for (uint64_t at = 0; at < len; at += chunk) {
		uint64_t n = CC_MIN(chunk, len - at);
		uint16_t status = bounce_read(s, ns, from + at, n);

		s->iov[0] = (struct iovec){ s->bounce, n };
		s->niov = 1;
		if (!status && !ns->null)
			status = iov_move(s, ns, to + at, true);
		if (status)
			return status;
	}
	return 0;
}

static uint16_t cmd_copy(struct ssd *s, struct ssd_cmd *cmd)
{
	struct nvme_copy_range range[COPY_RANGES_MAX];
	uint32_t cdw12 = le32_get(cmd->sqe.cdw12);
	unsigned n = (cdw12 & 0xff) + 1;
	struct rw to = { .ns = ssd_ns_get(s, le32_get(cmd->sqe.nsid)), .fua = cdw12 & NVME_RW_FUA };
	uint16_t status;
	uint64_t at;

	if (!to.ns || !to.ns->attached)
		return NVME_SC_INVALID_NS;
	if (cdw12 & 0xf00) /* range descriptor format 0 alone */
		return NVME_SC_INVALID_FIELD;
	if (n > COPY_RANGES_MAX)
		return NVME_SC_CMD_SIZE_LIMIT;
	if (ssd_ns_is_protected(to.ns))
		return NVME_SC_NS_WRITE_PROTECTED;
	to.lba = le32_get(cmd->sqe.cdw10) | (uint64_t)le32_get(cmd->sqe.cdw11) << 32;
	status = ssd_data_from_host(s, cmd, range, n * sizeof(range[0]));
	if (!status)
		status = copy_check(s, cmd, &to, range, n);
	at = to.lba << to.ns->shift;
	for (unsigned i = 0; !status && i < n; i++) {
		uint64_t len = (le16_get(range[i].nlb) + 1ull) << to.ns->shift;

		status = copy_range(s, to.ns, le64_get(range[i].slba) << to.ns->shift, at, len);
		at += len;
	}
	if (status)
		return status;
	ssd_ns_uncorr_clear(to.ns, to.lba, to.nblocks);
	return sync_if(s, to.ns, must_sync(s, &to));
}

static uint16_t dispatch(struct ssd *s, struct ssd_cmd *cmd)
{
	switch (cmd->sqe.opc) {
	case NVME_NVM_READ:
		return cmd_read(s, cmd);
	case NVME_NVM_WRITE:
		return cmd_write(s, cmd);
	case NVME_NVM_FLUSH:
		return cmd_flush(s, cmd);
	case NVME_NVM_WRITE_ZEROES:
		return cmd_write_zeroes(s, cmd);
	case NVME_NVM_WRITE_UNCORRECTABLE:
		return cmd_write_uncorrectable(s, cmd);
	case NVME_NVM_COMPARE:
		return cmd_compare(s, cmd);
	case NVME_NVM_VERIFY:
		return cmd_verify(s, cmd);
	case NVME_NVM_DSM:
		return cmd_dsm(s, cmd);
	case NVME_NVM_COPY:
		return cmd_copy(s, cmd);
	default:
		return NVME_SC_INVALID_OPCODE;
	}
}

uint16_t ssd_io_exec(struct ssd *s, struct ssd_cmd *cmd)
{
	if (cc_unlikely(s->sanitize.action))
		return NVME_SC_SANITIZE_IN_PROGRESS;
	if (cc_unlikely(s->sanitize.failed))
		return NVME_SC_SANITIZE_FAILED;
	if (cc_unlikely(s->hmb.on))
		ssd_feat_hmb_stamp(s);
	return dispatch(s, cmd);
}
