/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables of registered buffers: what is asked of the kernel. */
#include "drivers/uring/urb_table_priv.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "drivers/uring/urb_pin_priv.h"

/* <linux/io_uring.h> of Linux 6.13; Debian 12's headers are older. */
#define REGISTER_CLONE_BUFFERS 30
#define CLONE_DST_REPLACE      (1u << 1) /* the table has entries already */

struct clone_buffers {
	uint32_t src_fd, flags, src_off, dst_off, nr, pad[3];
};

int urb_table_clone(int to, int from, uint32_t first, uint32_t n)
{
	struct clone_buffers arg = {
		.src_fd = (uint32_t)from,
		.flags = CLONE_DST_REPLACE,
		.dst_off = first,
		.nr = n,
	};

	return syscall(SYS_io_uring_register, to, REGISTER_CLONE_BUFFERS, &arg, 1) < 0 ? -errno : 0;
}

int urb_table_set(struct io_uring *ring, uint32_t at, char *va, uint64_t len, uint32_t i)
{
	uint64_t into = (uint64_t)i << URB_PIECE_SHIFT;
	const struct iovec iov = { va + into, CC_MIN(len - into, URB_PIECE_BYTES) };
	const __u64 tag = 0;
	int rc = io_uring_register_buffers_update_tag(ring, at, &iov, &tag, 1);

	return CC_MIN(rc, 0);
}

void urb_table_clear(struct io_uring *ring, uint32_t first, uint32_t n)
{
	static const struct iovec none[URB_TABLE_CLEAR_MAX];
	static const __u64 tags[ARRAY_SIZE(none)];

	assert(n <= ARRAY_SIZE(none));
	/* There is nothing to do about an error: the memory stays pinned until the place is used
	 * again. */
	(void)io_uring_register_buffers_update_tag(ring, first, none, tags, n);
}

/* What this kernel can do: clone (6.13), or at least tables with room (5.19). */
static int try_all(struct io_uring *from, struct io_uring *to, bool *ret_can_clone)
{
	static char page[1];
	const struct iovec iov = { page, sizeof(page) };
	int err = io_uring_register_buffers(from, &iov, 1);

	if (!err)
		err = io_uring_register_buffers_sparse(to, 4);
	if (err)
		return err;
	*ret_can_clone = !urb_table_clone(to->ring_fd, from->ring_fd, 2, 1);
	return *ret_can_clone ? 0 : urb_table_set(to, 1, page, sizeof(page), 0);
}

int urb_table_probe(bool *ret_can_clone, struct errbuf *eb)
{
	struct io_uring from, to;
	int err = io_uring_queue_init(1, &from, 0);

	if (err)
		return errbuf_set(eb, err, "io_uring: %s", strerror(-err));
	err = io_uring_queue_init(1, &to, 0);
	if (!err) {
		err = try_all(&from, &to, ret_can_clone);
		io_uring_queue_exit(&to);
	}
	io_uring_queue_exit(&from);
	if (err == -ENOMEM)
		return errbuf_set(eb, err, "RLIMIT_MEMLOCK allows next to nothing");
	return err ? errbuf_set(eb, err, "needs Linux 5.19 (%s)", strerror(-err)) : 0;
}
