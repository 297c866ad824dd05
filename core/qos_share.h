/* SPDX-License-Identifier: BSD-3-Clause */
/* One limit for many reactors: who gets which part of it, by what each asked for lately. Pure. */
#ifndef CORE_QOS_SHARE_H
#define CORE_QOS_SHARE_H

#include <stdint.h>

#include "core/qos_limit.h"

#define QOS_SHARES_MAX 256 /* reactors that share a limit */

/* A reactor that asked for anything gets at least an even part divided by this. */
#define QOS_SHARE_MIN_DIV 8

/**
 * qos_share_split - split a limit for the next period.
 * @demand: what each of the @n (1..QOS_SHARES_MAX) reactors asked for in the last period, in I/Os
 *or bytes: what went, plus what waits at its end.
 * @capacity: what the whole limit gives in such a period, in the same unit; at least 1.
 * @ret_parts: @n parts, each at least 1, QOS_PARTS in all, to the last one: for
 *qos_budget_set_parts().
 *
 * Who asked for less than an even part gets what it asked for, the others share the rest evenly
 *(max-min fair); what nobody asked for is spread evenly over those that asked at all. An idle
 *reactor keeps one part, by which its first I/O goes at once and its debt is repaid from the parts
 *of the next period.
 *
 * Parts follow the demand one period late: until then those of a reactor that fell silent lie idle. Never
 * above the limit by that, but below: up to 3 % of a second with periods of 10 ms and demand that often shifts.
 */
void qos_share_split(const uint64_t *demand, unsigned n, uint64_t capacity, uint32_t *ret_parts);

#endif
