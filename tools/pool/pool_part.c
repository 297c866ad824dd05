/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pools of volumes: partitions of a disk. Nothing is remembered; each call reads the table, and mends what a crash left.
 *
 * A table is written backup first: flush; then primary: flush. So one copy is whole at any time, and the disk is read by the
 * primary if that is whole, else by the backup.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "tools/pool/pool_gpt.h"
#include "tools/pool/pool_priv.h"

#define LOG_TAG "pool"
#include "core/base/log.h"

#define ALIGN_BYTES (1u << 20) /* of a volume's begin */
#define EDGE_BYTES  (1u << 20) /* of both ends of a disk, which are zero when it is taken for empty */

struct pool_part {
	struct pool pool;
	struct pool_disk disk;
	pthread_mutex_t lock; /* one call at a time reads, changes and writes the table */
};

/* While the lock is held: the table, and its copies as they are on the disk. */
struct table {
	struct pool_part *p;
	struct errbuf *eb;
	struct pool_gpt gpt;
	uint8_t *mbr, *header[2], *entries[2]; /* by enum pool_gpt_copy */
};

/* A run of blocks that no partition has; in between: aligned. */
struct gap {
	uint64_t first, blocks;
};

static struct pool_part *to_part(struct pool *pool)
{
	return container_of(pool, struct pool_part, pool);
}

/*
 * Input and output
 */

static int fail(const struct table *t, int err, const char *what)
{
	return errbuf_set(t->eb, err, "%s: %s: %s", t->p->pool.where, what, strerror(-err));
}

static int disk_read(const struct table *t, uint64_t block, void *buf, uint64_t blocks)
{
	const struct pool_disk *d = &t->p->disk;
	uint32_t bytes = t->gpt.block_bytes;
	int err = d->read(d->arg, block * bytes, buf, (size_t)(blocks * bytes));

	return err ? fail(t, err, "the partition table cannot be read") : 0;
}

static int disk_write(const struct table *t, uint64_t block, const void *buf, uint64_t blocks)
{
	const struct pool_disk *d = &t->p->disk;
	uint32_t bytes = t->gpt.block_bytes;
	int err = d->write(d->arg, block * bytes, buf, (size_t)(blocks * bytes));

	return err ? fail(t, err, "the partition table cannot be written") : 0;
}

static int disk_flush(const struct table *t)
{
	int err = t->p->disk.flush(t->p->disk.arg);

	return err ? fail(t, err, "the partition table cannot be written") : 0;
}

static int write_copy(const struct table *t, enum pool_gpt_copy copy)
{
	const struct pool_gpt *g = &t->gpt;
	int err;

	pool_gpt_build(g, copy, t->header[copy], t->entries[copy]);
	err = disk_write(t, pool_gpt_entries_at(g, copy), t->entries[copy], pool_gpt_entry_blocks(g->block_bytes));
	if (!err)
		err = disk_write(t, pool_gpt_header_at(g, copy), t->header[copy], 1);
	return err ? err : disk_flush(t);
}

static int store(const struct table *t)
{
	int err = write_copy(t, POOL_GPT_BACKUP);

	return err ? err : write_copy(t, POOL_GPT_PRIMARY);
}

static int read_copy(const struct table *t, enum pool_gpt_copy copy)
{
	const struct pool_gpt *g = &t->gpt;
	int err = disk_read(t, pool_gpt_header_at(g, copy), t->header[copy], 1);

	return err ? err : disk_read(t, pool_gpt_entries_at(g, copy), t->entries[copy],
				     pool_gpt_entry_blocks(g->block_bytes));
}

static int read_all(const struct table *t)
{
	int err = disk_read(t, 0, t->mbr, 1);

	if (!err)
		err = read_copy(t, POOL_GPT_PRIMARY);
	return err ? err : read_copy(t, POOL_GPT_BACKUP);
}

/*
 * The table, as it is found
 */

