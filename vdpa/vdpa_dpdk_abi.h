/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a driver needs of DPDK and Debian's packages have no headers for: the interface of vDPA drivers and of the bus of
 * virtual devices (both are headers of DPDK's driver SDK, which is taken instead where it is installed), and the
 * context in which rte_vhost hands messages to external handlers (in no SDK at all).
 *
 * Own declarations of the layouts of DPDK 22.11, 23.11 and 24.11, which are the same (ABI 23, 24, 25).
 * vdpa_pmd.c checks the version it is built for, and at probe the one it runs with.
 */
#ifndef VDPA_VDPA_DPDK_ABI_H
#define VDPA_VDPA_DPDK_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/cc.h"

struct rte_bus;
struct rte_devargs;
struct rte_vdpa_device;
struct rte_vdpa_stat;
struct rte_vdpa_stat_name;

/*
 * A message as rte_vhost keeps it.
 */
#define VDPA_DPDK_FDS_MAX     8
#define VDPA_DPDK_PAYLOAD_MAX 632 /* a crypto session, the longest there is */

struct vdpa_dpdk_msg {
	uint32_t request, flags, size;
	uint8_t payload[VDPA_DPDK_PAYLOAD_MAX];
	int fds[VDPA_DPDK_FDS_MAX];
	int nfds;
} cc_packed;
static_assert(offsetof(struct vdpa_dpdk_msg, payload) == 12 && offsetof(struct vdpa_dpdk_msg, fds) == 644 &&
		      sizeof(struct vdpa_dpdk_msg) == 680,
	      "struct vhu_msg_context");

#ifndef VDPA_DPDK_SDK

struct rte_driver {
	struct {
		struct rte_driver *tqe_next, **tqe_prev;
	} next;
	const char *name, *alias;
};

struct rte_device {
	struct {
		struct rte_device *tqe_next, **tqe_prev;
	} next;
	const char *name, *bus_info;
	const struct rte_driver *driver;
	const struct rte_bus *bus;
	int numa_node;
	struct rte_devargs *devargs;
};
static_assert(sizeof(struct rte_driver) == 32 && sizeof(struct rte_device) == 64, "dev_driver.h");

struct rte_vdev_device {
	struct {
		struct rte_vdev_device *tqe_next, **tqe_prev;
	} next;
	struct rte_device device;
};

struct rte_vdev_driver {
	struct {
		struct rte_vdev_driver *tqe_next, **tqe_prev;
	} next;
	struct rte_driver driver;
	int (*probe)(struct rte_vdev_device *dev);
	int (*remove)(struct rte_vdev_device *dev);
	int (*dma_map)(struct rte_vdev_device *dev, void *addr, uint64_t iova, size_t len);
	int (*dma_unmap)(struct rte_vdev_device *dev, void *addr, uint64_t iova, size_t len);
	uint32_t drv_flags;
};
static_assert(sizeof(struct rte_vdev_driver) == 88, "bus_vdev_driver.h");

struct rte_vdpa_dev_ops {
	int (*get_queue_num)(struct rte_vdpa_device *dev, uint32_t *queue_num);
	int (*get_features)(struct rte_vdpa_device *dev, uint64_t *features);
	int (*get_protocol_features)(struct rte_vdpa_device *dev, uint64_t *protocol_features);
	int (*dev_conf)(int vid);
	int (*dev_close)(int vid);
	int (*dev_cleanup)(int vid);
	int (*set_vring_state)(int vid, int vring, int state);
	int (*set_features)(int vid);
	int (*migration_done)(int vid);
	int (*get_vfio_group_fd)(int vid);
	int (*get_vfio_device_fd)(int vid);
	int (*get_notify_area)(int vid, int qid, uint64_t *offset, uint64_t *size);
	int (*get_stats_names)(struct rte_vdpa_device *dev, struct rte_vdpa_stat_name *names, unsigned size);
	int (*get_stats)(struct rte_vdpa_device *dev, int qid, struct rte_vdpa_stat *stats, unsigned n);
	int (*reset_stats)(struct rte_vdpa_device *dev, int qid);
	int (*get_config)(int vid, uint8_t *config, uint32_t size);
	int (*set_config)(int vid, uint8_t *config, uint32_t offset, uint32_t size, uint32_t flags);
	int (*get_dev_type)(struct rte_vdpa_device *dev, uint32_t *type);
};
static_assert(sizeof(struct rte_vdpa_dev_ops) == 18 * sizeof(void *), "vdpa_driver.h");

void rte_vdev_register(struct rte_vdev_driver *driver);
void rte_vdev_unregister(struct rte_vdev_driver *driver);
struct rte_vdpa_device *rte_vdpa_register_device(struct rte_device *dev, struct rte_vdpa_dev_ops *ops);
int rte_vdpa_unregister_device(struct rte_vdpa_device *dev);

#endif
#endif
