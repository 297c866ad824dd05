/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asynchronous events (5.2): requests wait in the device until something happens; the log page that
 * an event names has to be read before there is another event of its kind.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOG_TAG "nvme"
#include "core/base/log.h"
#include "drivers/nvme/nvme_admin.h"
#include "drivers/nvme/nvme_ctrlr_priv.h"

static void request(struct nvme_ctrlr *c)
{
	uint32_t max = CC_MIN(c->info.events_max, NVME_EVENT_REQUESTS);

	while (cc_read_once(c->nrequests) < max && !cc_read_once(c->events_refused)) {
		if (nvme_syncq_post_event_request(&c->admin, NVME_ADM_ASYNC_EVENT))
			return;
		(void)__atomic_fetch_add(&c->nrequests, 1, __ATOMIC_RELAXED);
	}
}

void nvme_aer_start(struct nvme_ctrlr *c)
{
	uint32_t want = NVME_AEC_SMART_MASK & 0x1f;

	want |= c->info.oaes & (NVME_AEC_NS_ATTR | NVME_AEC_FW);
	c->events_refused = false;
	if (!c->opts.control)
		return; /* nobody would hear of them */
	if (nvme_admin_set_feature(&c->admin, NVME_FEAT_ASYNC_EVENT, want, NULL, NULL))
		log_notice("%s: takes no asynchronous event configuration", c->name);
	request(c);
}

void nvme_aer_event(void *arg, uint32_t dw0, uint16_t status)
{
	struct nvme_ctrlr *c = arg;

	(void)__atomic_fetch_sub(&c->nrequests, 1, __ATOMIC_RELAXED);
	if (NVME_STATUS_CODE(status) != NVME_SC_SUCCESS)
		c->events_refused = true;
	else if (c->nevents < NVME_EVENTS_MAX)
		c->events[c->nevents++] = dw0;
	nvme_ctrlr_wake_keeper(c);
}

static const char *const smart_names[] = {
	"available spare is low", "temperature is beyond a threshold", "reliability is degraded",
	"media is read-only",	  "volatile memory backup has failed",
};

static void handle_smart(struct nvme_ctrlr *c)
{
	struct nvme_log_smart *log = calloc(1, sizeof(*log));

	if (!log ||
	    nvme_admin_get_log(&c->admin, NVME_LOG_SMART, NVME_NSID_ALL, log, sizeof(*log))) {
		free(log);
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(smart_names); i++) {
		if (!(log->critical_warning & 1u << i) || c->smart_logged & 1u << i)
			continue;
		c->smart_logged |= (uint8_t)(1u << i);
		log_warn("%s: SMART: %s", c->name, smart_names[i]);
	}
	free(log);
}

static void handle_notice(struct nvme_ctrlr *c, uint32_t dw0)
{
	le32 *page;

	switch (NVME_AER_INFO(dw0)) {
	case NVME_AER_NOTICE_NS_ATTR:
		/* Which ones does not matter: each disk looks for itself. Read, so that the next
		 * event comes. */
		page = calloc(1, NVME_ID_BYTES);
		if (page)
			(void)nvme_admin_get_log(&c->admin, NVME_LOG_CHANGED_NS, NVME_NSID_ALL,
						 page, NVME_ID_BYTES);
		free(page);
		nvme_tell_changed(c);
		break;
	case NVME_AER_NOTICE_FW_ACTIVATION:
		log_notice("%s: activates new firmware", c->name);
		break;
	default:
		break;
	}
}

static void handle(struct nvme_ctrlr *c, uint32_t dw0)
{
	struct nvme_log_error log;

	switch (NVME_AER_TYPE(dw0)) {
	case NVME_AER_ERROR:
		/* the 1st, 2nd, 4th, 8th …: it may report as many as it likes */
		c->nerror_events++;
		if (CC_IS_POW2(c->nerror_events))
			log_warn("%s: reports an error (event 0x%x, %u so far)", c->name, dw0,
				 c->nerror_events);
		(void)nvme_admin_get_log(&c->admin, NVME_LOG_ERROR, NVME_NSID_ALL, &log,
					 sizeof(log));
		break;
	case NVME_AER_SMART:
		handle_smart(c);
		break;
	case NVME_AER_NOTICE:
		handle_notice(c, dw0);
		break;
	default:
		break;
	}
}

void nvme_aer_handle(struct nvme_ctrlr *c)
{
	uint32_t events[NVME_EVENTS_MAX];
	unsigned n;

	pthread_mutex_lock(&c->admin.lock);
	n = c->nevents;
	memcpy(events, c->events, sizeof(events));
	c->nevents = 0;
	pthread_mutex_unlock(&c->admin.lock);
	for (unsigned i = 0; i < n; i++)
		handle(c, events[i]);
	if (n)
		request(c);
}
