/* SPDX-License-Identifier: BSD-3-Clause */
/* What takes time and goes on beside I/O: device self-test (5.9) and sanitize (5.24). */
#include <string.h>
#include <unistd.h>

#include "core/base/mono.h"
#include "tools/ssd/ssd_priv.h"

#define LOG_TAG "ssd"
#include "core/base/log.h"

#define SHORT_NS    MONO_NS_PER_SEC
#define EXTENDED_NS (3 * MONO_NS_PER_SEC)
#define SANITIZE_NS (MONO_NS_PER_SEC / 5) /* at least, so that somebody sees it run */
#define STEP_BYTES  (1ull << 20)	  /* overwritten at a time */
#define CLEAR_BYTES (1ull << 30)	  /* or deallocated */

/* Results of a self-test, 5.16.1.7 */
enum {
	RESULT_PASSED = 0,
	RESULT_ABORTED = 1,
	RESULT_RESET = 2,
	RESULT_SEGMENT = 7,
};

static void self_test_end(struct ssd *s, uint8_t result, const struct ssd_ns *bad, uint64_t lba)
{
	struct ssd_self_test *t = &s->self_test;
	struct nvme_self_test_result r = {
		.status = (uint8_t)(result | t->code << 4),
		.poh = le64_make((mono_ns() - s->health.born_ns) / (3600 * MONO_NS_PER_SEC)),
		.nsid = le32_make(t->nsid),
	};

	if (bad) {
		r.segment = 1;
		r.valid = 1u << 0 | 1u << 1; /* namespace, LBA */
		r.nsid = le32_make(bad->nsid);
		r.flba = le64_make(lba);
	}
	memmove(&t->result[1], &t->result[0], (NVME_SELF_TEST_RESULTS - 1) * sizeof(r));
	t->result[0] = r;
	t->n = CC_MIN(t->n + 1, NVME_SELF_TEST_RESULTS);
	t->code = 0;
}

/* The first block that cannot be read: what a test of the media finds. */
static void self_test_finish(struct ssd *s)
{
	for (uint32_t i = 1; i <= SSD_NS_MAX; i++) {
		struct ssd_ns *ns = ssd_ns_get(s, i);
		uint8_t byte;
		uint64_t lba;

		if (!ns || (s->self_test.nsid != i && s->self_test.nsid != NVME_NSID_ALL))
			continue;
		if (ssd_ns_uncorr_find(ns, 0, ssd_ns_blocks(ns), &lba)) {
			self_test_end(s, RESULT_SEGMENT, ns, lba);
			return;
		}
		lba = ssd_ns_blocks(ns) - 1;
		if (ns->fd >= 0 && pread(ns->fd, &byte, 1, (off_t)(lba << ns->shift)) < 0) {
			self_test_end(s, RESULT_SEGMENT, ns, lba);
			return;
		}
	}
	self_test_end(s, RESULT_PASSED, NULL, 0);
}

uint16_t ssd_self_test(struct ssd *s, struct ssd_cmd *cmd)
{
	struct ssd_self_test *t = &s->self_test;
	uint32_t nsid = le32_get(cmd->sqe.nsid);
	uint8_t code = le32_get(cmd->sqe.cdw10) & 0xf;

	if (code == NVME_STC_ABORT) {
		if (t->code)
			self_test_end(s, RESULT_ABORTED, NULL, 0);
		return 0;
	}
	if (code != NVME_STC_SHORT && code != NVME_STC_EXTENDED)
		return NVME_SC_INVALID_FIELD;
	if (nsid && nsid != NVME_NSID_ALL && !ssd_ns_get(s, nsid))
		return NVME_SC_INVALID_NS;
	if (t->code)
		return NVME_SC_SELF_TEST_IN_PROGRESS;
	t->code = code;
	t->nsid = nsid;
	t->began_ns = mono_ns();
	t->end_ns = t->began_ns + (code == NVME_STC_SHORT ? SHORT_NS : EXTENDED_NS);
	return 0;
}

/* A short test ends with a controller reset, an extended one goes on. */
void ssd_self_test_reset(struct ssd *s)
{
	if (s->self_test.code == NVME_STC_SHORT)
		self_test_end(s, RESULT_RESET, NULL, 0);
}

