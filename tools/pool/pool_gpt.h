/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The partition table of a pool: a GPT (UEFI 2.10, 5.3) of one shape, 128 entries of 128 bytes.
 *
 *   block 0    1        2 …                                        … last-1           last
 *   ┌─────────┬────────┬─────────┬──────────────────────────────┬─────────┬────────┐
 *   │ MBR     │ header │ entries │ partitions                   │ entries │ header │
 *   └─────────┴────────┴─────────┴──────────────────────────────┴─────────┴────────┘
 *                primary copy                                      backup copy
 *
 * Two marks say what nvring has made: a beginning of the disk's GUID, of the table; a type, of a volume. Pure.
 */
#ifndef TOOLS_POOL_POOL_GPT_H
#define TOOLS_POOL_POOL_GPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/errbuf.h"

#define POOL_GPT_ENTRIES       128
#define POOL_GPT_ENTRY_BYTES   128
#define POOL_GPT_ENTRIES_BYTES (POOL_GPT_ENTRIES * POOL_GPT_ENTRY_BYTES)
#define POOL_GPT_NAME_MAX      36 /* characters; no zero behind the last one */
#define POOL_GPT_GUID_BYTES    16
#define POOL_GPT_BLOCK_MIN     512
#define POOL_GPT_BLOCK_MAX     65536
#define POOL_GPT_DISK_MIN      (4 << 20)

struct pool_gpt_part {
	uint8_t type[POOL_GPT_GUID_BYTES]; /* all zero: none */
	uint8_t guid[POOL_GPT_GUID_BYTES];
	uint64_t first, last; /* blocks, both belong to it */
	uint64_t attrs;
	uint16_t name[POOL_GPT_NAME_MAX]; /* UTF-16 */
};

struct pool_gpt {
	uint32_t block_bytes;
	uint64_t blocks; /* of the disk */
	uint8_t guid[POOL_GPT_GUID_BYTES];
	struct pool_gpt_part parts[POOL_GPT_ENTRIES];
};

enum pool_gpt_copy {
	POOL_GPT_PRIMARY,
	POOL_GPT_BACKUP,
};

/* Blocks of one copy's entries; where they begin; where its header is. */
uint64_t pool_gpt_entry_blocks(uint32_t block_bytes);
uint64_t pool_gpt_entries_at(const struct pool_gpt *t, enum pool_gpt_copy copy);
uint64_t pool_gpt_header_at(const struct pool_gpt *t, enum pool_gpt_copy copy);

/* What partitions may have: blocks ret[0] to ret[1], both included. */
void pool_gpt_room(const struct pool_gpt *t, uint64_t ret[2]);

/* No table on a disk smaller than this, or with other blocks: -EINVAL with eb. */
int pool_gpt_check_disk(uint32_t block_bytes, uint64_t blocks, struct errbuf *eb);

/* An empty table of ours; @random: makes its GUID no other disk's. */
void pool_gpt_init(struct pool_gpt *t, uint32_t block_bytes, uint64_t blocks, const uint8_t random[6]);

/**
 * pool_gpt_parse - one copy, whose header block is @header. @ret has block_bytes and blocks of the disk; its guid and parts
 * are written on success. A disk that has grown since is taken: its backup copy is somewhere in the middle.
 * 0; -ENODEV (no table, or one that was half written: a checksum is wrong); -EMEDIUMTYPE (somebody else's); -EINVAL
 * with eb (ours by its mark, but impossible).
 */
int pool_gpt_parse(const void *header, const void *entries, enum pool_gpt_copy copy, struct pool_gpt *ret,
		   struct errbuf *eb);

/* One copy: a block, and pool_gpt_entry_blocks(). */
void pool_gpt_build(const struct pool_gpt *t, enum pool_gpt_copy copy, void *ret_header, void *ret_entries);

/* Block 0, which keeps others from taking the disk for an empty one. */
void pool_gpt_mbr_build(const struct pool_gpt *t, void *ret_block);
bool pool_gpt_mbr_is(const void *block);

bool pool_gpt_part_is_used(const struct pool_gpt_part *p);
bool pool_gpt_part_is_volume(const struct pool_gpt_part *p);

/* Also of a partition that is none of ours. */
bool pool_gpt_part_has_name(const struct pool_gpt_part *p, const char *name);

/* The name of a volume, which is checked. */
void pool_gpt_part_get_name(const struct pool_gpt_part *p, char ret[POOL_GPT_NAME_MAX + 1]);

/* A volume; @name has at most POOL_GPT_NAME_MAX characters; @guid is random. */
void pool_gpt_part_set(struct pool_gpt_part *p, const char *name, uint64_t first, uint64_t last,
		       const uint8_t guid[POOL_GPT_GUID_BYTES]);

#endif
