/* SPDX-License-Identifier: BSD-3-Clause */
/* Log pages, 5.16: made when they are read, from what the device remembers. */
#include <stdio.h>
#include <string.h>

#include "core/base/mono.h"
#include "tools/ssd/ssd_priv.h"

#define LOG_BYTES_MAX 8192u /* the longest page here */
#define NS_PER_MINUTE (60 * MONO_NS_PER_SEC)

void ssd_log_error(struct ssd *s, const struct ssd_cmd *cmd, uint16_t status)
{
	struct ssd_health *h = &s->health;
	struct nvme_log_error *e = &h->error[h->errors % SSD_ERRORS_MAX];

	h->errors++;
	*e = (struct nvme_log_error){
		.error_count = le64_make(h->errors),
		.sqid = le16_make(cmd->sqid),
		.cid = cmd->sqe.cid,
		.status = le16_make((uint16_t)(status << 1)),
		.parm_err_loc = le16_make(0xffff), /* no field to blame */
		.lba = le64_make(cmd->lba),
		.nsid = cmd->sqe.nsid,
	};
}

/* Newest first. */
static uint64_t log_errors(struct ssd *s, uint8_t *page)
{
	struct ssd_health *h = &s->health;
	uint64_t n = CC_MIN(h->errors, SSD_ERRORS_MAX);

	for (uint64_t i = 0; i < n; i++)
		memcpy(page + i * sizeof(h->error[0]),
		       &h->error[(h->errors - 1 - i) % SSD_ERRORS_MAX], sizeof(h->error[0]));
	return SSD_ERRORS_MAX * sizeof(h->error[0]);
}

static void number16(uint8_t field[16], uint64_t v)
{
	le64 x = le64_make(v);

	memcpy(field, &x, 8);
}

/* 5.16.1.3: thousands of 512 bytes, rounded up. */
static uint64_t data_units(uint64_t bytes)
{
	return (bytes / 512 + 999) / 1000;
}

static uint64_t log_smart(struct ssd *s, uint8_t *page)
{
	struct nvme_log_smart *log = (struct nvme_log_smart *)(void *)page;
	const struct ssd_health *h = &s->health;

	log->critical_warning = h->critical;
	log->temperature[0] = (uint8_t)h->temperature;
	log->temperature[1] = (uint8_t)(h->temperature >> 8);
	log->avail_spare = h->spare;
	log->spare_thresh = h->spare_thresh;
	log->percent_used = h->used;
	number16(log->data_units_read, data_units(h->read_bytes));
	number16(log->data_units_written, data_units(h->write_bytes));
	number16(log->host_reads, h->reads);
	number16(log->host_writes, h->writes);
	number16(log->ctrl_busy_time, h->busy_ns / NS_PER_MINUTE);
	number16(log->power_cycles, h->power_cycles);
	number16(log->power_on_hours, (mono_ns() - h->born_ns) / (60 * NS_PER_MINUTE));
	number16(log->unsafe_shutdowns, h->unsafe_shutdowns);
	number16(log->media_errors, h->media_errors);
	number16(log->num_err_log_entries, h->errors);
	log->warning_temp_time = le32_make((uint32_t)(h->warm_ns / NS_PER_MINUTE));
	log->critical_comp_time = le32_make((uint32_t)(h->hot_ns / NS_PER_MINUTE));
	log->temp_sensor[0] = le16_make(h->temperature);
	return sizeof(*log);
}

static uint64_t log_fw(struct ssd *s, uint8_t *page)
{
	struct nvme_log_fw *log = (struct nvme_log_fw *)(void *)page;

	log->afi = (uint8_t)(s->fw.active | s->fw.next << 4);
	for (unsigned i = 1; i <= SSD_FW_SLOTS; i++)
		memcpy(log->frs[i - 1], s->fw.rev[i], 8);
	return sizeof(*log);
}

static uint64_t log_changed_ns(struct ssd *s, uint8_t *page)
{
	for (unsigned i = 0; i < s->nchanged; i++) {
		le32 x = le32_make(s->changed_ns[i]);

		memcpy(page + i * 4, &x, 4);
	}
	return NVME_NS_LIST_MAX * 4;
}

