/* SPDX-License-Identifier: BSD-3-Clause */
/* Fault rules of the SSD: parsing and deciding. */
#include "tools/ssd/ssd_fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "core/base/mono.h"
#include "drivers/nvme/nvme_spec.h"

#define WORD_MAX     128		      /* characters of one part */
#define DELAY_NS_MAX (3600 * MONO_NS_PER_SEC) /* longer is a drop */
#define QID_ANY	     (-1)
#define QID_IO	     (-2)

static const struct {
	const char *name;
	uint8_t opc;
	bool admin;
} op_names[] = {
	{ "flush", NVME_NVM_FLUSH, false },
	{ "write", NVME_NVM_WRITE, false },
	{ "read", NVME_NVM_READ, false },
	{ "write-uncorrectable", NVME_NVM_WRITE_UNCORRECTABLE, false },
	{ "compare", NVME_NVM_COMPARE, false },
	{ "write-zeroes", NVME_NVM_WRITE_ZEROES, false },
	{ "dsm", NVME_NVM_DSM, false },
	{ "verify", NVME_NVM_VERIFY, false },
	{ "copy", NVME_NVM_COPY, false },
	{ "admin-delete-sq", NVME_ADM_DELETE_SQ, true },
	{ "admin-create-sq", NVME_ADM_CREATE_SQ, true },
	{ "admin-get-log-page", NVME_ADM_GET_LOG_PAGE, true },
	{ "admin-delete-cq", NVME_ADM_DELETE_CQ, true },
	{ "admin-create-cq", NVME_ADM_CREATE_CQ, true },
	{ "admin-identify", NVME_ADM_IDENTIFY, true },
	{ "admin-abort", NVME_ADM_ABORT, true },
	{ "admin-set-features", NVME_ADM_SET_FEATURES, true },
	{ "admin-get-features", NVME_ADM_GET_FEATURES, true },
	{ "admin-async-event", NVME_ADM_ASYNC_EVENT, true },
	{ "admin-ns-mgmt", NVME_ADM_NS_MGMT, true },
	{ "admin-fw-commit", NVME_ADM_FW_COMMIT, true },
	{ "admin-fw-download", NVME_ADM_FW_DOWNLOAD, true },
	{ "admin-self-test", NVME_ADM_SELF_TEST, true },
	{ "admin-ns-attach", NVME_ADM_NS_ATTACH, true },
	{ "admin-keep-alive", NVME_ADM_KEEP_ALIVE, true },
	{ "admin-dbbuf-config", NVME_ADM_DBBUF_CONFIG, true },
	{ "admin-format", NVME_ADM_FORMAT, true },
	{ "admin-sanitize", NVME_ADM_SANITIZE, true },
};

static const struct {
	const char *name;
	uint16_t status;
} status_names[] = {
	{ "internal", NVME_SC_INTERNAL },
	{ "data-transfer", NVME_SC_DATA_TRANSFER },
	{ "abort-requested", NVME_SC_ABORT_REQUESTED },
	{ "invalid-field", NVME_SC_INVALID_FIELD },
	{ "invalid-ns", NVME_SC_INVALID_NS },
	{ "ns-not-ready", NVME_SC_NS_NOT_READY },
	{ "interrupted", NVME_SC_COMMAND_INTERRUPTED },
	{ "lba-range", NVME_SC_LBA_RANGE },
	{ "capacity", NVME_SC_CAPACITY },
	{ "write-fault", NVME_SC_WRITE_FAULT },
	{ "read-error", NVME_SC_READ_ERROR },
	{ "guard-check", NVME_SC_GUARD_CHECK },
	{ "compare-failed", NVME_SC_COMPARE_FAILED },
	{ "access-denied", NVME_SC_ACCESS_DENIED },
	{ "path-internal", NVME_SC_INTERNAL_PATH_ERROR },
	{ "path-lost", NVME_SC_ANA_PERSISTENT_LOSS },
	{ "path-inaccessible", NVME_SC_ANA_INACCESSIBLE },
	{ "path-transition", NVME_SC_ANA_TRANSITION },
	{ "path-error", NVME_SC_CTRLR_PATH_ERROR },
	{ "path-host", NVME_SC_HOST_PATH_ERROR },
};

