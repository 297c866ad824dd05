/* SPDX-License-Identifier: BSD-3-Clause */
/* Bounce buffers: where data stops over whose own buffers the device cannot reach as they are. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/bdev_priv.h"

static_assert(BDEV_BOUNCE_BYTES >= BDEV_BLOCK_MAX, "a bounce buffer holds a block");
static_assert(CC_IS_POW2(BDEV_BOUNCE_BYTES), "a bounce buffer is aligned to its size");

/* The handle of a buffer: slot i of the slab stands for buffer i. */
struct bdev_bounce {
	uint8_t unused;
};

/* In the DMA registry: devices move the data from and to the bounce buffer. */
int bdev_bounce_init(struct bdev_chan *chan)
{
	/* one buffer more than are used: room to align the first */
	int err = hugemem_alloc(&chan->bounce_mem, (size_t)(BDEV_BOUNCES + 1) * BDEV_BOUNCE_BYTES,
				"nvring-bounce");

	if (err)
		return err;
	err = hugemem_dma_add(&chan->bounce_mem);
	if (!err)
		err = slab_init(&chan->bounces, BDEV_BOUNCES, sizeof(struct bdev_bounce));
	else
		hugemem_free(&chan->bounce_mem);
	return err;
}

void bdev_bounce_fini(struct bdev_chan *chan)
{
	slab_fini(&chan->bounces);
	if (chan->bounce_mem.fd >= 0)
		hugemem_dma_del(&chan->bounce_mem);
	hugemem_free(&chan->bounce_mem);
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
	uintptr_t first = CC_ALIGN_UP((uintptr_t)chan->bounce_mem.va, BDEV_BOUNCE_BYTES);

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
