/* SPDX-License-Identifier: BSD-3-Clause */
/* One VDUSE device in plain memory. */
#include "tests/unit/fake_vduse.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "vhost/virtq/virtio_spec.h"

#define MEMORY_BYTES (FAKE_VDUSE_BOUNCE + FAKE_VDUSE_QUEUES * FAKE_VDUSE_RING)

struct fake_vduse fake_vduse;

static struct fake_vduse *const f = &fake_vduse;

void fake_vduse_init(void)
{
	*f = (struct fake_vduse){ .kernel = -1 };
	for (unsigned i = 0; i < FAKE_VDUSE_QUEUES; i++)
		f->q[i].kick = -1;
	f->memory = memfd_create("vduse-domain", MFD_CLOEXEC);
	assert(f->memory >= 0);
	if (ftruncate(f->memory, MEMORY_BYTES))
		abort();
	f->mem = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->memory, 0);
	assert(f->mem != MAP_FAILED);
}

static void device_reset(void)
{
	for (unsigned i = 0; i < FAKE_VDUSE_QUEUES; i++) {
		if (f->q[i].kick >= 0)
			close(f->q[i].kick);
		f->q[i].kick = -1;
	}
}

/* Has the other side closed its fd? Then the kernel takes its memory back. */
static void look_at_peer(void)
{
	struct pollfd p = { .fd = f->kernel };

	if (f->kernel < 0 || poll(&p, 1, 0) <= 0 || !(p.revents & POLLHUP))
		return;
	f->has_late = recv(f->kernel, &f->late, sizeof(f->late), MSG_DONTWAIT) == sizeof(f->late);
	close(f->kernel);
	f->kernel = -1;
	if (f->umem) {
		memcpy(f->mem, f->umem, FAKE_VDUSE_BOUNCE);
		munmap(f->umem, FAKE_VDUSE_BOUNCE);
	}
	f->umem = NULL;
}

void fake_vduse_fini(void)
{
	look_at_peer();
	if (f->kernel >= 0)
		close(f->kernel);
	device_reset();
	munmap(f->mem, MEMORY_BYTES);
	close(f->memory);
}

void fake_vduse_map(uint64_t start, uint64_t len, bool takes_umem)
{
	fake_vduse_map_file(start, len, f->memory, VDUSE_ACCESS_RW);
	f->region[f->nregions - 1].is_sized = false;
	f->region[f->nregions - 1].takes_umem = takes_umem;
}

void fake_vduse_map_file(uint64_t start, uint64_t len, int fd, uint8_t perm)
{
	assert(f->nregions < FAKE_VDUSE_REGIONS);
	f->region[f->nregions++] = (struct fake_vduse_region){
		.e = { .offset = fd == f->memory ? start : 0,
		       .start = start,
		       .last = start + len - 1,
		       .perm = perm },
		.fd = fd,
		.is_sized = true,
	};
}

void fake_vduse_shrink(bool away)
{
	if (ftruncate(f->memory, away ? 0 : MEMORY_BYTES))
		abort();
}

void *fake_vduse_va(uint64_t iova)
{
	return (f->umem && iova < FAKE_VDUSE_BOUNCE ? f->umem : f->mem) + iova;
}

uint32_t fake_vduse_send(struct vduse_dev_request req)
{
	req.request_id = f->next_id++;
	if (send(f->kernel, &req, sizeof(req), 0) != sizeof(req))
		abort();
	return req.request_id;
}

bool fake_vduse_answer(struct vduse_dev_response *ret)
{
	if (f->kernel < 0 && f->has_late) {
		*ret = f->late;
		f->has_late = false;
		return true;
	}
	return recv(f->kernel, ret, sizeof(*ret), MSG_DONTWAIT) == sizeof(*ret);
}

void fake_vduse_kick(unsigned i)
{
	const uint64_t one = 1;

	f->q[i].kicked = true;
	if (f->q[i].kick >= 0 && write(f->q[i].kick, &one, sizeof(one)) < 0)
		abort();
}

/*
 * Calls
 */
static int fake_open(const char *name)
{
	int pair[2];

	look_at_peer();
	if (strcmp(name, VDUSE_CONTROL) == 0)
		return f->control_err ? f->control_err : open("/dev/null", O_RDWR | O_CLOEXEC);
	if (!f->exists || strcmp(name, f->name) != 0)
		return -ENOENT;
	if (f->taken || f->kernel >= 0)
		return -EBUSY;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
		return -errno;
	f->kernel = pair[1];
	return pair[0];
}

static int create(const struct vduse_dev_config *c)
{
	static const __u32 zero[13];

	if (memcmp(c->reserved, zero, sizeof(zero)) || c->vq_align > 4096 || c->device_id != 2 ||
	    c->config_size > sizeof(f->config) || c->vq_num == 0 || c->vq_num > FAKE_VDUSE_QUEUES ||
	    !(c->features & VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM)) || (c->features & 1u << 11))
		return -EINVAL;
	if (f->exists)
		return -EEXIST;
	f->exists = true;
	f->ncreated++;
	memcpy(f->name, c->name, sizeof(f->name));
	f->offered = c->features;
	f->nqueues = c->vq_num;
	f->config_bytes = c->config_size;
	memcpy(f->config, c->config, c->config_size);
	return 0;
}

