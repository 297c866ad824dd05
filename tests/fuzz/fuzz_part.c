/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes partition tables: whatever is on the disk, a partition that is found lies on it, and a
 * refusal is one line.
 *
 * The first byte of the input says how the disk is: bit 0: blocks of 4096; bit 1: a terabyte rather
 * than 4 MiB; bit 2: the checksums of the GPT are made right, without which nothing behind them is
 * ever reached; bits 3 to 5: the question. The rest is the head of the disk: 512 bytes each for the
 * first two blocks, then what comes behind.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "core/base/endian.h"
#include "drivers/part/part.h"

#define HEAD_BYTES 65536

#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

/* Of a GPT header (UEFI 5.3.2): where the sizes and checksums are. */
enum {
	GPT_HEADER_SIZE = 12,
	GPT_HEADER_CRC = 16,
	GPT_ENTRIES_LBA = 72,
	GPT_ENTRIES_COUNT = 80,
	GPT_ENTRIES_SIZE = 84,
	GPT_ENTRIES_CRC = 88,
};

static unsigned char head[HEAD_BYTES];
static struct part_source src;

static int read_disk(void *arg, uint64_t off, void *buf, size_t len)
{
	check(len && len <= PART_READ_BYTES && off % src.block_bytes == 0);
	check(len % src.block_bytes == 0 && off <= src.bytes && len <= src.bytes - off);
	memset(buf, 0, len);
	if (off < HEAD_BYTES)
		memcpy(buf, head + off, CC_MIN(len, HEAD_BYTES - (size_t)off));
	return 0;
}

static uint32_t crc32(const unsigned char *p, size_t len)
{
	uint32_t crc = ~0U;

	while (len--) {
		crc ^= *p++;
		for (unsigned i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
	}
	return ~crc;
}

static uint32_t field(const unsigned char *p)
{
	le32 v;

	memcpy(&v, p, sizeof(v));
	return le32_get(v);
}

static void set_field(unsigned char *p, uint32_t value)
{
	le32 v = le32_make(value);

	memcpy(p, &v, sizeof(v));
}

static void mend_checksums(void)
{
	unsigned char *h = head + src.block_bytes;
	uint64_t at = (uint64_t)field(h + GPT_ENTRIES_LBA) * src.block_bytes;
	uint64_t len = (uint64_t)field(h + GPT_ENTRIES_COUNT) * field(h + GPT_ENTRIES_SIZE);
	uint32_t size = field(h + GPT_HEADER_SIZE);

	memcpy(h, "EFI PART", 8);
	if (at < HEAD_BYTES && len <= HEAD_BYTES - at)
		set_field(h + GPT_ENTRIES_CRC, crc32(head + at, (size_t)len));
	set_field(h + GPT_HEADER_CRC, 0);
	if (size <= src.block_bytes)
		set_field(h + GPT_HEADER_CRC, crc32(h, size));
}

/* So that inputs stay short with large blocks, too. */
static void fill_head(const uint8_t *data, size_t size)
{
	memset(head, 0, sizeof(head));
	for (unsigned block = 0; block < 3 && size; block++) {
		size_t room = block < 2 ? 512 : HEAD_BYTES - 2 * (size_t)src.block_bytes;
		size_t len = CC_MIN(size, room);

		memcpy(head + (size_t)block * src.block_bytes, data, len);
		data += len;
		size -= len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const questions[] = { "1",	   "5",	       "2",
						 "name:a", "root",     "uuid:00000000-01",
						 "128",	   "name:\xff" };
	uint64_t off = 1, bytes = 0;
	struct errbuf eb = { "" };
	int err;

	if (!size)
		return 0;
	src = (struct part_source){
		.read = read_disk,
		.bytes = data[0] & 2 ? 1ULL << 40 : 4ULL << 20,
		.block_bytes = data[0] & 1 ? 4096 : 512,
	};
	fill_head(data + 1, size - 1);
	if (data[0] & 4)
		mend_checksums();
	err = part_find(&src, questions[data[0] >> 3 & 7], &off, &bytes, &eb);
	if (!err) {
		check(bytes && off < src.bytes && bytes <= src.bytes - off);
		check(off % src.block_bytes == 0 && bytes % src.block_bytes == 0);
		return 0;
	}
	check(err < 0 && eb.text[0] && off == 1 && bytes == 0);
	for (const char *s = eb.text; *s; s++)
		check((unsigned char)*s >= 0x20);
	return 0;
}
