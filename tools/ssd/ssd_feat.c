/* SPDX-License-Identifier: BSD-3-Clause */
/* Features, 5.27: one table of the plain ones; those with data or effects have functions. */
#include <string.h>

#include "core/base/mono.h"
#include "tools/ssd/ssd_priv.h"

/* Get Features SEL */
enum {
	SEL_CURRENT,
	SEL_DEFAULT,
	SEL_SAVED,
	SEL_CAPS,
};
#define CAP_SAVEABLE   1u
#define CAP_PER_NS     2u
#define CAP_CHANGEABLE 4u

struct feat {
	bool known;
	uint8_t caps;
	uint32_t start, mask; /* after power-on; what the host may set in cdw11 */
};

static const struct feat feats[256] = {
	[NVME_FEAT_ARBITRATION] = { true, CAP_CHANGEABLE | CAP_SAVEABLE, 5, 0xffffff07 },
	[NVME_FEAT_POWER_MGMT] = { true, CAP_CHANGEABLE | CAP_SAVEABLE, 0, 0xff },
	[NVME_FEAT_TEMP_THRESH] = { true, CAP_CHANGEABLE, SSD_TEMP_WARN, 0x3fffff },
	[NVME_FEAT_ERR_RECOVERY] = { true, CAP_CHANGEABLE | CAP_SAVEABLE, 0, 0xffff },
	[NVME_FEAT_VOLATILE_WC] = { true, CAP_CHANGEABLE | CAP_SAVEABLE, 1, 1 },
	[NVME_FEAT_NUM_QUEUES] = { true, CAP_CHANGEABLE, 0, 0xffffffff },
	[NVME_FEAT_IRQ_COALESCE] = { true, CAP_CHANGEABLE | CAP_SAVEABLE, 0, 0xffff },
	[NVME_FEAT_IRQ_CONFIG] = { true, CAP_CHANGEABLE, 0, 0x1ffff },
	[NVME_FEAT_WRITE_ATOMIC] = { true, CAP_CHANGEABLE | CAP_SAVEABLE, 0, 1 },
	[NVME_FEAT_ASYNC_EVENT] = { true, CAP_CHANGEABLE | CAP_SAVEABLE, 0, 0x3ff },
	[NVME_FEAT_HMB] = { true, CAP_CHANGEABLE, 0, 3 },
	[NVME_FEAT_TIMESTAMP] = { true, CAP_CHANGEABLE, 0, 0 },
	[NVME_FEAT_KATO] = { true, CAP_CHANGEABLE, 0, 0xffffffff },
	[NVME_FEAT_NOPSC] = { true, CAP_CHANGEABLE | CAP_SAVEABLE, 0, 1 },
	[NVME_FEAT_HOST_BEHAVIOR] = { true, CAP_CHANGEABLE, 0, 0 },
	[NVME_FEAT_SANITIZE] = { true, CAP_CHANGEABLE | CAP_SAVEABLE, 0, 1 },
	[NVME_FEAT_SW_PROGRESS] = { true, CAP_CHANGEABLE | CAP_SAVEABLE, 0, 0xff },
	[NVME_FEAT_HOST_ID] = { true, CAP_CHANGEABLE, 0, 0 },
	[NVME_FEAT_WRITE_PROTECT] = { true, CAP_CHANGEABLE | CAP_PER_NS, 0, 7 },
};
#define TEMP_SENSORS	1
#define POWER_STATE_MAX 2

void ssd_feat_reset(struct ssd *s, bool power)
{
	for (unsigned fid = 0; fid < 256; fid++) {
		if (power)
			s->feat_saved[fid] = feats[fid].start;
		s->feat[fid] = s->feat_saved[fid];
	}
	if (s->opts.no_cache)
		s->feat[NVME_FEAT_VOLATILE_WC] = 0;
	s->temp_over = SSD_TEMP_WARN;
	s->temp_under = 0;
	s->hmb.on = false;
	memset(s->host_behavior, 0, sizeof(s->host_behavior));
	if (power) {
		memset(s->host_id, 0, sizeof(s->host_id));
		s->timestamp = 0;
		s->timestamp_at_ns = mono_ns();
	}
}

