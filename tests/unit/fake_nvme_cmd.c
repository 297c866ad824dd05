/* SPDX-License-Identifier: BSD-3-Clause */
/* What the commands of the fake controller do. */
#include "tests/unit/fake_nvme_cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096ull

/*
 * Data: PRPs and SGLs, as the specification wants them
 */

typedef void (*piece_fn)(void *mem, uint64_t len, void *arg);

static bool walk_prps(struct fake_nvme *f, const struct nvme_sqe *sqe, uint64_t len, piece_fn fn,
		      void *arg)
{
	uint64_t prp1 = le64_get(sqe->prp1), prp2 = le64_get(sqe->prp2);
	uint64_t n = CC_MIN(len, PAGE - prp1 % PAGE), left = len - n;
	const le64 *list = NULL;
	void *mem = fake_nvme_dma(f, prp1, n);

	if (!mem || prp1 % 4) {
		fake_nvme_broken(f, "PRP1 0x%llx", (unsigned long long)prp1);
		return false;
	}
	fn(mem, n, arg);
	if (left > PAGE) {
		uint64_t entries = (left + PAGE - 1) / PAGE;

		if (prp2 % 8 || prp2 % PAGE + entries * 8 > PAGE) {
			fake_nvme_broken(f, "a list of %llu at 0x%llx", (unsigned long long)entries,
					 (unsigned long long)prp2);
			return false;
		}
		list = fake_nvme_dma(f, prp2, entries * 8);
		if (!list)
			return false;
	}
	for (unsigned i = 0; left; i++, left -= n) {
		uint64_t at = list ? le64_get(list[i]) : prp2;

		n = CC_MIN(left, PAGE);
		mem = fake_nvme_dma(f, at, n);
		if (!mem || at % PAGE) {
			fake_nvme_broken(f, "PRP entry 0x%llx", (unsigned long long)at);
			return false;
		}
		fn(mem, n, arg);
	}
	return true;
}

static bool walk_sgl(struct fake_nvme *f, const struct nvme_sqe *sqe, uint64_t len, piece_fn fn,
		     void *arg)
{
	const struct nvme_sgl_desc *d = &sqe->sgl1;
	unsigned n = 1;
	uint64_t sum = 0;

	f->nsgl++;
	if (!f->sgls) {
		fake_nvme_broken(f, "an SGL");
		return false;
	}
	if (d->type == NVME_SGL_LAST_SEGMENT) {
		n = le32_get(d->len) / 16;
		d = fake_nvme_dma(f, le64_get(d->addr), n * 16ull);
	}
	for (unsigned i = 0; d && i < n; i++) {
		void *mem = fake_nvme_dma(f, le64_get(d[i].addr), le32_get(d[i].len));

		if (!mem || d[i].type != NVME_SGL_DATA_BLOCK)
			return false;
		fn(mem, le32_get(d[i].len), arg);
		sum += le32_get(d[i].len);
	}
	if (sum != len)
		fake_nvme_broken(f, "an SGL of %llu bytes for %llu", (unsigned long long)sum,
				 (unsigned long long)len);
	return sum == len;
}

static bool walk(struct fake_nvme *f, const struct nvme_sqe *sqe, uint64_t len, piece_fn fn,
		 void *arg)
{
	if (sqe->flags & NVME_CMD_PSDT_SGL)
		return walk_sgl(f, sqe, len, fn, arg);
	return walk_prps(f, sqe, len, fn, arg);
}

static void to_host(void *mem, uint64_t len, void *arg)
{
	const uint8_t **at = arg;

	memcpy(mem, *at, len);
	*at += len;
}

static void to_device(void *mem, uint64_t len, void *arg)
{
	uint8_t **at = arg;

	memcpy(*at, mem, len);
	*at += len;
}

static bool send_data(struct fake_nvme *f, const struct nvme_sqe *sqe, const void *data,
		      uint64_t len)
{
	return walk(f, sqe, len, to_host, &data);
}

