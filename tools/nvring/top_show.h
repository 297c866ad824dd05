/* SPDX-License-Identifier: BSD-3-Clause */
/* The difference of two snapshots as tables for people or as JSON. */
#ifndef TOOLS_NVRING_TOP_SHOW_H
#define TOOLS_NVRING_TOP_SHOW_H

#include <stdio.h>

struct json_object;
struct top_snap;

/* What is said of the disks. */
enum top_view {
	TOP_VIEW_RATES,
	TOP_VIEW_LATENCY, /* where the time went, by operation */
	TOP_VIEWS,
};

void top_show(FILE *to, const struct top_snap *now, const struct top_snap *then, enum top_view view);

/* The caller's to put. */
struct json_object *top_json(const struct top_snap *now, const struct top_snap *then);

#endif