/*
 * Host memory buffer. It is used, so that a client which takes it back too early notices: with every
 * I/O command a number is written into one of its pages, one after the other.
 */
static bool hmb_entry(struct ssd *s, uint32_t i, uint64_t *ret_addr, uint64_t *ret_len)
{
	struct nvme_hmb_desc d;
	const uint8_t *p = ssd_dma_at(&s->dma, s->hmb.list + i * sizeof(d), sizeof(d), false);

	if (!p)
		return false;
	memcpy(&d, p, sizeof(d));
	*ret_addr = le64_get(d.badd);
	*ret_len = (uint64_t)le32_get(d.bsize) * s->page;
	return true;
}

#define HMB_DESCS_MAX 1024

static uint16_t hmb_set(struct ssd *s, const struct nvme_sqe *sqe)
{
	uint32_t pages = le32_get(sqe->cdw12), n = le32_get(sqe->cdw15);
	uint64_t total = 0;

	if (!s->opts.hmb_pref)
		return NVME_SC_INVALID_FIELD;
	if (!(le32_get(sqe->cdw11) & NVME_HMB_ENABLE)) {
		s->hmb.on = false;
		return 0;
	}
	if (s->hmb.on)
		return NVME_SC_SEQUENCE; /* 5.27.1.11: first off, then on with others */
	if (n == 0 || n > HMB_DESCS_MAX || (uint64_t)pages * s->page < s->opts.hmb_min)
		return NVME_SC_INVALID_FIELD;
	s->hmb.list = (le32_get(sqe->cdw13) & ~0xfu) | (uint64_t)le32_get(sqe->cdw14) << 32;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t addr, len;

		if (!hmb_entry(s, i, &addr, &len) || !len || (addr & (s->page - 1)) ||
		    !ssd_dma_at(&s->dma, addr, len, true))
			return NVME_SC_INVALID_FIELD;
		total += len;
	}
	if (total != (uint64_t)pages * s->page)
		return NVME_SC_INVALID_FIELD;
	s->hmb.pages = pages;
	s->hmb.ndesc = n;
	s->hmb.on = true;
	return 0;
}

void ssd_feat_hmb_stamp(struct ssd *s)
{
	uint64_t n = s->hmb.stamps++, addr, len;
	le64 stamp = le64_make(n);
	uint8_t *p;

	if (!hmb_entry(s, (uint32_t)(n % s->hmb.ndesc), &addr, &len) || len < s->page)
		return;
	p = ssd_dma_at(&s->dma, addr + n / s->hmb.ndesc % (len / s->page) * s->page, 8, true);
	if (p)
		memcpy(p, &stamp, 8);
}

static uint16_t hmb_get(struct ssd *s, struct ssd_cmd *cmd)
{
	uint8_t data[4096] = { 0 };
	le32 words[4] = {
		le32_make(s->hmb.on ? s->hmb.pages : 0),
		le32_make(s->hmb.on ? (uint32_t)s->hmb.list : 0),
		le32_make(s->hmb.on ? (uint32_t)(s->hmb.list >> 32) : 0),
		le32_make(s->hmb.on ? s->hmb.ndesc : 0),
	};

	memcpy(data, words, sizeof(words));
	return ssd_data_to_host(s, cmd, data, sizeof(data));
}

/*
 * Others with a life of their own
 */
static uint16_t queues_set(struct ssd *s, struct ssd_cmd *cmd, uint32_t v)
{
	uint32_t max = s->opts.queues - 1, nsq = v & 0xffff, ncq = v >> 16;

	for (unsigned i = 1; i <= SSD_QUEUES_MAX; i++) {
		if (s->sq[i].live || s->cq[i].live)
			return NVME_SC_SEQUENCE;
	}
	if (nsq == 0xffff || ncq == 0xffff)
		return NVME_SC_INVALID_FIELD;
	cmd->dw0 = max | max << 16;
	s->feat[NVME_FEAT_NUM_QUEUES] = cmd->dw0;
	s->queues_asked = true;
	return 0;
}

