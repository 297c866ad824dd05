/* SPDX-License-Identifier: BSD-3-Clause */
/* Pages of an NVMe device as JSON and text: exact numbers, and what a lying device cannot do. */
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/nvme/nvme_spec.h"
#include "tools/nvring/nvme_status.h"
#include "tools/nvring/nvp.h"

static const char *plain(struct json_object *obj)
{
	return json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN);
}

static struct json_object *member(struct json_object *obj, const char *key)
{
	struct json_object *v = NULL;

	assert_true(json_object_object_get_ex(obj, key, &v));
	return v;
}

/* What nvp_print() writes; the caller's to free. */
static char *printed(const struct nvp_page *page, const void *data, size_t len)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	nvp_print(f, page, data, len);
	fclose(f);
	return text;
}

static void wide_numbers_are_exact(void **state)
{
	static const struct {
		uint8_t le[16];
		const char *text;
	} rows[] = {
		{ { 0 }, "0" },
		{ { 5 }, "5" },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, "18446744073709551615" },
		{ { 0, 0, 0, 0, 0, 0, 0, 0, 1 }, "18446744073709551616" },
		{ { 0, 0xca, 0x9a, 0x3b }, "1000000000" },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
		  "340282366920938463463374607431768211455" },
	};
	char buf[NVP_U128_DIGITS];

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct json_object *obj = nvp_u128_json(rows[i].le);

		assert_string_equal(nvp_u128_text(rows[i].le, buf), rows[i].text);
		assert_string_equal(plain(obj), rows[i].text);
		json_object_put(obj);
	}
}

static void smart_log_has_the_sensors_that_are_there(void **state)
{
	struct nvme_log_smart log = { .temperature = { 0x2c, 0x01 }, .avail_spare = 100 };
	struct json_object *obj;
	char *text;

	log.temp_sensor[1] = le16_make(310);
	log.data_units_read[0] = 2;
	log.warning_temp_time = le32_make(0xffffffff);
	obj = nvp_json(&nvp_smart, &log, sizeof(log));
	assert_int_equal(json_object_get_int(member(obj, "temperature")), 300);
	assert_int_equal(json_object_get_int(member(obj, "temperature_sensor_2")), 310);
	assert_false(json_object_object_get_ex(obj, "temperature_sensor_1", NULL));
	assert_int_equal(json_object_get_int64(member(obj, "warning_temp_time")), 0xffffffff);
	text = printed(&nvp_smart, &log, sizeof(log));
	assert_non_null(strstr(text, ": 27°C (300 Kelvin)\n"));
	assert_non_null(strstr(text, ": 100%\n"));
	assert_non_null(strstr(text, ": 2 (1.02 MB)\n"));
	free(text);
	json_object_put(obj);
}

static void counts_of_a_liar_are_bounded(void **state)
{
	uint8_t page[NVME_ID_BYTES];
	struct json_object *obj;

	memset(page, 0xff, sizeof(page));
	obj = nvp_json(&nvp_id_ctrlr, page, sizeof(page));
	assert_int_equal(json_object_array_length(member(obj, "psds")), 32);
	json_object_put(obj);
	obj = nvp_json(&nvp_id_ns, page, sizeof(page));
	assert_int_equal(json_object_array_length(member(obj, "lbafs")), 64);
	json_object_put(obj);
	/* a page cut short: no formats, and zeroes where the fields would be */
	obj = nvp_json(&nvp_id_ns, page, 130);
	assert_int_equal(json_object_array_length(member(obj, "lbafs")), 0);
	json_object_put(obj);
	obj = nvp_json(&nvp_id_ctrlr, page, 1);
	assert_int_equal(json_object_get_int(member(obj, "vid")), 0xff);
	assert_string_equal(json_object_get_string(member(obj, "subnqn")), "");
	json_object_put(obj);
}

static void text_of_a_device_is_made_printable(void **state)
{
	struct nvme_id_ctrlr id = { .sn = "a\033[2Jb\nc\xff" };
	struct json_object *obj = nvp_json(&nvp_id_ctrlr, &id, sizeof(id));

	assert_string_equal(json_object_get_string(member(obj, "sn")), "a.[2Jb.c.");
	json_object_put(obj);
}

static void self_tests_tell_what_is_valid(void **state)
{
	struct nvme_log_self_test log = { .current_op = 1, .completion = 33 };
	struct json_object *obj, *list;

	for (unsigned i = 0; i < NVME_SELF_TEST_RESULTS; i++)
		log.result[i].status = 0xf;
	log.result[0] = (struct nvme_self_test_result){ .status = 0x17, .valid = 0x2, .flba = le64_make(99) };
	obj = nvp_json(&nvp_self_test, &log, sizeof(log));
	list = member(obj, "List of Valid Reports");
	assert_int_equal(json_object_array_length(list), NVME_SELF_TEST_RESULTS);
	assert_int_equal(json_object_get_int(member(json_object_array_get_idx(list, 0), "Failing LBA")), 99);
	assert_false(json_object_object_get_ex(json_object_array_get_idx(list, 0), "Status Code", NULL));
	assert_string_equal(plain(json_object_array_get_idx(list, 1)), "{\"Self test result\":15}");
	json_object_put(obj);
}

