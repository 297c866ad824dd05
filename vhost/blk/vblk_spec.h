/* SPDX-License-Identifier: BSD-3-Clause */
/* Wire layouts, bits and codes of the block device, in the words of the Virtio 1.2 specification,
 * section 5.2. */
#ifndef VHOST_BLK_VBLK_SPEC_H
#define VHOST_BLK_VBLK_SPEC_H

#include <assert.h>
#include <stdint.h>

#include "core/base/endian.h"

#define VBLK_SECTOR_SHIFT 9
#define VBLK_SECTOR_BYTES (1u << VBLK_SECTOR_SHIFT)
#define VBLK_ID_BYTES	  20 /* GET_ID: padded with NUL, not terminated when full */

/* Feature bits, 5.2.3. */
#define VBLK_F_SIZE_MAX	    1
#define VBLK_F_SEG_MAX	    2
#define VBLK_F_GEOMETRY	    4
#define VBLK_F_RO	    5
#define VBLK_F_BLK_SIZE	    6
#define VBLK_F_FLUSH	    9
#define VBLK_F_TOPOLOGY	    10
#define VBLK_F_CONFIG_WCE   11
#define VBLK_F_MQ	    12
#define VBLK_F_DISCARD	    13
#define VBLK_F_WRITE_ZEROES 14
#define VBLK_F_LIFETIME	    15
#define VBLK_F_SECURE_ERASE 16
#define VBLK_F_ZONED	    17

/* Request types, 5.2.6. */
#define VBLK_T_IN	      0
#define VBLK_T_OUT	      1
#define VBLK_T_FLUSH	      4
#define VBLK_T_GET_ID	      8
#define VBLK_T_GET_LIFETIME   10
#define VBLK_T_DISCARD	      11
#define VBLK_T_WRITE_ZEROES   13
#define VBLK_T_SECURE_ERASE   14
#define VBLK_T_ZONE_APPEND    15
#define VBLK_T_ZONE_REPORT    16
#define VBLK_T_ZONE_OPEN      18
#define VBLK_T_ZONE_CLOSE     20
#define VBLK_T_ZONE_FINISH    22
#define VBLK_T_ZONE_RESET     24
#define VBLK_T_ZONE_RESET_ALL 26

/* Status byte, 5.2.6. */
#define VBLK_S_OK     0
#define VBLK_S_IOERR  1
#define VBLK_S_UNSUPP 2

/* The start of every request: readable. */
struct vblk_hdr {
	le32 type;
	le32 ioprio;
	le64 sector;
};
static_assert(sizeof(struct vblk_hdr) == 16, "5.2.6");

/* Payload of DISCARD, WRITE_ZEROES and SECURE_ERASE: an array of these. */
#define VBLK_SEG_F_UNMAP 1u

struct vblk_seg {
	le64 sector;
	le32 num_sectors;
	le32 flags;
};
static_assert(sizeof(struct vblk_seg) == 16, "5.2.6");

/* 5.2.4; zoned from 1.3. Natural alignment, no hidden holes. */
struct vblk_config {
	le64 capacity; /* of 512-byte sectors, whatever blk_size says */
	le32 size_max;
	le32 seg_max;
	struct {
		le16 cylinders;
		uint8_t heads;
		uint8_t sectors;
	} geometry;
	le32 blk_size;
	struct {
		uint8_t physical_block_exp; /* log2 of logical blocks per physical block */
		uint8_t alignment_offset;
		le16 min_io_size; /* logical blocks */
		le32 opt_io_size; /* logical blocks */
	} topology;
	uint8_t writeback;
	uint8_t unused0;
	le16 num_queues;
	le32 max_discard_sectors;
	le32 max_discard_seg;
	le32 discard_sector_alignment;
	le32 max_write_zeroes_sectors;
	le32 max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
	le32 max_secure_erase_sectors;
	le32 max_secure_erase_seg;
	le32 secure_erase_sector_alignment;
	struct {
		le32 zone_sectors;
		le32 max_open_zones;
		le32 max_active_zones;
		le32 max_append_sectors;
		le32 write_granularity;
		uint8_t model;
		uint8_t unused2[3];
	} zoned;
};
static_assert(sizeof(struct vblk_config) == 96, "5.2.4");

#endif