static int tell_none(const struct table *t, int err, const struct errbuf *why)
{
	const char *name = t->p->pool.name, *where = t->p->pool.where;

	if (err == -EINVAL)
		return errbuf_set(t->eb, err, "%.200s: %.180s: left as it is", where, why->text);
	if (err == -EMEDIUMTYPE)
		return errbuf_set(t->eb, err, "%.200s has a partition table that nvring did not make: left as it is", where);
	return errbuf_set(t->eb, -ENODEV, "%.200s is no pool yet; mend: nvring pool init %.64s", where, name);
}

/* What is on the disk of copy @copy is not what t->gpt says. */
static bool differs(const struct table *t, enum pool_gpt_copy copy, uint8_t *header, uint8_t *entries)
{
	uint32_t bytes = t->gpt.block_bytes;

	pool_gpt_build(&t->gpt, copy, header, entries);
	return memcmp(header, t->header[copy], bytes) != 0 ||
	       memcmp(entries, t->entries[copy], pool_gpt_entry_blocks(bytes) * bytes) != 0;
}

/* The copy that t->gpt is not from: written again if it is not the same. */
static int mend(const struct table *t, enum pool_gpt_copy copy)
{
	uint32_t bytes = t->gpt.block_bytes;
	uint64_t len = pool_gpt_entry_blocks(bytes) * bytes;
	uint8_t *buf = malloc(bytes + len);
	bool is_needed;

	if (!buf)
		return errbuf_set(t->eb, -ENOMEM, "out of memory");
	is_needed = differs(t, copy, buf, buf + bytes);
	free(buf);
	if (!is_needed)
		return 0;
	log_notice("%s: the %s copy of the partition table is written again from the other", t->p->pool.where,
		   copy == POOL_GPT_PRIMARY ? "first" : "last");
	return write_copy(t, copy);
}

/* Takes the one that counts, and sees to the other. A disk whose first block is no longer ours is another's by now, even
 * if the last ones are left of us. */
static int take(struct table *t)
{
	struct errbuf why;
	int err = pool_gpt_parse(t->header[POOL_GPT_PRIMARY], t->entries[POOL_GPT_PRIMARY], POOL_GPT_PRIMARY, &t->gpt, &why);

	if (err == 0 && !pool_gpt_mbr_is(t->mbr))
		err = -ENODEV;
	else if (err == 0)
		return mend(t, POOL_GPT_BACKUP);
	if (err != -ENODEV || !pool_gpt_mbr_is(t->mbr))
		return tell_none(t, err, &why);
	err = pool_gpt_parse(t->header[POOL_GPT_BACKUP], t->entries[POOL_GPT_BACKUP], POOL_GPT_BACKUP, &t->gpt, &why);
	return err ? tell_none(t, err, &why) : mend(t, POOL_GPT_PRIMARY);
}

static void table_fini(struct table *t)
{
	free(t->mbr);
	pthread_mutex_unlock(&t->p->lock);
}

static int table_init(struct table *t, struct pool_part *p, struct errbuf *eb)
{
	uint64_t len;
	int err;

	*t = (struct table){ .p = p, .eb = eb };
	pthread_mutex_lock(&p->lock);
	p->disk.get_size(p->disk.arg, &t->gpt.block_bytes, &t->gpt.blocks);
	err = pool_gpt_check_disk(t->gpt.block_bytes, t->gpt.blocks, eb);
	if (err)
		return err;
	len = pool_gpt_entry_blocks(t->gpt.block_bytes) * t->gpt.block_bytes;
	t->mbr = calloc(3, t->gpt.block_bytes + len);
	if (!t->mbr)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	t->header[0] = t->mbr + t->gpt.block_bytes;
	t->header[1] = t->header[0] + t->gpt.block_bytes;
	t->entries[0] = t->header[1] + t->gpt.block_bytes;
	t->entries[1] = t->entries[0] + len;
	return 0;
}