/* 5.27.1.4: over and under, of the composite sensor (0) alone; 0xf means all. */
static uint16_t temp_set(struct ssd *s, uint32_t v)
{
	uint32_t sensor = v >> 16 & 0xf, type = v >> 20 & 3;

	if (type > 1 || (sensor > TEMP_SENSORS && sensor != 0xf))
		return NVME_SC_INVALID_FIELD;
	if (sensor == 1)
		return 0;
	if (type)
		s->temp_under = (uint16_t)v;
	else
		s->temp_over = (uint16_t)v;
	ssd_event_health(s);
	return 0;
}

static uint16_t temp_get(const struct ssd *s, struct ssd_cmd *cmd)
{
	uint32_t v = le32_get(cmd->sqe.cdw11), sensor = v >> 16 & 0xf, type = v >> 20 & 3;

	if (type > 1 || sensor > TEMP_SENSORS)
		return NVME_SC_INVALID_FIELD;
	cmd->dw0 = type ? s->temp_under : s->temp_over;
	return 0;
}

static uint64_t timestamp_now(const struct ssd *s)
{
	return s->timestamp + (mono_ns() - s->timestamp_at_ns) / MONO_NS_PER_MS;
}

static uint16_t timestamp_set(struct ssd *s, struct ssd_cmd *cmd)
{
	le64 v = { 0 };
	uint16_t status = ssd_data_from_host(s, cmd, &v, 8);

	if (status)
		return status;
	s->timestamp =
		(le64_get(v) & 0xffffffffffffull) | 1ull << 63; /* kept apart: set by the host */
	s->timestamp_at_ns = mono_ns();
	return 0;
}

static uint16_t timestamp_get(struct ssd *s, struct ssd_cmd *cmd)
{
	uint64_t now = timestamp_now(s), origin = now >> 63;
	le64 v = le64_make((now & 0xffffffffffffull) | origin << 49);

	return ssd_data_to_host(s, cmd, &v, 8);
}

/* 128 bits alone when the host asks so (EXHID), else 64. */
static uint64_t host_id_bytes(const struct ssd_cmd *cmd)
{
	return le32_get(cmd->sqe.cdw11) & 1 ? 16 : 8;
}

static uint16_t protect_set(struct ssd *s, struct ssd_cmd *cmd, uint32_t v)
{
	struct ssd_ns *ns = ssd_ns_get(s, le32_get(cmd->sqe.nsid));

	if (!ns || !ns->attached)
		return NVME_SC_INVALID_NS;
	if ((v & 7) > 3)
		return NVME_SC_INVALID_FIELD;
	if (ns->protect >= 2) /* until power cycle, or for ever */
		return NVME_SC_FEATURE_NOT_CHANGEABLE;
	ns->protect = v & 7;
	ssd_event_ns_changed(s, ns->nsid);
	return 0;
}

static uint16_t value_set(struct ssd *s, struct ssd_cmd *cmd, uint8_t fid, uint32_t v)
{
	switch (fid) {
	case NVME_FEAT_NUM_QUEUES:
		return queues_set(s, cmd, v);
	case NVME_FEAT_TEMP_THRESH:
		return temp_set(s, v);
	case NVME_FEAT_HMB:
		return hmb_set(s, &cmd->sqe);
	case NVME_FEAT_TIMESTAMP:
		return timestamp_set(s, cmd);
	case NVME_FEAT_HOST_ID:
		return ssd_data_from_host(s, cmd, s->host_id, host_id_bytes(cmd));
	case NVME_FEAT_HOST_BEHAVIOR:
		return ssd_data_from_host(s, cmd, s->host_behavior, NVME_HOST_BEHAVIOR_BYTES);
	case NVME_FEAT_WRITE_PROTECT:
		return protect_set(s, cmd, v);
	case NVME_FEAT_KATO:
		s->alive_ns = mono_ns();
		break;
	case NVME_FEAT_VOLATILE_WC:
		if (s->opts.no_cache)
			return NVME_SC_INVALID_FIELD;
		break;
	case NVME_FEAT_POWER_MGMT:
		if ((v & 0x1f) > POWER_STATE_MAX)
			return NVME_SC_INVALID_FIELD;
		break;
	case NVME_FEAT_IRQ_CONFIG:
		if ((v & 0xffff) > s->opts.queues)
			return NVME_SC_INVALID_FIELD;
		break;
	default:
		break;
	}
	s->feat[fid] = v & feats[fid].mask;
	return 0;
}