uint16_t ssd_sanitize_start(struct ssd *s, struct ssd_cmd *cmd)
{
	struct ssd_sanitize *t = &s->sanitize;
	uint32_t cdw10 = le32_get(cmd->sqe.cdw10);
	uint8_t action = cdw10 & 7;
	uint64_t total = 0;

	if (t->action)
		return NVME_SC_SANITIZE_IN_PROGRESS;
	if (action == NVME_SANACT_EXIT_FAILURE) {
		t->failed = false;
		return 0;
	}
	if (action < NVME_SANACT_BLOCK || action > NVME_SANACT_CRYPTO)
		return NVME_SC_INVALID_FIELD;
	for (uint32_t i = 1; i <= SSD_NS_MAX; i++) {
		struct ssd_ns *ns = ssd_ns_get(s, i);

		if (ns && ssd_ns_is_protected(ns))
			return NVME_SC_NS_WRITE_PROTECTED;
		total += ns ? ns->bytes : 0;
	}
	*t = (struct ssd_sanitize){
		.action = action,
		.cdw10 = cdw10,
		.pattern = le32_get(cmd->sqe.cdw11),
		.end_ns = mono_ns() + SANITIZE_NS,
		.nsid = 1,
		.total_bytes = total,
	};
	/* Inverted between passes (OIPBP): what counts is the last, and with an even number of
	 * passes that is the inverse. */
	if ((cdw10 & 1u << 8) && (cdw10 >> 4 & 0xf) % 2 == 0)
		t->pattern = ~t->pattern;
	return 0;
}

static bool overwrite_step(struct ssd *s, struct ssd_ns *ns, uint64_t n)
{
	uint32_t *p = (uint32_t *)(void *)s->bounce;
	uint32_t word = htole32(s->sanitize.pattern);

	for (uint64_t i = 0; i < n / 4; i++)
		p[i] = word;
	return ns->fd < 0 || pwrite(ns->fd, p, n, (off_t)s->sanitize.off) == (ssize_t)n;
}

/* One piece of one namespace. */
static void sanitize_step(struct ssd *s)
{
	struct ssd_sanitize *t = &s->sanitize;
	bool overwrite = t->action == NVME_SANACT_OVERWRITE;
	struct ssd_ns *ns = ssd_ns_get(s, t->nsid);
	uint64_t n = ns ? CC_MIN(overwrite ? STEP_BYTES : CLEAR_BYTES, ns->bytes - t->off) : 0;
	bool good = true;

	if (n)
		good = overwrite ? overwrite_step(s, ns, n) : !ssd_ns_clear(ns, t->off, n, true);
	if (!good) {
		log_warn("sanitize: namespace %u cannot be overwritten", t->nsid);
		s->health.media_errors++;
		t->failed = true;
	}
	t->off += n;
	t->done_bytes += n;
	if (!good || !ns || t->off == ns->bytes) {
		if (ns)
			ns->nuncorr = 0;
		t->off = 0;
		t->nsid++;
	}
}

static void sanitize_tick(struct ssd *s, uint64_t now)
{
	struct ssd_sanitize *t = &s->sanitize;

	if (t->nsid <= SSD_NS_MAX) {
		sanitize_step(s);
	} else if (now >= t->end_ns) {
		t->action = 0;
		t->done = !t->failed;
		ssd_event_raise(s, SSD_EVENT_SANITIZE);
		ssd_queue_irqs(s);
	}
}

void ssd_maint_tick(struct ssd *s, uint64_t now)
{
	if (s->self_test.code && now >= s->self_test.end_ns)
		self_test_finish(s);
	if (s->sanitize.action)
		sanitize_tick(s, now);
}

uint64_t ssd_maint_due(const struct ssd *s)
{
	uint64_t due = UINT64_MAX;

	if (s->self_test.code)
		due = s->self_test.end_ns;
	if (s->sanitize.action)
		due = s->sanitize.nsid <= SSD_NS_MAX ? 0 : CC_MIN(due, s->sanitize.end_ns);
	return due;
}
