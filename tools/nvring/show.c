/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables and numbers for people. */
#include "tools/nvring/show.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "tools/nvring/cli.h"
#include "tools/nvring/client.h"
#include "tools/nvring/table.h"
#include "tools/shared/jget.h"
#include "tools/shared/size.h"

const char *show_ns(uint64_t ns, char buf[SHOW_TEXT_MAX])
{
	if (ns == 0)
		return "-";
	if (ns < 1000)
		snprintf(buf, SHOW_TEXT_MAX, "%" PRIu64 " ns", ns);
	else if (ns < 1000000)
		snprintf(buf, SHOW_TEXT_MAX, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(buf, SHOW_TEXT_MAX, "%.1f ms", (double)ns / 1e6);
	else
		snprintf(buf, SHOW_TEXT_MAX, "%.1f s", (double)ns / 1e9);
	return buf;
}

const char *show_count(uint64_t n, char buf[SHOW_TEXT_MAX])
{
	snprintf(buf, SHOW_TEXT_MAX, "%" PRIu64, n);
	return buf;
}

void show_json(struct json_object *obj)
{
	puts(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
							 JSON_C_TO_STRING_NOSLASHESCAPE));
}

int show_call(struct cli *cli, const char *method, struct json_object *params,
	      void (*show)(struct json_object *result))
{
	struct json_object *result = NULL;
	int rc = client_call(cli, method, params, &result);

	if (rc)
		return rc;
	if (cli->json)
		show_json(result);
	else if (show)
		show(result);
	json_object_put(result);
	return CLI_OK;
}

void show_disks(struct json_object *bdevs)
{
	struct table *t = table_create("DISK|>SIZE|DRIVER|MODE|>BLOCK|>EXPORTS|URI");
	char size[SIZE_TEXT_MAX], block[SHOW_TEXT_MAX], exports[SHOW_TEXT_MAX];

	for (size_t i = 0; i < jget_count(bdevs, ""); i++) {
		struct json_object *d = json_object_array_get_idx(bdevs, i);

		table_row(t, jget_text(d, "name"), size_format(jget_number(d, "size_bytes"), size),
			  jget_text(d, "product_name"),
			  jget_bool(d, "frozen")    ? "frozen" :
			  jget_bool(d, "read_only") ? "ro" :
						      "rw",
			  show_count(jget_number(d, "block_size"), block),
			  show_count(jget_number(d, "exports"), exports), jget_text(d, "uri"));
	}
	table_print(t);
}

void show_exports(struct json_object *ctrlrs)
{
	struct table *t = table_create("EXPORT|DISK|MODE|STATE|>PEER|>QUEUES|>IN FLIGHT|SOCKET");
	char peer[SHOW_TEXT_MAX], queues[SHOW_TEXT_MAX], inflight[SHOW_TEXT_MAX];

	for (size_t i = 0; i < jget_count(ctrlrs, ""); i++) {
		struct json_object *c = json_object_array_get_idx(ctrlrs, i);
		struct json_object *s = jget(c, "sessions/0");
		uint64_t running = 0;

		for (size_t q = 0; q < jget_count(s, "queues"); q++)
			running += jget_bool(json_object_array_get_idx(jget(s, "queues"), q),
					     "started");
		table_row(t, jget_text(c, "ctrlr"), jget_text(c, "backend_specific/block/bdev"),
			  jget_bool(c, "backend_specific/block/readonly") ? "ro" : "rw",
			  jget_bool(c, "ending") ? "ending" :
			  s			 ? jget_text(s, "state") :
						   "waiting",
			  s ? show_count(jget_number(s, "peer_pid"), peer) : NULL,
			  s ? show_count(running, queues) : NULL,
			  s ? show_count(jget_number(s, "inflight_task_cnt"), inflight) : NULL,
			  jget_text(c, "socket"));
	}
	table_print(t);
}

static const char *percent(uint64_t part, uint64_t whole, char buf[SHOW_TEXT_MAX])
{
	snprintf(buf, SHOW_TEXT_MAX, "%.1f %%", whole ? 100.0 * (double)part / (double)whole : 0.0);
	return buf;
}

void show_reactors(struct json_object *reactors)
{
	struct table *t =
		table_create(">REACTOR|>CPU|MODE|IDLE|>BUSY|>SPINNING|>ASLEEP|>POLLERS|>HOT");
	char id[SHOW_TEXT_MAX], cpu[SHOW_TEXT_MAX], busy[SHOW_TEXT_MAX], idle[SHOW_TEXT_MAX];
	char sleep[SHOW_TEXT_MAX], pollers[SHOW_TEXT_MAX], hot[SHOW_TEXT_MAX];
	char window[2 * SHOW_TEXT_MAX];
	struct json_object *arr = jget(reactors, "reactors");

	for (size_t i = 0; i < jget_count(arr, ""); i++) {
		struct json_object *r = json_object_array_get_idx(arr, i);
		uint64_t b = jget_number(r, "busy"), s = jget_number(r, "sleep");
		uint64_t all = b + s + jget_number(r, "idle");

		snprintf(window, sizeof(window), "%" PRIu64 "-%" PRIu64 " us",
			 jget_number(r, "idle_min") / 1000, jget_number(r, "idle_max") / 1000);
		table_row(t, show_count(jget_number(r, "id"), id),
			  show_count(jget_number(r, "lcore"), cpu), jget_text(r, "mode"), window,
			  percent(b, all, busy), percent(all - b - s, all, idle),
			  percent(s, all, sleep), show_count(jget_number(r, "pollers"), pollers),
			  show_count(jget_number(r, "hot"), hot));
	}
	table_print(t);
}
