/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzzes the printers of NVMe pages: any bytes as any page, as JSON and as text. The page is an allocation of its own. */
#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "tools/nvring/nvp.h"

static const struct nvp_page *const tables[] = { &nvp_id_ctrlr,	 &nvp_id_ns,	 &nvp_smart,
						 &nvp_error_log, &nvp_self_test, &nvp_endurance };

static void check_json(struct json_object *obj)
{
	const char *text = json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN);
	struct json_object *back = text ? json_tokener_parse(text) : NULL;

	if (!back)
		abort(); /* not JSON */
	json_object_put(back);
	json_object_put(obj);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static FILE *sink;
	size_t len = size ? size - 1 : 0;
	uint8_t which = size ? bytes[0] : 0, *page;

	if (!sink)
		sink = fopen("/dev/null", "w");
	page = malloc(len ? len : 1);
	if (!page || !sink)
		abort();
	memcpy(page, bytes + (size ? 1 : 0), len);
	if (which % 11 < ARRAY_SIZE(tables)) {
		check_json(nvp_json(tables[which % 11], page, len));
		nvp_print(sink, tables[which % 11], page, len);
	} else if (which % 11 == 6) {
		check_json(nvp_ns_descs_json(page, len));
		nvp_ns_descs_print(sink, page, len);
	} else if (which % 11 == 7) {
		check_json(nvp_ns_list_json(page, len));
		nvp_ns_list_print(sink, page, len);
	} else if (which % 11 == 8) {
		check_json(nvp_fw_log_json("nvme0", page, len));
		nvp_fw_log_print(sink, "nvme0", page, len);
	} else if (which % 11 == 9) {
		check_json(nvp_sanitize_json("nvme0", page, len));
		nvp_sanitize_print(sink, page, len);
	} else {
		check_json(nvp_effects_json(page, len));
		nvp_effects_print(sink, page, len);
		(void)nvp_telemetry_bytes(page, len, which % 5);
		nvp_hexdump(sink, page, len);
	}
	free(page);
	return 0;
}
