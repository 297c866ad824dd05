/* SPDX-License-Identifier: BSD-3-Clause */
/* The question, the answer of libblkid, and what may be wrong with it. What the table says is the
 * disk's word: checked. */
#include "drivers/part/part.h"

#include <blkid/blkid.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "drivers/part/part_copy_priv.h"

#define SECTOR_BYTES 512 /* in which libblkid counts, whatever the disk's blocks are */
#define BYTES_MAX    INT64_MAX
#define LIST_BYTES   200 /* of the partitions in an error line */
#define NAME_BYTES   40

enum way {
	BY_NUMBER,
	BY_NAME,
	BY_UUID,
	BY_ANY, /* UUID, else name */
};

struct question {
	enum way way;
	const char *text; /* without its prefix */
	int number;
};

/* Pure. */
static int parse_question(const char *which, struct question *ret_q)
{
	size_t len = strnlen(which, PART_WHICH_MAX + 1);

	*ret_q = (struct question){ .way = BY_ANY, .text = which };
	if (len > PART_WHICH_MAX)
		return -EINVAL;
	if (strncmp(which, "name:", 5) == 0)
		*ret_q = (struct question){ .way = BY_NAME, .text = which + 5 };
	else if (strncmp(which, "uuid:", 5) == 0)
		*ret_q = (struct question){ .way = BY_UUID, .text = which + 5 };
	else if (len > 0 && strspn(which, "0123456789") == len)
		*ret_q = (struct question){ .way = BY_NUMBER, .text = which };
	if (ret_q->way == BY_NUMBER && len > 6)
		return -EINVAL; /* no table has a million */
	if (ret_q->way == BY_NUMBER)
		ret_q->number = (int)strtol(which, NULL, 10);
	return ret_q->text[0] ? 0 : -EINVAL;
}

static bool has_name(blkid_partition p, const char *name)
{
	const char *its = blkid_partition_get_name(p);

	return its && strcmp(its, name) == 0;
}

static bool has_uuid(blkid_partition p, const char *uuid)
{
	const char *its = blkid_partition_get_uuid(p);

	return its && strcasecmp(its, uuid) == 0;
}

static bool fits(blkid_partition p, const struct question *q, enum way way)
{
	switch (way) {
	case BY_NUMBER:
		return blkid_partition_get_partno(p) == q->number;
	case BY_NAME:
		return has_name(p, q->text);
	case BY_UUID:
		return has_uuid(p, q->text);
	case BY_ANY:
		break;
	}
	return false;
}

/* How many fit, and the first of them. */
static unsigned count_fitting(blkid_partlist ls, const struct question *q, enum way way,
			      blkid_partition *ret_part)
{
	int n = blkid_partlist_numof_partitions(ls);
	unsigned found = 0;

	for (int i = 0; i < n; i++) {
		blkid_partition p = blkid_partlist_get_partition(ls, i);

		if (p && fits(p, q, way) && !found++)
			*ret_part = p;
	}
	return found;
}

/* Names come from the disk: nothing but printable characters reaches a log or a terminal. */
static void clean_name(const char *name, char buf[NAME_BYTES])
{
	size_t i;

	for (i = 0; name && name[i] && i < NAME_BYTES - 1; i++)
		buf[i] = isprint((unsigned char)name[i]) ? name[i] : '?';
	buf[i] = '\0';
}

/* "1 (boot), 2 (root), …" */
static void list_parts(blkid_partlist ls, char buf[LIST_BYTES])
{
	int n = blkid_partlist_numof_partitions(ls);
	char name[NAME_BYTES], one[NAME_BYTES + 32];
	size_t at = 0;

	buf[0] = '\0';
	for (int i = 0; i < n; i++) {
		blkid_partition p = blkid_partlist_get_partition(ls, i);

		clean_name(p ? blkid_partition_get_name(p) : NULL, name);
		(void)snprintf(one, sizeof(one), name[0] ? "%s%d (%s)" : "%s%d", i ? ", " : "",
			       p ? blkid_partition_get_partno(p) : 0, name);
		if (at + strlen(one) + sizeof(", …") > LIST_BYTES) {
			(void)snprintf(buf + at, LIST_BYTES - at, ", …");
			return;
		}
		at += (size_t)snprintf(buf + at, LIST_BYTES - at, "%s", one);
	}
}

static int choose(blkid_partlist ls, const struct question *q, blkid_partition *ret_part,
		  struct errbuf *eb)
{
	char list[LIST_BYTES], text[NAME_BYTES];
	unsigned found;