static int destroy(const char *name)
{
	if (!f->exists || strcmp(name, f->name) != 0)
		return -EINVAL;
	if (f->attached || f->taken || f->kernel >= 0)
		return -EBUSY;
	f->exists = false;
	return 0;
}

static const struct fake_vduse_region *region_first(uint64_t start, uint64_t last)
{
	const struct fake_vduse_region *first = NULL;

	for (unsigned i = 0; i < f->nregions; i++) {
		const struct fake_vduse_region *r = &f->region[i];

		if (r->e.start <= last && start <= r->e.last && (!first || r->e.start < first->e.start))
			first = r;
	}
	return first;
}

static int get_fd(struct vduse_iotlb_entry *e)
{
	const struct fake_vduse_region *r = region_first(e->start, e->last);
	char path[64];

	if (e->start > e->last || !r)
		return -EINVAL;
	*e = r->e;
	if (e->perm != VDUSE_ACCESS_RO)
		return fcntl(r->fd, F_DUPFD_CLOEXEC, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", r->fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int get_info(struct vduse_iova_info *info)
{
	const struct fake_vduse_region *r = region_first(info->start, info->last);

	if (!r)
		return -EINVAL;
	*info = (struct vduse_iova_info){ .start = r->e.start,
					  .last = r->e.last,
					  .capability = r->takes_umem ? VDUSE_IOVA_CAP_UMEM : 0 };
	return 0;
}

/* A second mapping of the same pages, as the kernel has them for itself. */
static int register_umem(const struct vduse_iova_umem *u)
{
	void *va;

	if (f->umem_err)
		return f->umem_err;
	if (f->umem || u->iova != 0 || u->size != FAKE_VDUSE_BOUNCE || u->uaddr % 4096)
		return -EINVAL;
	va = mremap((void *)(uintptr_t)u->uaddr, 0, u->size, MREMAP_MAYMOVE);
	assert(va != MAP_FAILED);
	memcpy(va, f->mem, u->size);
	f->umem = va;
	return 0;
}

static int setup_kick(const struct vduse_vq_eventfd *e)
{
	struct fake_vduse_queue *q = &f->q[e->index];

	if (e->index >= f->nqueues)
		return -EINVAL;
	if (q->kick >= 0)
		close(q->kick);
	q->kick = fcntl(e->fd, F_DUPFD_CLOEXEC, 0);
	if (q->info.ready && q->kicked)
		fake_vduse_kick(e->index);
	return 0;
}

static int set_config(const struct vduse_config_data *c)
{
	if (c->length == 0 || c->length > f->config_bytes || c->offset > f->config_bytes - c->length)
		return -EINVAL;
	memcpy(f->config + c->offset, c->buffer, c->length);
	return 0;
}

static int vq_get_info(struct vduse_vq_info *info)
{
	uint32_t index = info->index;

	if (index >= f->nqueues)
		return -EINVAL;
	*info = f->q[index].info;
	info->index = index;
	return 0;
}

static int vq_setup(const struct vduse_vq_config *c)
{
	if (c->index >= f->nqueues)
		return -EINVAL;
	f->q[c->index].size_max = c->max_size;
	return 0;
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	(void)fd;
	look_at_peer();
	switch (request) {
	case VDUSE_SET_API_VERSION:
		return *(__u64 *)arg == 0 ? 0 : -EINVAL;
	case VDUSE_CREATE_DEV:
		return create(arg);
	case VDUSE_DESTROY_DEV:
		return destroy(arg);
	case VDUSE_DEV_GET_FEATURES:
		*(__u64 *)arg = f->features;
		return 0;
	case VDUSE_IOTLB_GET_FD:
		return get_fd(arg);
	case VDUSE_IOTLB_GET_INFO:
		return get_info(arg);
	case VDUSE_IOTLB_REG_UMEM:
		return register_umem(arg);
	case VDUSE_VQ_SETUP:
		return vq_setup(arg);
	case VDUSE_VQ_GET_INFO:
		return vq_get_info(arg);
	case VDUSE_VQ_SETUP_KICKFD:
		return setup_kick(arg);
	case VDUSE_VQ_INJECT_IRQ:
		f->q[*(__u32 *)arg % FAKE_VDUSE_QUEUES].calls++;
		return 0;
	case VDUSE_DEV_SET_CONFIG:
		return set_config(arg);
	case VDUSE_DEV_INJECT_CONFIG_IRQ:
		f->config_calls++;
		return 0;
	default:
		return -ENOTTY;
	}
}

static bool fake_is_sized(int fd)
{
	struct stat ours, its;

	return fstat(f->memory, &ours) || fstat(fd, &its) || ours.st_ino != its.st_ino;
}

static bool fake_is_attached(const char *name)
{
	return f->attached && strcmp(name, f->name) == 0;
}

const struct vduse_sys fake_vduse_sys = {
	.open = fake_open,
	.ioctl = fake_ioctl,
	.is_sized = fake_is_sized,
	.is_attached = fake_is_attached,
};