/* table_fini() follows either way. */
static int table_load(struct table *t, struct pool_part *p, struct errbuf *eb)
{
	int err = table_init(t, p, eb);

	if (!err)
		err = read_all(t);
	return err ? err : take(t);
}

static struct pool_gpt_part *find_volume(struct table *t, const char *name)
{
	for (unsigned i = 0; i < POOL_GPT_ENTRIES; i++) {
		struct pool_gpt_part *part = &t->gpt.parts[i];

		if (pool_gpt_part_is_volume(part) && pool_gpt_part_has_name(part, name))
			return part;
	}
	(void)errbuf_set(t->eb, -ENOENT, "no volume named \"%s\" in pool %s", name, t->p->pool.name);
	return NULL;
}

/*
 * Room
 */

/* The first partition that ends at or behind @block; NULL: none. */
static const struct pool_gpt_part *part_from(const struct pool_gpt *g, uint64_t block)
{
	const struct pool_gpt_part *found = NULL;

	for (unsigned i = 0; i < POOL_GPT_ENTRIES; i++) {
		const struct pool_gpt_part *part = &g->parts[i];

		if (pool_gpt_part_is_used(part) && part->last >= block && (!found || part->first < found->first))
			found = part;
	}
	return found;
}

/* The next gap from *block on, of at least one block, and moves *block behind it. False: no more. */
static bool next_gap(const struct pool_gpt *g, uint64_t *block, struct gap *ret)
{
	uint64_t room[2], unit = ALIGN_BYTES / g->block_bytes;

	pool_gpt_room(g, room);
	*block = CC_MAX(*block, room[0]);
	while (*block <= room[1]) {
		const struct pool_gpt_part *next = part_from(g, *block);
		uint64_t first = CC_ALIGN_UP(*block, unit), end = next ? next->first : room[1] + 1;

		*block = next ? next->last + 1 : room[1] + 1;
		if (first < end) {
			*ret = (struct gap){ first, end - first };
			return true;
		}
	}
	return false;
}

static uint64_t free_behind(const struct pool_gpt *g, const struct pool_gpt_part *part)
{
	const struct pool_gpt_part *next = part_from(g, part->last + 1);
	uint64_t room[2];

	pool_gpt_room(g, room);
	return (next ? next->first : room[1] + 1) - part->last - 1;
}

static int find_gap(const struct table *t, uint64_t blocks, uint64_t *ret_first)
{
	uint64_t at = 0, most = 0;
	struct gap gap;

	while (next_gap(&t->gpt, &at, &gap)) {
		if (gap.blocks >= blocks) {
			*ret_first = gap.first;
			return 0;
		}
		most = CC_MAX(most, gap.blocks);
	}
	return errbuf_set(t->eb, -ENOSPC, "pool %s has no room for it: the largest piece that is free has %" PRIu64 " bytes",
			  t->p->pool.name, most * t->gpt.block_bytes);
}

/* Blocks of a volume of @bytes. */
static int count_blocks(const struct table *t, uint64_t bytes, uint64_t *ret)
{
	if (bytes % t->gpt.block_bytes)
		return errbuf_set(t->eb, -EINVAL, "a size in pool %s is a multiple of %" PRIu32 " bytes, not %" PRIu64,
				  t->p->pool.name, t->gpt.block_bytes, bytes);
	*ret = bytes / t->gpt.block_bytes;
	return 0;
}

/* Whose volume comes to lie on @blocks from @first finds nothing of what others had there. */
static int wipe(const struct table *t, uint64_t first, uint64_t blocks)
{
	const struct pool_disk *d = &t->p->disk;
	uint32_t bytes = t->gpt.block_bytes;
	int err = d->zero(d->arg, first * bytes, blocks * bytes);

	if (!err)
		err = d->flush(d->arg);
	return err ? fail(t, err, "cannot be filled with zeroes") : 0;
}

