/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's memory: what its driver has mapped at I/O addresses, each region a file of the kernel's.
 *
 *   virtio-vdpa: the rings        pages of the kernel, file "[vduse-domain]"
 *                the requests     one region at 0 for all: the kernel copies between it and the pages that the request
 *                                 is about. It appears with the first request. Its pages come and go, unless they are
 *                                 ours: then devices reach them, and there is no copy but the kernel's
 *   vhost-vdpa:  the guest        QEMU's memory itself
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vdpa/vduse_priv.h"

#define LOG_TAG "vduse"
#include "core/base/log.h"

int vduse_mem_init(struct vduse_mem *mem)
{
	*mem = (struct vduse_mem){ .gmem = gmem_create(), .umem_fd = -1 };
	return mem->gmem ? 0 : -ENOMEM;
}

void vduse_mem_fini(struct vduse_mem *mem)
{
	gmem_put(mem->gmem);
	if (mem->umem_fd >= 0)
		close(mem->umem_fd);
	*mem = (struct vduse_mem){ .umem_fd = -1 };
}

/* @fd's bytes in place of the kernel's. What requests have in the kernel's is copied over by the kernel. */
static int umem_register(struct vduse *v, int fd, uint64_t bytes)
{
	void *va = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct vduse_iova_umem umem = { .uaddr = (uintptr_t)va, .size = bytes };
	int err;

	if (va == MAP_FAILED)
		return -errno;
	err = v->sys->ioctl(v->fd, VDUSE_IOTLB_REG_UMEM, &umem);
	munmap(va, bytes); /* the pages stay, with the file and with the kernel */
	return err;
}

/* An answer that is not about all of the region at 0 says nothing of it. */
static bool region_takes_umem(const struct vduse *v, const struct vduse_iotlb_entry *e)
{
	struct vduse_iova_info info = { .start = e->start, .last = e->last };

	return v->sys->ioctl(v->fd, VDUSE_IOTLB_GET_INFO, &info) >= 0 &&
	       (info.capability & VDUSE_IOVA_CAP_UMEM) && info.start == 0 && e->start == 0 &&
	       info.last == e->last;
}

/* Once for a device: the kernel keeps it until we close. It is a gain and no need. */
static void umem_try(struct vduse *v, const struct vduse_iotlb_entry *e)
{
	struct vduse_mem *mem = &v->mem;
	uint64_t bytes = e->last + 1;
	int fd, err = 0;

	if (mem->umem_refused || !region_takes_umem(v, e))
		return;
	fd = memfd_create("nvring-vduse", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		err = -errno;
	if (!err)
		err = umem_register(v, fd, bytes);
	if (!err) {
		mem->umem_fd = fd;
		mem->umem_bytes = bytes;
		return;
	}
	mem->umem_refused = true;
	if (fd >= 0)
		close(fd);
	log_notice("%s: its %llu KiB of memory stay the kernel's, out of reach for an NVMe SSD: %s%s",
		   v->name, (unsigned long long)bytes >> 10, strerror(-err),
		   err == -ENOMEM ? " (RLIMIT_MEMLOCK: ulimit -l, LimitMEMLOCK= of the unit)" : "");
}

/* One region, whose file is @fd, into *cur. */
static int table_add(struct vduse *v, struct gmem **cur, const struct vduse_iotlb_entry *e, int fd,
		     struct errbuf *eb)
{
	struct gmem_desc d = {
		.gpa = e->start,
		.uva = e->start,
		.len = e->last - e->start + 1,
		.mmap_off = e->offset,
		.fd = fd,
		.owner = &v->lost,
		.readable = e->perm == VDUSE_ACCESS_RO,
	};
	struct gmem *next = NULL;
	int err;

	d.unsized = !v->sys->is_sized(fd);
	if (d.unsized && e->start == 0 && v->mem.umem_fd < 0)
		umem_try(v, e);
	if (d.unsized && e->start == 0 && v->mem.umem_fd >= 0 && v->mem.umem_bytes == d.len) {
		d.fd = v->mem.umem_fd;
		d.unsized = false;
	}
	err = gmem_add(*cur, &d, &next, eb);
	if (err)
		return err;
	/* the rings alone are no memory for requests */
	v->mem.complete |= !d.unsized || e->start == 0;
	gmem_put(*cur);
	*cur = next;
	return 0;
}

/* Memory that can only be written to is none: rings and headers are read. */
static int table_take(struct vduse *v, struct gmem **cur, struct vduse_iotlb_entry *e,
		      struct errbuf *eb)
{
	int err, fd = v->sys->ioctl(v->fd, VDUSE_IOTLB_GET_FD, e);

	if (fd == -EINVAL)
		return -ENOENT; /* nothing from there on */
	if (fd < 0)
		return errbuf_set(eb, fd, "the file of a memory region: %s", strerror(-fd));
	err = e->perm == VDUSE_ACCESS_WO ? 0 : table_add(v, cur, e, fd, eb);
	close(fd);
	return err;
}

int vduse_mem_learn(struct vduse *v, struct errbuf *eb)
{
	struct vduse_iotlb_entry e = { .start = 0, .last = UINT64_MAX };
	struct gmem *g;
	int err;

	vduse_mem_forget(v);
	g = gmem_create();
	if (!g)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	do {
		uint64_t from = e.start;

		err = table_take(v, &g, &e, eb);
		if (err || e.last == UINT64_MAX || e.last < from)
			break;
		e = (struct vduse_iotlb_entry){ .start = e.last + 1, .last = UINT64_MAX };
	} while (true);
	if (err && err != -ENOENT) {
		gmem_put(g);
		v->mem.complete = false;
		return err;
	}
	gmem_put(v->mem.gmem);
	v->mem.gmem = g;
	return 0;
}

void vduse_mem_forget(struct vduse *v)
{
	struct gmem *none = gmem_create();

	v->mem.complete = false;
	if (!none)
		return; /* what is mapped stays mapped, and is not used */
	gmem_put(v->mem.gmem);
	v->mem.gmem = none;
}
