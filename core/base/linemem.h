/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that one thread writes: no line of it belongs to anything else. */
#ifndef CORE_BASE_LINEMEM_H
#define CORE_BASE_LINEMEM_H

#include <stddef.h>

/* As calloc(), but from the beginning of a line to the end of one. For free(). */
void *linemem_calloc(size_t n, size_t bytes);

#endif