enum part {
	PART_OP,
	PART_QUEUE,
	PART_NS,
	PART_LBA,
	PART_AFTER,
	PART_FIRST,
	PART_EVERY,
	PART_P,
	PART_SEED,
	PART_DELAY,
	PART_STATUS,
	PART_CRD,
	/* without a value */
	PART_DNR,
	PART_DROP,
	PART_DUP,
	PART_BADCID,
	PART_CFS,
	PART_HANG,
	PART_REMOVE,
	PART_COUNT,
};

static const char *const part_names[PART_COUNT] = {
	"op",	  "queue", "ns",  "lba",  "after", "first",  "every", "p",    "seed",	"delay",
	"status", "crd",   "dnr", "drop", "dup",   "badcid", "cfs",   "hang", "remove",
};

/* Of those that have a value, for whoever wrote a wrong one. */
static const char *const part_examples[] = {
	[PART_OP] = "op=read+write, op=admin-identify, op=0x02 or op=any",
	[PART_QUEUE] = "queue=admin, queue=io or queue=1",
	[PART_NS] = "ns=1",
	[PART_LBA] = "lba=0-1000",
	[PART_AFTER] = "after=10",
	[PART_FIRST] = "first=1",
	[PART_EVERY] = "every=100",
	[PART_P] = "p=10%",
	[PART_SEED] = "seed=1",
	[PART_DELAY] = "delay=5ms",
	[PART_STATUS] = "status=read-error or status=0x281",
	[PART_CRD] = "crd=1",
};

static int number_parse(const char *text, uint64_t max, uint64_t *ret)
{
	unsigned long long v;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 0);
	if (*end || errno || v > max)
		return -EINVAL;
	*ret = v;
	return 0;
}

static void bit_set(uint64_t set[4], unsigned bit)
{
	set[bit / 64] |= 1ull << bit % 64;
}

static bool bit_is_set(const uint64_t set[4], unsigned bit)
{
	return set[bit / 64] >> bit % 64 & 1;
}

static int op_word(const char *word, struct ssd_fault_rule *r)
{
	uint64_t opc;

	if (!strcmp(word, "any") || !strcmp(word, "admin-any")) {
		memset(r->admin_ops, 0xff, sizeof(r->admin_ops));
		if (word[1] == 'n')
			memset(r->io_ops, 0xff, sizeof(r->io_ops));
		return 0;
	}
	if (!number_parse(word, 0xff, &opc)) {
		bit_set(r->admin_ops, (unsigned)opc);
		bit_set(r->io_ops, (unsigned)opc);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(op_names); i++) {
		if (strcmp(word, op_names[i].name))
			continue;
		bit_set(op_names[i].admin ? r->admin_ops : r->io_ops, op_names[i].opc);
		return 0;
	}
	return -EINVAL;
}

static int op_parse(char *value, struct ssd_fault_rule *r)
{
	memset(r->admin_ops, 0, sizeof(r->admin_ops));
	memset(r->io_ops, 0, sizeof(r->io_ops));
	for (char *word = value, *next; word; word = next) {
		next = strchr(word, '+');
		if (next)
			*next++ = '\0';
		if (op_word(word, r))
			return -EINVAL;
	}
	return 0;
}

static int queue_parse(const char *value, struct ssd_fault_rule *r)
{
	uint64_t qid = 0;

	if (!strcmp(value, "io"))
		r->qid = QID_IO;
	else if (strcmp(value, "admin") && number_parse(value, SSD_QUEUES_MAX, &qid))
		return -EINVAL;
	else
		r->qid = (int32_t)qid;
	return 0;
}

static int range_parse(char *value, struct ssd_fault_rule *r)
{
	char *dash = strchr(value, '-');

	if (!dash)
		return -EINVAL;
	*dash = '\0';
	r->to = UINT64_MAX;
	if (number_parse(value, UINT64_MAX, &r->from) ||
	    (dash[1] && number_parse(dash + 1, UINT64_MAX, &r->to)) || r->from >= r->to)
		return -EINVAL;
	r->has_range = true;
	return 0;
}

/* "0.25", "25%" as a share of 2^64. */
static int chance_parse(const char *value, uint64_t *ret)
{
	char *end;
	double p = strtod(value, &end);

	if (end == value || (value[0] != '.' && (value[0] < '0' || value[0] > '9')))
		return -EINVAL;
	if (*end == '%') {
		p /= 100;
		end++;
	}
	if (*end || !(p >= 0) || p > 1)
		return -EINVAL;
	*ret = p == 1 ? UINT64_MAX : (uint64_t)(p * 18446744073709551616.0);
	return 0;
}