/* They belong to nobody, on the disk too; that the device is told is a favour. */
static void let_go(const struct table *t, uint64_t first, uint64_t blocks)
{
	const struct pool_disk *d = &t->p->disk;
	uint32_t bytes = t->gpt.block_bytes;
	int err = d->discard(d->arg, first * bytes, blocks * bytes);

	if (err)
		log_warn("%s: %" PRIu64 " blocks from %" PRIu64 " are free, but the device would not be told: %s",
			 t->p->pool.where, blocks, first, strerror(-err));
}

/*
 * Make a pool
 */

static bool is_zero(const uint8_t *buf, size_t len)
{
	return buf[0] == 0 && memcmp(buf, buf + 1, len - 1) == 0;
}

/* Both ends are zero: nobody's file system, table or signature begins or ends like that. */
static int check_empty(const struct table *t)
{
	uint64_t blocks = EDGE_BYTES / t->gpt.block_bytes;
	uint8_t *buf = malloc(EDGE_BYTES);
	int err = buf ? disk_read(t, 0, buf, blocks) : errbuf_set(t->eb, -ENOMEM, "out of memory");
	bool is_empty = !err && is_zero(buf, EDGE_BYTES);

	if (!err)
		err = disk_read(t, t->gpt.blocks - blocks, buf, blocks);
	is_empty = is_empty && !err && is_zero(buf, EDGE_BYTES);
	free(buf);
	if (err || is_empty)
		return err;
	return errbuf_set(t->eb, -EMEDIUMTYPE,
			  "%.200s is not empty: left as it is; mend, if nothing on it is needed: nvring pool init %s --force",
			  t->p->pool.where, t->p->pool.name);
}

static int write_empty(struct table *t)
{
	uint8_t random[6];
	int err;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return errbuf_set(t->eb, -EIO, "no random number");
	pool_gpt_init(&t->gpt, t->gpt.block_bytes, t->gpt.blocks, random);
	/* What claims the disk comes last: until then it is nobody's pool. */
	err = store(t);
	if (err)
		return err;
	pool_gpt_mbr_build(&t->gpt, t->mbr);
	err = disk_write(t, 0, t->mbr, 1);
	return err ? err : disk_flush(t);
}

/* Nothing of what was there may be found in the places that are not written. */
static int clear_edges(const struct table *t)
{
	uint64_t blocks = EDGE_BYTES / t->gpt.block_bytes;
	int err = wipe(t, 0, blocks);

	return err ? err : wipe(t, t->gpt.blocks - blocks, blocks);
}

int pool_part_init(struct pool *pool, bool force, struct errbuf *eb)
{
	struct errbuf why;
	struct table t;
	int err = table_init(&t, to_part(pool), eb);

	if (!err)
		err = read_all(&t);
	if (!err) {
		t.eb = &why;
		if (take(&t) == 0)
			err = errbuf_set(eb, -EEXIST, "%s is a pool already", pool->where);
		t.eb = eb;
	}
	if (!err)
		err = force ? clear_edges(&t) : check_empty(&t);
	if (!err)
		err = write_empty(&t);
	if (!err)
		log_notice("%s: an empty partition table is written: pool %s", pool->where, pool->name);
	table_fini(&t);
	return err;
}

/*
 * Look
 */

static void tell_volume(const struct table *t, const struct pool_gpt_part *part, struct pool_volume *ret)
{
	uint32_t bytes = t->gpt.block_bytes;

	pool_gpt_part_get_name(part, ret->name);
	ret->off = part->first * bytes;
	ret->bytes = (part->last - part->first + 1) * bytes;
	ret->used_bytes = ret->bytes;
}

