/* SPDX-License-Identifier: BSD-3-Clause */
/* The partition table of a pool, to and from bytes. What the disk says is checked before anything is taken from it. */
#include "tools/pool/pool_gpt.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/base/cc.h"
#include "core/base/endian.h"
#include "tools/pool/pool.h"

#define SIGNATURE    "EFI PART"
#define REVISION     0x00010000
#define HEADER_BYTES 92
#define MBR_TYPE     0xee /* "a GPT": for those who know only MBRs */
#define MARK_BYTES   10	  /* of the disk's GUID; 6 random ones follow */

static const uint8_t table_mark[MARK_BYTES] = { 0x7b, 0x57, 0x0a, 0x18, 0x90, 0xcc, 0xb8, 0x88, 0xaa, 0x89 };
static const uint8_t volume_type[POOL_GPT_GUID_BYTES] = { 0x33, 0xe4, 0x2e, 0x6a, 0x4f, 0x77, 0x3c, 0x4f,
							  0x96, 0x20, 0x42, 0x5e, 0xfc, 0x41, 0x42, 0x8e };

struct header {
	char signature[8];
	le32 revision, header_bytes, header_crc, reserved;
	le64 here, other, first_usable, last_usable;
	uint8_t guid[POOL_GPT_GUID_BYTES];
	le64 entries_at;
	le32 nentries, entry_bytes, entries_crc;
	le32 none; /* behind the end: makes the struct's size what the compiler wants */
};
static_assert(offsetof(struct header, none) == HEADER_BYTES, "UEFI 2.10, table 5.5");

struct entry {
	uint8_t type[POOL_GPT_GUID_BYTES], guid[POOL_GPT_GUID_BYTES];
	le64 first, last, attrs;
	le16 name[POOL_GPT_NAME_MAX];
};
static_assert(sizeof(struct entry) == POOL_GPT_ENTRY_BYTES, "UEFI 2.10, table 5.6");

struct mbr {
	uint8_t code[446];
	struct {
		uint8_t boot, first_chs[3], type, last_chs[3];
		uint8_t first[4], blocks[4];
	} parts[4];
	uint8_t signature[2];
};
static_assert(sizeof(struct mbr) == 512, "UEFI 2.10, table 5.1");

/* Of IEEE 802.3, with a table of four bits: this is set-up. */
static uint32_t crc32_of(const void *data, size_t len, uint32_t crc)
{
	static const uint32_t nibbles[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	const uint8_t *p = data;

	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		crc = crc >> 4 ^ nibbles[crc & 15];
		crc = crc >> 4 ^ nibbles[crc & 15];
	}
	return ~crc;
}

/* Over the header as if its own checksum were 0. */
static uint32_t header_crc(struct header h)
{
	h.header_crc = le32_make(0);
	return crc32_of(&h, HEADER_BYTES, 0);
}

uint64_t pool_gpt_entry_blocks(uint32_t block_bytes)
{
	return CC_MAX(1u, POOL_GPT_ENTRIES_BYTES / block_bytes);
}

uint64_t pool_gpt_header_at(const struct pool_gpt *t, enum pool_gpt_copy copy)
{
	return copy == POOL_GPT_PRIMARY ? 1 : t->blocks - 1;
}

uint64_t pool_gpt_entries_at(const struct pool_gpt *t, enum pool_gpt_copy copy)
{
	return copy == POOL_GPT_PRIMARY ? 2 : t->blocks - 1 - pool_gpt_entry_blocks(t->block_bytes);
}

void pool_gpt_room(const struct pool_gpt *t, uint64_t ret[2])
{
	ret[0] = 2 + pool_gpt_entry_blocks(t->block_bytes);
	ret[1] = pool_gpt_entries_at(t, POOL_GPT_BACKUP) - 1;
}

int pool_gpt_check_disk(uint32_t block_bytes, uint64_t blocks, struct errbuf *eb)
{
	if (!CC_IS_POW2(block_bytes) || block_bytes < POOL_GPT_BLOCK_MIN || block_bytes > POOL_GPT_BLOCK_MAX)
		return errbuf_set(eb, -EINVAL, "blocks of %" PRIu32 " bytes: no partition table has such", block_bytes);
	if (blocks > INT64_MAX / block_bytes || blocks * block_bytes < POOL_GPT_DISK_MIN)
		return errbuf_set(eb, -EINVAL, "a pool has at least %d MiB, not %" PRIu64 " blocks of %" PRIu32 " bytes",
				  POOL_GPT_DISK_MIN >> 20, blocks, block_bytes);
	return 0;
}

void pool_gpt_init(struct pool_gpt *t, uint32_t block_bytes, uint64_t blocks, const uint8_t random[6])
{
	*t = (struct pool_gpt){ .block_bytes = block_bytes, .blocks = blocks };
	memcpy(t->guid, table_mark, MARK_BYTES);
	memcpy(t->guid + MARK_BYTES, random, POOL_GPT_GUID_BYTES - MARK_BYTES);
}

/*
 * Partitions
 */

