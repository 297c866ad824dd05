/* SPDX-License-Identifier: BSD-3-Clause */
/* The RAM disk: copies at submit, completes in the same turn. */
#include "drivers/ram/ramb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/hugemem.h"
#include "drivers/uri.h"

#define RAMB_DEPTH	 1024
#define RAMB_BYTES_MAX	 (1u << 20)  /* bounds the copy of one submit */
#define RAMB_ZEROES_MAX	 (4u << 20)  /* bounds the memset of one submit */
#define RAMB_DISCARD_MAX (64u << 20) /* bounds the pages that one punch frees */
#define RAMB_PUNCH_MIN	 (64u << 10) /* below it, a memset is cheaper than the system call */
#define RAMB_PUNCH_PAGE	 (64u << 10) /* largest page that is given back */
#define RAMB_SIZE_TEXT	 32

struct ramb {
	struct bdev bdev;
	struct hugemem mem;
	bool can_punch; /* not with huge pages: the reservation would go with the page, and its
			   return is not certain */
};

static void ramb_read(const char *from, const struct bio *bio)
{
	for (unsigned i = 0; i < bio->iovcnt; i++) {
		memcpy(bio->iov[i].iov_base, from, bio->iov[i].iov_len);
		from += bio->iov[i].iov_len;
	}
}

static void ramb_write(char *to, const struct bio *bio)
{
	for (unsigned i = 0; i < bio->iovcnt; i++) {
		memcpy(to, bio->iov[i].iov_base, bio->iov[i].iov_len);
		to += bio->iov[i].iov_len;
	}
}

/*
 * Zeroes, and gives whole pages back where that pays. The punch is the one system call on a data
 * path: freeing the pages is what the user asked for, and it costs more than entering the kernel.
 */
static void ramb_zero(struct ramb *ram, uint64_t off, uint64_t len, bool may_punch)
{
	uint64_t page = ram->mem.page_bytes;
	uint64_t start = CC_ALIGN_UP(off, page), end = CC_ALIGN_DOWN(off + len, page);
	char *va = ram->mem.va;

	if (!may_punch || !ram->can_punch || end <= start || end - start < RAMB_PUNCH_MIN ||
	    fallocate(ram->mem.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)start,
		      (off_t)(end - start))) {
		memset(va + off, 0, len);
		return;
	}
	memset(va + off, 0, start - off);
	memset(va + end, 0, off + len - end);
}

static void ramb_execute(struct ramb *ram, const struct bio *bio)
{
	char *va = (char *)ram->mem.va + bio->off;

	switch (bio->op) {
	case BIO_READ:
		ramb_read(va, bio);
		break;
	case BIO_WRITE:
		ramb_write(va, bio);
		break;
	case BIO_DISCARD:
		ramb_zero(ram, bio->off, bio->len, true);
		break;
	case BIO_WRITE_ZEROES:
		ramb_zero(ram, bio->off, bio->len, !(bio->flags & BIO_NOUNMAP));
		break;
	default: /* FLUSH: memory is as durable as it gets */
		break;
	}
}

static void ramb_submit(struct bdev_chan *chan, struct bio *bio)
{
	ramb_execute(container_of(chan->bdev, struct ramb, bdev), bio);
	bdev_complete_later(bio, 0);
}

/* The first lines of the next I/O come from memory while this one is copied; behind them the CPU's
 * own prefetcher has found the stream. */
#define RAMB_AHEAD_BYTES (4 * CACHELINE_BYTES)

static void ramb_submit_batch(struct bdev_chan *chan, struct bio_queue *bios)
{
	struct ramb *ram = container_of(chan->bdev, struct ramb, bdev);

	for (const struct bio *bio = bios->first; bio; bio = bio->next) {
		const char *ahead = bio->next ? (char *)ram->mem.va + bio->next->off : NULL;

		for (unsigned i = 0; ahead && i < RAMB_AHEAD_BYTES; i += CACHELINE_BYTES)
			cc_prefetch(ahead + i);
		ramb_execute(ram, bio);
	}
	bdev_complete_batch_later(chan, bios);
}

static void ramb_close(struct bdev *bdev)
{
	struct ramb *ram = container_of(bdev, struct ramb, bdev);

	hugemem_free(&ram->mem);
	free(ram);
}

static const struct bdev_ops ramb_ops = {
	.name = "ram",
	.close = ramb_close,
	.submit = ramb_submit,
	.submit_batch = ramb_submit_batch,
};

int ramb_open(const char *text, struct bdev **ret_bdev, struct errbuf *eb)
{
	uint64_t block = 512, depth = RAMB_DEPTH, bytes;
	const struct uri_opt opts[] = {
		{ "block", URI_SIZE, 512, BDEV_BLOCK_MAX, NULL, &block },
		{ "depth", URI_NUMBER, 1, BDEV_DEPTH_MAX, NULL, &depth },
	};
	char size[RAMB_SIZE_TEXT];
	struct ramb *ram;
	int err = uri_parse(text, size, sizeof(size), opts, ARRAY_SIZE(opts), eb);

	if (!err)
		err = uri_blocks_parse(size, block, &bytes, eb);
	if (err)
		return err;
	ram = calloc(1, sizeof(*ram));
	if (!ram)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	ram->mem.fd = -1;
	err = hugemem_alloc(&ram->mem, bytes, "nvring-ram");
	if (err) {
		(void)errbuf_set(eb, err, "%s bytes of memory: %s", size, strerror(-err));
		goto fail;
	}
	ram->can_punch = ram->mem.page_bytes <= RAMB_PUNCH_PAGE;
	err = bdev_init(&ram->bdev, &ramb_ops, bytes,
			&(struct bdev_limits){
				.block_bytes = (uint32_t)block,
				.phys_bytes = (uint32_t)CC_MAX(block, 4096),
				.buf_align = 1,
				.depth = (uint32_t)depth,
				.iovs_max = BDEV_IOVS_MAX,
				.bytes_max = RAMB_BYTES_MAX,
				.discard_max = ram->can_punch ? RAMB_DISCARD_MAX : RAMB_ZEROES_MAX,
				.discard_align = (uint32_t)ram->mem.page_bytes,
				.zeroes_max = RAMB_ZEROES_MAX,
				.has_fua = true,
			});
	if (err) {
		(void)errbuf_set(eb, err, "impossible limits");
		goto fail;
	}
	*ret_bdev = &ram->bdev;
	return 0;
fail:
	hugemem_free(&ram->mem);
	free(ram);
	return err;
}