static int part_list(struct pool *pool, struct pool_volume **ret, size_t *ret_n, struct errbuf *eb)
{
	struct pool_volume *arr = NULL;
	struct table t;
	size_t n = 0;
	int err = table_load(&t, to_part(pool), eb);

	if (!err) {
		arr = calloc(POOL_GPT_ENTRIES, sizeof(*arr));
		err = arr ? 0 : errbuf_set(eb, -ENOMEM, "out of memory");
	}
	for (unsigned i = 0; i < POOL_GPT_ENTRIES && !err; i++) {
		if (pool_gpt_part_is_volume(&t.gpt.parts[i]))
			tell_volume(&t, &t.gpt.parts[i], &arr[n++]);
	}
	table_fini(&t);
	if (err)
		return err;
	qsort(arr, n, sizeof(*arr), pool_volume_compare);
	*ret = arr;
	*ret_n = n;
	return 0;
}

static int part_space(struct pool *pool, struct pool_space *ret, struct errbuf *eb)
{
	struct table t;
	int err = table_load(&t, to_part(pool), eb);
	uint64_t at = 0, blocks = 0;
	struct gap gap;

	while (!err && next_gap(&t.gpt, &at, &gap))
		blocks += gap.blocks;
	if (!err)
		*ret = (struct pool_space){ t.gpt.blocks * t.gpt.block_bytes, blocks * t.gpt.block_bytes };
	table_fini(&t);
	return err;
}

static int part_find(struct pool *pool, const char *name, struct pool_volume *ret, struct errbuf *eb)
{
	const struct pool_gpt_part *part;
	struct table t;
	int err = table_load(&t, to_part(pool), eb);

	if (!err) {
		part = find_volume(&t, name);
		err = part ? 0 : -ENOENT;
		if (part)
			tell_volume(&t, part, ret);
	}
	table_fini(&t);
	return err;
}

static int part_in_use(struct pool *pool, const char *name, struct errbuf *eb)
{
	struct pool_volume v;

	return part_find(pool, name, &v, eb);
}

/*
 * Change
 */

/* A place in the table for a name that nobody has: a volume is opened by its name. */
static int find_slot(struct table *t, const char *name, struct pool_gpt_part **ret)
{
	struct pool_gpt_part *slot = NULL;

	if (strlen(name) > POOL_GPT_NAME_MAX)
		return errbuf_set(t->eb, -ENAMETOOLONG, "a name in pool %s has at most %d characters", t->p->pool.name,
				  POOL_GPT_NAME_MAX);
	for (unsigned i = 0; i < POOL_GPT_ENTRIES; i++) {
		struct pool_gpt_part *part = &t->gpt.parts[i];

		if (!pool_gpt_part_is_used(part))
			slot = slot ? slot : part;
		else if (pool_gpt_part_has_name(part, name))
			return errbuf_set(t->eb, -EEXIST, "%s/%s is there already", t->p->pool.where, name);
	}
	if (!slot)
		return errbuf_set(t->eb, -ENOSPC, "pool %s has %d partitions, which is all that it can", t->p->pool.name,
				  POOL_GPT_ENTRIES);
	*ret = slot;
	return 0;
}

static int create(struct table *t, const char *name, uint64_t bytes)
{
	uint8_t guid[POOL_GPT_GUID_BYTES];
	struct pool_gpt_part *slot;
	uint64_t blocks, first;
	int err = find_slot(t, name, &slot);

	if (!err)
		err = count_blocks(t, bytes, &blocks);
	if (!err)
		err = find_gap(t, blocks, &first);
	if (!err && getrandom(guid, sizeof(guid), 0) != (ssize_t)sizeof(guid))
		err = errbuf_set(t->eb, -EIO, "no random number");
	if (!err)
		err = wipe(t, first, blocks);
	if (err)
		return err;
	pool_gpt_part_set(slot, name, first, first + blocks - 1, guid);
	return store(t);
}

static int part_create(struct pool *pool, const char *name, uint64_t bytes, struct errbuf *eb)
{
	struct table t;
	int err = table_load(&t, to_part(pool), eb);

	if (!err)
		err = create(&t, name, bytes);
	table_fini(&t);
	return err;
}