static bool is_zero(const uint8_t guid[POOL_GPT_GUID_BYTES])
{
	static const uint8_t zero[POOL_GPT_GUID_BYTES];

	return memcmp(guid, zero, sizeof(zero)) == 0;
}

bool pool_gpt_part_is_used(const struct pool_gpt_part *p)
{
	return !is_zero(p->type);
}

bool pool_gpt_part_is_volume(const struct pool_gpt_part *p)
{
	return memcmp(p->type, volume_type, sizeof(volume_type)) == 0;
}

bool pool_gpt_part_has_name(const struct pool_gpt_part *p, const char *name)
{
	size_t n = strlen(name);

	if (n > POOL_GPT_NAME_MAX || (n < POOL_GPT_NAME_MAX && p->name[n]))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (p->name[i] != (unsigned char)name[i])
			return false;
	}
	return true;
}

void pool_gpt_part_get_name(const struct pool_gpt_part *p, char ret[POOL_GPT_NAME_MAX + 1])
{
	size_t i;

	for (i = 0; i < POOL_GPT_NAME_MAX && p->name[i]; i++)
		ret[i] = p->name[i] < 0x80 ? (char)p->name[i] : '?';
	ret[i] = '\0';
}

void pool_gpt_part_set(struct pool_gpt_part *p, const char *name, uint64_t first, uint64_t last,
		       const uint8_t guid[POOL_GPT_GUID_BYTES])
{
	assert(strlen(name) <= POOL_GPT_NAME_MAX && first <= last);
	*p = (struct pool_gpt_part){ .first = first, .last = last };
	memcpy(p->type, volume_type, sizeof(p->type));
	memcpy(p->guid, guid, sizeof(p->guid));
	p->guid[7] = (p->guid[7] & 0x0f) | 0x40; /* RFC 9562: random, in the order of bytes that GPTs have */
	p->guid[8] = (p->guid[8] & 0x3f) | 0x80;
	for (size_t i = 0; name[i]; i++)
		p->name[i] = (unsigned char)name[i];
}

/*
 * From the disk
 */

static void take_entry(const struct entry *e, struct pool_gpt_part *ret)
{
	memcpy(ret->type, e->type, sizeof(ret->type));
	memcpy(ret->guid, e->guid, sizeof(ret->guid));
	ret->first = le64_get(e->first);
	ret->last = le64_get(e->last);
	ret->attrs = le64_get(e->attrs);
	for (unsigned i = 0; i < POOL_GPT_NAME_MAX; i++)
		ret->name[i] = le16_get(e->name[i]);
}

/* A volume's name is one that we give, and no other has it. */
static int check_name(const struct pool_gpt *t, unsigned i, struct errbuf *eb)
{
	char name[POOL_GPT_NAME_MAX + 1];
	struct errbuf why;

	pool_gpt_part_get_name(&t->parts[i], name);
	if (pool_name_check(name, &why) || !pool_gpt_part_has_name(&t->parts[i], name))
		return errbuf_set(eb, -EINVAL, "partition %u: its name is none of a volume", i + 1);
	for (unsigned k = 0; k < i; k++) {
		if (pool_gpt_part_is_volume(&t->parts[k]) && pool_gpt_part_has_name(&t->parts[k], name))
			return errbuf_set(eb, -EINVAL, "partitions %u and %u have the same name", k + 1, i + 1);
	}
	return 0;
}

static int check_part(const struct pool_gpt *t, unsigned i, const uint64_t room[2], struct errbuf *eb)
{
	const struct pool_gpt_part *p = &t->parts[i];

	if (p->first > p->last || p->first < room[0] || p->last > room[1])
		return errbuf_set(eb, -EINVAL, "partition %u: blocks %" PRIu64 " to %" PRIu64 " are not where one may be",
				  i + 1, p->first, p->last);
	for (unsigned k = 0; k < i; k++) {
		const struct pool_gpt_part *other = &t->parts[k];

		if (pool_gpt_part_is_used(other) && p->first <= other->last && other->first <= p->last)
			return errbuf_set(eb, -EINVAL, "partitions %u and %u overlap", k + 1, i + 1);
	}
	return pool_gpt_part_is_volume(p) ? check_name(t, i, eb) : 0;
}

/* Of a header with the right checksum. */
static int check_header(const struct header *h, enum pool_gpt_copy copy, const struct pool_gpt *t, struct errbuf *eb)
{
	uint64_t other = le64_get(h->other), last = le64_get(h->last_usable), room[2];

	if (memcmp(h->guid, table_mark, MARK_BYTES) != 0)
		return -EMEDIUMTYPE;
	pool_gpt_room(t, room);
	if (le32_get(h->revision) != REVISION || le32_get(h->nentries) != POOL_GPT_ENTRIES ||
	    le32_get(h->entry_bytes) != POOL_GPT_ENTRY_BYTES || le64_get(h->first_usable) != room[0])
		return errbuf_set(eb, -EINVAL, "the partition table has been given another form");
	if (le64_get(h->here) != pool_gpt_header_at(t, copy) || le64_get(h->entries_at) != pool_gpt_entries_at(t, copy))
		return errbuf_set(eb, -EINVAL, "the partition table says that it is elsewhere");
	if (other >= t->blocks || last > room[1] || last < room[0])
		return errbuf_set(eb, -EINVAL, "the partition table is of a larger disk (%" PRIu64 " blocks, not %" PRIu64 ")",
				  other + 1, t->blocks);
	return 0;
}