static int delay_parse(const char *value, uint64_t *ret_ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = { { "ns", 1 },
		      { "us", MONO_NS_PER_US },
		      { "ms", MONO_NS_PER_MS },
		      { "s", MONO_NS_PER_SEC } };
	char *end;
	unsigned long long n;

	if (value[0] < '0' || value[0] > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(value, &end, 10);
	for (size_t i = 0; !errno && i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].name) || n > DELAY_NS_MAX / units[i].ns)
			continue;
		*ret_ns = n * units[i].ns;
		return 0;
	}
	return -EINVAL;
}

static int status_parse(const char *value, uint16_t *ret)
{
	uint64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(status_names); i++) {
		if (!strcmp(value, status_names[i].name)) {
			*ret |= status_names[i].status;
			return 0;
		}
	}
	if (number_parse(value, 0x7ff, &n) || n == 0)
		return -EINVAL;
	*ret |= (uint16_t)n;
	return 0;
}

static int value_parse(enum part part, char *value, struct ssd_fault_rule *r)
{
	uint64_t n;
	int err;

	switch (part) {
	case PART_OP:
		return op_parse(value, r);
	case PART_QUEUE:
		return queue_parse(value, r);
	case PART_NS:
		err = number_parse(value, UINT32_MAX, &n);
		r->nsid = err ? 0 : (uint32_t)n;
		return err || !r->nsid ? -EINVAL : 0;
	case PART_LBA:
		return range_parse(value, r);
	case PART_AFTER:
		return number_parse(value, UINT64_MAX, &r->after);
	case PART_FIRST:
		return number_parse(value, UINT64_MAX, &r->first);
	case PART_EVERY:
		err = number_parse(value, UINT64_MAX, &r->every);
		return err || !r->every ? -EINVAL : 0;
	case PART_P:
		return chance_parse(value, &r->chance);
	case PART_SEED:
		return number_parse(value, UINT64_MAX, &r->seed);
	case PART_DELAY:
		return delay_parse(value, &r->effect.delay_ns);
	case PART_STATUS:
		return status_parse(value, &r->effect.status);
	case PART_CRD:
		err = number_parse(value, 3, &n);
		r->effect.status |= err ? 0 : (uint16_t)(n << 11);
		return err;
	default:
		return -EINVAL;
	}
}

static const char known[] = "op, queue, ns, lba, after, first, every, p, seed, delay, status, crd, "
			    "dnr, drop, dup, badcid, "
			    "cfs, hang, remove";

/* One "key=value" or a word, NUL-terminated. @seen: which the rule has so far. */
static int part_parse(char *text, struct ssd_fault_rule *r, uint32_t *seen, struct errbuf *eb)
{
	char *value = strchr(text, '=');
	char shown[WORD_MAX];
	unsigned part = 0;

	memcpy(shown, text, strlen(text) + 1);
	if (value)
		*value++ = '\0';
	while (part < PART_COUNT && strcmp(text, part_names[part]))
		part++;
	if (part == PART_COUNT)
		return errbuf_set(eb, -EINVAL, "fault rule: unknown part '%s' (known: %s)", text,
				  known);
	if (*seen & 1u << part)
		return errbuf_set(eb, -EINVAL, "fault rule: '%s' is given twice", text);
	*seen |= 1u << part;
	if (part >= PART_DNR && value)
		return errbuf_set(eb, -EINVAL, "fault rule: '%s' takes no value", text);
	if (part < PART_DNR && (!value || value_parse((enum part)part, value, r)))
		return errbuf_set(eb, -EINVAL, "fault rule: bad part '%s' (such as %s; nvring-ssd(1) has all)", shown,
				  part_examples[part]);
	return 0;
}

