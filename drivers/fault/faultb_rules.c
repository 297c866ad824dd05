/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules of the fault device: parsing and deciding. */
#include "drivers/fault/faultb_rules_priv.h"

#include <errno.h>
#include <string.h>

#include "core/base/mono.h"
#include "drivers/uri.h"

#define WORD_MAX     64			      /* characters of one key or value */
#define DELAY_NS_MAX (3600 * MONO_NS_PER_SEC) /* longer is a drop */
#define P_DIGITS_MAX 9 /* behind the point; fits 10^9 into 64 bits with room */

#define ERRORS(X)                                                                            \
	X(EIO)                                                                               \
	X(ENOSPC)                                                                            \
	X(EROFS) X(ETIMEDOUT) X(ENODEV) X(EILSEQ) X(EOPNOTSUPP) X(ENOMEM) X(EAGAIN) X(EINTR) \
		X(EBUSY) X(EINVAL)

static const struct {
	const char *name;
	int err;
} errors[] = {
#define ROW(e) { #e, -e },
	ERRORS(ROW)
#undef ROW
};

static const struct {
	const char *name;
	uint32_t ops;
} op_names[] = {
	{ "read", 1u << BIO_READ },	      { "write", 1u << BIO_WRITE },
	{ "flush", 1u << BIO_FLUSH },	      { "discard", 1u << BIO_DISCARD },
	{ "zeroes", 1u << BIO_WRITE_ZEROES }, { "any", (1u << BIO_OP_COUNT) - 1 },
};

enum part {
	PART_OP,
	PART_RANGE,
	PART_AFTER,
	PART_FIRST,
	PART_EVERY,
	PART_P,
	PART_SEED,
	PART_FOR,
	PART_DELAY,
	PART_ERROR,
	PART_PATH,
	PART_DROP,
	PART_TORN,
	PART_COUNT,
};

static const char *const part_names[PART_COUNT] = {
	"op",  "range", "after", "first", "every", "p",	   "seed",
	"for", "delay", "error", "path",  "drop",  "torn",
};

const char *faultb_error_names(void)
{
#define NAME(e) ", " #e
	return &(ERRORS(NAME))[2];
#undef NAME
}

static int op_parse(char *value, uint32_t *ret_ops)
{
	uint32_t ops = 0;

	for (char *word = value, *next; word; word = next) {
		uint32_t found = 0;

		next = strchr(word, '+');
		if (next)
			*next++ = '\0';
		for (size_t i = 0; i < ARRAY_SIZE(op_names); i++) {
			if (!strcmp(word, op_names[i].name))
				found = op_names[i].ops;
		}
		if (!found)
			return -EINVAL;
		ops |= found;
	}
	*ret_ops = ops;
	return 0;
}

static int range_parse(char *value, struct faultb_rule *rule)
{
	char *dash = strchr(value, '-');

	if (!dash)
		return -EINVAL;
	*dash = '\0';
	rule->end = UINT64_MAX;
	if (uri_size_parse(value, &rule->start) ||
	    (dash[1] && uri_size_parse(dash + 1, &rule->end)) || rule->start >= rule->end)
		return -EINVAL;
	rule->has_range = true;
	return 0;
}

/* Plain digits: a size without its unit. */
static int count_parse(const char *value, uint64_t *ret)
{
	if (strspn(value, "0123456789") != strlen(value))
		return -EINVAL;
	return uri_size_parse(value, ret);
}

/* "0.25", "1", "25%", "0.5%" as a share of 2^64. */
static int chance_parse(char *value, uint64_t *ret)
{
	size_t len = strlen(value);
	uint64_t whole = 0, num = 0, den = 1;
	unsigned __int128 share;
	char *p;

	if (len && value[len - 1] == '%') {
		value[len - 1] = '\0';
		den = 100;
	}
	p = strchr(value, '.');
	if (p) {
		*p++ = '\0';
		if (!*p || strlen(p) > P_DIGITS_MAX || count_parse(p, &num))
			return -EINVAL;
	}
	if (count_parse(value, &whole) || whole > 100)
		return -EINVAL;
	for (; p && *p; p++) {
		whole *= 10;
		den *= 10;
	}
	num += whole;
	if (num > den)
		return -EINVAL;
	share = ((unsigned __int128)num << 64) / den;
	*ret = num == den ? UINT64_MAX : (uint64_t)share;
	return 0;
}

