/* SPDX-License-Identifier: BSD-3-Clause */
/* The null device: completes everything in the same turn. */
#include "drivers/null/nullb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/uri.h"

#define NULLB_DEPTH	1024	   /* default; nothing is ever long under way */
#define NULLB_BYTES_MAX (1u << 20) /* one READ or WRITE, as real devices have it */
#define NULLB_SIZE_TEXT 32

static void nullb_submit(struct bdev_chan *chan, struct bio *bio)
{
	(void)chan;
	bdev_complete_later(bio, 0);
}

static void nullb_submit_batch(struct bdev_chan *chan, struct bio_queue *bios)
{
	bdev_complete_batch_later(chan, bios);
}

static void nullb_zero_submit(struct bdev_chan *chan, struct bio *bio)
{
	(void)chan;
	if (bio->op == BIO_READ) {
		for (unsigned i = 0; i < bio->iovcnt; i++)
			memset(bio->iov[i].iov_base, 0, bio->iov[i].iov_len);
	}
	bdev_complete_later(bio, 0);
}

static void nullb_close(struct bdev *bdev)
{
	free(bdev);
}

/* Any size is as good as any other. */
static int nullb_resize(struct bdev *bdev, uint64_t bytes, uint64_t *ret_bytes, struct errbuf *eb)
{
	if (bytes % bdev->lim.block_bytes)
		return errbuf_set(eb, -EINVAL, "the size must be a multiple of %u bytes",
				  bdev->lim.block_bytes);
	*ret_bytes = bytes ? bytes : bdev_bytes(bdev);
	return 0;
}

static const struct bdev_ops nullb_ops = {
	.name = "null",
	.close = nullb_close,
	.submit = nullb_submit,
	.submit_batch = nullb_submit_batch,
	.resize = nullb_resize,
};

static const struct bdev_ops nullb_zero_ops = {
	.name = "null",
	.close = nullb_close,
	.submit = nullb_zero_submit,
	.resize = nullb_resize,
};

int nullb_open(const char *text, struct bdev **ret_bdev, struct errbuf *eb)
{
	uint64_t block = 512, depth = NULLB_DEPTH, zero = 0, bytes;
	const struct uri_opt opts[] = {
		{ "block", URI_SIZE, 512, BDEV_BLOCK_MAX, NULL, &block },
		{ "depth", URI_NUMBER, 1, BDEV_DEPTH_MAX, NULL, &depth },
		{ "zero", URI_FLAG, 0, 1, NULL, &zero },
	};
	char size[NULLB_SIZE_TEXT];
	struct bdev *bdev;
	int err = uri_parse(text, size, sizeof(size), opts, ARRAY_SIZE(opts), eb);

	if (!err)
		err = uri_blocks_parse(size, block, &bytes, eb);
	if (err)
		return err;
	bdev = calloc(1, sizeof(*bdev));
	if (!bdev)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	err = bdev_init(bdev, zero ? &nullb_zero_ops : &nullb_ops, bytes,
			&(struct bdev_limits){
				.block_bytes = (uint32_t)block,
				.phys_bytes = (uint32_t)CC_MAX(block, 4096),
				.buf_align = 1,
				.depth = (uint32_t)depth,
				.iovs_max = BDEV_IOVS_MAX,
				.bytes_max = NULLB_BYTES_MAX,
				.discard_max = UINT64_MAX,
				.zeroes_max = UINT64_MAX,
				.has_fua = true,
			});
	if (err) {
		free(bdev);
		return errbuf_set(eb, err, "impossible limits");
	}
	*ret_bdev = bdev;
	return 0;
}
