/* SPDX-License-Identifier: BSD-3-Clause */
/* The container: one per device, so that what one device may reach is no matter of another. */
#include "drivers/vfio/vfio_type1_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "drivers/vfio/vfio_group_priv.h"

#define CONTAINER      "/dev/vfio/vfio"
#define INFO_BYTES     4096
#define INFO_BYTES_MAX (256u * 1024) /* thousands of windows: none has so many */

static int container_open(const char *bdf, int *ret_fd, struct errbuf *eb)
{
	int fd = open(CONTAINER, O_RDWR | O_CLOEXEC), err;

	if (fd < 0) {
		err = -errno;
		return errbuf_set(eb, err,
				  "%s: " CONTAINER ": %s (modprobe vfio-pci; who may open it?)",
				  bdf, strerror(-err));
	}
	if (ioctl(fd, VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
	    ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0) {
		close(fd);
		return errbuf_set(
			eb, -ENOTSUP,
			"%s: the kernel's VFIO has no IOMMU of type1v2: modprobe vfio_iommu_type1",
			bdf);
	}
	*ret_fd = fd;
	return 0;
}

static int container_join(const char *bdf, int container, int group, struct errbuf *eb)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int err;

	if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) < 0) {
		err = -errno;
		return errbuf_set(eb, err, "%s: the status of its group: %s", bdf, strerror(-err));
	}
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return vfio_group_blocked(bdf, eb);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) < 0) {
		err = -errno;
		if (err == -EBUSY || err == -EPERM)
			return vfio_group_blocked(bdf, eb);
		return errbuf_set(eb, err, "%s: its group does not join a container: %s", bdf,
				  strerror(-err));
	}
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0) {
		err = -errno;
		return errbuf_set(eb, err, "%s: the IOMMU cannot be used: %s%s", bdf,
				  strerror(-err),
				  err == -EPERM ? " (no interrupt remapping? intremap=on, or "
						  "accept the risk: modprobe vfio_iommu_type1 "
						  "allow_unsafe_interrupts=1)"
						: "");
	}
	return 0;
}

static int iommu_read(int container, struct vfio_iommu *ret_iommu)
{
	uint32_t bytes = INFO_BYTES;
	int err = -EPROTO;

	/* Once, and once more with the size the kernel asks for. */
	for (unsigned round = 0; round < 2 && bytes <= INFO_BYTES_MAX; round++) {
		struct vfio_iommu_type1_info *info = calloc(1, bytes);

		if (!info)
			return -ENOMEM;
		info->argsz = bytes;
		if (ioctl(container, VFIO_IOMMU_GET_INFO, info) < 0) {
			err = -errno;
			free(info);
			return err;
		}
		if (info->argsz <= bytes) {
			err = vfio_iommu_parse(info, bytes, ret_iommu);
			free(info);
			return err;
		}
		bytes = info->argsz;
		free(info);
	}
	return err;
}

int vfio_type1_open(const char *bdf, int group, int *ret_container, struct vfio_iommu *ret_iommu,
		    struct errbuf *eb)
{
	int container = -1, err = container_open(bdf, &container, eb);

	if (err)
		return err;
	err = container_join(bdf, container, group, eb);
	if (!err) {
		err = iommu_read(container, ret_iommu);
		if (err)
			errbuf_write(eb, "%s: the IOMMU does not tell what it can do: %s", bdf,
				     strerror(-err));
	}
	if (err) {
		close(container);
		return err;
	}
	*ret_container = container;
	return 0;
}

void vfio_type1_memlock_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_MEMLOCK, &limit); /* a map that fails for it explains */
}

/* KiB of ours that are locked; pages that devices reach count. */
static unsigned long long locked_kib(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmLck: %llu kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static void memlock_explain(uint64_t len, struct errbuf *eb)
{
	unsigned long long locked = locked_kib(), want = len >> 10;
	struct rlimit limit = { 0 };

	(void)getrlimit(RLIMIT_MEMLOCK, &limit); /* 0 shows that something is wrong with it */
	if (limit.rlim_cur == RLIM_INFINITY || locked + want <= limit.rlim_cur >> 10)
		errbuf_write(eb,
			     "%llu KiB cannot be locked for the device: no memory, or the memory "
			     "is not all there",
			     want);
	else
		errbuf_write(eb,
			     "%llu KiB must be locked for the device, %llu KiB are locked already, "
			     "and the limit of locked memory is "
			     "%llu KiB: raise it (ulimit -l unlimited; LimitMEMLOCK=infinity in a "
			     "systemd unit)",
			     want, locked, (unsigned long long)limit.rlim_cur >> 10);
}

int vfio_type1_map(int container, const struct dma_region *region, uint64_t iova, struct errbuf *eb)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)region->va,
		.iova = iova,
		.size = region->len,
	};
	int err;

	if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map) == 0)
		return 0;
	err = -errno;
	if (err == -ENOMEM)
		memlock_explain(region->len, eb);
	else if (err == -ENOSPC)
		errbuf_write(eb, "the kernel allows no more mappings for one device: raise "
				 "dma_entry_limit of vfio_iommu_type1");
	else
		errbuf_write(eb, "%llu KiB at %p cannot be mapped at device address 0x%llx: %s",
			     (unsigned long long)region->len >> 10, region->va,
			     (unsigned long long)iova, strerror(-err));
	return err;
}

int vfio_type1_unmap(int container, uint64_t iova, uint64_t len)
{
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap),
						    .iova = iova,
						    .size = len };

	if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0)
		return -errno;
	return unmap.size == len ? 0 : -ENOENT;
}
