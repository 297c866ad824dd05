/* SPDX-License-Identifier: BSD-3-Clause */
/* From tables of fields to JSON and to text. */
#include "tools/nvring/nvp.h"

#include <assert.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "core/base/cc.h"
#include "tools/nvring/nvme_status.h"

#define TEXT_BYTES_MAX 256
#define KELVIN	       273
#define UNIT_BYTES     512000.0

/* Bytes that there are; beyond them, zeroes. */
struct bytes {
	const uint8_t *at;
	size_t len;
};

static uint8_t byte_of(const struct bytes *b, size_t off)
{
	return off < b->len ? b->at[off] : 0;
}

static uint64_t number(const struct bytes *b, const struct nvp_field *f)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < f->bytes && i < 8; i++)
		v |= (uint64_t)byte_of(b, f->off + i) << (8 * i);
	return f->width ? v >> f->lo & ((1ull << f->width) - 1) : v;
}

/* The 16 bytes of @f, always 16. */
static void wide(const struct bytes *b, const struct nvp_field *f, uint8_t le[16])
{
	for (unsigned i = 0; i < 16; i++)
		le[i] = i < f->bytes ? byte_of(b, f->off + i) : 0;
}

static bool is_told(const struct bytes *b, const struct nvp_field *f)
{
	if (f->flags & NVP_F_WHEN && !(byte_of(b, f->when_off) >> f->when & 1))
		return false;
	return !(f->flags & NVP_F_NONZERO) || number(b, f);
}

const char *nvp_u128_text(const uint8_t le[16], char buf[NVP_U128_DIGITS])
{
	uint32_t words[4];
	char *at = buf + NVP_U128_DIGITS - 1;
	bool is_zero;

	for (unsigned i = 0; i < 4; i++)
		words[i] = (uint32_t)le[4 * i] | (uint32_t)le[4 * i + 1] << 8 |
			   (uint32_t)le[4 * i + 2] << 16 | (uint32_t)le[4 * i + 3] << 24;
	*at = '\0';
	do {
		uint64_t rest = 0;

		is_zero = true;
		for (unsigned i = 4; i--;) {
			rest = rest << 32 | words[i];
			words[i] = (uint32_t)(rest / 10);
			rest %= 10;
			is_zero = is_zero && !words[i];
		}
		*--at = (char)('0' + rest);
	} while (!is_zero);
	return at;
}

static double wide_value(const uint8_t le[16])
{
	double v = 0;

	for (unsigned i = 16; i--;)
		v = v * 256 + le[i];
	return v;
}

/* json-c knows 64 bits: what is longer is written by its own digits. */
struct json_object *nvp_u128_json(const uint8_t le[16])
{
	char buf[NVP_U128_DIGITS];
	uint64_t low = 0;
	bool is_long = false;

	for (unsigned i = 0; i < 8; i++) {
		low |= (uint64_t)le[i] << (8 * i);
		is_long = is_long || le[8 + i];
	}
	if (!is_long)
		return json_object_new_uint64(low);
	return json_object_new_double_s(wide_value(le), nvp_u128_text(le, buf));
}

const char *nvp_text(const void *field, size_t len, char *buf)
{
	const uint8_t *p = field;
	size_t i;

	for (i = 0; i < len && p[i]; i++)
		buf[i] = p[i] >= 0x20 && p[i] < 0x7f ? (char)p[i] : '.';
	buf[i] = '\0';
	return buf;
}

static const char *characters(const struct bytes *b, const struct nvp_field *f, char *buf)
{
	uint8_t raw[TEXT_BYTES_MAX];

	assert(f->bytes <= sizeof(raw));
	for (unsigned i = 0; i < f->bytes; i++)
		raw[i] = byte_of(b, f->off + i);
	return nvp_text(raw, f->bytes, buf);
}

static const char *digits(const struct bytes *b, const struct nvp_field *f, char *buf)
{
	char *at = buf;

	for (unsigned i = 0; i < f->bytes; i++) {
		if (f->kind == NVP_UUID && (i == 4 || i == 6 || i == 8 || i == 10))
			*at++ = '-';
		at += snprintf(at, 3, "%02x", byte_of(b, f->off + i));
	}
	*at = '\0';
	return buf;
}

/*
 * JSON
 */

static struct json_object *value(const struct bytes *b, const struct nvp_field *f)
{
	char buf[TEXT_BYTES_MAX + 1];
	uint8_t le[16];

	switch ((enum nvp_kind)f->kind) {
	case NVP_TEXT:
		return json_object_new_string(characters(b, f, buf));
	case NVP_BYTES:
	case NVP_UUID:
		return json_object_new_string(digits(b, f, buf));
	default:
		if (f->bytes <= 8)
			return json_object_new_uint64(number(b, f));
		wide(b, f, le);
		return nvp_u128_json(le);
	}
}

static void add_fields(struct json_object *obj, const struct bytes *b,
		       const struct nvp_field *fields, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!(fields[i].flags & NVP_F_TEXT) && is_told(b, &fields[i]))
			json_object_object_add(obj, fields[i].key, value(b, &fields[i]));
	}
}

static unsigned group_count(const struct nvp_group *g, const void *data, size_t len)
{
	size_t fit = len > g->off ? (len - g->off) / g->stride : 0;
	unsigned n = g->count ? g->count(data, len) : (unsigned)fit;

	return n < fit ? n : (unsigned)fit;
}

static struct json_object *group_json(const struct nvp_group *g, const void *data, size_t len)
{
	struct json_object *arr = json_object_new_array();