static bool take_data(struct fake_nvme *f, const struct nvme_sqe *sqe, void *data, uint64_t len)
{
	return walk(f, sqe, len, to_device, &data);
}

/*
 * Admin
 */

static struct fake_nvme_ns *ns_of(struct fake_nvme *f, uint32_t nsid)
{
	if (nsid == 0 || nsid > FAKE_NVME_NS_MAX || !f->ns[nsid - 1].blocks)
		return NULL;
	return &f->ns[nsid - 1];
}

static void id_ctrlr(struct fake_nvme *f, struct nvme_id_ctrlr *id)
{
	memset(id->sn, ' ', sizeof(id->sn));
	memset(id->mn, ' ', sizeof(id->mn));
	memcpy(id->sn, "FAKE1", 5);
	memcpy(id->mn, "nvring fake", 11);
	memcpy(id->fr, "1.0     ", 8);
	id->mdts = f->mdts;
	id->ver = le32_make(NVME_VS(1, 4, 0));
	id->oaes = le32_make(NVME_AEC_NS_ATTR);
	id->oacs = le16_make(f->oacs);
	id->crdt1 = le16_make(f->crdt[0]);
	id->crdt2 = le16_make(f->crdt[1]);
	id->crdt3 = le16_make(f->crdt[2]);
	id->acl = f->acl;
	id->aerl = f->aerl;
	id->hmpre = le32_make(f->hmpre);
	id->sqes = f->sqes;
	id->cqes = f->cqes;
	id->nn = le32_make(FAKE_NVME_NS_MAX);
	id->oncs = le16_make(f->oncs);
	id->vwc = f->vwc;
	id->sgls = le32_make(f->sgls);
}

static void id_ns(const struct fake_nvme_ns *ns, struct nvme_id_ns *id)
{
	if (!ns)
		return; /* inactive: zeroes */
	id->nsze = le64_make(ns->blocks);
	id->ncap = id->nsze;
	id->nlbaf = 0;
	id->lbaf[0].lbads = ns->shift;
	id->lbaf[0].ms = le16_make(ns->ms);
	id->noiob = le16_make(ns->noiob);
	id->nsattr = ns->is_protected;
	id->dlfeat = 1u << 3;
	id->mssrl = le16_make(128);
	id->msrc = 7;
}

static void identify(struct fake_nvme *f, const struct fake_nvme_cmd *cmd)
{
	uint32_t nsid = le32_get(cmd->sqe.nsid);
	uint8_t cns = (uint8_t)le32_get(cmd->sqe.cdw10), *page = calloc(1, PAGE);
	struct fake_nvme_ns *ns = ns_of(f, nsid);
	uint16_t status = 0;
	unsigned n = 0;

	switch (cns) {
	case NVME_CNS_CTRLR:
		id_ctrlr(f, (struct nvme_id_ctrlr *)(void *)page);
		break;
	case NVME_CNS_NS:
		if (nsid > FAKE_NVME_NS_MAX)
			status = NVME_SC_INVALID_NS;
		id_ns(ns, (struct nvme_id_ns *)(void *)page);
		break;
	case NVME_CNS_ACTIVE_NS_LIST:
		for (unsigned i = nsid + 1; i <= FAKE_NVME_NS_MAX; i++)
			if (ns_of(f, i))
				((le32 *)(void *)page)[n++] = le32_make(i);
		break;
	case NVME_CNS_NS_DESC_LIST:
		page[0] = NVME_NIDT_CSI;
		page[1] = 1;
		page[4] = ns ? ns->csi : 0;
		break;
	default:
		status = NVME_SC_INVALID_FIELD;
		break;
	}
	if (f->lie)
		f->lie(f, cns, nsid, page);
	if (!status && !send_data(f, &cmd->sqe, page, PAGE))
		status = NVME_SC_DATA_TRANSFER;
	free(page);
	fake_nvme_complete(f, cmd, status, 0);
}

