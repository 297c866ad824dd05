/* SPDX-License-Identifier: BSD-3-Clause */
/* A device behind a transport that is fuzzed: answers each request with four bytes. */
#ifndef TESTS_FUZZ_FUZZ_DEV_H
#define TESTS_FUZZ_FUZZ_DEV_H

#include <string.h>

#include "vhost/vdev.h"

#define FUZZ_DEV_CONFIG_BYTES 60

static inline uint64_t fuzz_dev_features(const struct vdev *d)
{
	(void)d;
	return 0;
}

static inline uint32_t fuzz_dev_config_get(const struct vdev *d, uint8_t config[VDEV_CONFIG_MAX])
{
	(void)d;
	memset(config, 1, FUZZ_DEV_CONFIG_BYTES);
	return FUZZ_DEV_CONFIG_BYTES;
}

static inline int fuzz_dev_queue_open(struct vdev_queue *q, struct errbuf *eb)
{
	(void)q;
	(void)eb;
	return 0;
}

static inline void fuzz_dev_queue_close(struct vdev_queue *q)
{
	(void)q;
}

static inline void fuzz_dev_process(struct vdev_queue *q, struct vq_elem **elems, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		vdev_queue_done(q, elems[i], (uint32_t)vq_elem_write(elems[i], 0, "fuzz", 4));
}

static inline void fuzz_dev_reset(struct vdev *d)
{
	(void)d;
}

/* The operations that every device has. */
#define FUZZ_DEV_OPS                                                                         \
	.name = "fuzz", .virtio_id = 2, .slot_bytes = sizeof(struct vq_elem),                \
	.features = fuzz_dev_features, .config_get = fuzz_dev_config_get,                    \
	.queue_open = fuzz_dev_queue_open, .queue_close = fuzz_dev_queue_close,              \
	.process = fuzz_dev_process, .reset = fuzz_dev_reset

#endif
