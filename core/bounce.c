/* SPDX-License-Identifier: BSD-3-Clause */
/* Bounce buffers: where data stops over whose own buffers the device cannot reach as they are. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "core/bdev_priv.h"

static_assert(BDEV_BOUNCE_BYTES >= BDEV_BLOCK_MAX, "a bounce buffer holds a block");
static_assert(CC_IS_POW2(BDEV_BOUNCE_BYTES), "a bounce buffer is aligned to its size");

/* One buffer more than are used: room to align the first. */
#define BOUNCE_MAP_BYTES ((size_t)(BDEV_BOUNCES + 1) * BDEV_BOUNCE_BYTES)

/* The handle of a buffer: slot i of the slab stands for buffer i. */
struct bdev_bounce {
	uint8_t unused;
};

int bdev_bounce_init(struct bdev_chan *chan)
{
	void *mem = mmap(NULL, BOUNCE_MAP_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		return -ENOMEM;
	chan->bounce_mem = mem;
	return slab_init(&chan->bounces, BDEV_BOUNCES, sizeof(struct bdev_bounce));
}

void bdev_bounce_fini(struct bdev_chan *chan)
{
	slab_fini(&chan->bounces);
	if (chan->bounce_mem)
		munmap(chan->bounce_mem, BOUNCE_MAP_BYTES);
	chan->bounce_mem = NULL;
}

struct bdev_bounce *bdev_bounce_get(struct bdev_chan *chan)
{
	return slab_get(&chan->bounces);
}

void bdev_bounce_put(struct bdev_chan *chan, struct bdev_bounce *b)
{
	slab_put(&chan->bounces, b);
}

void *bdev_bounce_va(const struct bdev_chan *chan, const struct bdev_bounce *b)
{
	size_t idx = (size_t)((const char *)b - chan->bounces.mem) / chan->bounces.stride;
	uintptr_t first = CC_ALIGN_UP((uintptr_t)chan->bounce_mem, BDEV_BOUNCE_BYTES);

	return (char *)first + idx * BDEV_BOUNCE_BYTES;
}

/* The stretch of @bio's buffers at @at, at most @len bytes. */
static char *cursor_stretch(const struct bdev_cursor *at, const struct bio *bio, uint64_t len,
			    uint64_t *ret_len)
{
	const struct iovec *iov = &bio->iov[at->idx];

	assert(at->idx < bio->iovcnt);
	*ret_len = CC_MIN(len, iov->iov_len - at->off);
	return (char *)iov->iov_base + at->off;
}

void bdev_cursor_advance(struct bdev_cursor *at, const struct bio *bio, uint64_t len)
{
	at->off += len;
	while (at->idx < bio->iovcnt && at->off >= bio->iov[at->idx].iov_len) {
		at->off -= bio->iov[at->idx].iov_len;
		at->idx++;
	}
}

void bdev_bounce_fill(void *va, const struct bio *bio, struct bdev_cursor at, uint64_t len)
{
	char *dst = va;
	uint64_t n;

	for (; len; len -= n, dst += n) {
		const char *src = cursor_stretch(&at, bio, len, &n);

		memcpy(dst, src, n);
		bdev_cursor_advance(&at, bio, n);
	}
}

void bdev_bounce_drain(const void *va, const struct bio *bio, struct bdev_cursor at, uint64_t len)
{
	const char *src = va;
	uint64_t n;

	for (; len; len -= n, src += n) {
		char *dst = cursor_stretch(&at, bio, len, &n);

		memcpy(dst, src, n);
		bdev_cursor_advance(&at, bio, n);
	}
}
