/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables of registered buffers: what is asked of the kernel. By whoever may: a ring's issuer. */
#ifndef DRIVERS_URING_URB_TABLE_PRIV_H
#define DRIVERS_URING_URB_TABLE_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"

struct io_uring;

#define URB_TABLE_CLEAR_MAX 64u

/* What can this kernel do? 0, with whether rings can clone; or -errno (nothing) with the reason in
 * @eb. */
int urb_table_probe(bool *ret_can_clone, struct errbuf *eb);

/* @n buffers of ring @from, from the first on, become those from @first on of ring @to. 0 or
 * -errno. */
int urb_table_clone(int to, int from, uint32_t first, uint32_t n);

/* Piece @i of a region (@va, @len) becomes buffer @at of @ring. 0 or -errno. */
int urb_table_set(struct io_uring *ring, uint32_t at, char *va, uint64_t len, uint32_t i);

/* Buffers @first … @first + @n - 1 of @ring are none; at most URB_TABLE_CLEAR_MAX. */
void urb_table_clear(struct io_uring *ring, uint32_t first, uint32_t n);

#endif