static int grow(struct table *t, struct pool_gpt_part *part, uint64_t more)
{
	uint64_t free_blocks = free_behind(&t->gpt, part);
	int err;

	if (more > free_blocks)
		return errbuf_set(t->eb, -ENOSPC, "%" PRIu64 " bytes are free right behind it, and it cannot be moved",
				  free_blocks * t->gpt.block_bytes);
	err = wipe(t, part->last + 1, more);
	if (err)
		return err;
	part->last += more;
	return store(t);
}

static int shrink(struct table *t, struct pool_gpt_part *part, uint64_t less, bool may_shrink)
{
	uint32_t bytes = t->gpt.block_bytes;
	uint64_t blocks = part->last - part->first + 1;
	int err;

	if (!may_shrink)
		return errbuf_set(t->eb, -ERANGE,
				  "it has %" PRIu64 " bytes and would lose what is behind %" PRIu64 ": ask for it (shrink)",
				  blocks * bytes, (blocks - less) * bytes);
	part->last -= less;
	err = store(t);
	if (!err)
		let_go(t, part->last + 1, less);
	return err;
}

static int resize(struct table *t, const char *name, uint64_t bytes, bool may_shrink)
{
	struct pool_gpt_part *part = find_volume(t, name);
	uint64_t blocks, has;
	int err;

	if (!part)
		return -ENOENT;
	err = count_blocks(t, bytes, &blocks);
	if (err)
		return err;
	has = part->last - part->first + 1;
	if (blocks == has)
		return 0;
	return blocks > has ? grow(t, part, blocks - has) : shrink(t, part, has - blocks, may_shrink);
}

static int part_resize(struct pool *pool, const char *name, uint64_t bytes, bool may_shrink, struct errbuf *eb)
{
	struct table t;
	int err = table_load(&t, to_part(pool), eb);

	if (!err)
		err = resize(&t, name, bytes, may_shrink);
	table_fini(&t);
	return err;
}

static int part_remove(struct pool *pool, const char *name, struct errbuf *eb)
{
	struct pool_gpt_part *part, was;
	struct table t;
	int err = table_load(&t, to_part(pool), eb);

	if (!err) {
		part = find_volume(&t, name);
		err = part ? 0 : -ENOENT;
	}
	if (!err) {
		was = *part;
		*part = (struct pool_gpt_part){ .first = 0 };
		err = store(&t);
	}
	if (!err)
		let_go(&t, was.first, was.last - was.first + 1);
	table_fini(&t);
	return err;
}

/*
 * Open and close
 */

static void part_close(struct pool *pool)
{
	struct pool_part *p = to_part(pool);

	pthread_mutex_destroy(&p->lock);
	free(p);
}

const struct pool_ops pool_part_ops = {
	.close = part_close,
	.space = part_space,
	.list = part_list,
	.find = part_find,
	.create = part_create,
	.resize = part_resize,
	.remove = part_remove,
	.in_use = part_in_use,
};

int pool_open_disk(const char *name, const char *where, const struct pool_disk *disk, struct pool **ret,
		   struct errbuf *eb)
{
	struct pool_part *p;
	int err = pool_name_check(name, eb);

	if (err)
		return err;
	if (strlen(where) >= sizeof(p->pool.where))
		return errbuf_set(eb, -ENAMETOOLONG, "%.300s: longer than %d characters", where, POOL_DIR_MAX - 1);
	p = calloc(1, sizeof(*p));
	if (!p)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	if (pthread_mutex_init(&p->lock, NULL)) {
		free(p);
		return errbuf_set(eb, -ENOMEM, "out of memory");
	}
	p->pool.ops = &pool_part_ops;
	p->disk = *disk;
	snprintf(p->pool.name, sizeof(p->pool.name), "%s", name);
	snprintf(p->pool.where, sizeof(p->pool.where), "%s", where);
	*ret = &p->pool;
	return 0;
}