uint16_t ssd_set_features(struct ssd *s, struct ssd_cmd *cmd)
{
	uint32_t cdw10 = le32_get(cmd->sqe.cdw10), nsid = le32_get(cmd->sqe.nsid);
	uint8_t fid = (uint8_t)cdw10;
	uint16_t status;

	if (!feats[fid].known)
		return NVME_SC_INVALID_FIELD;
	if ((cdw10 & NVME_FEAT_SAVE) && !(feats[fid].caps & CAP_SAVEABLE))
		return NVME_SC_FEATURE_NOT_SAVEABLE;
	if (!(feats[fid].caps & CAP_PER_NS) && nsid != 0 && nsid != NVME_NSID_ALL)
		return NVME_SC_FEATURE_NOT_PER_NS;
	status = value_set(s, cmd, fid, le32_get(cmd->sqe.cdw11));
	if (!status && (cdw10 & NVME_FEAT_SAVE))
		s->feat_saved[fid] = s->feat[fid];
	return status;
}

static uint16_t value_get(struct ssd *s, struct ssd_cmd *cmd, uint8_t fid)
{
	struct ssd_ns *ns;

	cmd->dw0 = s->feat[fid];
	switch (fid) {
	case NVME_FEAT_TEMP_THRESH:
		return temp_get(s, cmd);
	case NVME_FEAT_HMB:
		cmd->dw0 = s->hmb.on;
		return hmb_get(s, cmd);
	case NVME_FEAT_TIMESTAMP:
		return timestamp_get(s, cmd);
	case NVME_FEAT_HOST_ID:
		return ssd_data_to_host(s, cmd, s->host_id, host_id_bytes(cmd));
	case NVME_FEAT_HOST_BEHAVIOR:
		return ssd_data_to_host(s, cmd, s->host_behavior, NVME_HOST_BEHAVIOR_BYTES);
	case NVME_FEAT_NUM_QUEUES:
		cmd->dw0 = (s->opts.queues - 1) | (s->opts.queues - 1) << 16;
		return 0;
	case NVME_FEAT_WRITE_PROTECT:
		ns = ssd_ns_get(s, le32_get(cmd->sqe.nsid));
		cmd->dw0 = ns ? ns->protect : 0;
		return ns && ns->attached ? 0 : NVME_SC_INVALID_NS;
	default:
		return 0;
	}
}

uint16_t ssd_get_features(struct ssd *s, struct ssd_cmd *cmd)
{
	uint32_t cdw10 = le32_get(cmd->sqe.cdw10);
	uint8_t fid = (uint8_t)cdw10;

	if (!feats[fid].known)
		return NVME_SC_INVALID_FIELD;
	switch (cdw10 >> 8 & 7) {
	case SEL_CURRENT:
		return value_get(s, cmd, fid);
	case SEL_DEFAULT:
		cmd->dw0 = feats[fid].start;
		return 0;
	case SEL_SAVED:
		cmd->dw0 = s->feat_saved[fid];
		return 0;
	case SEL_CAPS:
		cmd->dw0 = feats[fid].caps;
		return 0;
	default:
		return NVME_SC_INVALID_FIELD;
	}
}
