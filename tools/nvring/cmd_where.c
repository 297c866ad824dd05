/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring where: the I/Os in flight, oldest first. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>

#include "tools/nvring/cli.h"
#include "tools/nvring/show.h"
#include "tools/nvring/table.h"
#include "tools/shared/jget.h"

static void show_ios(struct json_object *result)
{
	struct table *t = table_create(">AGE|DISK|EXPORT|>QUEUE|>SLOT|OPERATION|>OFFSET|>BYTES|LAYER|>REACTOR");
	struct json_object *arr = jget(result, "ios");
	uint64_t total = jget_number(result, "total");

	for (size_t i = 0; i < jget_count(arr, ""); i++) {
		struct json_object *io = json_object_array_get_idx(arr, i);
		char age[SHOW_TEXT_MAX], n[5][SHOW_TEXT_MAX], layer[96];
		int len;

		len = snprintf(layer, sizeof(layer), "%s", jget_text(io, "layer"));
		if (jget(io, "nvme_qid"))
			snprintf(layer + len, sizeof(layer) - (size_t)len, " nvme, queue %" PRIu64 ", command %" PRIu64,
				 jget_number(io, "nvme_qid"), jget_number(io, "nvme_cid"));
		else
			snprintf(layer + len, sizeof(layer) - (size_t)len, " %s", jget_text(io, "driver"));
		table_row(t, show_ns(jget_number(io, "age_ns"), age), jget_text(io, "disk"),
			  jget_text(io, "export"), show_count(jget_number(io, "queue"), n[0]),
			  show_count(jget_number(io, "slot"), n[1]), jget_text(io, "op"),
			  show_count(jget_number(io, "offset"), n[2]),
			  show_count(jget_number(io, "bytes"), n[3]), layer,
			  show_count(jget_number(io, "reactor"), n[4]));
	}
	table_print(t);
	if (total > jget_count(arr, ""))
		printf("and %" PRIu64 " more\n", total - jget_count(arr, ""));
}

int cli_where(struct cli *cli)
{
	return show_call(cli, "nvring_get_inflight", NULL, show_ios);
}
