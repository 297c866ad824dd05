/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where on a disk a partition lies, by the GPT or MBR that is on it. Knows no disk: whoever asks
 * brings a function that reads. libblkid does the parsing, on a copy: a sparse memfd of the disk's
 * size, which holds its head, its tail (the backup of a GPT), the links of an MBR's extended
 * partition, and holes in between.
 */
#ifndef DRIVERS_PART_PART_H
#define DRIVERS_PART_PART_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/errbuf.h"

#define PART_WHICH_MAX	64     /* characters of a question; a GPT name has 36 */
#define PART_READ_BYTES 131072 /* of one call of read, at most */
#define PART_BLOCK_MIN	512
#define PART_BLOCK_MAX	65536

struct part_source {
	/*
	 * @len bytes from @off into @buf, which is aligned to pages; both are multiples of
	 * block_bytes, @len is at most PART_READ_BYTES. May block. 0 or -errno.
	 */
	int (*read)(void *arg, uint64_t off, void *buf, size_t len);
	void *arg;
	uint64_t bytes;
	uint32_t block_bytes; /* logical blocks, in which the tables count */
};

/**
 * part_find - the partition @which of @src:
 *   "2"                  by number
 *   "name:root"          by GPT name
 *   "uuid:UUID"          by UUID of the partition; of an MBR "5a3b2c1d-02"
 *   "root", "0fc6…-…"    UUID, else name
 * 0; -errno and one line in @eb: -EINVAL (no such way to ask; a size or block that no table has),
 * -ENODEV (no table), -ENOENT (no such partition; eb lists those there are), -ENOTUNIQ (several of
 * that name), -ERANGE (it reaches beyond the end), -ENOTBLK (an extended partition, or not in whole
 * blocks), or what read returned. Set-up threads: reads about 3 MiB.
 */
int part_find(const struct part_source *src, const char *which, uint64_t *ret_off,
	      uint64_t *ret_bytes, struct errbuf *eb);

#endif