static int delay_parse(char *value, uint64_t *ret_ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "ns", 1 },
		{ "us", MONO_NS_PER_US },
		{ "ms", MONO_NS_PER_MS },
		{ "s", MONO_NS_PER_SEC },
	};
	size_t digits = strspn(value, "0123456789");
	char unit[4] = "";
	uint64_t n;

	if (strlen(value + digits) >= sizeof(unit))
		return -EINVAL;
	memcpy(unit, value + digits, strlen(value + digits));
	value[digits] = '\0';
	if (count_parse(value, &n))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(unit, units[i].name))
			continue;
		if (n > DELAY_NS_MAX / units[i].ns)
			return -EINVAL;
		*ret_ns = n * units[i].ns;
		return 0;
	}
	return -EINVAL;
}

static int error_parse(const char *value, int *ret_err)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		if (!strcmp(value, errors[i].name)) {
			*ret_err = errors[i].err;
			return 0;
		}
	}
	return -EINVAL;
}

static int value_parse(enum part part, char *value, struct faultb_rule *rule)
{
	int err;

	switch (part) {
	case PART_OP:
		return op_parse(value, &rule->ops);
	case PART_RANGE:
		return range_parse(value, rule);
	case PART_AFTER:
		return count_parse(value, &rule->after);
	case PART_FIRST:
		return count_parse(value, &rule->first);
	case PART_EVERY:
		err = count_parse(value, &rule->every);
		return err || rule->every ? err : -EINVAL;
	case PART_P:
		return chance_parse(value, &rule->chance);
	case PART_SEED:
		return count_parse(value, &rule->seed);
	case PART_FOR:
		err = delay_parse(value, &rule->for_ns);
		return err || rule->for_ns ? err : -EINVAL;
	case PART_DELAY:
		return delay_parse(value, &rule->effect.delay_ns);
	case PART_ERROR:
		return error_parse(value, &rule->effect.error);
	case PART_TORN:
		return uri_size_parse(value, &rule->effect.torn_bytes);
	case PART_PATH:
	case PART_DROP:
	case PART_COUNT:
		break;
	}
	return -EINVAL;
}

/* One "key=value" or "drop", NUL-terminated; @seen: which keys the rule has so far. */
static int part_parse(char *text, struct faultb_rule *rule, uint32_t *seen, struct errbuf *eb)
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
		return errbuf_set(eb, -EINVAL,
				  "fault rule: unknown part '%s' (known: op, range, after, first, "
				  "every, p, seed, for, delay, error, path, drop, torn)",
				  text);
	if (*seen & 1u << part)
		return errbuf_set(eb, -EINVAL, "fault rule: '%s' is given twice", text);
	*seen |= 1u << part;
	if (part == PART_DROP || part == PART_PATH)
		return value ? errbuf_set(eb, -EINVAL, "fault rule: '%s' takes no value", text) : 0;
	if (!value || value_parse((enum part)part, value, rule)) {
		if (part == PART_ERROR)
			return errbuf_set(eb, -EINVAL, "fault rule: bad part '%s' (errors: %s)",
					  shown, faultb_error_names());
		return errbuf_set(eb, -EINVAL, "fault rule: bad part '%s'", shown);
	}
	return 0;
}

