/* SPDX-License-Identifier: BSD-3-Clause */
/* Pools of either kind: what both ask of names and sizes, and the way to the one or the other. */
#include "tools/pool/pool.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tools/pool/pool_priv.h"

int pool_name_check(const char *name, struct errbuf *eb)
{
	size_t n = strlen(name);

	if (n == 0 || n >= POOL_NAME_MAX)
		return errbuf_set(eb, -EINVAL, "a name has 1 to %d characters", POOL_NAME_MAX - 1);
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
			return errbuf_set(eb, -EINVAL, "a name consists of letters, digits and . _ -");
	}
	if (!isalnum((unsigned char)name[0]) || !isalnum((unsigned char)name[n - 1]))
		return errbuf_set(eb, -EINVAL, "a name begins and ends with a letter or a digit");
	return 0;
}

int pool_size_check(uint64_t bytes, struct errbuf *eb)
{
	if (bytes == 0 || bytes % POOL_BLOCK_BYTES || bytes > INT64_MAX)
		return errbuf_set(eb, -EINVAL, "a size is a multiple of %d bytes, not %" PRIu64,
				  POOL_BLOCK_BYTES, bytes);
	return 0;
}

int pool_volume_compare(const void *a, const void *b)
{
	return strcmp(((const struct pool_volume *)a)->name, ((const struct pool_volume *)b)->name);
}

void pool_close(struct pool *p)
{
	if (p)
		p->ops->close(p);
}

const char *pool_name(const struct pool *p)
{
	return p->name;
}

const char *pool_where(const struct pool *p)
{
	return p->where;
}

bool pool_is_disk(const struct pool *p)
{
	return p->ops == &pool_part_ops;
}

int pool_init(struct pool *p, bool force, struct errbuf *eb)
{
	if (!pool_is_disk(p))
		return errbuf_set(eb, -ENOTSUP, "%s is a directory, and a pool as it is", p->where);
	return pool_part_init(p, force, eb);
}

int pool_image_path(const struct pool *p, const char *name, char *buf, size_t len)
{
	return pool_is_disk(p) ? -ENOTSUP : pool_dir_image_path(p, name, buf, len);
}

int pool_space(struct pool *p, struct pool_space *ret, struct errbuf *eb)
{
	return p->ops->space(p, ret, eb);
}

int pool_list(struct pool *p, struct pool_volume **ret, size_t *ret_n, struct errbuf *eb)
{
	return p->ops->list(p, ret, ret_n, eb);
}

int pool_find(struct pool *p, const char *name, struct pool_volume *ret, struct errbuf *eb)
{
	int err = pool_name_check(name, eb);

	return err ? err : p->ops->find(p, name, ret, eb);
}

int pool_create(struct pool *p, const char *name, uint64_t bytes, struct errbuf *eb)
{
	int err = pool_name_check(name, eb);

	if (!err)
		err = pool_size_check(bytes, eb);
	return err ? err : p->ops->create(p, name, bytes, eb);
}

int pool_resize(struct pool *p, const char *name, uint64_t bytes, bool may_shrink, struct errbuf *eb)
{
	int err = pool_name_check(name, eb);

	if (!err)
		err = pool_size_check(bytes, eb);
	return err ? err : p->ops->resize(p, name, bytes, may_shrink, eb);
}

int pool_remove(struct pool *p, const char *name, struct errbuf *eb)
{
	int err = pool_name_check(name, eb);

	return err ? err : p->ops->remove(p, name, eb);
}

int pool_in_use(struct pool *p, const char *name, struct errbuf *eb)
{
	int err = pool_name_check(name, eb);

	return err ? err : p->ops->in_use(p, name, eb);
}