uint32_t ssd_log_effect(const struct ssd *s, bool admin, uint8_t opc)
{
	static const struct {
		bool admin;
		uint8_t opc;
		uint32_t effect;
	} effects[] = {
		{ true, NVME_ADM_DELETE_SQ, 0 },
		{ true, NVME_ADM_CREATE_SQ, 0 },
		{ true, NVME_ADM_GET_LOG_PAGE, 0 },
		{ true, NVME_ADM_DELETE_CQ, 0 },
		{ true, NVME_ADM_CREATE_CQ, 0 },
		{ true, NVME_ADM_IDENTIFY, 0 },
		{ true, NVME_ADM_ABORT, 0 },
		{ true, NVME_ADM_SET_FEATURES, 0 },
		{ true, NVME_ADM_GET_FEATURES, 0 },
		{ true, NVME_ADM_ASYNC_EVENT, 0 },
		{ true, NVME_ADM_NS_MGMT, NVME_EFFECT_NIC },
		{ true, NVME_ADM_FW_COMMIT, 0 },
		{ true, NVME_ADM_FW_DOWNLOAD, 0 },
		{ true, NVME_ADM_SELF_TEST, 0 },
		{ true, NVME_ADM_NS_ATTACH, NVME_EFFECT_NIC },
		{ true, NVME_ADM_KEEP_ALIVE, 0 },
		{ true, NVME_ADM_DBBUF_CONFIG, 0 },
		{ true, NVME_ADM_FORMAT, NVME_EFFECT_LBCC | NVME_EFFECT_NCC },
		{ true, NVME_ADM_SANITIZE, NVME_EFFECT_LBCC },
		{ false, NVME_NVM_FLUSH, 0 },
		{ false, NVME_NVM_READ, 0 },
		{ false, NVME_NVM_WRITE, NVME_EFFECT_LBCC },
		{ false, NVME_NVM_WRITE_UNCORRECTABLE, NVME_EFFECT_LBCC },
		{ false, NVME_NVM_COMPARE, 0 },
		{ false, NVME_NVM_WRITE_ZEROES, NVME_EFFECT_LBCC },
		{ false, NVME_NVM_DSM, NVME_EFFECT_LBCC },
		{ false, NVME_NVM_VERIFY, 0 },
		{ false, NVME_NVM_COPY, NVME_EFFECT_LBCC },
	};

	if (admin &&
	    ((opc == NVME_ADM_DBBUF_CONFIG && !s->opts.dbbuf) ||
	     ((opc == NVME_ADM_NS_MGMT || opc == NVME_ADM_NS_ATTACH) && !s->opts.capacity)))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(effects); i++) {
		if (effects[i].admin == admin && effects[i].opc == opc)
			return effects[i].effect | NVME_EFFECT_CSUPP;
	}
	return 0;
}

static uint64_t log_effects(struct ssd *s, uint8_t *page)
{
	struct nvme_log_effects *log = (struct nvme_log_effects *)(void *)page;

	for (unsigned opc = 0; opc < 256; opc++) {
		log->acs[opc] = le32_make(ssd_log_effect(s, true, (uint8_t)opc));
		log->iocs[opc] = le32_make(ssd_log_effect(s, false, (uint8_t)opc));
	}
	return sizeof(*log);
}

static uint8_t percent(uint64_t began, uint64_t end)
{
	uint64_t now = mono_ns();

	return now >= end ? 99 : (uint8_t)((now - began) * 100 / (end - began));
}

static uint64_t log_self_test(struct ssd *s, uint8_t *page)
{
	struct nvme_log_self_test *log = (struct nvme_log_self_test *)(void *)page;
	const struct ssd_self_test *t = &s->self_test;

	log->current_op = t->code;
	log->completion = t->code ? percent(t->began_ns, t->end_ns) : 0;
	for (unsigned i = 0; i < NVME_SELF_TEST_RESULTS; i++) {
		if (i < t->n)
			log->result[i] = t->result[i];
		else
			log->result[i].status = 0xf; /* unused */
	}
	return sizeof(*log);
}

/* Three areas of one block each: what the counters say, as text a person can read. */
static uint64_t log_telemetry(struct ssd *s, uint8_t *page, bool host)
{
	struct nvme_log_telemetry *log = (struct nvme_log_telemetry *)(void *)page;
	const struct ssd_counters *c = &s->counters;

	log->lid = host ? NVME_LOG_TELEMETRY_HOST : NVME_LOG_TELEMETRY_CTRLR;
	log->hostdgn = host ? s->telemetry_generation : 0;
	memcpy(log->rsnident, "nvring-ssd", 10);
	if (!host)
		return sizeof(*log);
	log->dalb1 = le16_make(1);
	log->dalb2 = le16_make(2);
	log->dalb3 = le16_make(3);
	snprintf((char *)page + 512, 512, "reads %llu\nwrites %llu\nmedia errors %llu\n",
		 (unsigned long long)s->health.reads, (unsigned long long)s->health.writes,
		 (unsigned long long)s->health.media_errors);
	snprintf((char *)page + 1024, 512,
		 "interrupts %llu\nbad doorbells %llu\ndata errors %llu\n",
		 (unsigned long long)c->irqs, (unsigned long long)c->bad_bells,
		 (unsigned long long)c->data_errors);
	snprintf((char *)page + 1536, 512, "queues %u\n", s->sq_last);
	return 4 * 512;
}

