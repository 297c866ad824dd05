/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ublk as the kernel speaks it: layouts and numbers of its control device and of its queues. Our own, because the
 * headers of Debian 12 are those of Linux 6.1, before the commands got the numbers used here (6.4).
 */
#ifndef VDPA_UBLK_SPEC_H
#define VDPA_UBLK_SPEC_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define UBLK_CONTROL_PATH "/dev/ublk-control"

/* Of a device. */
#define UBLK_QUEUES_MAX	    4096
#define UBLK_DEPTH_MAX	    4096
#define UBLK_SECTOR_SHIFT   9

/* Features, as bits of ublk_dev_info.flags. */
#define UBLK_FEAT_RECOVERY     (1ull << 3) /* the device outlives its server */
#define UBLK_FEAT_REISSUE      (1ull << 4) /* and what the server had taken is given to the next one */
#define UBLK_FEAT_IOCTL_ENCODE (1ull << 6)
#define UBLK_FEAT_UPDATE_SIZE  (1ull << 10)

enum ublk_dev_state {
	UBLK_STATE_DEAD,     /* added, not started; or stopped */
	UBLK_STATE_LIVE,
	UBLK_STATE_QUIESCED, /* its server is gone, its I/O waits for the next one */
	UBLK_STATE_FAIL_IO,
};

struct ublk_ctl_cmd {
	uint32_t dev_id;
	uint16_t queue_id; /* UINT16_MAX: none */
	uint16_t len;	   /* of what addr points to */
	uint64_t addr;
	uint64_t data;
	uint16_t path_len, pad;
	uint32_t reserved;
};
static_assert(sizeof(struct ublk_ctl_cmd) == 32, "as the kernel has it");

struct ublk_dev_info {
	uint16_t nqueues, depth, state, pad0;
	uint32_t buf_bytes_max;
	uint32_t dev_id;
	int32_t server_pid;
	uint32_t pad1;
	uint64_t flags, server_flags;
	uint32_t owner_uid, owner_gid;
	uint64_t reserved[2];
};
static_assert(sizeof(struct ublk_dev_info) == 64, "as the kernel has it");

#define UBLK_ATTR_READ_ONLY  (1u << 0)
#define UBLK_ATTR_ROTATIONAL (1u << 1)
#define UBLK_ATTR_CACHE	     (1u << 2)
#define UBLK_ATTR_FUA	     (1u << 3)

struct ublk_param_basic {
	uint32_t attrs;
	uint8_t logical_shift, physical_shift, io_opt_shift, io_min_shift;
	uint32_t max_sectors, chunk_sectors;
	uint64_t sectors, virt_boundary_mask;
};
static_assert(sizeof(struct ublk_param_basic) == 32, "as the kernel has it");

struct ublk_param_discard {
	uint32_t alignment, granularity, max_sectors, zeroes_max_sectors;
	uint16_t segments_max, reserved;
};
static_assert(sizeof(struct ublk_param_discard) == 20, "as the kernel has it");

#define UBLK_PARAMS_BASIC   (1u << 0)
#define UBLK_PARAMS_DISCARD (1u << 1)

/* The beginning of it: the kernel is told how much there is. */
struct ublk_params {
	uint32_t len, types;
	struct ublk_param_basic basic;
	struct ublk_param_discard discard;
	uint32_t pad;
};
static_assert(offsetof(struct ublk_params, discard) == 40, "as the kernel has it");

#define UBLK_CTL_R(nr) _IOR('u', (nr), struct ublk_ctl_cmd)
#define UBLK_CTL_W(nr) _IOWR('u', (nr), struct ublk_ctl_cmd)

#define UBLK_CTL_GET_INFO      UBLK_CTL_R(0x02)
#define UBLK_CTL_ADD	       UBLK_CTL_W(0x04)
#define UBLK_CTL_DEL	       UBLK_CTL_W(0x05)
#define UBLK_CTL_START	       UBLK_CTL_W(0x06)
#define UBLK_CTL_STOP	       UBLK_CTL_W(0x07)
#define UBLK_CTL_SET_PARAMS    UBLK_CTL_W(0x08)
#define UBLK_CTL_GET_PARAMS    UBLK_CTL_R(0x09)
#define UBLK_CTL_RECOVER_BEGIN UBLK_CTL_W(0x10)
#define UBLK_CTL_RECOVER_END   UBLK_CTL_W(0x11)
#define UBLK_CTL_GET_FEATURES  UBLK_CTL_R(0x13)
#define UBLK_CTL_DEL_ASYNC     UBLK_CTL_R(0x14) /* Linux 6.9; does not wait for whoever has the node open */
#define UBLK_CTL_UPDATE_SIZE   UBLK_CTL_W(0x15)
static_assert(UBLK_CTL_ADD == 0xc0207504 && UBLK_CTL_GET_INFO == 0x80207502, "as the kernel has it");

/*
 * A queue: its I/Os lie in an array which the kernel writes; each tag has a command at the kernel, or an I/O here.
 */
enum ublk_op {
	UBLK_OP_READ = 0,
	UBLK_OP_WRITE = 1,
	UBLK_OP_FLUSH = 2,
	UBLK_OP_DISCARD = 3,
	UBLK_OP_WRITE_ZEROES = 5,
};

#define UBLK_OP_MASK	0xffu
#define UBLK_IO_FUA	(1u << 13)
#define UBLK_IO_NOUNMAP (1u << 15)

struct ublk_io_desc {
	uint32_t op_flags;
	uint32_t nsectors;
	uint64_t sector;
	uint64_t addr;
};
static_assert(sizeof(struct ublk_io_desc) == 24, "as the kernel has it");

struct ublk_io_cmd {
	uint16_t queue_id, tag;
	int32_t result;
	uint64_t addr;
};
static_assert(sizeof(struct ublk_io_cmd) == 16, "as the kernel has it");

#define UBLK_IO_FETCH	     _IOWR('u', 0x20, struct ublk_io_cmd)
#define UBLK_IO_COMMIT_FETCH _IOWR('u', 0x21, struct ublk_io_cmd)
static_assert(UBLK_IO_FETCH == 0xc0107520 && UBLK_IO_COMMIT_FETCH == 0xc0107521, "as the kernel has it");

#endif
