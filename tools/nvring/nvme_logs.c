/* SPDX-License-Identifier: BSD-3-Clause */
/* Log pages that are tables: errors, SMART, self-tests, endurance groups. 5.16.1 */
#include "core/base/cc.h"
#include "tools/nvring/nvp.h"

/*
 * SMART / Health, 5.16.1.3
 */

#define SENSOR(n)                                                                             \
	{ .key = "temperature_sensor_" #n, .off = 200 + 2 * (n - 1), .bytes = 2,              \
	  .kind = NVP_KELVIN, .flags = NVP_F_NONZERO, .label = "Temperature Sensor " #n }

static const struct nvp_field smart_fields[] = {
	NVP_FIELD("critical_warning", 0, 1, NVP_HEX),
	NVP_FIELD("temperature", 1, 2, NVP_KELVIN),
	NVP_LABEL("avail_spare", 3, 1, NVP_PERCENT, "available_spare"),
	NVP_LABEL("spare_thresh", 4, 1, NVP_PERCENT, "available_spare_threshold"),
	NVP_LABEL("percent_used", 5, 1, NVP_PERCENT, "percentage_used"),
	NVP_LABEL("endurance_grp_critical_warning_summary", 6, 1, NVP_HEX,
		  "endurance group critical warning summary"),
	NVP_LABEL("data_units_read", 32, 16, NVP_UNITS, "Data Units Read"),
	NVP_LABEL("data_units_written", 48, 16, NVP_UNITS, "Data Units Written"),
	NVP_FIELD("host_read_commands", 64, 16, NVP_DEC),
	NVP_FIELD("host_write_commands", 80, 16, NVP_DEC),
	NVP_FIELD("controller_busy_time", 96, 16, NVP_DEC),
	NVP_FIELD("power_cycles", 112, 16, NVP_DEC),
	NVP_FIELD("power_on_hours", 128, 16, NVP_DEC),
	NVP_FIELD("unsafe_shutdowns", 144, 16, NVP_DEC),
	NVP_FIELD("media_errors", 160, 16, NVP_DEC),
	NVP_FIELD("num_err_log_entries", 176, 16, NVP_DEC),
	NVP_LABEL("warning_temp_time", 192, 4, NVP_DEC, "Warning Temperature Time"),
	NVP_LABEL("critical_comp_time", 196, 4, NVP_DEC, "Critical Composite Temperature Time"),
	SENSOR(1),
	SENSOR(2),
	SENSOR(3),
	SENSOR(4),
	SENSOR(5),
	SENSOR(6),
	SENSOR(7),
	SENSOR(8),
	NVP_LABEL("thm_temp1_trans_count", 216, 4, NVP_DEC, "Thermal Management T1 Trans Count"),
	NVP_LABEL("thm_temp2_trans_count", 220, 4, NVP_DEC, "Thermal Management T2 Trans Count"),
	NVP_LABEL("thm_temp1_total_time", 224, 4, NVP_DEC, "Thermal Management T1 Total Time"),
	NVP_LABEL("thm_temp2_total_time", 228, 4, NVP_DEC, "Thermal Management T2 Total Time"),
};

const struct nvp_page nvp_smart = {
	.fields = smart_fields,
	.nfields = ARRAY_SIZE(smart_fields),
	.label_width = 40,
};

/*
 * Error Information, 5.16.1.2
 */

static const struct nvp_field error_fields[] = {
	NVP_FIELD("error_count", 0, 8, NVP_DEC),
	NVP_FIELD("sqid", 8, 2, NVP_DEC),
	NVP_FIELD("cmdid", 10, 2, NVP_HEX),
	NVP_BITS("status_field", 12, 2, NVP_STATUS, 1, 15),
	NVP_BITS("phase_tag", 12, 2, NVP_DEC, 0, 1),
	NVP_LABEL("parm_error_location", 14, 2, NVP_HEX, "parm_err_loc"),
	NVP_FIELD("lba", 16, 8, NVP_HEX),
	NVP_FIELD("nsid", 24, 4, NVP_HEX),
	NVP_FIELD("vs", 28, 1, NVP_DEC),
	NVP_FIELD("trtype", 29, 1, NVP_DEC),
	NVP_FIELD("cs", 32, 8, NVP_HEX),
	NVP_FIELD("trtype_spec_info", 40, 2, NVP_HEX),
};

static const struct nvp_group error_groups[] = {
	{ .key = "errors", .title = "Entry", .off = 0, .stride = 64, .fields = error_fields,
	  .nfields = ARRAY_SIZE(error_fields) },
};

const struct nvp_page nvp_error_log = {
	.groups = error_groups,
	.ngroups = ARRAY_SIZE(error_groups),
	.label_width = 16,
};

/*
 * Device Self-test, 5.16.1.7
 */

#define RESULT_UNUSED 0xf
#define RESULT_VALID  2 /* byte of the record: which of its fields count */

static const struct nvp_field self_test_fields[] = {
	NVP_LABEL("Current Device Self-Test Operation", 0, 1, NVP_HEX, "Current operation"),
	NVP_LABEL("Current Device Self-Test Completion", 1, 1, NVP_PERCENT, "Current Completion"),
};

static const struct nvp_field result_fields[] = {
	{ .key = "Self test result", .bytes = 1, .kind = NVP_HEX, .width = 4, .label = "Operation Result" },
	{ .key = "Self test code", .bytes = 1, .kind = NVP_DEC, .lo = 4, .width = 4, .label = "Self Test Code" },
	{ .key = "Segment number", .off = 1, .bytes = 1, .kind = NVP_DEC, .label = "Segment Number" },
	{ .key = "Valid Diagnostic Information", .off = 2, .bytes = 1, .kind = NVP_HEX },
	{ .key = "Power on hours", .off = 4, .bytes = 8, .kind = NVP_HEX, .label = "Power on hours (POH)" },
	NVP_WHEN("Namespace Identifier", 12, 4, NVP_HEX, RESULT_VALID, 0),
	NVP_WHEN("Failing LBA", 16, 8, NVP_HEX, RESULT_VALID, 1),
	NVP_WHEN("Status Code Type", 24, 1, NVP_HEX, RESULT_VALID, 2),
	NVP_WHEN("Status Code", 25, 1, NVP_HEX, RESULT_VALID, 3),
	NVP_FIELD("Vendor Specific", 26, 2, NVP_DEC),
};

static bool is_unused(const uint8_t *record)
{
	return (record[0] & 0xf) == RESULT_UNUSED;
}

static const struct nvp_group self_test_groups[] = {
	{ .key = "List of Valid Reports", .title = "Self Test Result", .off = 4, .stride = 28,
	  .fields = result_fields, .nfields = ARRAY_SIZE(result_fields), .is_empty = is_unused,
	  .tells_empty = true },
};

const struct nvp_page nvp_self_test = {
	.fields = self_test_fields,
	.nfields = ARRAY_SIZE(self_test_fields),
	.groups = self_test_groups,
	.ngroups = ARRAY_SIZE(self_test_groups),
	.label_width = 28,
};

/*
 * Endurance Group Information, 5.16.1.10
 */

static const struct nvp_field endurance_fields[] = {
	NVP_FIELD("critical_warning", 0, 1, NVP_HEX),
	NVP_FIELD("avl_spare", 3, 1, NVP_DEC),
	NVP_FIELD("avl_spare_threshold", 4, 1, NVP_DEC),
	NVP_FIELD("percent_used", 5, 1, NVP_DEC),
	NVP_FIELD("endurance_estimate", 32, 16, NVP_DEC),
	NVP_FIELD("data_units_read", 48, 16, NVP_DEC),
	NVP_FIELD("data_units_written", 64, 16, NVP_DEC),
	NVP_FIELD("media_units_written", 80, 16, NVP_DEC),
	NVP_FIELD("host_read_cmds", 96, 16, NVP_DEC),
	NVP_FIELD("host_write_cmds", 112, 16, NVP_DEC),
	NVP_FIELD("media_data_integrity_err", 128, 16, NVP_DEC),
	NVP_FIELD("num_err_info_log_entries", 144, 16, NVP_DEC),
};

const struct nvp_page nvp_endurance = {
	.fields = endurance_fields,
	.nfields = ARRAY_SIZE(endurance_fields),
	.label_width = 24,
};
