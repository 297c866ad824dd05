/* SPDX-License-Identifier: BSD-3-Clause */
/* Pages that are no tables: lists of namespaces and of their identifiers, firmware slots, sanitize status, telemetry. */
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "drivers/nvme/nvme_spec.h"
#include "tools/nvring/nvp.h"

#define DIGITS_MAX 40 /* of an identifier, with dashes */

/*
 * Namespace Identification Descriptors, 5.17.2.3
 */

static const struct {
	const char *name; /* NULL: unknown */
	uint8_t bytes;
} id_types[] = {
	[NVME_NIDT_EUI64] = { "eui64", 8 },
	[NVME_NIDT_NGUID] = { "nguid", 16 },
	[NVME_NIDT_UUID] = { "uuid", 16 },
	[NVME_NIDT_CSI] = { "csi", 1 },
};

struct ns_id {
	unsigned off, type, bytes;
	const char *name;
	char text[DIGITS_MAX];
};

static void id_text(struct ns_id *id, const uint8_t *p)
{
	char *at = id->text;

	if (id->type == NVME_NIDT_CSI) {
		snprintf(at, DIGITS_MAX, "%#x", *p);
		return;
	}
	for (unsigned i = 0; i < id->bytes; i++) {
		if (id->type == NVME_NIDT_UUID && (i == 4 || i == 6 || i == 8 || i == 10))
			*at++ = '-';
		snprintf(at, 3, "%02x", p[i]);
		at += 2;
	}
}

/* The descriptor at @ret->off; false: the end, or nothing that makes sense. Moves on. */
static bool next_id(const uint8_t *page, size_t len, unsigned *off, struct ns_id *ret)
{
	unsigned type, bytes;

	if (*off + sizeof(struct nvme_ns_id_desc) > len)
		return false;
	type = page[*off];
	bytes = page[*off + 1];
	if (!bytes || *off + sizeof(struct nvme_ns_id_desc) + bytes > len)
		return false;
	*ret = (struct ns_id){ .off = *off, .type = type, .bytes = bytes };
	if (type < ARRAY_SIZE(id_types) && id_types[type].name && id_types[type].bytes == bytes) {
		ret->name = id_types[type].name;
		id_text(ret, page + *off + sizeof(struct nvme_ns_id_desc));
	}
	*off += (unsigned)sizeof(struct nvme_ns_id_desc) + bytes;
	return true;
}

struct json_object *nvp_ns_descs_json(const void *data, size_t len)
{
	struct json_object *obj = json_object_new_object(), *arr = json_object_new_array();
	struct ns_id id;

	for (unsigned off = 0; next_id(data, len, &off, &id);) {
		struct json_object *d = json_object_new_object();

		json_object_object_add(d, "loc", json_object_new_uint64(id.off));
		json_object_object_add(d, "nidt", json_object_new_uint64(id.type));
		json_object_object_add(d, "nidl", json_object_new_uint64(id.bytes));
		json_object_object_add(d, "type", json_object_new_string(id.name ? id.name : "unknown"));
		if (id.name)
			json_object_object_add(d, id.name, json_object_new_string(id.text));
		json_object_array_add(arr, d);
	}
	json_object_object_add(obj, "ns-descs", arr);
	return obj;
}

void nvp_ns_descs_print(FILE *out, const void *data, size_t len)
{
	struct ns_id id;

	for (unsigned off = 0; next_id(data, len, &off, &id);) {
		if (id.name)
			fprintf(out, "%-7s : %s\n", id.name, id.text);
		else
			fprintf(out, "unknown : type %u, %u bytes\n", id.type, id.bytes);
	}
}

/*
 * Namespace list, 4.4.1 figure 79
 */

static uint32_t ns_at(const void *data, size_t len, unsigned i)
{
	le32 nsid;

	if ((i + 1) * sizeof(nsid) > len || i >= NVME_NS_LIST_MAX)
		return 0;
	memcpy(&nsid, (const char *)data + i * sizeof(nsid), sizeof(nsid));
	return le32_get(nsid);
}

struct json_object *nvp_ns_list_json(const void *data, size_t len)
{
	struct json_object *obj = json_object_new_object(), *arr = json_object_new_array();

	for (unsigned i = 0; ns_at(data, len, i); i++) {
		struct json_object *ns = json_object_new_object();

		json_object_object_add(ns, "nsid", json_object_new_uint64(ns_at(data, len, i)));
		json_object_array_add(arr, ns);
	}
	json_object_object_add(obj, "nsid_list", arr);
	return obj;
}

void nvp_ns_list_print(FILE *out, const void *data, size_t len)
{
	for (unsigned i = 0; ns_at(data, len, i); i++)
		fprintf(out, "[%4u]:%#x\n", i, ns_at(data, len, i));
}

/*
 * Firmware Slot Information, 5.16.1.4
 */

static const struct nvme_log_fw *fw_copy(const void *data, size_t len, struct nvme_log_fw *buf)
{
	memset(buf, 0, sizeof(*buf));
	memcpy(buf, data, CC_MIN(len, sizeof(*buf)));
	return buf;
}

/* An empty slot is all zeroes. nvme-cli tells the eight characters also as one little-endian number. */
static uint64_t fw_number(const char frs[8])
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)(uint8_t)frs[i] << (8 * i);
	return v;
}