static void set_features(struct fake_nvme *f, const struct fake_nvme_cmd *cmd)
{
	const struct nvme_sqe *sqe = &cmd->sqe;
	uint32_t cdw11 = le32_get(sqe->cdw11), dw0 = 0;
	const struct nvme_hmb_desc *d;

	switch (le32_get(sqe->cdw10) & 0xff) {
	case NVME_FEAT_NUM_QUEUES:
		dw0 = (f->queues_max - 1u) << 16 | (f->queues_max - 1u);
		break;
	case NVME_FEAT_HMB:
		f->hmb_on = cdw11 & NVME_HMB_ENABLE;
		f->nhmb += f->hmb_on;
		if (!f->hmb_on)
			break;
		d = fake_nvme_dma(f, le32_get(sqe->cdw13) | (uint64_t)le32_get(sqe->cdw14) << 32,
				  le32_get(sqe->cdw15) * 16ull);
		if (d && fake_nvme_dma(f, le64_get(d->badd), le32_get(d->bsize) * PAGE))
			memset(fake_nvme_dma(f, le64_get(d->badd), PAGE), 0x48, PAGE);
		break;
	default:
		break;
	}
	fake_nvme_complete(f, cmd, 0, dw0);
}

static void create_queue(struct fake_nvme *f, const struct fake_nvme_cmd *cmd, bool is_sq)
{
	uint32_t cdw10 = le32_get(cmd->sqe.cdw10), cdw11 = le32_get(cmd->sqe.cdw11);
	uint32_t id = cdw10 & 0xffff, size = (cdw10 >> 16) + 1;
	uint64_t addr = le64_get(cmd->sqe.prp1);

	if (id == 0 || id > f->queues_max || id >= FAKE_NVME_QUEUES) {
		fake_nvme_complete(f, cmd, NVME_SC_INVALID_QID, 0);
		return;
	}
	if (size < 2 || size > f->mqes + 1u || addr % PAGE || !(cdw11 & NVME_QUEUE_PC) ||
	    !fake_nvme_dma(f, addr, size * (is_sq ? 64ull : 16ull)))
		fake_nvme_broken(f, "queue %u of %u entries at 0x%llx", id, size,
				 (unsigned long long)addr);
	if (is_sq ? f->sq[id].size : f->cq[id].size)
		fake_nvme_broken(f, "queue %u is created twice", id);
	if (is_sq) {
		if (!f->cq[cdw11 >> 16].size)
			fake_nvme_broken(f, "queue %u without completion queue", id);
		f->db[2 * id] = 0;
		f->sq[id] = (struct fake_nvme_sq){ .addr = addr,
						   .size = size,
						   .cqid = (uint16_t)(cdw11 >> 16) };
	} else {
		f->db[2 * id + 1] = 0;
		f->cq[id] = (struct fake_nvme_cq){ .addr = addr,
						   .size = size,
						   .phase = true,
						   .ien = cdw11 & NVME_CQ_IEN,
						   .vector = (uint16_t)(cdw11 >> 16) };
	}
	fake_nvme_complete(f, cmd, 0, 0);
}

static void delete_queue(struct fake_nvme *f, const struct fake_nvme_cmd *cmd, bool is_sq)
{
	uint32_t id = le32_get(cmd->sqe.cdw10) & 0xffff;

	if (id == 0 || id >= FAKE_NVME_QUEUES || !f->cq[id].size || (!is_sq && f->sq[id].size))
		fake_nvme_broken(f, "queue %u cannot be deleted", id);
	else if (is_sq)
		f->sq[id].size = 0;
	else
		f->cq[id].size = 0;
	fake_nvme_complete(f, cmd, 0, 0);
}

static void abort_cmd(struct fake_nvme *f, const struct fake_nvme_cmd *cmd)
{
	uint32_t cdw10 = le32_get(cmd->sqe.cdw10);
	uint16_t sqid = (uint16_t)cdw10, cid = (uint16_t)(cdw10 >> 16);

	f->naborts++;
	for (unsigned i = 0; i < f->nheld && !f->abort_refused; i++) {
		if (f->held[i].qid != sqid || le16_get(f->held[i].sqe.cid) != cid)
			continue;
		if (!f->abort_useless) {
			fake_nvme_complete(f, &f->held[i], NVME_SC_ABORT_REQUESTED, 0);
			f->held[i] = f->held[--f->nheld];
		}
		fake_nvme_complete(f, cmd, 0, 0);
		return;
	}
	fake_nvme_complete(f, cmd, 0, 1);
}

