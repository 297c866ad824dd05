/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory in a memfd, on huge pages where there are some. */
#include "core/hugemem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/dma.h"

#define HUGEMEM_PAGE_BYTES (2u * 1024 * 1024)

static int hugemem_try(struct hugemem *m, size_t len, size_t page_bytes, const char *name,
		       unsigned flags)
{
	struct hugemem new = { .len = CC_ALIGN_UP(len, page_bytes), .page_bytes = page_bytes };
	int err;

	if (new.len < len)
		return -ENOMEM;
	new.fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
	if (new.fd < 0)
		return -errno;
	if (ftruncate(new.fd, (off_t) new.len) < 0) {
		err = -errno;
		close(new.fd);
		return err == -EINVAL || err == -EFBIG ? -ENOMEM : err;
	}
	/* Whoever else maps it can rely on its size. */
	(void)fcntl(new.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	new.va = mmap(NULL, new.len, PROT_READ | PROT_WRITE, MAP_SHARED, new.fd, 0);
	if (new.va == MAP_FAILED) {
		err = -errno;
		close(new.fd);
		return err;
	}
	*m = new;
	return 0;
}

int hugemem_alloc(struct hugemem *m, size_t len, const char *name)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);

	/* A mapping of huge pages reserves them, so a failure shows here and not as SIGBUS later.
	 */
	if (len >= HUGEMEM_PAGE_BYTES &&
	    hugemem_try(m, len, HUGEMEM_PAGE_BYTES, name, MFD_HUGETLB | MFD_HUGE_2MB) == 0)
		return 0;
	return hugemem_try(m, CC_MAX(len, (size_t)1), page_bytes, name, 0);
}

void hugemem_free(struct hugemem *m)
{
	if (m->fd < 0)
		return;
	munmap(m->va, m->len);
	close(m->fd);
	*m = (struct hugemem){ .fd = -1 };
}

int hugemem_dma_add(const struct hugemem *m)
{
	return dma_region_add(&(struct dma_region){ .va = m->va, .len = m->len, .fd = m->fd });
}

void hugemem_dma_del(const struct hugemem *m)
{
	(void)dma_region_del(m->va, m->len); /* it was added */
}
