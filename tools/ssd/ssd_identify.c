/* SPDX-License-Identifier: BSD-3-Clause */
/* Identify, 5.17: the controller, its namespaces, and the lists of both. */
#include <stdio.h>
#include <string.h>

#include "tools/ssd/ssd_priv.h"

#define IEEE_OUI     0x525400u
#define POWER_STATES 3

/* Text fields are padded with blanks and have no end. */
static void text(char *field, size_t bytes, const char *value)
{
	size_t n = strnlen(value, bytes);

	memset(field, ' ', bytes);
	memcpy(field, value, n);
}

static void number16(uint8_t field[16], uint64_t v)
{
	le64 x = le64_make(v);

	memset(field, 0, 16);
	memcpy(field, &x, 8);
}

static void power_states(struct nvme_id_ctrlr *id)
{
	static const struct {
		uint16_t centiwatts;
		uint32_t enlat, exlat;
		bool non_operational;
	} states[POWER_STATES] = { { 800, 0, 0, false },
				   { 400, 10, 10, false },
				   { 5, 2000, 6000, true } };

	for (unsigned i = 0; i < POWER_STATES; i++) {
		struct nvme_power_state *ps = &id->psd[i];

		ps->mp = le16_make(states[i].centiwatts);
		ps->flags = states[i].non_operational ? 2 : 0;
		ps->enlat = le32_make(states[i].enlat);
		ps->exlat = le32_make(states[i].exlat);
		ps->rrt = ps->rrl = ps->rwt = ps->rwl = (uint8_t)i;
	}
	id->npss = POWER_STATES - 1;
}

/* What commands and logs there are. */
static void abilities(const struct ssd *s, struct nvme_id_ctrlr *id)
{
	uint16_t oacs = NVME_OACS_FORMAT | NVME_OACS_FW | NVME_OACS_SELF_TEST;

	if (s->opts.capacity)
		oacs |= NVME_OACS_NS_MGMT;
	if (s->opts.dbbuf)
		oacs |= NVME_OACS_DBBUF;
	id->oacs = le16_make(oacs);
	id->oncs = le16_make(NVME_ONCS_COMPARE | NVME_ONCS_WRITE_UNC | NVME_ONCS_DSM |
			     NVME_ONCS_WRITE_ZEROES | NVME_ONCS_SAVE | NVME_ONCS_TIMESTAMP |
			     NVME_ONCS_VERIFY | NVME_ONCS_COPY);
	id->ocfs = le16_make(1); /* copy: range format 0 */
	id->lpa = NVME_LPA_EFFECTS | NVME_LPA_EXTENDED | NVME_LPA_TELEMETRY;
	id->oaes = le32_make(NVME_AEC_NS_ATTR | NVME_AEC_FW);
	id->ctratt = le32_make(NVME_CTRATT_HOSTID128);
	id->frmw = SSD_FW_SLOTS << 1 | 1u << 4; /* slots; activated without reset */
	id->sanicap =
		le32_make(7u | 2u << 30); /* crypto, block, overwrite; media not modified after */
	id->vwc = (s->opts.no_cache ? 0 : NVME_VWC_PRESENT) | 3u << 1; /* flush takes NSID_ALL */
	id->nwpc = 7;
	id->sgls = le32_make(s->opts.sgl ? 1 : 0);
}

static void limits(const struct ssd *s, struct nvme_id_ctrlr *id)
{
	id->mdts = (uint8_t)s->opts.mdts;
	id->acl = SSD_ABORTS_MAX - 1;
	id->aerl = SSD_AERS_MAX - 1;
	id->elpe = SSD_ERRORS_MAX - 1;
	id->sqes = 0x66;
	id->cqes = 0x44;
	id->maxcmd = le16_make((uint16_t)CC_MIN(s->opts.mqes, 65535u));
	id->nn = le32_make(SSD_NS_MAX);
	id->mnan = le32_make(SSD_NS_MAX);
	id->crdt1 = le16_make(1); /* units of 100 ms */
	id->crdt2 = le16_make(2);
	id->crdt3 = le16_make(5);
	id->wctemp = le16_make(SSD_TEMP_WARN);
	id->cctemp = le16_make(SSD_TEMP_CRIT);
	id->mtfa = le16_make(10);
	id->edstt = le16_make(1); /* minutes; it takes seconds */
	id->dsto = 1;
	id->kas = le16_make(1); /* units of 100 ms */
	id->fwug = 1;		/* pieces of 4 KiB */
	id->rtd3r = le32_make(1000000);
	id->rtd3e = le32_make(1000000);
	id->hmpre = le32_make((uint32_t)(s->opts.hmb_pref / NVME_PAGE_BYTES_MIN));
	id->hmmin = le32_make((uint32_t)(s->opts.hmb_min / NVME_PAGE_BYTES_MIN));
}

