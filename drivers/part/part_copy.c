/* SPDX-License-Identifier: BSD-3-Clause */
/* The copy: head, tail, and the chain of extended boot records, block by block into a sparse memfd.
 */
#include "drivers/part/part_copy_priv.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/base/endian.h"
#include "drivers/part/part.h"

#define HEAD_BYTES  (2ULL << 20)
#define TAIL_BYTES  (1ULL << 20)
#define GPT_BLOCKS  34	/* MBR, header and 128 entries, with the smallest blocks */
#define LINKS_MAX   128 /* of a chain; libblkid follows fewer */
#define ALIGN_BYTES 4096

/* Classic MBR: four entries of 16 bytes at 446, the signature behind them. */
#define MBR_ENTRIES_OFF	  446
#define MBR_ENTRY_BYTES	  16
#define MBR_ENTRY_TYPE	  4
#define MBR_ENTRY_START	  8
#define MBR_ENTRIES	  4
#define MBR_SIGNATURE_OFF 510
#define MBR_SIGNATURE	  0xaa55

static_assert(MBR_ENTRIES_OFF + MBR_ENTRIES * MBR_ENTRY_BYTES == MBR_SIGNATURE_OFF,
	      "the table ends where the signature is");

struct copy {
	const struct part_source *src;
	unsigned char *buf; /* PART_READ_BYTES */
	int fd;
	struct errbuf *eb;
};

/* Zeroes stay holes. */
static bool is_zero(const unsigned char *buf, size_t len)
{
	return buf[0] == 0 && memcmp(buf, buf + 1, len - 1) == 0;
}

static int write_all(const struct copy *c, uint64_t off, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(c->fd, c->buf + done, len - done, (off_t)(off + done));

		if (n <= 0)
			return errbuf_set(c->eb, n ? -errno : -EIO,
					  "no memory for a copy of the partition table");
		done += (size_t)n;
	}
	return 0;
}

/* Bytes @off to @end; the last ones stay in buf. */
static int copy_range(const struct copy *c, uint64_t off, uint64_t end)
{
	int err = 0;

	while (off < end && !err) {
		size_t len = (size_t)CC_MIN(end - off, (uint64_t)PART_READ_BYTES);

		err = c->src->read(c->src->arg, off, c->buf, len);
		if (err)
			return errbuf_set(c->eb, err,
					  "cannot read the partition table at byte %llu: %s",
					  (unsigned long long)off, strerror(-err));
		err = is_zero(c->buf, len) ? 0 : write_all(c, off, len);
		off += len;
	}
	return err;
}

/* Start of the first extended partition in the boot record that is in buf, in blocks; 0: there is
 * none. */
static uint32_t next_link(const unsigned char *record)
{
	if ((record[MBR_SIGNATURE_OFF] | record[MBR_SIGNATURE_OFF + 1] << 8) != MBR_SIGNATURE)
		return 0;
	for (unsigned i = 0; i < MBR_ENTRIES; i++) {
		const unsigned char *e = record + MBR_ENTRIES_OFF + i * MBR_ENTRY_BYTES;
		unsigned char type = e[MBR_ENTRY_TYPE];
		le32 start;

		if (type != 0x05 && type != 0x0f && type != 0x85)
			continue;
		memcpy(&start, e + MBR_ENTRY_START, sizeof(start));
		return le32_get(start);
	}
	return 0;
}

/*
 * Logical partitions are a list through the disk: each record names the next one, relative to the
 * first. A list that runs in a circle or off the disk ends here, and libblkid then reads zeroes.
 */
static int copy_links(const struct copy *c)
{
	uint64_t block = c->src->block_bytes, blocks = c->src->bytes / block, first, at;
	int err = copy_range(c, 0, block);
	uint32_t link = err ? 0 : next_link(c->buf);

	first = link;
	at = link;
	for (unsigned n = 0; n < LINKS_MAX && link && at < blocks && !err; n++) {
		err = copy_range(c, at * block, (at + 1) * block);
		link = err ? 0 : next_link(c->buf);
		at = first + link;
	}
	return err;
}

static int copy_all(const struct copy *c)
{
	uint64_t block = c->src->block_bytes, end = CC_ALIGN_DOWN(c->src->bytes, block);
	uint64_t head = CC_MIN(end, CC_MAX(HEAD_BYTES, GPT_BLOCKS * block));
	uint64_t tail = CC_MIN(end - head, CC_MAX(TAIL_BYTES, GPT_BLOCKS * block));
	int err;

	if (ftruncate(c->fd, (off_t)end))
		return errbuf_set(c->eb, -errno, "no copy of the partition table: %s",
				  strerror(errno));
	err = copy_range(c, 0, head);
	if (!err)
		err = copy_range(c, end - tail, end);
	return err ? err : copy_links(c);
}

int part_copy_open(const struct part_source *src, int *ret_fd, struct errbuf *eb)
{
	struct copy c = { .src = src, .fd = memfd_create("nvring-part", MFD_CLOEXEC), .eb = eb };
	int err;

	if (c.fd < 0)
		return errbuf_set(eb, -errno, "no memfd for the partition table: %s",
				  strerror(errno));
	c.buf = aligned_alloc(ALIGN_BYTES, PART_READ_BYTES);
	err = c.buf ? copy_all(&c) : errbuf_set(eb, -ENOMEM, "out of memory");
	free(c.buf);
	if (err)
		close(c.fd);
	else
		*ret_fd = c.fd;
	return err;
}