	found = count_fitting(ls, q, q->way == BY_ANY ? BY_UUID : q->way, ret_part);
	if (!found && q->way == BY_ANY)
		found = count_fitting(ls, q, BY_NAME, ret_part);
	if (found == 1)
		return 0;
	clean_name(q->text, text);
	list_parts(ls, list);
	if (found)
		return errbuf_set(eb, -ENOTUNIQ,
				  "%u partitions are '%s'; mend: take its number (%s)", found, text,
				  list);
	if (!list[0])
		return errbuf_set(eb, -ENOENT, "there is no partition '%s': the table is empty",
				  text);
	return errbuf_set(eb, -ENOENT, "there is no partition '%s'; there are %s", text, list);
}

/* Its place, in whole blocks and on the disk. */
static int locate(const struct part_source *src, blkid_partition p, uint64_t *ret_off,
		  uint64_t *ret_bytes)
{
	int64_t start = blkid_partition_get_start(p), size = blkid_partition_get_size(p);
	uint64_t off, bytes;

	if (start < 0 || size <= 0 || start > BYTES_MAX / SECTOR_BYTES ||
	    size > BYTES_MAX / SECTOR_BYTES)
		return -ERANGE;
	off = (uint64_t)start * SECTOR_BYTES;
	bytes = (uint64_t)size * SECTOR_BYTES;
	if (off >= src->bytes || bytes > src->bytes - off)
		return -ERANGE;
	if (off % src->block_bytes || bytes % src->block_bytes)
		return -ENOTBLK;
	*ret_off = off;
	*ret_bytes = bytes;
	return 0;
}

static int answer(const struct part_source *src, blkid_partlist ls, const struct question *q,
		  uint64_t place[2], struct errbuf *eb)
{
	blkid_partition p = NULL;
	int err = choose(ls, q, &p, eb), number;

	if (err)
		return err;
	number = blkid_partition_get_partno(p);
	if (blkid_partition_is_extended(p))
		return errbuf_set(eb, -ENOTBLK, "partition %d is extended: it only holds others",
				  number);
	err = locate(src, p, &place[0], &place[1]);
	if (err == -ERANGE)
		return errbuf_set(eb, err,
				  "partition %d reaches beyond the end of the disk (%llu bytes)",
				  number, (unsigned long long)src->bytes);
	if (err)
		return errbuf_set(eb, err, "partition %d does not lie on blocks of %u bytes",
				  number, src->block_bytes);
	return 0;
}

/* The two tables that people have; libblkid knows a dozen more. NULL: neither is there. */
static blkid_partlist probe(blkid_probe pr, int fd, const struct part_source *src)
{
	char gpt[] = "gpt", dos[] = "dos", *types[] = { gpt, dos, NULL };
	blkid_partlist ls;

	if (blkid_probe_set_device(pr, fd, 0, 0) ||
	    blkid_probe_set_sectorsize(pr, src->block_bytes) ||
	    blkid_probe_enable_superblocks(pr, 0) || blkid_probe_enable_partitions(pr, 1) ||
	    blkid_probe_filter_partitions_type(pr, BLKID_FLTR_ONLYIN, types))
		return NULL;
	ls = blkid_probe_get_partitions(pr);
	return ls && blkid_partlist_get_table(ls) ? ls : NULL;
}

static int check_source(const struct part_source *src, struct errbuf *eb)
{
	if (!CC_IS_POW2(src->block_bytes) || src->block_bytes < PART_BLOCK_MIN ||
	    src->block_bytes > PART_BLOCK_MAX)
		return errbuf_set(eb, -EINVAL, "no partition table has blocks of %u bytes",
				  src->block_bytes);
	if (src->bytes < src->block_bytes || src->bytes > BYTES_MAX)
		return errbuf_set(eb, -EINVAL, "no partition table on a disk of %llu bytes",
				  (unsigned long long)src->bytes);
	return 0;
}

int part_find(const struct part_source *src, const char *which, uint64_t *ret_off,
	      uint64_t *ret_bytes, struct errbuf *eb)
{
	uint64_t place[2] = { 0 };
	char text[NAME_BYTES];
	struct question q;
	blkid_partlist ls;
	blkid_probe pr;
	int fd, err;

	if (parse_question(which, &q)) {
		clean_name(which, text);
		return errbuf_set(eb, -EINVAL,
				  "a partition is a number, name:TEXT or uuid:UUID, not '%s'",
				  text);
	}
	err = check_source(src, eb);
	if (!err)
		err = part_copy_open(src, &fd, eb);
	if (err)
		return err;
	pr = blkid_new_probe();
	ls = pr ? probe(pr, fd, src) : NULL;
	if (!pr)
		err = errbuf_set(eb, -ENOMEM, "out of memory");
	else if (!ls)
		err = errbuf_set(eb, -ENODEV, "there is no partition table (GPT or MBR) on it");
	else
		err = answer(src, ls, &q, place, eb);
	blkid_free_probe(pr);
	close(fd);
	if (err)
		return err;
	*ret_off = place[0];
	*ret_bytes = place[1];
	return 0;
}