/* The parts fit together: one effect, and torn only for writes. */
static int rule_check(struct faultb_rule *rule, uint32_t seen, struct errbuf *eb)
{
	bool drop = seen & 1u << PART_DROP, torn = seen & 1u << PART_TORN;
	bool error = seen & 1u << PART_ERROR, path = seen & 1u << PART_PATH;

	if (!drop && !torn && !error && !path && !(seen & 1u << PART_DELAY))
		return errbuf_set(
			eb, -EINVAL,
			"fault rule without effect: delay, error, path, drop or torn is missing");
	if (drop && (torn || error || path))
		return errbuf_set(eb, -EINVAL,
				  "fault rule: drop goes with neither error nor path nor torn");
	if (path && torn)
		return errbuf_set(eb, -EINVAL, "fault rule: path does not go with torn");
	if (path && !error)
		rule->effect.error = -EIO;
	if (torn && !(seen & 1u << PART_OP))
		rule->ops = 1u << BIO_WRITE;
	if (torn && rule->ops != 1u << BIO_WRITE)
		return errbuf_set(eb, -EINVAL, "fault rule: torn is for op=write alone");
	if (path)
		rule->effect.end = FAULTB_PATH;
	else if (torn)
		rule->effect.end = FAULTB_TORN;
	else if (drop)
		rule->effect.end = FAULTB_DROP;
	else
		rule->effect.end = error ? FAULTB_ERROR : FAULTB_PASS;
	return 0;
}

/* One rule of @len characters. */
static int rule_parse(const char *text, size_t len, struct faultb_rule *rule, struct errbuf *eb)
{
	const char *end = text + len;
	uint32_t seen = 0;

	*rule = (struct faultb_rule){
		.ops = (1u << BIO_OP_COUNT) - 1,
		.first = UINT64_MAX,
		.every = 1,
		.chance = UINT64_MAX,
	};
	for (const char *p = text;; p++) {
		size_t n = strcspn(p, ",;");
		char part[WORD_MAX];
		int err;

		if (n >= sizeof(part))
			return errbuf_set(eb, -EINVAL, "fault rule: '%.*s…' is too long",
					  WORD_MAX / 2, p);
		memcpy(part, p, n);
		part[n] = '\0';
		err = part_parse(part, rule, &seen, eb);
		if (err)
			return err;
		p += n;
		if (p >= end)
			return rule_check(rule, seen, eb);
	}
}

int faultb_rules_parse(const char *text, struct faultb_rules *ret, struct errbuf *eb)
{
	ret->n = 0;
	ret->refs = 0;
	if (!*text)
		return 0;
	for (const char *p = text;; p++) {
		size_t len = strcspn(p, ";");
		int err;

		if (ret->n == FAULTB_RULES_MAX)
			return errbuf_set(eb, -EINVAL, "more than %d fault rules",
					  FAULTB_RULES_MAX);
		err = rule_parse(p, len, &ret->rule[ret->n], eb);
		if (err)
			return err;
		ret->n++;
		p += len;
		if (!*p)
			return 0;
	}
}

/* splitmix64's finaliser: the nth draw of a seed without any state between draws. */
static uint64_t draw(uint64_t seed, uint64_t n)
{
	uint64_t x = seed + (n + 1) * 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static bool rule_matches(const struct faultb_rule *rule, const struct bio *bio)
{
	if (!(rule->ops & 1u << bio->op))
		return false;
	if (!rule->has_range)
		return true;
	return bio->op != BIO_FLUSH && bio->off < rule->end && bio->off + bio->len > rule->start;
}

/* Still within the time that began with the first one. */
static bool rule_is_in_time(struct faultb_rule *rule)
{
	uint64_t now = mono_ns(), since = 0;

	if (__atomic_compare_exchange_n(&rule->since_ns, &since, now, false, __ATOMIC_RELAXED,
					__ATOMIC_RELAXED))
		return true;
	return now < since + rule->for_ns;
}

static bool rule_fires(struct faultb_rule *rule)
{
	uint64_t n = __atomic_fetch_add(&rule->matches, 1, __ATOMIC_RELAXED);

	if (n < rule->after)
		return false;
	n -= rule->after;
	if (rule->for_ns && !rule_is_in_time(rule))
		return false;
	if (n % rule->every != rule->every - 1 || n / rule->every >= rule->first)
		return false;
	return rule->chance == UINT64_MAX || draw(rule->seed, n) < rule->chance;
}

const struct faultb_effect *faultb_rules_decide(struct faultb_rules *rules, const struct bio *bio)
{
	for (unsigned i = 0; i < rules->n; i++) {
		struct faultb_rule *rule = &rules->rule[i];

		if (rule_matches(rule, bio) && rule_fires(rule))
			return &rule->effect;
	}
	return NULL;
}