static int rule_check(struct ssd_fault_rule *r, uint32_t seen, struct errbuf *eb)
{
	static const struct {
		enum part part;
		enum ssd_fault_end end;
	} ends[] = {
		{ PART_STATUS, SSD_FAULT_STATUS }, { PART_DROP, SSD_FAULT_DROP },
		{ PART_DUP, SSD_FAULT_DUP },	   { PART_BADCID, SSD_FAULT_BADCID },
		{ PART_CFS, SSD_FAULT_CFS },	   { PART_HANG, SSD_FAULT_HANG },
		{ PART_REMOVE, SSD_FAULT_REMOVE },
	};
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		if (!(seen & 1u << ends[i].part))
			continue;
		r->effect.end = ends[i].end;
		n++;
	}
	if (n > 1)
		return errbuf_set(eb, -EINVAL, "fault rule with more than one effect");
	if (!n && !(seen & 1u << PART_DELAY))
		return errbuf_set(
			eb, -EINVAL,
			"fault rule without effect: delay, status, drop, dup, badcid, cfs, hang or "
			"remove is missing");
	if ((seen & (1u << PART_DNR | 1u << PART_CRD)) && !(seen & 1u << PART_STATUS))
		return errbuf_set(eb, -EINVAL, "fault rule: dnr and crd belong to status");
	if (seen & 1u << PART_DNR)
		r->effect.status |= NVME_STATUS_DNR;
	return 0;
}

static int rule_parse(const char *text, struct ssd_fault_rule *r, struct errbuf *eb)
{
	uint32_t seen = 0;

	*r = (struct ssd_fault_rule){
		.qid = QID_ANY, .first = UINT64_MAX, .every = 1, .chance = UINT64_MAX
	};
	memset(r->admin_ops, 0xff, sizeof(r->admin_ops));
	memset(r->io_ops, 0xff, sizeof(r->io_ops));
	if (strlen(text) >= sizeof(r->text))
		return errbuf_set(eb, -EINVAL, "fault rule: longer than %zu characters",
				  sizeof(r->text) - 1);
	memcpy(r->text, text, strlen(text) + 1);
	for (const char *p = text;; p++) {
		size_t n = strcspn(p, ",");
		char part[WORD_MAX];
		int err;

		if (n >= sizeof(part))
			return errbuf_set(eb, -EINVAL, "fault rule: '%.*s…' is too long", 40, p);
		memcpy(part, p, n);
		part[n] = '\0';
		err = part_parse(part, r, &seen, eb);
		if (err)
			return err;
		p += n;
		if (!*p)
			return rule_check(r, seen, eb);
	}
}

int ssd_fault_add(struct ssd_faults *f, const char *text, uint32_t *ret_id, struct errbuf *eb)
{
	struct ssd_fault_rule r;
	int err = rule_parse(text, &r, eb);

	if (err)
		return err;
	if (f->n == SSD_FAULTS_MAX)
		return errbuf_set(eb, -ENOSPC, "more than %d fault rules", SSD_FAULTS_MAX);
	r.id = ++f->last_id;
	f->rule[f->n++] = r;
	*ret_id = r.id;
	return 0;
}

int ssd_fault_remove(struct ssd_faults *f, uint32_t id)
{
	for (unsigned i = 0; i < f->n; i++) {
		if (f->rule[i].id != id)
			continue;
		f->n--;
		memmove(&f->rule[i], &f->rule[i + 1], (f->n - i) * sizeof(f->rule[0]));
		return 0;
	}
	return -ENOENT;
}

static bool rule_matches(const struct ssd_fault_rule *r, const struct ssd_fault_io *io)
{
	if (!bit_is_set(io->qid ? r->io_ops : r->admin_ops, io->opc))
		return false;
	if (r->qid == QID_IO ? !io->qid : r->qid != QID_ANY && r->qid != io->qid)
		return false;
	if (r->nsid && r->nsid != io->nsid)
		return false;
	if (!r->has_range)
		return true;
	return io->nblocks && io->lba < r->to &&
	       (r->from < io->lba || r->from - io->lba < io->nblocks);
}

/* splitmix64's finaliser: the nth draw of a seed without any state between draws. */
static uint64_t draw(uint64_t seed, uint64_t n)
{
	uint64_t x = seed + (n + 1) * 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static bool rule_fires(struct ssd_fault_rule *r)
{
	uint64_t n = r->matches++;

	if (n < r->after)
		return false;
	n -= r->after;
	if (n % r->every != r->every - 1 || n / r->every >= r->first)
		return false;
	return r->chance == UINT64_MAX || draw(r->seed, n) < r->chance;
}

const struct ssd_fault_effect *ssd_fault_decide(struct ssd_faults *f, const struct ssd_fault_io *io)
{
	for (unsigned i = 0; i < f->n; i++) {
		struct ssd_fault_rule *r = &f->rule[i];

		if (!rule_matches(r, io) || !rule_fires(r))
			continue;
		r->fired++;
		return &r->effect;
	}
	return NULL;
}