static uint64_t capacity(const struct ssd *s)
{
	uint64_t bytes = s->opts.capacity;

	for (unsigned i = 1; i <= SSD_NS_MAX; i++) {
		if (s->ns[i].exists && !s->ns[i].volatile_file)
			bytes += s->ns[i].bytes;
	}
	return bytes;
}

static uint16_t id_ctrlr(struct ssd *s, uint8_t *page)
{
	struct nvme_id_ctrlr *id = (struct nvme_id_ctrlr *)(void *)page;

	id->vid = le16_make(0x4e52);
	id->ssvid = le16_make(0x4e52);
	text(id->sn, sizeof(id->sn), s->opts.serial);
	text(id->mn, sizeof(id->mn), s->opts.model);
	memcpy(id->fr, s->fw.rev[s->fw.active], sizeof(id->fr));
	id->rab = 5;
	id->ieee[0] = IEEE_OUI & 0xff;
	id->ieee[1] = IEEE_OUI >> 8 & 0xff;
	id->ieee[2] = IEEE_OUI >> 16;
	id->cntlid = le16_make(SSD_CTRLR_ID);
	id->ver = le32_make(NVME_VS(2, 0, 0));
	id->cntrltype = 1;
	limits(s, id);
	abilities(s, id);
	power_states(id);
	number16(id->tnvmcap, capacity(s));
	number16(id->unvmcap, s->opts.capacity - s->capacity_used);
	snprintf(id->subnqn, sizeof(id->subnqn), "nqn.2024-01.io.nvring:ssd:%s", s->opts.serial);
	return 0;
}

static void formats(struct nvme_id_ns *id)
{
	id->nlbaf = 1;
	id->lbaf[0].lbads = 9;
	id->lbaf[0].rp = 1;
	id->lbaf[1].lbads = 12;
	id->lbaf[1].rp = 0;
}

static uint16_t id_ns(struct ssd *s, uint8_t *page, uint32_t nsid, bool active)
{
	struct nvme_id_ns *id = (struct nvme_id_ns *)(void *)page;
	struct ssd_ns *ns = ssd_ns_get(s, nsid);

	formats(id);
	if (nsid == NVME_NSID_ALL && s->opts.capacity)
		return 0; /* what all have in common */
	if (nsid == 0 || nsid > SSD_NS_MAX)
		return NVME_SC_INVALID_NS;
	if (!ns || (active && !ns->attached)) {
		memset(page, 0, NVME_ID_BYTES); /* 5.17.2.1: inactive is all zeroes, no error */
		return 0;
	}
	id->nsze = id->ncap = id->nuse = le64_make(ssd_ns_blocks(ns));
	id->nsfeat = NVME_NSFEAT_OPTPERF;
	id->flbas = ns->shift == 12;
	id->dlfeat =
		1 | 1u << 3; /* deallocated blocks read as zeroes; write zeroes may deallocate */
	number16(id->nvmcap, ns->bytes);
	/* the file's pages */
	id->npwg = id->npwa = id->npdg = id->npda =
		le16_make((uint16_t)((NVME_PAGE_BYTES_MIN >> ns->shift) - 1));
	id->noiob = le16_make((uint16_t)(ns->boundary >> ns->shift));
	id->mssrl = le16_make(65535);
	id->mcl = le32_make(65536);
	id->msrc = 15;
	id->nsattr = ssd_ns_is_protected(ns) ? NVME_NSATTR_WRITE_PROTECTED : 0;
	memcpy(id->nguid, ns->nguid, 16);
	memcpy(id->eui64, ns->eui64, 8);
	return 0;
}

static uint8_t *desc(uint8_t *p, uint8_t type, const void *value, uint8_t len)
{
	struct nvme_ns_id_desc *d = (struct nvme_ns_id_desc *)(void *)p;

	d->nidt = type;
	d->nidl = len;
	memcpy(d->nid, value, len);
	return p + sizeof(*d) + len;
}

static uint16_t id_descs(struct ssd *s, uint8_t *page, uint32_t nsid)
{
	struct ssd_ns *ns = ssd_ns_get(s, nsid);
	const uint8_t csi = 0;

	if (!ns || !ns->attached)
		return NVME_SC_INVALID_NS;
	page = desc(page, NVME_NIDT_EUI64, ns->eui64, 8);
	page = desc(page, NVME_NIDT_NGUID, ns->nguid, 16);
	page = desc(page, NVME_NIDT_UUID, ns->uuid, 16);
	desc(page, NVME_NIDT_CSI, &csi, 1);
	return 0;
}