static const char *fw_text(const char frs[8], char buf[9])
{
	for (unsigned i = 0; i < 8; i++)
		buf[i] = frs[i] > 0x20 && frs[i] < 0x7f ? frs[i] : '.';
	buf[8] = '\0';
	return buf;
}

struct json_object *nvp_fw_log_json(const char *name, const void *data, size_t len)
{
	struct json_object *obj = json_object_new_object(), *dev = json_object_new_object();
	struct nvme_log_fw buf;
	const struct nvme_log_fw *log = fw_copy(data, len, &buf);

	json_object_object_add(dev, "Active Firmware Slot (afi)", json_object_new_uint64(log->afi));
	for (unsigned i = 0; i < ARRAY_SIZE(log->frs); i++) {
		char key[32], text[64], frs[9];

		if (!fw_number(log->frs[i]))
			continue;
		snprintf(key, sizeof(key), "Firmware Rev Slot %u", i + 1);
		snprintf(text, sizeof(text), "%" PRIu64 " (%s)", fw_number(log->frs[i]),
			 fw_text(log->frs[i], frs));
		json_object_object_add(dev, key, json_object_new_string(text));
	}
	json_object_object_add(obj, name, dev);
	return obj;
}

void nvp_fw_log_print(FILE *out, const char *name, const void *data, size_t len)
{
	struct nvme_log_fw buf;
	const struct nvme_log_fw *log = fw_copy(data, len, &buf);

	fprintf(out, "Firmware Log for device:%s\nafi  : %#x\n", name, log->afi);
	for (unsigned i = 0; i < ARRAY_SIZE(log->frs); i++) {
		char frs[9];

		if (fw_number(log->frs[i]))
			fprintf(out, "frs%u : %#018" PRIx64 " (%s)\n", i + 1,
				fw_number(log->frs[i]), fw_text(log->frs[i], frs));
	}
}

/*
 * Sanitize Status, 5.16.1.25
 */

static const struct nvp_field sanitize_fields[] = {
	NVP_LABEL("sprog", 0, 2, NVP_DEC, "Sanitize Progress                      (SPROG)"),
	NVP_LABEL("sstat", 2, 2, NVP_HEX, "Sanitize Status                        (SSTAT)"),
	NVP_LABEL("cdw10_info", 4, 4, NVP_HEX, "Sanitize Command Dword 10 Information (SCDW10)"),
	NVP_LABEL("time_over_write", 8, 4, NVP_DEC, "Estimated Time For Overwrite"),
	NVP_LABEL("time_block_erase", 12, 4, NVP_DEC, "Estimated Time For Block Erase"),
	NVP_LABEL("time_crypto_erase", 16, 4, NVP_DEC, "Estimated Time For Crypto Erase"),
	NVP_LABEL("time_over_write_no_dealloc", 20, 4, NVP_DEC, "Estimated Time For Overwrite (No-Deallocate)"),
	NVP_LABEL("time_block_erase_no_dealloc", 24, 4, NVP_DEC,
		  "Estimated Time For Block Erase (No-Deallocate)"),
	NVP_LABEL("time_crypto_erase_no_dealloc", 28, 4, NVP_DEC,
		  "Estimated Time For Crypto Erase (No-Deallocate)"),
};

static const struct nvp_page sanitize_page = {
	.fields = sanitize_fields,
	.nfields = ARRAY_SIZE(sanitize_fields),
	.label_width = 47,
};

/* SSTAT: 2:0 status, 7:3 passes, 8 global data erased */
static struct json_object *sanitize_status(unsigned sstat)
{
	static const char *const texts[] = { "never sanitized", "done", "in progress", "failed",
					     "done, without deallocation" };
	struct json_object *obj = json_object_new_object();
	unsigned status = sstat & 7;
	char text[48];

	json_object_object_add(obj, "global_erased", json_object_new_uint64(sstat >> 8 & 1));
	json_object_object_add(obj, "no_cmplted_passes", json_object_new_uint64(sstat >> 3 & 0x1f));
	snprintf(text, sizeof(text), "(%u) %s", status,
		 status < ARRAY_SIZE(texts) ? texts[status] : "unknown");
	json_object_object_add(obj, "status", json_object_new_string(text));
	return obj;
}

struct json_object *nvp_sanitize_json(const char *name, const void *data, size_t len)
{
	struct json_object *obj = json_object_new_object(), *dev = nvp_json(&sanitize_page, data, len);
	struct json_object *sstat = NULL;

	if (json_object_object_get_ex(dev, "sstat", &sstat))
		json_object_object_add(dev, "sstat",
				       sanitize_status((unsigned)json_object_get_int(sstat)));
	json_object_object_add(obj, name, dev);
	return obj;
}

void nvp_sanitize_print(FILE *out, const void *data, size_t len)
{
	nvp_print(out, &sanitize_page, data, len);
}

/*
 * Telemetry, 5.16.1.8
 */

uint64_t nvp_telemetry_bytes(const void *header, size_t len, unsigned area)
{
	struct nvme_log_telemetry t;
	uint64_t last;

	if (len < sizeof(t) || area < 1 || area > 4)
		return 0;
	memcpy(&t, header, sizeof(t));
	switch (area) {
	case 1:
		last = le16_get(t.dalb1);
		break;
	case 2:
		last = le16_get(t.dalb2);
		break;
	case 3:
		last = le16_get(t.dalb3);
		break;
	default:
		last = le32_get(t.dalb4);
		break;
	}
	return (last + 1) * sizeof(t);
}
