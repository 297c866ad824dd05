/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pages of an NVMe device (identify structures, logs) as JSON and as text: a page is a table of fields, and both forms come
 * from it. The keys are those of nvme-cli. Pure; what a device says is not believed: what lies beyond the bytes there are
 * is 0, counts are bounded, text is made printable.
 */
#ifndef TOOLS_NVRING_NVP_H
#define TOOLS_NVRING_NVP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_object;

enum nvp_kind {
	NVP_DEC,   /* little-endian number of up to 16 bytes */
	NVP_HEX,   /* the same, in text with 0x */
	NVP_TEXT,  /* characters, padded; up to the first NUL */
	NVP_BYTES, /* hexadecimal digits in the order of the bytes */
	NVP_UUID,
	NVP_KELVIN,  /* number; in text also in degrees Celsius */
	NVP_PERCENT, /* number; in text with % */
	NVP_STATUS,  /* number; in text with what it means */
	NVP_UNITS,   /* thousands of 512 bytes; in text also in bytes */
};

struct nvp_field {
	const char *key;
	uint16_t off, bytes;
	uint8_t kind;
	uint8_t lo, width;    /* of numbers: only these bits; width 0: all */
	uint8_t flags;	      /* NVP_F_* */
	uint8_t when;	      /* NVP_F_WHEN: a bit of the byte at when_off */
	uint16_t when_off;
	const char *label;    /* in text; NULL: the key */
};

#define NVP_F_NONZERO 1 /* only when it is not 0 */
#define NVP_F_WHEN    2 /* only when bit @when of the byte at @when_off is set */
#define NVP_F_TEXT    4 /* not in JSON */
#define NVP_F_JSON    8 /* not in text */

#define NVP_FIELD(k, o, b, t)	      { .key = (k), .off = (o), .bytes = (b), .kind = (t) }
#define NVP_BITS(k, o, b, t, l, w)    { .key = (k), .off = (o), .bytes = (b), .kind = (t), .lo = (l), .width = (w) }
#define NVP_LABEL(k, o, b, t, lab)    { .key = (k), .off = (o), .bytes = (b), .kind = (t), .label = (lab) }
#define NVP_WHEN(k, o, b, t, at, bit) \
	{ .key = (k), .off = (o), .bytes = (b), .kind = (t), .flags = NVP_F_WHEN, .when_off = (at), .when = (bit) }

/* Records of one kind, one behind the other: an array. */
struct nvp_group {
	const char *key;
	const char *title; /* of one in text, with %u */
	uint32_t off, stride;
	const struct nvp_field *fields;
	unsigned nfields;
	bool in_line; /* text: a record is a line */
	/* How many there are in the page (bounded by what fits); NULL: all that fit. */
	unsigned (*count)(const uint8_t *page, size_t len);
	/* Is this one empty? NULL: none is. What of an empty one is to be told: only the first field, or (false) nothing. */
	bool (*is_empty)(const uint8_t *record);
	bool tells_empty;
};

struct nvp_page {
	const char *title;
	const struct nvp_field *fields;
	unsigned nfields;
	const struct nvp_group *groups;
	unsigned ngroups;
	unsigned label_width; /* text */
};

/* A new object. */
struct json_object *nvp_json(const struct nvp_page *page, const void *data, size_t len);
void nvp_print(FILE *out, const struct nvp_page *page, const void *data, size_t len);

/* Numbers of 16 bytes exactly. @buf holds the digits. */
#define NVP_U128_DIGITS 40
struct json_object *nvp_u128_json(const uint8_t le[16]);
const char *nvp_u128_text(const uint8_t le[16], char buf[NVP_U128_DIGITS]);

/* Up to the first NUL or @len; unprintable characters become dots. @buf: len + 1. */
const char *nvp_text(const void *field, size_t len, char *buf);

/* The pages that are tables */
extern const struct nvp_page nvp_id_ctrlr, nvp_id_ns, nvp_smart, nvp_error_log, nvp_self_test, nvp_endurance;

/* The pages that are not: JSON, and the same as text */
struct json_object *nvp_ns_descs_json(const void *data, size_t len);
void nvp_ns_descs_print(FILE *out, const void *data, size_t len);
struct json_object *nvp_ns_list_json(const void *data, size_t len);
void nvp_ns_list_print(FILE *out, const void *data, size_t len);
struct json_object *nvp_fw_log_json(const char *name, const void *data, size_t len);
void nvp_fw_log_print(FILE *out, const char *name, const void *data, size_t len);
struct json_object *nvp_sanitize_json(const char *name, const void *data, size_t len);
void nvp_sanitize_print(FILE *out, const void *data, size_t len);
struct json_object *nvp_effects_json(const void *data, size_t len);
void nvp_effects_print(FILE *out, const void *data, size_t len);

/* Bytes of a telemetry log, header included, up to the end of data area @area (1 to 4); 0: the header makes no sense. */
uint64_t nvp_telemetry_bytes(const void *header, size_t len, unsigned area);

/* Sixteen bytes a line, as hexadecimal digits and characters. */
void nvp_hexdump(FILE *out, const void *data, size_t len);

/* Name of a feature; "Unknown". */
const char *nvp_feature_name(unsigned fid);

#endif
