/* SPDX-License-Identifier: BSD-3-Clause */
/* Namespaces that the host makes, attaches, formats: 5.14, 5.20, 5.21. */
#include <string.h>

#include "tools/ssd/ssd_priv.h"

#define FORMATS 2 /* 512 and 4096 bytes, as Identify says */

static unsigned format_shift(unsigned index)
{
	return index ? 12 : 9;
}

static uint16_t ns_create(struct ssd *s, struct ssd_cmd *cmd)
{
	uint64_t page[NVME_ID_BYTES / 8];
	const struct nvme_id_ns *id = (const struct nvme_id_ns *)(void *)page;
	uint64_t nsze, room = s->opts.capacity - s->capacity_used;
	uint16_t status = ssd_data_from_host(s, cmd, page, sizeof(page));
	uint32_t nsid = 1;
	unsigned shift;

	if (status)
		return status;
	nsze = le64_get(id->nsze);
	if (NVME_FLBAS_INDEX(id->flbas) >= FORMATS)
		return NVME_SC_INVALID_FORMAT;
	shift = format_shift(NVME_FLBAS_INDEX(id->flbas));
	if (!nsze || id->dps)
		return NVME_SC_INVALID_FIELD;
	if (id->ncap.v != id->nsze.v)
		return NVME_SC_THIN_NOT_SUPPORTED;
	while (nsid <= SSD_NS_MAX && s->ns[nsid].exists)
		nsid++;
	if (nsid > SSD_NS_MAX)
		return NVME_SC_NS_ID_UNAVAILABLE;
	if (nsze > room >> shift)
		return NVME_SC_NS_INSUFFICIENT_CAPACITY;
	if (ssd_ns_create(s, nsid, nsze << shift, shift))
		return NVME_SC_INTERNAL;
	cmd->dw0 = nsid;
	return 0;
}

static void ns_delete(struct ssd *s, struct ssd_ns *ns)
{
	uint32_t nsid = ns->nsid;
	bool attached = ns->attached;

	ssd_ns_close(s, ns);
	if (attached)
		ssd_event_ns_changed(s, nsid);
}

uint16_t ssd_ns_mgmt(struct ssd *s, struct ssd_cmd *cmd)
{
	uint32_t nsid = le32_get(cmd->sqe.nsid);

	switch (le32_get(cmd->sqe.cdw10) & 0xf) {
	case 0:
		return ns_create(s, cmd);
	case 1:
		if (nsid != NVME_NSID_ALL && !ssd_ns_get(s, nsid))
			return NVME_SC_INVALID_NS;
		for (uint32_t i = 1; i <= SSD_NS_MAX; i++) {
			if (ssd_ns_get(s, i) && (nsid == i || nsid == NVME_NSID_ALL))
				ns_delete(s, &s->ns[i]);
		}
		return 0;
	default:
		return NVME_SC_INVALID_FIELD;
	}
}

uint16_t ssd_ns_attach(struct ssd *s, struct ssd_cmd *cmd)
{
	struct nvme_ctrlr_list list;
	struct ssd_ns *ns = ssd_ns_get(s, le32_get(cmd->sqe.nsid));
	uint32_t sel = le32_get(cmd->sqe.cdw10) & 0xf;
	uint16_t status;

	if (!ns)
		return NVME_SC_INVALID_NS;
	if (sel > 1)
		return NVME_SC_INVALID_FIELD;
	status = ssd_data_from_host(s, cmd, &list, sizeof(list));
	if (status)
		return status;
	if (le16_get(list.num) != 1 || le16_get(list.id[0]) != SSD_CTRLR_ID)
		return NVME_SC_CTRLR_LIST_INVALID;
	if (ns->attached == (sel == 0))
		return ns->attached ? NVME_SC_NS_ALREADY_ATTACHED : NVME_SC_NS_NOT_ATTACHED;
	ns->attached = sel == 0;
	ssd_event_ns_changed(s, ns->nsid);
	return 0;
}

static uint16_t format_check(struct ssd *s, uint32_t nsid, unsigned shift)
{
	bool any = false;

	for (uint32_t i = 1; i <= SSD_NS_MAX; i++) {
		struct ssd_ns *ns = ssd_ns_get(s, i);

		if (!ns || !ns->attached || (nsid != i && nsid != NVME_NSID_ALL))
			continue;
		any = true;
		if (ssd_ns_is_protected(ns))
			return NVME_SC_NS_WRITE_PROTECTED;
		if (ns->bytes >> shift == 0)
			return NVME_SC_INVALID_FORMAT;
	}
	return any ? 0 : NVME_SC_INVALID_NS;
}

uint16_t ssd_format(struct ssd *s, struct ssd_cmd *cmd)
{
	uint32_t nsid = le32_get(cmd->sqe.nsid), cdw10 = le32_get(cmd->sqe.cdw10);
	unsigned index = cdw10 & 0xf, ses = cdw10 >> 9 & 7;
	uint16_t status;

	if (index >= FORMATS || (cdw10 & 0xf0) ||
	    (cdw10 >> 12 & 3)) /* metadata, protection, upper bits of the index */
		return NVME_SC_INVALID_FORMAT;
	if (ses > 1)
		return NVME_SC_INVALID_FIELD;
	status = format_check(s, nsid, format_shift(index));
	if (status)
		return status;
	for (uint32_t i = 1; i <= SSD_NS_MAX; i++) {
		struct ssd_ns *ns = ssd_ns_get(s, i);

		if (!ns || !ns->attached || (nsid != i && nsid != NVME_NSID_ALL))
			continue;
		if (ssd_ns_clear(ns, 0, ns->bytes, true)) {
			s->health.media_errors++;
			return NVME_SC_WRITE_FAULT;
		}
		ns->shift = format_shift(index);
		ns->nuncorr = 0;
		ssd_event_ns_changed(s, i);
	}
	return 0;
}
