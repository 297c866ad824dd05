/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio-user on the wire: the VFIO device interface as messages over a UNIX stream socket, protocol version 0.1.
 * Payloads that the kernel has a struct for are that struct of <linux/vfio.h>; all in host byte order, both ends
 * are on one machine.
 */
#ifndef DRIVERS_VFIO_VFIO_USER_WIRE_H
#define DRIVERS_VFIO_VFIO_USER_WIRE_H

#include <assert.h>
#include <stdint.h>

#define VFIO_USER_MAJOR 0
#define VFIO_USER_MINOR 1

enum vfio_user_cmd {
	VFIO_USER_VERSION = 1,
	VFIO_USER_DMA_MAP = 2,
	VFIO_USER_DMA_UNMAP = 3,
	VFIO_USER_DEVICE_GET_INFO = 4,
	VFIO_USER_DEVICE_GET_REGION_INFO = 5,
	VFIO_USER_DEVICE_GET_REGION_IO_FDS = 6,
	VFIO_USER_DEVICE_GET_IRQ_INFO = 7,
	VFIO_USER_DEVICE_SET_IRQS = 8,
	VFIO_USER_REGION_READ = 9,
	VFIO_USER_REGION_WRITE = 10,
	VFIO_USER_DMA_READ = 11,  /* server to client */
	VFIO_USER_DMA_WRITE = 12, /* server to client */
	VFIO_USER_DEVICE_RESET = 13,
	VFIO_USER_REGION_WRITE_MULTI = 15,
};

struct vfio_user_header {
	uint16_t msg_id;
	uint16_t cmd;
	uint32_t bytes; /* of the whole message, header included */
	uint32_t flags; /* VFIO_USER_F_* */
	uint32_t error; /* errno of a reply with F_ERROR */
};
static_assert(sizeof(struct vfio_user_header) == 16, "header");

#define VFIO_USER_F_TYPE_MASK 0xfu
#define VFIO_USER_F_COMMAND   0u
#define VFIO_USER_F_REPLY     1u
#define VFIO_USER_F_NO_REPLY  (1u << 4)
#define VFIO_USER_F_ERROR     (1u << 5)

/* VERSION, both ways: followed by a NUL-terminated JSON text {"capabilities":{…}}, which may be missing. */
struct vfio_user_version {
	uint16_t major;
	uint16_t minor;
};

#define VFIO_USER_CAP_MAX_MSG_FDS   "max_msg_fds"	   /* default 1 */
#define VFIO_USER_CAP_MAX_DATA_XFER "max_data_xfer_size"   /* default 1 MiB */
#define VFIO_USER_CAP_MAX_DMA_MAPS  "max_dma_maps"
#define VFIO_USER_CAP_PGSIZES	    "pgsizes"		   /* bit mask, default 4 KiB */
#define VFIO_USER_DATA_XFER_DEFAULT (1024u * 1024)

/* DMA_MAP; at most one fd. Without one the server asks for the data with DMA_READ and DMA_WRITE. */
struct vfio_user_dma_map {
	uint32_t argsz;
	uint32_t flags; /* VFIO_USER_DMA_* */
	uint64_t offset; /* into the fd */
	uint64_t addr;	 /* IOVA */
	uint64_t size;
};
static_assert(sizeof(struct vfio_user_dma_map) == 32, "DMA_MAP");
#define VFIO_USER_DMA_READABLE	(1u << 0)
#define VFIO_USER_DMA_WRITEABLE (1u << 1)

/* DMA_UNMAP, command and reply. */
struct vfio_user_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t addr;
	uint64_t size;
};
static_assert(sizeof(struct vfio_user_dma_unmap) == 24, "DMA_UNMAP");
#define VFIO_USER_DMA_UNMAP_ALL (1u << 1)

/* REGION_READ and REGION_WRITE, command and reply; data follows in a read's reply and a write's command. */
struct vfio_user_region_access {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
};
static_assert(sizeof(struct vfio_user_region_access) == 16, "REGION_READ");

/* DMA_READ and DMA_WRITE. */
struct vfio_user_dma_access {
	uint64_t addr;
	uint64_t count;
};
static_assert(sizeof(struct vfio_user_dma_access) == 16, "DMA_READ");

/* DEVICE_GET_INFO: struct vfio_device_info up to num_irqs (16 bytes). DEVICE_GET_REGION_INFO: struct vfio_region_info
 * with its capability chain; the fd of a mappable region comes with the reply. DEVICE_GET_IRQ_INFO: struct vfio_irq_info.
 * DEVICE_SET_IRQS: struct vfio_irq_set up to data; eventfds as ancillary data. */

#endif
