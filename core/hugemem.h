/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory another process can map too: memfd-backed, huge pages where they are to be had. */
#ifndef CORE_HUGEMEM_H
#define CORE_HUGEMEM_H

#include <stddef.h>

struct hugemem {
	void *va;
	size_t len; /* rounded up to the page size in use */
	int fd;	    /* the memfd, owned; -1 when empty */
	size_t page_bytes;
};

/**
 * hugemem_alloc - at least @len zeroed bytes. Tries 2 MiB pages first for 2 MiB and more, falls back to normal pages.
 * @name shows in /proc/PID/maps. 0, -ENOMEM, -EMFILE.
 */
int hugemem_alloc(struct hugemem *m, size_t len, const char *name);
/* Enter it into / take it out of the DMA registry: core/dma.h. */
int hugemem_dma_add(const struct hugemem *m);
void hugemem_dma_del(const struct hugemem *m);
/* Harmless on an empty one ({ .fd = -1 }). */
void hugemem_free(struct hugemem *m);

#endif