static void namespace_identifiers(void **state)
{
	static const struct {
		uint8_t bytes[24];
		size_t len;
		const char *json;
	} rows[] = {
		{ { 1, 8, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8 }, 24,
		  "{\"ns-descs\":[{\"loc\":0,\"nidt\":1,\"nidl\":8,\"type\":\"eui64\",\"eui64\":\"0102030405060708\"}]}" },
		{ { 4, 1, 0, 0, 0 }, 24, "{\"ns-descs\":[{\"loc\":0,\"nidt\":4,\"nidl\":1,\"type\":\"csi\",\"csi\":\"0\"}]}" },
		{ { 9, 2, 0, 0, 1, 2 }, 24, "{\"ns-descs\":[{\"loc\":0,\"nidt\":9,\"nidl\":2,\"type\":\"unknown\"}]}" },
		{ { 1, 16 }, 24, "{\"ns-descs\":[{\"loc\":0,\"nidt\":1,\"nidl\":16,\"type\":\"unknown\"}]}" },
		{ { 3, 21 }, 24, "{\"ns-descs\":[]}" },   /* beyond the end */
		{ { 1, 0 }, 24, "{\"ns-descs\":[]}" },    /* would never end */
		{ { 1, 8 }, 3, "{\"ns-descs\":[]}" },
		{ { 0 }, 0, "{\"ns-descs\":[]}" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct json_object *obj = nvp_ns_descs_json(rows[i].bytes, rows[i].len);

		assert_string_equal(plain(obj), rows[i].json);
		json_object_put(obj);
	}
}

static void firmware_slots(void **state)
{
	struct nvme_log_fw log = { .afi = 0x21, .frs = { "1.0     ", "", "\t2" } };
	struct json_object *obj = nvp_fw_log_json("nvme0", &log, sizeof(log));

	assert_string_equal(plain(obj), "{\"nvme0\":{\"Active Firmware Slot (afi)\":33,"
					"\"Firmware Rev Slot 1\":\"2314885530819505713 (1.0.....)\","
					"\"Firmware Rev Slot 3\":\"12809 (.2......)\"}}");
	json_object_put(obj);
}

static void effects(void **state)
{
	struct nvme_log_effects log = { .acs[6] = { 1 }, .acs[2] = { 2 }, .iocs[1] = { 3 } };
	struct json_object *obj = nvp_effects_json(&log, sizeof(log));

	assert_string_equal(plain(obj), "[{\"command_set_identifier\":0,\"admin_cmd_set\":{\"ACS_6 (Identify)\":1},"
					"\"io_cmd_set\":{\"IOCS_1 (Write)\":3}}]");
	json_object_put(obj);
}

static void telemetry_says_how_long_it_is(void **state)
{
	struct nvme_log_telemetry t = { .dalb1 = { 1 }, .dalb3 = { 3 }, .dalb4 = { 0xffffffff } };

	assert_int_equal(nvp_telemetry_bytes(&t, sizeof(t), 1), 1024);
	assert_int_equal(nvp_telemetry_bytes(&t, sizeof(t), 3), 2048);
	assert_int_equal(nvp_telemetry_bytes(&t, sizeof(t), 4), 512ull << 32);
	assert_int_equal(nvp_telemetry_bytes(&t, sizeof(t), 0), 0);
	assert_int_equal(nvp_telemetry_bytes(&t, 511, 1), 0);
}

static void status_codes_have_names(void **state)
{
	static const struct {
		uint16_t status;
		const char *begins;
	} rows[] = {
		{ 0, "Successful Completion" },
		{ 0x4002, "Invalid Field in Command" }, /* DNR does not matter */
		{ 0x281, "Unrecovered Read Error" },
		{ 0x0ff, "Generic Command Status" },
		{ 0x1ff, "Command Specific Status" },
		{ 0x7c0, "Vendor Specific Status" },
		{ 0x4ff, "Unknown Status" },
	};
	char buf[NVP_STATUS_TEXT_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		assert_memory_equal(nvp_status_text(rows[i].status, buf), rows[i].begins, strlen(rows[i].begins));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wide_numbers_are_exact),
		cmocka_unit_test(smart_log_has_the_sensors_that_are_there),
		cmocka_unit_test(counts_of_a_liar_are_bounded),
		cmocka_unit_test(text_of_a_device_is_made_printable),
		cmocka_unit_test(self_tests_tell_what_is_valid),
		cmocka_unit_test(namespace_identifiers),
		cmocka_unit_test(firmware_slots),
		cmocka_unit_test(effects),
		cmocka_unit_test(telemetry_says_how_long_it_is),
		cmocka_unit_test(status_codes_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
