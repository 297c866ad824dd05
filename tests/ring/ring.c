/* SPDX-License-Identifier: BSD-3-Clause */
/* Both ends of one virtqueue in plain memory. */
#include "tests/ring/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost/virtq/vqi.h"

#define RING_PAGE 4096u

static int fds_open(struct ring *ring, bool wanted)
{
	ring->conf.kick_fd = -1;
	ring->conf.call_fd = -1;
	if (!wanted)
		return 0;
	ring->conf.kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ring->conf.call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return ring->conf.kick_fd < 0 || ring->conf.call_fd < 0 ? -errno : 0;
}

static void region_make(const struct ring *ring, char *va, size_t len)
{
	ring->gmem->r[ring->gmem->n++] = (struct gmem_region){
		.gpa = ring_gpa(ring, va),
		.uva = (uint64_t)(uintptr_t)va,
		.len = len,
		.va = va,
	};
}

/* All of the memory, in one region or two. */
static int gmem_make(struct ring *ring)
{
	size_t rest = ring->mem_bytes - ring->region_bytes;

	ring->gmem = calloc(1, sizeof(*ring->gmem) + 2 * sizeof(struct gmem_region));
	if (!ring->gmem)
		return -ENOMEM;
	ring->gmem->refs = 1;
	region_make(ring, ring->mem, ring->region_bytes);
	if (rest)
		region_make(ring, ring->mem + ring->region_bytes, rest);
	ring->conf.gmem = ring->gmem;
	return 0;
}

static int inflight_make(struct ring *ring, const struct ring_opts *opts)
{
	uint64_t bytes = vqi_bytes(opts->packed, opts->size);

	if (!opts->inflight)
		return 0;
	ring->inflight = aligned_alloc(CACHELINE_BYTES, CC_ALIGN_UP(bytes, CACHELINE_BYTES));
	if (!ring->inflight)
		return -ENOMEM;
	memset(ring->inflight, 0, bytes);
	vqi_format(ring->inflight, opts->packed, opts->size, ring->conf.features);
	ring->conf.inflight = ring->inflight;
	return 0;
}

static int driver_init(struct ring *ring, const struct ring_opts *opts, char *indirect)
{
	const struct vqd_conf c = {
		.size = opts->size,
		.packed = opts->packed,
		.features = ring->conf.features,
		.desc = ring->conf.desc,
		.avail = ring->conf.avail,
		.used = ring->conf.used,
		.indirect = opts->indirect_max ? indirect : NULL,
		.indirect_gpa = ring_gpa(ring, indirect),
		.indirect_max = opts->indirect_max,
		.kick_fd = ring->conf.kick_fd,
	};

	return vqd_init(&ring->vqd, &c);
}

int ring_init(struct ring *ring, const struct ring_opts *opts)
{
	size_t part = CC_ALIGN_UP(VIRTQ_DESC_BYTES(opts->size), RING_PAGE);
	size_t tables = CC_ALIGN_UP((size_t)opts->size * opts->indirect_max * 16, RING_PAGE);
	char *at;
	int err;

	memset(ring, 0, sizeof(*ring));
	ring->conf.kick_fd = -1;
	ring->conf.call_fd = -1;
	ring->mem_bytes =
		3 * part + 2 * RING_PAGE + tables + CC_ALIGN_UP(opts->data_bytes, RING_PAGE);
	ring->mem = mmap(NULL, ring->mem_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0);
	if (ring->mem == MAP_FAILED)
		return -ENOMEM;
	at = ring->mem;
	ring->conf.desc = at;
	ring->conf.avail = at += part;
	ring->conf.used = at += part + RING_PAGE;
	at += part + RING_PAGE;
	ring->data = at + tables;
	ring->region_bytes = ring->mem_bytes;
	if (opts->data_apart)
		ring->region_bytes = (size_t)(ring->data - ring->mem) + opts->data_apart;
	ring->conf.size = opts->size;
	ring->conf.packed = opts->packed;
	ring->conf.avail_wrap = true;
	ring->conf.used_wrap = true;
	ring->conf.features = opts->features | VIRTIO_BIT(VIRTIO_F_VERSION_1);
	if (opts->packed)
		ring->conf.features |= VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	if (opts->indirect_max)
		ring->conf.features |= VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);
	ring->conf.log_used_gpa = UINT64_MAX;
	err = fds_open(ring, opts->eventfds);
	err = err ? err : gmem_make(ring);
	err = err ? err : inflight_make(ring, opts);
	err = err ? err : driver_init(ring, opts, at);
	if (err)
		ring_fini(ring);
	return err;
}

void ring_fini(struct ring *ring)
{
	vqd_fini(&ring->vqd);
	free(ring->inflight);
	free(ring->gmem);
	if (ring->conf.kick_fd >= 0)
		close(ring->conf.kick_fd);
	if (ring->conf.call_fd >= 0)
		close(ring->conf.call_fd);
	munmap(ring->mem, ring->mem_bytes);
}