static uint16_t ns_list(struct ssd *s, uint8_t *page, uint32_t after, bool active)
{
	unsigned n = 0;

	if (after >= 0xfffffffeu)
		return NVME_SC_INVALID_NS;
	for (uint32_t nsid = after + 1; nsid <= SSD_NS_MAX; nsid++) {
		struct ssd_ns *ns = ssd_ns_get(s, nsid);
		le32 x = le32_make(nsid);

		if (ns && (ns->attached || !active))
			memcpy(page + 4 * n++, &x, 4);
	}
	return 0;
}

/* Controllers with ids from @first: this one, if at all. */
static uint16_t ctrlr_list(uint8_t *page, uint16_t first, bool there)
{
	struct nvme_ctrlr_list *list = (struct nvme_ctrlr_list *)(void *)page;

	if (there && first <= SSD_CTRLR_ID) {
		list->num = le16_make(1);
		list->id[0] = le16_make(SSD_CTRLR_ID);
	}
	return 0;
}

static uint16_t ns_ctrlr_list(struct ssd *s, uint8_t *page, uint32_t nsid, uint16_t first)
{
	struct ssd_ns *ns = ssd_ns_get(s, nsid);

	return ns ? ctrlr_list(page, first, ns->attached) : NVME_SC_INVALID_NS;
}

/* 5.17.2.8, I/O command set independent. */
static uint16_t id_indep_ns(struct ssd *s, uint8_t *page, uint32_t nsid)
{
	struct ssd_ns *ns = ssd_ns_get(s, nsid);

	if (!ns || !ns->attached)
		return NVME_SC_INVALID_NS;
	page[8] = ssd_ns_is_protected(ns) ? NVME_NSATTR_WRITE_PROTECTED : 0;
	page[14] = 1; /* NSTAT: ready */
	return 0;
}

/* What only the NVM command set has, NVM 4.1.5.2 and 4.1.5.3: nothing of protection information or
 * of further limits. */
static uint16_t csi_page(struct ssd *s, uint32_t nsid, bool of_ns)
{
	struct ssd_ns *ns = ssd_ns_get(s, nsid);

	return !of_ns || (ns && ns->attached) ? 0 : NVME_SC_INVALID_NS;
}

static uint16_t identify(struct ssd *s, const struct nvme_sqe *sqe, uint8_t *page)
{
	uint32_t nsid = le32_get(sqe->nsid), cdw10 = le32_get(sqe->cdw10);
	uint16_t first = (uint16_t)(cdw10 >> 16);
	uint8_t cns = (uint8_t)cdw10, csi = (uint8_t)(le32_get(sqe->cdw11) >> 24);

	if (csi && (cns == NVME_CNS_CSI_NS || cns == NVME_CNS_CSI_CTRLR ||
		    cns == NVME_CNS_CSI_ACTIVE_NS_LIST))
		return NVME_SC_INVALID_FIELD; /* NVM alone */
	switch (cns) {
	case NVME_CNS_NS:
		return id_ns(s, page, nsid, true);
	case NVME_CNS_CTRLR:
		return id_ctrlr(s, page);
	case NVME_CNS_ACTIVE_NS_LIST:
	case NVME_CNS_CSI_ACTIVE_NS_LIST:
		return ns_list(s, page, nsid, true);
	case NVME_CNS_NS_DESC_LIST:
		return id_descs(s, page, nsid);
	case NVME_CNS_CSI_NS:
	case NVME_CNS_CSI_CTRLR:
		return csi_page(s, nsid, cns == NVME_CNS_CSI_NS);
	case NVME_CNS_CSI_INDEP_NS:
		return id_indep_ns(s, page, nsid);
	case NVME_CNS_ALLOC_NS_LIST:
		return s->opts.capacity ? ns_list(s, page, nsid, false) : NVME_SC_INVALID_FIELD;
	case NVME_CNS_ALLOC_NS:
		return s->opts.capacity ? id_ns(s, page, nsid, false) : NVME_SC_INVALID_FIELD;
	case NVME_CNS_NS_CTRLR_LIST:
		return s->opts.capacity ? ns_ctrlr_list(s, page, nsid, first)
					: NVME_SC_INVALID_FIELD;
	case NVME_CNS_CTRLR_LIST:
		return s->opts.capacity ? ctrlr_list(page, first, true) : NVME_SC_INVALID_FIELD;
	case NVME_CNS_CSI_LIST:
		if (first != 0xffff && first != SSD_CTRLR_ID)
			return NVME_SC_INVALID_FIELD;
		page[0] = 1; /* one combination: NVM */
		return 0;
	default:
		return NVME_SC_INVALID_FIELD;
	}
}

uint16_t ssd_identify(struct ssd *s, struct ssd_cmd *cmd)
{
	uint64_t page[NVME_ID_BYTES / 8] = { 0 };
	uint16_t status = identify(s, &cmd->sqe, (uint8_t *)page);

	return status ? status : ssd_data_to_host(s, cmd, page, NVME_ID_BYTES);
}
