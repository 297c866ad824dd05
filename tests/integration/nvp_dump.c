/* SPDX-License-Identifier: BSD-3-Clause */
/* A page from standard input as `nvring nvme` prints it, without a device: nvp_dump PAGE [text] < bytes */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "core/base/cc.h"
#include "tools/nvring/nvp.h"

#define PAGE_BYTES_MAX 65536

static const struct {
	const char *name;
	const struct nvp_page *page;
} tables[] = {
	{ "id-ctrl", &nvp_id_ctrlr },	 { "id-ns", &nvp_id_ns },
	{ "smart-log", &nvp_smart },	 { "error-log", &nvp_error_log },
	{ "self-test-log", &nvp_self_test }, { "endurance-log", &nvp_endurance },
};

static struct json_object *page_json(const char *name, const void *data, size_t len)
{
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		if (strcmp(tables[i].name, name) == 0)
			return nvp_json(tables[i].page, data, len);
	}
	if (strcmp(name, "ns-descs") == 0)
		return nvp_ns_descs_json(data, len);
	if (strcmp(name, "list-ns") == 0)
		return nvp_ns_list_json(data, len);
	if (strcmp(name, "fw-log") == 0)
		return nvp_fw_log_json("nvme0", data, len);
	if (strcmp(name, "sanitize-log") == 0)
		return nvp_sanitize_json("nvme0", data, len);
	return strcmp(name, "effects-log") == 0 ? nvp_effects_json(data, len) : NULL;
}

int main(int argc, char **argv)
{
	static char page[PAGE_BYTES_MAX];
	size_t len = fread(page, 1, sizeof(page), stdin);
	struct json_object *obj = argc > 1 ? page_json(argv[1], page, len) : NULL;

	if (!obj)
		return 1;
	puts(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PRETTY));
	json_object_put(obj);
	return 0;
}