int pool_gpt_parse(const void *header, const void *entries, enum pool_gpt_copy copy, struct pool_gpt *ret,
		   struct errbuf *eb)
{
	struct pool_gpt t = { .block_bytes = ret->block_bytes, .blocks = ret->blocks };
	const struct entry *e = entries;
	uint64_t room[2];
	struct header h;
	int err;

	memcpy(&h, header, sizeof(h));
	if (memcmp(h.signature, SIGNATURE, sizeof(h.signature)) != 0)
		return -ENODEV;
	/* Its size says how far the checksum goes: of another size it is another's, whatever that says. */
	if (le32_get(h.header_bytes) != HEADER_BYTES)
		return -EMEDIUMTYPE;
	if (header_crc(h) != le32_get(h.header_crc))
		return -ENODEV;
	err = check_header(&h, copy, &t, eb);
	if (err)
		return err;
	if (crc32_of(entries, POOL_GPT_ENTRIES_BYTES, 0) != le32_get(h.entries_crc))
		return -ENODEV;
	memcpy(t.guid, h.guid, sizeof(t.guid));
	room[0] = le64_get(h.first_usable);
	room[1] = le64_get(h.last_usable);
	for (unsigned i = 0; i < POOL_GPT_ENTRIES && !err; i++) {
		take_entry(&e[i], &t.parts[i]);
		err = pool_gpt_part_is_used(&t.parts[i]) ? check_part(&t, i, room, eb) : 0;
	}
	if (!err)
		*ret = t;
	return err;
}

/*
 * To the disk
 */

void pool_gpt_build(const struct pool_gpt *t, enum pool_gpt_copy copy, void *ret_header, void *ret_entries)
{
	enum pool_gpt_copy other = copy == POOL_GPT_PRIMARY ? POOL_GPT_BACKUP : POOL_GPT_PRIMARY;
	struct entry *e = ret_entries;
	struct header h = {
		.signature = SIGNATURE,
		.revision = le32_make(REVISION),
		.header_bytes = le32_make(HEADER_BYTES),
		.here = le64_make(pool_gpt_header_at(t, copy)),
		.other = le64_make(pool_gpt_header_at(t, other)),
		.entries_at = le64_make(pool_gpt_entries_at(t, copy)),
		.nentries = le32_make(POOL_GPT_ENTRIES),
		.entry_bytes = le32_make(POOL_GPT_ENTRY_BYTES),
	};
	uint64_t room[2];

	memset(ret_entries, 0, pool_gpt_entry_blocks(t->block_bytes) * t->block_bytes);
	for (unsigned i = 0; i < POOL_GPT_ENTRIES; i++) {
		const struct pool_gpt_part *p = &t->parts[i];

		memcpy(e[i].type, p->type, sizeof(p->type));
		memcpy(e[i].guid, p->guid, sizeof(p->guid));
		e[i].first = le64_make(p->first);
		e[i].last = le64_make(p->last);
		e[i].attrs = le64_make(p->attrs);
		for (unsigned k = 0; k < POOL_GPT_NAME_MAX; k++)
			e[i].name[k] = le16_make(p->name[k]);
	}
	pool_gpt_room(t, room);
	h.first_usable = le64_make(room[0]);
	h.last_usable = le64_make(room[1]);
	memcpy(h.guid, t->guid, sizeof(h.guid));
	h.entries_crc = le32_make(crc32_of(ret_entries, POOL_GPT_ENTRIES_BYTES, 0));
	h.header_crc = le32_make(header_crc(h));
	memset(ret_header, 0, t->block_bytes);
	memcpy(ret_header, &h, HEADER_BYTES);
}

void pool_gpt_mbr_build(const struct pool_gpt *t, void *ret_block)
{
	le32 first = le32_make(1), blocks = le32_make((uint32_t)CC_MIN(t->blocks - 1, (uint64_t)UINT32_MAX));
	struct mbr m = { .signature = { 0x55, 0xaa } };

	m.parts[0].first_chs[1] = 2;
	m.parts[0].type = MBR_TYPE;
	memset(m.parts[0].last_chs, 0xff, sizeof(m.parts[0].last_chs));
	memcpy(m.parts[0].first, &first, sizeof(first));
	memcpy(m.parts[0].blocks, &blocks, sizeof(blocks));
	memset(ret_block, 0, t->block_bytes);
	memcpy(ret_block, &m, sizeof(m));
}

bool pool_gpt_mbr_is(const void *block)
{
	const struct mbr *m = block;

	return m->signature[0] == 0x55 && m->signature[1] == 0xaa && m->parts[0].type == MBR_TYPE &&
	       !m->parts[1].type && !m->parts[2].type && !m->parts[3].type;
}
