/* SPDX-License-Identifier: BSD-3-Clause */
/* Max-min fair shares in whole parts: the small ones first, an even share of the rest for the
 * others. */
#include "core/qos_share.h"

#include <assert.h>
#include <stdbool.h>

static_assert(QOS_PARTS / (QOS_SHARES_MAX * QOS_SHARE_MIN_DIV) >= 1,
	      "the minimum is at least one part");

/* Nobody asked for more than the whole. Rounded up: what was asked for is granted. */
static uint32_t parts_of(uint64_t demand, uint64_t capacity)
{
	if (demand >= capacity)
		return QOS_PARTS;
	return (uint32_t)(((qos_level)demand * QOS_PARTS + capacity - 1) / capacity);
}

/* Add @rest evenly to those of @ret_parts that @takes, and what does not divide to the first of
 * them. */
static void spread(uint32_t rest, const bool *takes, unsigned n, uint32_t *ret_parts)
{
	uint32_t ntakers = 0, each, odd;

	for (unsigned i = 0; i < n; i++)
		ntakers += takes[i];
	assert(ntakers);
	each = rest / ntakers;
	odd = rest % ntakers;
	for (unsigned i = 0; i < n; i++) {
		if (!takes[i])
			continue;
		ret_parts[i] += each + (odd > 0);
		odd -= odd > 0;
	}
}

/* Grant in full, of those that still @wants, who wants no more than an even part of @rest; what is
 * left of it. */
static uint32_t grant_small(uint32_t rest, const uint32_t *want, bool *wants, unsigned n,
			    uint32_t *ret_parts)
{
	uint32_t even, left = 0;

	for (unsigned i = 0; i < n; i++)
		left += wants[i];
	if (!left)
		return rest;
	even = rest / left;
	for (unsigned i = 0; i < n; i++) {
		if (!wants[i] || want[i] > even)
			continue;
		wants[i] = false;
		ret_parts[i] = want[i];
		rest -= want[i];
	}
	return rest;
}

void qos_share_split(const uint64_t *demand, unsigned n, uint64_t capacity, uint32_t *ret_parts)
{
	bool asked[QOS_SHARES_MAX], wants[QOS_SHARES_MAX];
	uint32_t want[QOS_SHARES_MAX], min, rest = QOS_PARTS, before;
	unsigned nasked = 0, nwant = 0;

	assert(n >= 1 && n <= QOS_SHARES_MAX && capacity);
	min = QOS_PARTS / (n * QOS_SHARE_MIN_DIV);
	for (unsigned i = 0; i < n; i++)
		nasked += demand[i] != 0;
	for (unsigned i = 0; i < n; i++) {
		want[i] = parts_of(demand[i], capacity);
		want[i] = want[i] < min ? min : want[i];
		asked[i] = wants[i] = demand[i] || !nasked;
		ret_parts[i] = asked[i] ? 0 : 1;
		rest -= ret_parts[i];
	}
	do {
		before = rest;
		rest = grant_small(rest, want, wants, n, ret_parts);
	} while (rest != before);
	for (unsigned i = 0; i < n; i++)
		nwant += wants[i];
	spread(rest, nwant ? wants : asked, n, ret_parts);
}