static void get_log(struct fake_nvme *f, const struct fake_nvme_cmd *cmd)
{
	uint32_t cdw10 = le32_get(cmd->sqe.cdw10);
	uint64_t len = ((cdw10 >> 16) + 1) * 4ull;
	uint8_t *page = calloc(1, len);

	if ((cdw10 & 0xff) == NVME_LOG_SMART)
		page[0] = NVME_SMART_CRIT_TEMP;
	(void)send_data(f, &cmd->sqe, page, len);
	free(page);
	fake_nvme_complete(f, cmd, 0, 0);
}

static void exec_admin(struct fake_nvme *f, const struct fake_nvme_cmd *cmd)
{
	switch (cmd->sqe.opc) {
	case NVME_ADM_IDENTIFY:
		identify(f, cmd);
		break;
	case NVME_ADM_SET_FEATURES:
		set_features(f, cmd);
		break;
	case NVME_ADM_CREATE_CQ:
	case NVME_ADM_CREATE_SQ:
		create_queue(f, cmd, cmd->sqe.opc == NVME_ADM_CREATE_SQ);
		break;
	case NVME_ADM_DELETE_CQ:
	case NVME_ADM_DELETE_SQ:
		delete_queue(f, cmd, cmd->sqe.opc == NVME_ADM_DELETE_SQ);
		break;
	case NVME_ADM_ABORT:
		abort_cmd(f, cmd);
		break;
	case NVME_ADM_ASYNC_EVENT:
		if (f->naer > f->aerl)
			fake_nvme_complete(f, cmd, NVME_SC_AER_LIMIT, 0);
		else
			f->aer[f->naer++] = *cmd;
		break;
	case NVME_ADM_GET_LOG_PAGE:
		get_log(f, cmd);
		break;
	case NVME_ADM_DBBUF_CONFIG:
		f->shadow = le64_get(cmd->sqe.prp1);
		f->event = le64_get(cmd->sqe.prp2);
		f->dbbuf_on = true;
		fake_nvme_complete(f, cmd, 0, 0);
		break;
	default:
		fake_nvme_complete(f, cmd, NVME_SC_INVALID_OPCODE, 0);
		break;
	}
}

/*
 * I/O
 */

static uint16_t dsm(struct fake_nvme *f, struct fake_nvme_ns *ns, const struct nvme_sqe *sqe)
{
	struct nvme_dsm_range r[NVME_DSM_RANGES_MAX];
	unsigned n = (le32_get(sqe->cdw10) & 0xff) + 1;

	if (!take_data(f, sqe, r, n * sizeof(r[0])))
		return NVME_SC_DATA_TRANSFER;
	for (unsigned i = 0; i < n; i++) {
		uint64_t lba = le64_get(r[i].slba), nlb = le32_get(r[i].nlb);

		if (lba + nlb > ns->blocks)
			return NVME_SC_LBA_RANGE;
		if (le32_get(sqe->cdw11) & NVME_DSM_AD)
			memset(ns->data + (lba << ns->shift), 0, nlb << ns->shift);
		f->nranges++;
	}
	return 0;
}

static uint16_t copy(struct fake_nvme *f, struct fake_nvme_ns *ns, const struct nvme_sqe *sqe)
{
	uint64_t to = le32_get(sqe->cdw10) | (uint64_t)le32_get(sqe->cdw11) << 32;
	unsigned n = (le32_get(sqe->cdw12) & 0xff) + 1;
	struct nvme_copy_range r[256];

	if (!take_data(f, sqe, r, n * sizeof(r[0])))
		return NVME_SC_DATA_TRANSFER;
	for (unsigned i = 0; i < n; i++) {
		uint64_t lba = le64_get(r[i].slba), nlb = le16_get(r[i].nlb) + 1ull;

		if (lba + nlb > ns->blocks || to + nlb > ns->blocks)
			return NVME_SC_LBA_RANGE;
		memmove(ns->data + (to << ns->shift), ns->data + (lba << ns->shift),
			nlb << ns->shift);
		to += nlb;
	}
	return 0;
}