	for (unsigned i = 0; i < group_count(g, data, len); i++) {
		struct bytes b = { (const uint8_t *)data + g->off + (size_t)i * g->stride, g->stride };
		bool is_empty = g->is_empty && g->is_empty(b.at);
		struct json_object *obj;

		if (is_empty && !g->tells_empty)
			continue;
		obj = json_object_new_object();
		add_fields(obj, &b, g->fields, is_empty ? 1 : g->nfields);
		json_object_array_add(arr, obj);
	}
	return arr;
}

struct json_object *nvp_json(const struct nvp_page *page, const void *data, size_t len)
{
	struct json_object *obj = json_object_new_object();
	struct bytes b = { data, len };

	add_fields(obj, &b, page->fields, page->nfields);
	for (unsigned i = 0; i < page->ngroups; i++)
		json_object_object_add(obj, page->groups[i].key,
				       group_json(&page->groups[i], data, len));
	return obj;
}

/*
 * Text
 */

/* "5.12 MB" of @bytes. */
static const char *big(double bytes, char buf[32])
{
	static const char units[] = " kMGTPEZYRQ";
	unsigned i = 0;

	for (; bytes >= 1000 && units[i + 1]; i++)
		bytes /= 1000;
	snprintf(buf, 32, i ? "%.2f %cB" : "%.0f%cB", bytes, units[i]);
	return buf;
}

static void print_number(FILE *out, const struct bytes *b, const struct nvp_field *f)
{
	char buf[NVP_STATUS_TEXT_MAX], digit[NVP_U128_DIGITS];
	uint64_t v = number(b, f);
	uint8_t le[16];

	wide(b, f, le);
	if (f->kind == NVP_UNITS)
		fprintf(out, "%s (%s)", nvp_u128_text(le, digit), big(wide_value(le) * UNIT_BYTES, buf));
	else if (f->bytes > 8)
		fputs(nvp_u128_text(le, digit), out);
	else if (f->kind == NVP_HEX)
		fprintf(out, "%#" PRIx64, v);
	else if (f->kind == NVP_KELVIN)
		fprintf(out, "%" PRId64 "°C (%" PRIu64 " Kelvin)", (int64_t)v - KELVIN, v);
	else if (f->kind == NVP_STATUS)
		fprintf(out, "%#" PRIx64 "(%s)", v, nvp_status_text((uint16_t)v, buf));
	else
		fprintf(out, "%" PRIu64 "%s", v, f->kind == NVP_PERCENT ? "%" : "");
}

static void print_value(FILE *out, const struct bytes *b, const struct nvp_field *f)
{
	char buf[TEXT_BYTES_MAX + 1];

	if (f->kind == NVP_TEXT)
		fputs(characters(b, f, buf), out);
	else if (f->kind == NVP_BYTES || f->kind == NVP_UUID)
		fputs(digits(b, f, buf), out);
	else
		print_number(out, b, f);
}

static void print_fields(FILE *out, const struct bytes *b, const struct nvp_field *fields,
			 unsigned n, unsigned width)
{
	for (unsigned i = 0; i < n; i++) {
		const struct nvp_field *f = &fields[i];

		if (f->flags & NVP_F_JSON || !is_told(b, f))
			continue;
		fprintf(out, "%-*s : ", (int)width, f->label ? f->label : f->key);
		print_value(out, b, f);
		fputc('\n', out);
	}
}

static void print_line(FILE *out, const struct bytes *b, const struct nvp_field *fields, unsigned n)
{
	const char *space = "";

	for (unsigned i = 0; i < n; i++) {
		if (fields[i].flags & NVP_F_JSON || !is_told(b, &fields[i]))
			continue;
		fprintf(out, "%s%s:", space, fields[i].label ? fields[i].label : fields[i].key);
		print_value(out, b, &fields[i]);
		space = " ";
	}
	fputc('\n', out);
}

static void print_group(FILE *out, const struct nvp_group *g, unsigned width, const void *data,
			size_t len)
{
	for (unsigned i = 0; i < group_count(g, data, len); i++) {
		struct bytes b = { (const uint8_t *)data + g->off + (size_t)i * g->stride, g->stride };
		bool is_empty = g->is_empty && g->is_empty(b.at);

		if (is_empty && !g->tells_empty)
			continue;
		fprintf(out, "%s %2u%s", g->title, i, g->in_line ? " : " : ":\n");
		if (g->in_line)
			print_line(out, &b, g->fields, g->nfields);
		else
			print_fields(out, &b, g->fields, is_empty ? 1 : g->nfields, width);
	}
}

void nvp_print(FILE *out, const struct nvp_page *page, const void *data, size_t len)
{
	struct bytes b = { data, len };

	print_fields(out, &b, page->fields, page->nfields, page->label_width);
	for (unsigned i = 0; i < page->ngroups; i++)
		print_group(out, &page->groups[i], page->label_width, data, len);
}

void nvp_hexdump(FILE *out, const void *data, size_t len)
{
	const uint8_t *p = data;
	char text[17];

	if (len)
		fputs("       0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f\n", out);
	for (size_t at = 0; at < len; at += 16) {
		unsigned n = (unsigned)CC_MIN(len - at, (size_t)16);

		fprintf(out, "%04zx: ", at);
		for (unsigned i = 0; i < 16; i++) {
			if (i < n)
				fprintf(out, "%02x ", p[at + i]);
			else
				fputs("   ", out);
		}
		for (unsigned i = 0; i < n; i++)
			text[i] = p[at + i] > 0x20 && p[at + i] < 0x7f ? (char)p[at + i] : '.';
		text[n] = '\0';
		fprintf(out, "\"%s\"\n", text);
	}
}
