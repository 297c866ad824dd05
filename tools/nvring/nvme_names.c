/* SPDX-License-Identifier: BSD-3-Clause */
/* The Commands Supported and Effects log, 5.16.1.6, and the names of commands and features. */
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "drivers/nvme/nvme_spec.h"
#include "tools/nvring/nvp.h"
#include "tools/shared/nvmecmd.h"

static const struct {
	uint8_t opc;
	const char *name;
} io_commands[] = {
	{ NVME_NVM_FLUSH, "Flush" },
	{ NVME_NVM_WRITE, "Write" },
	{ NVME_NVM_READ, "Read" },
	{ NVME_NVM_WRITE_UNCORRECTABLE, "Write Uncorrectable" },
	{ NVME_NVM_COMPARE, "Compare" },
	{ NVME_NVM_WRITE_ZEROES, "Write Zeroes" },
	{ NVME_NVM_DSM, "Dataset Management" },
	{ NVME_NVM_VERIFY, "Verify" },
	{ NVME_NVM_RESV_REGISTER, "Reservation Register" },
	{ NVME_NVM_RESV_REPORT, "Reservation Report" },
	{ NVME_NVM_RESV_ACQUIRE, "Reservation Acquire" },
	{ NVME_NVM_RESV_RELEASE, "Reservation Release" },
	{ NVME_NVM_COPY, "Copy" },
	{ 0x79, "Zone Management Send" },
	{ 0x7a, "Zone Management Receive" },
	{ 0x7d, "Zone Append" },
};

static const char *command_name(bool is_admin, unsigned opc)
{
	if (is_admin)
		return nvmecmd_name((uint8_t)opc);
	for (unsigned i = 0; i < ARRAY_SIZE(io_commands); i++) {
		if (io_commands[i].opc == opc)
			return io_commands[i].name;
	}
	return "Unknown";
}

/* Of command @i: 0 to 255 admin, then 256 of I/O. */
static uint32_t effect_at(const void *data, size_t len, unsigned i)
{
	le32 effect;

	if ((i + 1) * sizeof(effect) > len)
		return 0;
	memcpy(&effect, (const char *)data + i * sizeof(effect), sizeof(effect));
	return le32_get(effect);
}

static struct json_object *command_set(const void *data, size_t len, bool is_admin)
{
	struct json_object *obj = json_object_new_object();

	for (unsigned opc = 0; opc < 256; opc++) {
		uint32_t effect = effect_at(data, len, is_admin ? opc : 256 + opc);
		char key[64];

		if (!(effect & NVME_EFFECT_CSUPP))
			continue;
		snprintf(key, sizeof(key), "%s_%u (%s)", is_admin ? "ACS" : "IOCS", opc,
			 command_name(is_admin, opc));
		json_object_object_add(obj, key, json_object_new_uint64(effect));
	}
	return obj;
}

struct json_object *nvp_effects_json(const void *data, size_t len)
{
	struct json_object *arr = json_object_new_array(), *obj = json_object_new_object();

	json_object_object_add(obj, "command_set_identifier", json_object_new_uint64(0));
	json_object_object_add(obj, "admin_cmd_set", command_set(data, len, true));
	json_object_object_add(obj, "io_cmd_set", command_set(data, len, false));
	json_object_array_add(arr, obj);
	return arr;
}

static void print_set(FILE *out, const void *data, size_t len, bool is_admin)
{
	for (unsigned opc = 0; opc < 256; opc++) {
		uint32_t effect = effect_at(data, len, is_admin ? opc : 256 + opc);

		if (!(effect & NVME_EFFECT_CSUPP))
			continue;
		fprintf(out, "%s%-6u[%-32s] %08x%s%s%s%s\n", is_admin ? "ACS" : "IOCS", opc,
			command_name(is_admin, opc), effect, effect & NVME_EFFECT_LBCC ? " LBCC" : "",
			effect & NVME_EFFECT_NCC ? " NCC" : "", effect & NVME_EFFECT_NIC ? " NIC" : "",
			effect & NVME_EFFECT_CCC ? " CCC" : "");
	}
}

void nvp_effects_print(FILE *out, const void *data, size_t len)
{
	fputs("Admin Commands\n", out);
	print_set(out, data, len, true);
	fputs("\nNVM Commands\n", out);
	print_set(out, data, len, false);
}

static const struct {
	uint8_t fid;
	const char *name;
} features[] = {
	{ NVME_FEAT_ARBITRATION, "Arbitration" },
	{ NVME_FEAT_POWER_MGMT, "Power Management" },
	{ NVME_FEAT_LBA_RANGE, "LBA Range Type" },
	{ NVME_FEAT_TEMP_THRESH, "Temperature Threshold" },
	{ NVME_FEAT_ERR_RECOVERY, "Error Recovery" },
	{ NVME_FEAT_VOLATILE_WC, "Volatile Write Cache" },
	{ NVME_FEAT_NUM_QUEUES, "Number of Queues" },
	{ NVME_FEAT_IRQ_COALESCE, "Interrupt Coalescing" },
	{ NVME_FEAT_IRQ_CONFIG, "Interrupt Vector Configuration" },
	{ NVME_FEAT_WRITE_ATOMIC, "Write Atomicity Normal" },
	{ NVME_FEAT_ASYNC_EVENT, "Async Event Configuration" },
	{ NVME_FEAT_APST, "Autonomous Power State Transition" },
	{ NVME_FEAT_HMB, "Host Memory Buffer" },
	{ NVME_FEAT_TIMESTAMP, "Timestamp" },
	{ NVME_FEAT_KATO, "Keep Alive Timer" },
	{ NVME_FEAT_HCTM, "Host Controlled Thermal Management" },
	{ NVME_FEAT_NOPSC, "Non-Operational Power State Config" },
	{ NVME_FEAT_RRL, "Read Recovery Level" },
	{ 0x13, "Predictable Latency Mode Config" },
	{ 0x14, "Predictable Latency Mode Window" },
	{ 0x15, "LBA Status Interval" },
	{ NVME_FEAT_HOST_BEHAVIOR, "Host Behavior" },
	{ NVME_FEAT_SANITIZE, "Sanitize" },
	{ 0x18, "Endurance Event Group Configuration" },
	{ 0x19, "I/O Command Set Profile" },
	{ 0x1a, "Spinup Control" },
	{ 0x7d, "Enhanced Controller Metadata" },
	{ 0x7e, "Controller Metadata" },
	{ 0x7f, "Namespace Metadata" },
	{ NVME_FEAT_SW_PROGRESS, "Software Progress" },
	{ NVME_FEAT_HOST_ID, "Host Identifier" },
	{ 0x82, "Reservation Notification Mask" },
	{ 0x83, "Reservation Persistence" },
	{ NVME_FEAT_WRITE_PROTECT, "Namespace Write Protect" },
};

const char *nvp_feature_name(unsigned fid)
{
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		if (features[i].fid == fid)
			return features[i].name;
	}
	return "Unknown";
}