static uint16_t compare(struct fake_nvme *f, const struct nvme_sqe *sqe, const uint8_t *at,
			uint64_t len)
{
	uint8_t *data = malloc(len);
	uint16_t status = NVME_SC_DATA_TRANSFER;

	if (take_data(f, sqe, data, len))
		status = memcmp(data, at, len) ? NVME_SC_COMPARE_FAILED : 0;
	free(data);
	return status;
}

static uint16_t rw(struct fake_nvme *f, struct fake_nvme_ns *ns, const struct nvme_sqe *sqe)
{
	uint64_t lba = le32_get(sqe->cdw10) | (uint64_t)le32_get(sqe->cdw11) << 32;
	uint32_t cdw12 = le32_get(sqe->cdw12), nlb = (cdw12 & 0xffff) + 1;
	uint64_t len = (uint64_t)nlb << ns->shift;
	uint8_t *at = ns->data + (lba << ns->shift);

	if (lba >= ns->blocks || nlb > ns->blocks - lba)
		return NVME_SC_LBA_RANGE;
	if (sqe->opc <= NVME_NVM_READ && f->mdts && len > PAGE << f->mdts)
		fake_nvme_broken(f, "%u blocks at once", nlb);
	f->largest = CC_MAX(f->largest, nlb);
	f->nfua += !!(cdw12 & NVME_RW_FUA);
	switch (sqe->opc) {
	case NVME_NVM_READ:
		f->nreads++;
		return send_data(f, sqe, at, len) ? 0 : NVME_SC_DATA_TRANSFER;
	case NVME_NVM_WRITE:
		f->nwrites++;
		if (ns->is_protected)
			return NVME_SC_NS_WRITE_PROTECTED;
		return take_data(f, sqe, at, len) ? 0 : NVME_SC_DATA_TRANSFER;
	case NVME_NVM_COMPARE:
		return compare(f, sqe, at, len);
	case NVME_NVM_WRITE_ZEROES:
		f->nzeroes++;
		f->ndeac += !!(cdw12 & NVME_RW_DEAC);
		memset(at, 0, len);
		return 0;
	default: /* Verify */
		return 0;
	}
}

static void exec_io(struct fake_nvme *f, const struct fake_nvme_cmd *cmd)
{
	struct fake_nvme_ns *ns = ns_of(f, le32_get(cmd->sqe.nsid));
	uint16_t status;

	if (!ns) {
		fake_nvme_complete(f, cmd, NVME_SC_INVALID_NS | NVME_STATUS_DNR, 0);
		return;
	}
	switch (cmd->sqe.opc) {
	case NVME_NVM_FLUSH:
		f->nflushes++;
		status = 0;
		break;
	case NVME_NVM_READ:
	case NVME_NVM_WRITE:
	case NVME_NVM_COMPARE:
	case NVME_NVM_WRITE_ZEROES:
	case NVME_NVM_VERIFY:
		status = rw(f, ns, &cmd->sqe);
		break;
	case NVME_NVM_DSM:
		status = dsm(f, ns, &cmd->sqe);
		break;
	case NVME_NVM_COPY:
		status = copy(f, ns, &cmd->sqe);
		break;
	default:
		status = NVME_SC_INVALID_OPCODE;
		break;
	}
	fake_nvme_complete(f, cmd, status, 0);
}

void fake_nvme_exec(struct fake_nvme *f, const struct fake_nvme_cmd *cmd)
{
	if (cmd->qid)
		exec_io(f, cmd);
	else
		exec_admin(f, cmd);
}
