/* SPDX-License-Identifier: BSD-3-Clause */
/* The difference of two snapshots as tables for people or as JSON. */
#ifndef TOOLS_NVRING_TOP_SHOW_H
#define TOOLS_NVRING_TOP_SHOW_H

#include <stdio.h>

struct json_object;
struct top_snap;

void top_show(FILE *to, const struct top_snap *now, const struct top_snap *then);

/* The caller's to put. */
struct json_object *top_json(const struct top_snap *now, const struct top_snap *then);

#endif
