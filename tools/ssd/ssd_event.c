/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asynchronous events, 5.2: what happened waits for a request of the host; after it has been told,
 * the same kind of event is masked until the host has read the log that goes with it.
 */
#include <string.h>

#include "tools/ssd/ssd_priv.h"

/* Bits of Asynchronous Event Configuration, 5.27.1.8; the SMART ones are those of the critical
 * warning. */
#define ALWAYS 0u

static const struct {
	uint8_t type, info, log;
	uint32_t config; /* bit that enables it; ALWAYS: none needed */
} events[SSD_EVENT_COUNT] = {
	[SSD_EVENT_BAD_DB] = { NVME_AER_ERROR, NVME_AER_ERROR_BAD_DB, NVME_LOG_ERROR, ALWAYS },
	[SSD_EVENT_BAD_DB_VALUE] = { NVME_AER_ERROR, NVME_AER_ERROR_BAD_DB_VALUE, NVME_LOG_ERROR,
				     ALWAYS },
	[SSD_EVENT_SMART_RELIABILITY] = { NVME_AER_SMART, 0, NVME_LOG_SMART,
					  NVME_SMART_CRIT_DEGRADED | NVME_SMART_CRIT_READ_ONLY |
						  NVME_SMART_CRIT_BACKUP },
	[SSD_EVENT_SMART_TEMP] = { NVME_AER_SMART, 1, NVME_LOG_SMART, NVME_SMART_CRIT_TEMP },
	[SSD_EVENT_SMART_SPARE] = { NVME_AER_SMART, 2, NVME_LOG_SMART, NVME_SMART_CRIT_SPARE },
	[SSD_EVENT_NS_ATTR] = { NVME_AER_NOTICE, NVME_AER_NOTICE_NS_ATTR, NVME_LOG_CHANGED_NS,
				NVME_AEC_NS_ATTR },
	[SSD_EVENT_FW] = { NVME_AER_NOTICE, NVME_AER_NOTICE_FW_ACTIVATION, NVME_LOG_FW_SLOT,
			   NVME_AEC_FW },
	[SSD_EVENT_SANITIZE] = { NVME_AER_IO_SPECIFIC, 1, NVME_LOG_SANITIZE, ALWAYS },
};

static void deliver(struct ssd *s)
{
	for (unsigned ev = 0; ev < SSD_EVENT_COUNT && s->naers; ev++) {
		struct ssd_cmd cmd;

		if (!s->event_pending[ev] || s->event_masked[ev])
			continue;
		s->event_pending[ev] = false;
		s->event_masked[ev] = true;
		cmd = s->aer[0];
		s->naers--;
		memmove(&s->aer[0], &s->aer[1], s->naers * sizeof(cmd));
		cmd.dw0 = events[ev].type | (uint32_t)events[ev].info << 8 |
			  (uint32_t)events[ev].log << 16;
		ssd_queue_complete(s, &cmd, 0);
	}
}

void ssd_event_raise(struct ssd *s, enum ssd_event ev)
{
	if (events[ev].config != ALWAYS && !(s->feat[NVME_FEAT_ASYNC_EVENT] & events[ev].config))
		return;
	s->event_pending[ev] = true;
	deliver(s);
}

uint16_t ssd_event_request(struct ssd *s, struct ssd_cmd *cmd)
{
	if (s->naers == SSD_AERS_MAX)
		return NVME_SC_AER_LIMIT;
	s->aer[s->naers++] = *cmd;
	deliver(s);
	return SSD_LATER;
}

void ssd_event_log_read(struct ssd *s, uint8_t lid)
{
	for (unsigned ev = 0; ev < SSD_EVENT_COUNT; ev++) {
		if (events[ev].log == lid)
			s->event_masked[ev] = false;
	}
	if (lid == NVME_LOG_CHANGED_NS)
		s->nchanged = 0;
	deliver(s);
}

/* 5.16.1.5: sorted, each once; more than fit: one entry of all ones. */
void ssd_event_ns_changed(struct ssd *s, uint32_t nsid)
{
	unsigned at = 0;

	while (at < s->nchanged && s->changed_ns[at] < nsid)
		at++;
	if (at == s->nchanged || s->changed_ns[at] != nsid) {
		memmove(&s->changed_ns[at + 1], &s->changed_ns[at],
			(s->nchanged - at) * sizeof(nsid));
		s->changed_ns[at] = nsid;
		s->nchanged++;
	}
	static_assert(SSD_NS_MAX < NVME_NS_LIST_MAX, "the list holds every namespace there can be");
	ssd_event_raise(s, SSD_EVENT_NS_ATTR);
}

void ssd_event_health(struct ssd *s)
{
	struct ssd_health *h = &s->health;
	uint8_t before = h->critical, fresh;

	h->critical &= (uint8_t) ~(NVME_SMART_CRIT_SPARE | NVME_SMART_CRIT_TEMP);
	if (h->spare < h->spare_thresh)
		h->critical |= NVME_SMART_CRIT_SPARE;
	if (h->temperature >= s->temp_over || h->temperature <= s->temp_under)
		h->critical |= NVME_SMART_CRIT_TEMP;
	fresh = h->critical & (uint8_t)~before;
	if (fresh & NVME_SMART_CRIT_SPARE)
		ssd_event_raise(s, SSD_EVENT_SMART_SPARE);
	if (fresh & NVME_SMART_CRIT_TEMP)
		ssd_event_raise(s, SSD_EVENT_SMART_TEMP);
	if (fresh & (NVME_SMART_CRIT_DEGRADED | NVME_SMART_CRIT_READ_ONLY | NVME_SMART_CRIT_BACKUP))
		ssd_event_raise(s, SSD_EVENT_SMART_RELIABILITY);
}

void ssd_event_reset(struct ssd *s)
{
	s->naers = 0;
	memset(s->event_pending, 0, sizeof(s->event_pending));
	memset(s->event_masked, 0, sizeof(s->event_masked));
}