/* 5.16.1.25 */
static uint64_t log_sanitize(struct ssd *s, uint8_t *page)
{
	struct nvme_log_sanitize *log = (struct nvme_log_sanitize *)(void *)page;
	const struct ssd_sanitize *t = &s->sanitize;
	uint16_t state = t->action ? 2 : t->failed ? 3 : t->done ? 1 : 0;

	log->sprog = le16_make(0xffff);
	if (t->action)
		log->sprog = le16_make((uint16_t)((unsigned __int128)t->done_bytes * 65535 /
						  CC_MAX(t->total_bytes, 1u)));
	log->sstat = le16_make((uint16_t)(state | (t->done && !t->action ? 1u << 8 : 0)));
	log->scdw10 = le32_make(t->cdw10);
	log->eto = log->etbe = log->etce = le32_make(1);
	log->etond = log->etbend = log->etcend = le32_make(1);
	return sizeof(*log);
}

/* 5.16.1.1: bit 0 of the log's dword: there is such. */
static uint64_t log_supported(struct ssd *s, uint8_t *page)
{
	static const uint8_t lids[] = { NVME_LOG_SUPPORTED,	  NVME_LOG_ERROR,
					NVME_LOG_SMART,		  NVME_LOG_FW_SLOT,
					NVME_LOG_CHANGED_NS,	  NVME_LOG_EFFECTS,
					NVME_LOG_SELF_TEST,	  NVME_LOG_TELEMETRY_HOST,
					NVME_LOG_TELEMETRY_CTRLR, NVME_LOG_SANITIZE };

	(void)s;
	for (size_t i = 0; i < sizeof(lids); i++)
		page[lids[i] * 4] = 1;
	return 1024;
}

/* The length of the page, 0: no such. */
static uint64_t log_make(struct ssd *s, uint8_t lid, uint8_t *page)
{
	switch (lid) {
	case NVME_LOG_SUPPORTED:
		return log_supported(s, page);
	case NVME_LOG_ERROR:
		return log_errors(s, page);
	case NVME_LOG_SMART:
		return log_smart(s, page);
	case NVME_LOG_FW_SLOT:
		return log_fw(s, page);
	case NVME_LOG_CHANGED_NS:
		return log_changed_ns(s, page);
	case NVME_LOG_EFFECTS:
		return log_effects(s, page);
	case NVME_LOG_SELF_TEST:
		return log_self_test(s, page);
	case NVME_LOG_TELEMETRY_HOST:
	case NVME_LOG_TELEMETRY_CTRLR:
		return log_telemetry(s, page, lid == NVME_LOG_TELEMETRY_HOST);
	case NVME_LOG_SANITIZE:
		return log_sanitize(s, page);
	default:
		return 0;
	}
}

uint16_t ssd_get_log_page(struct ssd *s, struct ssd_cmd *cmd)
{
	uint64_t page[LOG_BYTES_MAX / 8] = { 0 };
	uint32_t cdw10 = le32_get(cmd->sqe.cdw10);
	uint64_t want =
		((cdw10 >> 16 | (uint64_t)(le32_get(cmd->sqe.cdw11) & 0xffff) << 16) + 1) * 4;
	uint64_t off = le32_get(cmd->sqe.cdw12) | (uint64_t)le32_get(cmd->sqe.cdw13) << 32;
	uint8_t lid = (uint8_t)cdw10;
	uint16_t status;
	uint64_t len;

	if (lid == NVME_LOG_TELEMETRY_HOST && (cdw10 & NVME_TELEMETRY_CREATE))
		s->telemetry_generation++;
	len = log_make(s, lid, (uint8_t *)page);
	if (!len)
		return NVME_SC_INVALID_LOG_PAGE;
	if (off % 4 || off >= LOG_BYTES_MAX || (le32_get(cmd->sqe.cdw14) & 1u << 23))
		return NVME_SC_INVALID_FIELD;
	if (want >
	    LOG_BYTES_MAX - off) /* more than there ever is; zeroes for what is behind the page */
		return NVME_SC_INVALID_FIELD;
	if (off > len)
		return NVME_SC_INVALID_FIELD;
	status = ssd_data_to_host(s, cmd, (uint8_t *)page + off, want);
	if (!status && !(cdw10 & NVME_LOG_RAE))
		ssd_event_log_read(s, lid);
	return status;
}
