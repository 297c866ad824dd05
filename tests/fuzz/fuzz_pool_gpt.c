/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzzes the partition table of a pool: header and entries come from the input, with checksums that are right. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "tools/pool/pool.h"
#include "tools/pool/pool_gpt.h"

#define BLOCK  512
#define BLOCKS 65536
#define HEADER 92

#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static uint32_t crc32_of(const uint8_t *p, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

/* What was taken is in its place, and comes back the same. */
static void check_table(const struct pool_gpt *t, enum pool_gpt_copy copy)
{
	static uint8_t header[BLOCK], entries[POOL_GPT_ENTRIES_BYTES];
	struct pool_gpt again = { .block_bytes = BLOCK, .blocks = BLOCKS };
	char name[POOL_GPT_NAME_MAX + 1];
	struct errbuf eb;
	uint64_t room[2];

	pool_gpt_room(t, room);
	for (unsigned i = 0; i < POOL_GPT_ENTRIES; i++) {
		const struct pool_gpt_part *p = &t->parts[i];

		if (!pool_gpt_part_is_used(p))
			continue;
		check(p->first >= room[0] && p->first <= p->last && p->last <= room[1]);
		pool_gpt_part_get_name(p, name);
		check(!pool_gpt_part_is_volume(p) || pool_name_check(name, NULL) == 0);
	}
	pool_gpt_build(t, copy, header, entries);
	check(pool_gpt_parse(header, entries, copy, &again, &eb) == 0);
	for (unsigned i = 0; i < POOL_GPT_ENTRIES; i++) {
		if (pool_gpt_part_is_used(&t->parts[i]))
			check(memcmp(&t->parts[i], &again.parts[i], sizeof(again.parts[i])) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t random[6] = { 1, 2, 3, 4, 5, 6 };
	static uint8_t header[BLOCK], entries[POOL_GPT_ENTRIES_BYTES];
	enum pool_gpt_copy copy = size && data[0] & 1 ? POOL_GPT_BACKUP : POOL_GPT_PRIMARY;
	struct pool_gpt t;
	struct errbuf eb = { "" };
	size_t n;
	uint32_t crc;
	int err;

	if (size < 4)
		return 0;
	pool_gpt_init(&t, BLOCK, BLOCKS, random);
	pool_gpt_build(&t, copy, header, entries);
	/* four bytes choose what of the header is changed, the rest are entries */
	header[data[1] % HEADER] ^= data[2];
	for (n = 0; n < size - 4 && n < sizeof(entries); n++)
		entries[n] = data[4 + n];
	if (!(data[0] & 2)) {
		crc = crc32_of(entries, sizeof(entries));
		memcpy(header + 88, &crc, sizeof(crc));
		memset(header + 16, 0, sizeof(crc));
		crc = crc32_of(header, HEADER);
		memcpy(header + 16, &crc, sizeof(crc));
	}
	err = pool_gpt_parse(header, entries, copy, &t, &eb);
	check(err != -22 || eb.text[0]);
	if (!err)
		check_table(&t, copy);
	return 0;
}
