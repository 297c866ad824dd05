/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registers, commands and data structures of NVM Express, in the words of the specification: Base 2.0c (sections without a
 * prefix), NVM Command Set 1.0c ("NVM"), PCIe Transport 1.0c ("PCIe"). What 1.4 has elsewhere is the same bytes.
 */
#ifndef DRIVERS_NVME_NVME_SPEC_H
#define DRIVERS_NVME_NVME_SPEC_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/cc.h"
#include "core/base/endian.h"

#define NVME_PCI_CLASS	    0x010802u /* PCIe 3.7: base, sub class, interface */
#define NVME_PAGE_BYTES_MIN 4096u
#define NVME_NSID_ALL	    0xffffffffu
#define NVME_ID_BYTES	    4096u /* every Identify structure */

/*
 * Registers, 3.1.3 and PCIe 3.1.1
 */
enum nvme_reg {
	NVME_REG_CAP = 0x00,   /* 8 bytes */
	NVME_REG_VS = 0x08,
	NVME_REG_INTMS = 0x0c,
	NVME_REG_INTMC = 0x10,
	NVME_REG_CC = 0x14,
	NVME_REG_CSTS = 0x1c,
	NVME_REG_NSSR = 0x20,
	NVME_REG_AQA = 0x24,
	NVME_REG_ASQ = 0x28,   /* 8 bytes */
	NVME_REG_ACQ = 0x30,   /* 8 bytes */
	NVME_REG_CMBLOC = 0x38,
	NVME_REG_CMBSZ = 0x3c,
	NVME_REG_BPINFO = 0x40,
	NVME_REG_BPRSEL = 0x44,
	NVME_REG_BPMBL = 0x48, /* 8 bytes */
	NVME_REG_CMBMSC = 0x50, /* 8 bytes */
	NVME_REG_CMBSTS = 0x58,
	NVME_REG_CRTO = 0x68,
	NVME_REG_PMRCAP = 0xe00,
	NVME_REG_DOORBELLS = 0x1000,
};

/* A field of a register or a dword: value of bits [lo, lo + width). */
#define NVME_FIELD(x, lo, width) (((x) >> (lo)) & ((1ull << (width)) - 1))

#define NVME_CAP_MQES(cap)   ((uint32_t)NVME_FIELD(cap, 0, 16)) /* 0's based */
#define NVME_CAP_CQR(cap)    ((uint32_t)NVME_FIELD(cap, 16, 1))
#define NVME_CAP_AMS(cap)    ((uint32_t)NVME_FIELD(cap, 17, 2))
#define NVME_CAP_TO(cap)     ((uint32_t)NVME_FIELD(cap, 24, 8)) /* units of 500 ms */
#define NVME_CAP_DSTRD(cap)  ((uint32_t)NVME_FIELD(cap, 32, 4)) /* stride 4 << DSTRD */
#define NVME_CAP_NSSRS(cap)  ((uint32_t)NVME_FIELD(cap, 36, 1))
#define NVME_CAP_CSS(cap)    ((uint32_t)NVME_FIELD(cap, 37, 8))
#define NVME_CAP_BPS(cap)    ((uint32_t)NVME_FIELD(cap, 45, 1))
#define NVME_CAP_MPSMIN(cap) ((uint32_t)NVME_FIELD(cap, 48, 4)) /* 4096 << n */
#define NVME_CAP_MPSMAX(cap) ((uint32_t)NVME_FIELD(cap, 52, 4))
#define NVME_CAP_PMRS(cap)   ((uint32_t)NVME_FIELD(cap, 56, 1))
#define NVME_CAP_CMBS(cap)   ((uint32_t)NVME_FIELD(cap, 57, 1))
#define NVME_CAP_CRMS(cap)   ((uint32_t)NVME_FIELD(cap, 59, 2))

#define NVME_CAP_CSS_NVM   (1u << 0)
#define NVME_CAP_CSS_CSI   (1u << 6)
#define NVME_CAP_CSS_ADMIN (1u << 7)

#define NVME_VS(major, minor, ter) ((uint32_t)(major) << 16 | (uint32_t)(minor) << 8 | (uint32_t)(ter))

/* CC, 3.1.3.5 */
#define NVME_CC_EN	     (1u << 0)
#define NVME_CC_CSS(n)	     ((uint32_t)(n) << 4)
#define NVME_CC_MPS(n)	     ((uint32_t)(n) << 7)
#define NVME_CC_AMS(n)	     ((uint32_t)(n) << 11)
#define NVME_CC_SHN_NORMAL   (1u << 14)
#define NVME_CC_SHN_ABRUPT   (2u << 14)
#define NVME_CC_SHN_MASK     (3u << 14)
#define NVME_CC_IOSQES(log2) ((uint32_t)(log2) << 16)
#define NVME_CC_IOCQES(log2) ((uint32_t)(log2) << 20)
#define NVME_CC_GET_MPS(cc)  ((uint32_t)NVME_FIELD(cc, 7, 4))

/* CSTS, 3.1.3.6 */
#define NVME_CSTS_RDY		(1u << 0)
#define NVME_CSTS_CFS		(1u << 1)
#define NVME_CSTS_SHST_MASK	(3u << 2)
#define NVME_CSTS_SHST_NORMAL	(0u << 2)
#define NVME_CSTS_SHST_OCCURING (1u << 2)
#define NVME_CSTS_SHST_COMPLETE (2u << 2)
#define NVME_CSTS_NSSRO		(1u << 4)
#define NVME_CSTS_PP		(1u << 5)

#define NVME_NSSR_MAGIC	     0x4e564d65u /* "NVMe", 3.1.3.7 */
#define NVME_AQA(asqs, acqs) ((uint32_t)(acqs) << 16 | (uint32_t)(asqs)) /* 0's based, 3.1.3.8 */
#define NVME_AQ_ENTRIES_MAX  4096u

/* PCIe 3.1.2: doorbells of queue @qid, @stride = 4 << CAP.DSTRD, from NVME_REG_DOORBELLS. */
#define NVME_DB_SQ(qid, stride) ((2u * (qid)) * (stride))
#define NVME_DB_CQ(qid, stride) ((2u * (qid) + 1) * (stride))

/*
 * Queue entries
 */

/* 3.3.3.1, common command format. Little-endian. */
struct nvme_sqe {
	uint8_t opc;
	uint8_t flags; /* NVME_CMD_* */
	le16 cid;
	le32 nsid;
	le32 cdw2, cdw3;
	le64 mptr;
	union {
		struct {
			le64 prp1, prp2;
		};
		struct nvme_sgl_desc {
			le64 addr;
			le32 len;
			uint8_t rsvd[3];
			uint8_t type; /* NVME_SGL_* */
		} sgl1;
	};
	le32 cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
static_assert(sizeof(struct nvme_sqe) == 64, "3.3.3.1");
static_assert(offsetof(struct nvme_sqe, cdw10) == 40, "3.3.3.1");

#define NVME_CMD_FUSE_MASK 0x03u
#define NVME_CMD_PSDT_SGL  0x40u /* SGL, MPTR is an address */
#define NVME_CMD_PSDT_MASK 0xc0u

/* SGL descriptor types, 4.1.2: type in bits 7:4, sub type in 3:0. */
#define NVME_SGL_DATA_BLOCK   0x00u
#define NVME_SGL_BIT_BUCKET   0x10u
#define NVME_SGL_SEGMENT      0x20u
#define NVME_SGL_LAST_SEGMENT 0x30u

/* 3.3.3.2 */
struct nvme_cqe {
	le32 dw0, dw1;
	le16 sqhd;
	le16 sqid;
	le16 cid;
	le16 status; /* bit 0: phase tag */
};
static_assert(sizeof(struct nvme_cqe) == 16, "3.3.3.2");

/* The status field without the phase bit: SC 7:0, SCT 10:8, CRD 12:11, M 13, DNR 14. */
#define NVME_CQE_PHASE(status)	 ((status) & 1u)
#define NVME_CQE_STATUS(status)	 ((uint16_t)((status) >> 1))
#define NVME_STATUS(sct, sc)	 ((uint16_t)((sct) << 8 | (sc)))
#define NVME_STATUS_SC(st)	 ((st) & 0xffu)
#define NVME_STATUS_SCT(st)	 (((st) >> 8) & 7u)
#define NVME_STATUS_CODE(st)	 ((st) & 0x7ffu) /* SCT and SC */
#define NVME_STATUS_CRD(st)	 (((st) >> 11) & 3u)
#define NVME_STATUS_M		 (1u << 13)
#define NVME_STATUS_DNR		 (1u << 14)

/* 3.3.3.2.1: SCT */
enum nvme_sct {
	NVME_SCT_GENERIC = 0,
	NVME_SCT_COMMAND = 1,
	NVME_SCT_MEDIA = 2,
	NVME_SCT_PATH = 3,
	NVME_SCT_VENDOR = 7,
};

/* SCT and SC together. */
enum nvme_status {
	NVME_SC_SUCCESS = 0x000,
	NVME_SC_INVALID_OPCODE = 0x001,
	NVME_SC_INVALID_FIELD = 0x002,
	NVME_SC_CID_CONFLICT = 0x003,
	NVME_SC_DATA_TRANSFER = 0x004,
	NVME_SC_POWER_LOSS = 0x005,
	NVME_SC_INTERNAL = 0x006,
	NVME_SC_ABORT_REQUESTED = 0x007,
	NVME_SC_ABORT_SQ_DELETED = 0x008,
	NVME_SC_ABORT_FUSED_FAIL = 0x009,
	NVME_SC_ABORT_FUSED_MISSING = 0x00a,
	NVME_SC_INVALID_NS = 0x00b,
	NVME_SC_SEQUENCE = 0x00c,
	NVME_SC_INVALID_SGL_SEG = 0x00d,
	NVME_SC_INVALID_SGL_COUNT = 0x00e,
	NVME_SC_INVALID_SGL_LEN = 0x00f,
	NVME_SC_INVALID_SGL_TYPE = 0x011,
	NVME_SC_INVALID_PRP_OFFSET = 0x013,
	NVME_SC_SANITIZE_FAILED = 0x01c,
	NVME_SC_SANITIZE_IN_PROGRESS = 0x01d,
	NVME_SC_NS_WRITE_PROTECTED = 0x020,
	NVME_SC_COMMAND_INTERRUPTED = 0x021,
	NVME_SC_TRANSIENT_TRANSPORT = 0x022,
	NVME_SC_LBA_RANGE = 0x080,
	NVME_SC_CAPACITY = 0x081,
	NVME_SC_NS_NOT_READY = 0x082,
	NVME_SC_RESERVATION_CONFLICT = 0x083,
	NVME_SC_FORMAT_IN_PROGRESS = 0x084,
	NVME_SC_INVALID_CQ = 0x100,
	NVME_SC_INVALID_QID = 0x101,
	NVME_SC_INVALID_QUEUE_SIZE = 0x102,
	NVME_SC_ABORT_LIMIT = 0x103,
	NVME_SC_AER_LIMIT = 0x105,
	NVME_SC_INVALID_FW_SLOT = 0x106,
	NVME_SC_INVALID_FW_IMAGE = 0x107,
	NVME_SC_INVALID_VECTOR = 0x108,
	NVME_SC_INVALID_LOG_PAGE = 0x109,
	NVME_SC_INVALID_FORMAT = 0x10a,
	NVME_SC_FW_NEEDS_CONV_RESET = 0x10b,
	NVME_SC_INVALID_QUEUE_DELETE = 0x10c,
	NVME_SC_FEATURE_NOT_SAVEABLE = 0x10d,
	NVME_SC_FEATURE_NOT_CHANGEABLE = 0x10e,
	NVME_SC_FEATURE_NOT_PER_NS = 0x10f,
	NVME_SC_FW_NEEDS_SUBSYS_RESET = 0x110,
	NVME_SC_FW_NEEDS_RESET = 0x111,
	NVME_SC_FW_NEEDS_MAX_TIME = 0x112,
	NVME_SC_FW_PROHIBITED = 0x113,
	NVME_SC_OVERLAPPING_RANGE = 0x114,
	NVME_SC_NS_INSUFFICIENT_CAPACITY = 0x115,
	NVME_SC_NS_ID_UNAVAILABLE = 0x116,
	NVME_SC_NS_ALREADY_ATTACHED = 0x118,
	NVME_SC_NS_IS_PRIVATE = 0x119,
	NVME_SC_NS_NOT_ATTACHED = 0x11a,
	NVME_SC_THIN_NOT_SUPPORTED = 0x11b,
	NVME_SC_CTRLR_LIST_INVALID = 0x11c,
	NVME_SC_SELF_TEST_IN_PROGRESS = 0x11d,
	NVME_SC_INVALID_CTRLR_ID = 0x11f,
	NVME_SC_CONFLICTING_ATTRIBUTES = 0x180,
	NVME_SC_INVALID_PI = 0x181,
	NVME_SC_WRITE_TO_RO = 0x182,
	NVME_SC_CMD_SIZE_LIMIT = 0x183,
	NVME_SC_WRITE_FAULT = 0x280,
	NVME_SC_READ_ERROR = 0x281,
	NVME_SC_GUARD_CHECK = 0x282,
	NVME_SC_APPTAG_CHECK = 0x283,
	NVME_SC_REFTAG_CHECK = 0x284,
	NVME_SC_COMPARE_FAILED = 0x285,
	NVME_SC_ACCESS_DENIED = 0x286,
	NVME_SC_UNWRITTEN_BLOCK = 0x287,
	NVME_SC_INTERNAL_PATH_ERROR = 0x300,
	NVME_SC_ANA_PERSISTENT_LOSS = 0x301,
	NVME_SC_ANA_INACCESSIBLE = 0x302,
	NVME_SC_ANA_TRANSITION = 0x303,
	NVME_SC_CTRLR_PATH_ERROR = 0x360,
	NVME_SC_HOST_PATH_ERROR = 0x370,
	NVME_SC_HOST_ABORTED = 0x371,
};

/* Admin commands, 5 */
enum nvme_admin_opc {
	NVME_ADM_DELETE_SQ = 0x00,
	NVME_ADM_CREATE_SQ = 0x01,
	NVME_ADM_GET_LOG_PAGE = 0x02,
	NVME_ADM_DELETE_CQ = 0x04,
	NVME_ADM_CREATE_CQ = 0x05,
	NVME_ADM_IDENTIFY = 0x06,
	NVME_ADM_ABORT = 0x08,
	NVME_ADM_SET_FEATURES = 0x09,
	NVME_ADM_GET_FEATURES = 0x0a,
	NVME_ADM_ASYNC_EVENT = 0x0c,
	NVME_ADM_NS_MGMT = 0x0d,
	NVME_ADM_FW_COMMIT = 0x10,
	NVME_ADM_FW_DOWNLOAD = 0x11,
	NVME_ADM_SELF_TEST = 0x14,
	NVME_ADM_NS_ATTACH = 0x15,
	NVME_ADM_KEEP_ALIVE = 0x18,
	NVME_ADM_DIRECTIVE_SEND = 0x19,
	NVME_ADM_DIRECTIVE_RECV = 0x1a,
	NVME_ADM_DBBUF_CONFIG = 0x7c,
	NVME_ADM_FORMAT = 0x80,
	NVME_ADM_SECURITY_SEND = 0x81,
	NVME_ADM_SECURITY_RECV = 0x82,
	NVME_ADM_SANITIZE = 0x84,
	NVME_ADM_GET_LBA_STATUS = 0x86,
};

/* Bits 1:0 of an opcode: who transfers data, 3.3.3.1. */
#define NVME_OPC_XFER_MASK   3u
#define NVME_OPC_XFER_NONE   0u
#define NVME_OPC_XFER_TO_DEV 1u
#define NVME_OPC_XFER_TO_HOST 2u

/* NVM commands, NVM 3 */
enum nvme_nvm_opc {
	NVME_NVM_FLUSH = 0x00,
	NVME_NVM_WRITE = 0x01,
	NVME_NVM_READ = 0x02,
	NVME_NVM_WRITE_UNCORRECTABLE = 0x04,
	NVME_NVM_COMPARE = 0x05,
	NVME_NVM_WRITE_ZEROES = 0x08,
	NVME_NVM_DSM = 0x09,
	NVME_NVM_VERIFY = 0x0c,
	NVME_NVM_RESV_REGISTER = 0x0d,
	NVME_NVM_RESV_REPORT = 0x0e,
	NVME_NVM_RESV_ACQUIRE = 0x11,
	NVME_NVM_RESV_RELEASE = 0x15,
	NVME_NVM_COPY = 0x19,
};

/* cdw12 of Read, Write, Compare, Verify, Write Zeroes: 15:0 NLB (0's based) and */
#define NVME_RW_DEAC  (1u << 25) /* Write Zeroes: may deallocate */
#define NVME_RW_FUA   (1u << 30)
#define NVME_RW_LR    (1u << 31)
#define NVME_NLB_MAX  65536u

/* DSM, NVM 3.2.3 */
#define NVME_DSM_AD	    (1u << 2) /* cdw11: deallocate */
#define NVME_DSM_RANGES_MAX 256u
struct nvme_dsm_range {
	le32 cattr;
	le32 nlb;
	le64 slba;
};
static_assert(sizeof(struct nvme_dsm_range) == 16, "NVM 3.2.3");

/* Copy, source range format 0, NVM 3.2.2 */
struct nvme_copy_range {
	uint8_t rsvd0[8];
	le64 slba;
	le16 nlb; /* 0's based */
	uint8_t rsvd18[6];
	le32 eilbrt;
	le16 elbat, elbatm;
};
static_assert(sizeof(struct nvme_copy_range) == 32, "NVM 3.2.2");

/* Create I/O queues, 5.4 and 5.5: cdw11 */
#define NVME_QUEUE_PC	      (1u << 0)
#define NVME_CQ_IEN	      (1u << 1)
#define NVME_CQ_IV(vector)    ((uint32_t)(vector) << 16)
#define NVME_SQ_CQID(cqid)    ((uint32_t)(cqid) << 16)
#define NVME_QUEUE_SIZE(id, entries) ((uint32_t)((entries) - 1) << 16 | (uint32_t)(id)) /* cdw10 */

/* Identify, 5.17: cdw10 7:0 */
enum nvme_cns {
	NVME_CNS_NS = 0x00,
	NVME_CNS_CTRLR = 0x01,
	NVME_CNS_ACTIVE_NS_LIST = 0x02,
	NVME_CNS_NS_DESC_LIST = 0x03,
	NVME_CNS_NVM_SET_LIST = 0x04,
	NVME_CNS_CSI_NS = 0x05,
	NVME_CNS_CSI_CTRLR = 0x06,
	NVME_CNS_CSI_ACTIVE_NS_LIST = 0x07,
	NVME_CNS_CSI_INDEP_NS = 0x08,
	NVME_CNS_ALLOC_NS_LIST = 0x10,
	NVME_CNS_ALLOC_NS = 0x11,
	NVME_CNS_NS_CTRLR_LIST = 0x12,
	NVME_CNS_CTRLR_LIST = 0x13,
	NVME_CNS_CSI_LIST = 0x1c,
};
#define NVME_NS_LIST_MAX    1024u /* entries of a namespace list */
#define NVME_CTRLR_LIST_MAX 2047u

/* Features, 5.27.1: cdw10 7:0 */
enum nvme_fid {
	NVME_FEAT_ARBITRATION = 0x01,
	NVME_FEAT_POWER_MGMT = 0x02,
	NVME_FEAT_LBA_RANGE = 0x03,
	NVME_FEAT_TEMP_THRESH = 0x04,
	NVME_FEAT_ERR_RECOVERY = 0x05,
	NVME_FEAT_VOLATILE_WC = 0x06,
	NVME_FEAT_NUM_QUEUES = 0x07,
	NVME_FEAT_IRQ_COALESCE = 0x08,
	NVME_FEAT_IRQ_CONFIG = 0x09,
	NVME_FEAT_WRITE_ATOMIC = 0x0a,
	NVME_FEAT_ASYNC_EVENT = 0x0b,
	NVME_FEAT_APST = 0x0c,
	NVME_FEAT_HMB = 0x0d,
	NVME_FEAT_TIMESTAMP = 0x0e,
	NVME_FEAT_KATO = 0x0f,
	NVME_FEAT_HCTM = 0x10,
	NVME_FEAT_NOPSC = 0x11,
	NVME_FEAT_RRL = 0x12,
	NVME_FEAT_HOST_BEHAVIOR = 0x16,
	NVME_FEAT_SANITIZE = 0x17,
	NVME_FEAT_SW_PROGRESS = 0x80,
	NVME_FEAT_HOST_ID = 0x81,
	NVME_FEAT_WRITE_PROTECT = 0x84,
};
#define NVME_FEAT_SAVE	     (1u << 31) /* Set: cdw10 SV */
#define NVME_FEAT_SEL(n)     ((uint32_t)(n) << 8) /* Get: 0 current, 1 default, 2 saved, 3 supported */

/* Host Memory Buffer, 5.27.1.11: cdw11 */
#define NVME_HMB_ENABLE (1u << 0)
#define NVME_HMB_RETURN (1u << 1)
struct nvme_hmb_desc {
	le64 badd;
	le32 bsize; /* in CC.MPS pages */
	le32 rsvd;
};
static_assert(sizeof(struct nvme_hmb_desc) == 16, "5.27.1.11");

/* Host Behavior Support, 5.27.1.18: byte 0 enables the retry delays (CRD). */
#define NVME_HOST_BEHAVIOR_BYTES 512u

/* Asynchronous events, 5.2: dw0 of the completion */
#define NVME_AER_TYPE(dw0) ((uint32_t)NVME_FIELD(dw0, 0, 3))
#define NVME_AER_INFO(dw0) ((uint32_t)NVME_FIELD(dw0, 8, 8))
#define NVME_AER_LOG(dw0)  ((uint32_t)NVME_FIELD(dw0, 16, 8))
enum nvme_aer_type {
	NVME_AER_ERROR = 0,
	NVME_AER_SMART = 1,
	NVME_AER_NOTICE = 2,
	NVME_AER_IMMEDIATE = 3,
	NVME_AER_IO_SPECIFIC = 6,
	NVME_AER_VENDOR = 7,
};
enum nvme_aer_notice {
	NVME_AER_NOTICE_NS_ATTR = 0,
	NVME_AER_NOTICE_FW_ACTIVATION = 1,
	NVME_AER_NOTICE_TELEMETRY = 2,
	NVME_AER_NOTICE_ANA = 3,
};
enum nvme_aer_error {
	NVME_AER_ERROR_BAD_DB = 0,
	NVME_AER_ERROR_BAD_DB_VALUE = 1,
	NVME_AER_ERROR_DIAGNOSTIC = 2,
	NVME_AER_ERROR_PERSISTENT_INTERNAL = 3,
	NVME_AER_ERROR_TRANSIENT_INTERNAL = 4,
	NVME_AER_ERROR_FW_LOAD = 5,
};
/* Set Features Asynchronous Event Configuration: cdw11, and OAES of Identify Controller */
#define NVME_AEC_SMART_MASK 0xffu
#define NVME_AEC_NS_ATTR    (1u << 8)
#define NVME_AEC_FW	    (1u << 9)

/* Log pages, 5.16.1 */
enum nvme_lid {
	NVME_LOG_SUPPORTED = 0x00,
	NVME_LOG_ERROR = 0x01,
	NVME_LOG_SMART = 0x02,
	NVME_LOG_FW_SLOT = 0x03,
	NVME_LOG_CHANGED_NS = 0x04,
	NVME_LOG_EFFECTS = 0x05,
	NVME_LOG_SELF_TEST = 0x06,
	NVME_LOG_TELEMETRY_HOST = 0x07,
	NVME_LOG_TELEMETRY_CTRLR = 0x08,
	NVME_LOG_ENDURANCE_GROUP = 0x09,
	NVME_LOG_ANA = 0x0c,
	NVME_LOG_PERSISTENT_EVENT = 0x0d,
	NVME_LOG_SANITIZE = 0x81,
};
#define NVME_LOG_RAE (1u << 15) /* cdw10: retain the asynchronous event */

/*
 * Identify
 */
struct nvme_power_state { /* 5.17.2.1, figure 276 */
	le16 mp;
	uint8_t rsvd2;
	uint8_t flags; /* bit 0 max power scale, bit 1 non-operational */
	le32 enlat, exlat;
	uint8_t rrt, rrl, rwt, rwl;
	le16 idlp;
	uint8_t ips;
	uint8_t rsvd19;
	le16 actp;
	uint8_t apws; /* 2:0 workload, 7:6 scale */
	uint8_t rsvd23[9];
};
static_assert(sizeof(struct nvme_power_state) == 32, "figure 276");

struct nvme_id_ctrlr { /* figure 275 */
	le16 vid, ssvid;
	char sn[20], mn[40], fr[8];
	uint8_t rab;
	uint8_t ieee[3];
	uint8_t cmic, mdts;
	le16 cntlid;
	le32 ver, rtd3r, rtd3e, oaes, ctratt;
	le16 rrls;
	uint8_t rsvd102[9];
	uint8_t cntrltype;
	uint8_t fguid[16];
	le16 crdt1, crdt2, crdt3;
	uint8_t rsvd134[119];
	uint8_t nvmsr, vwci, mec;
	le16 oacs; /* 256 */
	uint8_t acl, aerl, frmw, lpa, elpe, npss, avscc, apsta;
	le16 wctemp, cctemp, mtfa;
	le32 hmpre, hmmin;
	uint8_t tnvmcap[16], unvmcap[16];
	le32 rpmbs;
	le16 edstt;
	uint8_t dsto, fwug;
	le16 kas, hctma, mntmt, mxtmt;
	le32 sanicap, hmminds;
	le16 hmmaxd, nsetidmax, endgidmax;
	uint8_t anatt, anacap;
	le32 anagrpmax, nanagrpid, pels;
	le16 domainid;
	uint8_t rsvd358[10];
	uint8_t megcap[16];
	uint8_t rsvd384[128];
	uint8_t sqes, cqes; /* 512 */
	le16 maxcmd;
	le32 nn;
	le16 oncs, fuses;
	uint8_t fna, vwc;
	le16 awun, awupf;
	uint8_t icsvscc, nwpc;
	le16 acwu, ocfs;
	le32 sgls, mnan;
	uint8_t maxdna[16];
	le32 maxcna;
	uint8_t rsvd564[204];
	char subnqn[256]; /* 768 */
	uint8_t rsvd1024[768];
	le32 ioccsz, iorcsz; /* 1792, fabrics */
	le16 icdoff;
	uint8_t fcatt, msdbd;
	le16 ofcs;
	uint8_t rsvd1806[242];
	struct nvme_power_state psd[32]; /* 2048 */
	uint8_t vs[1024];
};
static_assert(sizeof(struct nvme_id_ctrlr) == NVME_ID_BYTES, "figure 275");
static_assert(offsetof(struct nvme_id_ctrlr, cntrltype) == 111, "figure 275");
static_assert(offsetof(struct nvme_id_ctrlr, oacs) == 256, "figure 275");
static_assert(offsetof(struct nvme_id_ctrlr, tnvmcap) == 280, "figure 275");
static_assert(offsetof(struct nvme_id_ctrlr, sanicap) == 328, "figure 275");
static_assert(offsetof(struct nvme_id_ctrlr, domainid) == 356, "figure 275");
static_assert(offsetof(struct nvme_id_ctrlr, sqes) == 512, "figure 275");
static_assert(offsetof(struct nvme_id_ctrlr, sgls) == 536, "figure 275");
static_assert(offsetof(struct nvme_id_ctrlr, subnqn) == 768, "figure 275");
static_assert(offsetof(struct nvme_id_ctrlr, psd) == 2048, "figure 275");

#define NVME_OACS_SECURITY  (1u << 0)
#define NVME_OACS_FORMAT    (1u << 1)
#define NVME_OACS_FW	    (1u << 2)
#define NVME_OACS_NS_MGMT   (1u << 3)
#define NVME_OACS_SELF_TEST (1u << 4)
#define NVME_OACS_DIRECTIVES (1u << 5)
#define NVME_OACS_DBBUF	    (1u << 8)
#define NVME_ONCS_COMPARE   (1u << 0)
#define NVME_ONCS_WRITE_UNC (1u << 1)
#define NVME_ONCS_DSM	    (1u << 2)
#define NVME_ONCS_WRITE_ZEROES (1u << 3)
#define NVME_ONCS_SAVE	    (1u << 4) /* Set Features: save; Get: select */
#define NVME_ONCS_RESERVATIONS (1u << 5)
#define NVME_ONCS_TIMESTAMP (1u << 6)
#define NVME_ONCS_VERIFY    (1u << 7)
#define NVME_ONCS_COPY	    (1u << 8)
#define NVME_LPA_SMART_NS   (1u << 0)
#define NVME_LPA_EFFECTS    (1u << 1)
#define NVME_LPA_EXTENDED   (1u << 2)
#define NVME_LPA_TELEMETRY  (1u << 3)
#define NVME_LPA_PERSISTENT (1u << 4)
#define NVME_VWC_PRESENT    (1u << 0)
#define NVME_SGLS_SUPPORTED 3u /* 1:0, 0 = no; 1 = any alignment, 2 = dword aligned */
#define NVME_SGLS_BIT_BUCKET (1u << 16)
#define NVME_CTRATT_HOSTID128 (1u << 0)

/* LBA format: MS 15:0, LBADS 23:16, RP 25:24. NVM figure 98 */
struct nvme_lbaf {
	le16 ms;
	uint8_t lbads;
	uint8_t rp;
};

struct nvme_id_ns { /* NVM 4.1.5.1, figure 97 */
	le64 nsze, ncap, nuse;
	uint8_t nsfeat, nlbaf, flbas, mc, dpc, dps, nmic, rescap, fpi, dlfeat;
	le16 nawun, nawupf, nacwu, nabsn, nabo, nabspf, noiob;
	uint8_t nvmcap[16];
	le16 npwg, npwa, npdg, npda, nows;
	le16 mssrl;
	le32 mcl;
	uint8_t msrc;
	uint8_t rsvd81;
	uint8_t nulbaf;
	uint8_t rsvd83[9];
	le32 anagrpid;
	uint8_t rsvd96[3];
	uint8_t nsattr;
	le16 nvmsetid, endgid;
	uint8_t nguid[16], eui64[8];
	struct nvme_lbaf lbaf[64]; /* 128 */
	uint8_t vs[3712];
};
static_assert(sizeof(struct nvme_id_ns) == NVME_ID_BYTES, "NVM figure 97");
static_assert(offsetof(struct nvme_id_ns, noiob) == 46, "NVM figure 97");
static_assert(offsetof(struct nvme_id_ns, mssrl) == 74, "NVM figure 97");
static_assert(offsetof(struct nvme_id_ns, nulbaf) == 82, "NVM figure 97");
static_assert(offsetof(struct nvme_id_ns, anagrpid) == 92, "NVM figure 97");
static_assert(offsetof(struct nvme_id_ns, nguid) == 104, "NVM figure 97");
static_assert(offsetof(struct nvme_id_ns, lbaf) == 128, "NVM figure 97");

/* FLBAS: bits 3:0 and 6:5 are the index of the format, bit 4 extended LBAs. */
#define NVME_FLBAS_INDEX(flbas) (((flbas) & 0xfu) | ((flbas) >> 1 & 0x30u))
#define NVME_FLBAS_EXTENDED	(1u << 4)
#define NVME_NSFEAT_THIN	(1u << 0)
#define NVME_NSFEAT_NSABP	(1u << 1)
#define NVME_NSFEAT_DEALLOC_ERR (1u << 2)
#define NVME_NSFEAT_OPTPERF	(1u << 4)
#define NVME_NSATTR_WRITE_PROTECTED (1u << 0)

/* Namespace identification descriptor, 5.17.2.3 */
struct nvme_ns_id_desc {
	uint8_t nidt, nidl;
	uint8_t rsvd2[2];
	uint8_t nid[];
};
static_assert(sizeof(struct nvme_ns_id_desc) == 4, "5.17.2.3");
enum nvme_nidt {
	NVME_NIDT_EUI64 = 1, /* 8 bytes */
	NVME_NIDT_NGUID = 2, /* 16 */
	NVME_NIDT_UUID = 3,  /* 16 */
	NVME_NIDT_CSI = 4,   /* 1 */
};

struct nvme_ctrlr_list {
	le16 num;
	le16 id[NVME_CTRLR_LIST_MAX];
};
static_assert(sizeof(struct nvme_ctrlr_list) == NVME_ID_BYTES, "figure 273");

/*
 * Log pages
 */
struct nvme_log_error { /* 5.16.1.2 */
	le64 error_count;
	le16 sqid, cid, status, parm_err_loc;
	le64 lba;
	le32 nsid;
	uint8_t vs, trtype;
	uint8_t rsvd30[2];
	le64 cs;
	le16 trtype_info;
	uint8_t rsvd42[22];
};
static_assert(sizeof(struct nvme_log_error) == 64, "5.16.1.2");

struct nvme_log_smart { /* 5.16.1.3; 16-byte numbers are little-endian */
	uint8_t critical_warning;
	uint8_t temperature[2]; /* Kelvin */
	uint8_t avail_spare, spare_thresh, percent_used, endu_grp_crit_warn_sumry;
	uint8_t rsvd7[25];
	uint8_t data_units_read[16], data_units_written[16];
	uint8_t host_reads[16], host_writes[16];
	uint8_t ctrl_busy_time[16], power_cycles[16], power_on_hours[16], unsafe_shutdowns[16];
	uint8_t media_errors[16], num_err_log_entries[16];
	le32 warning_temp_time, critical_comp_time;
	le16 temp_sensor[8];
	le32 thm_temp1_trans_count, thm_temp2_trans_count;
	le32 thm_temp1_total_time, thm_temp2_total_time;
	uint8_t rsvd232[280];
};
static_assert(sizeof(struct nvme_log_smart) == 512, "5.16.1.3");
static_assert(offsetof(struct nvme_log_smart, warning_temp_time) == 192, "5.16.1.3");
#define NVME_SMART_CRIT_SPARE	   (1u << 0)
#define NVME_SMART_CRIT_TEMP	   (1u << 1)
#define NVME_SMART_CRIT_DEGRADED   (1u << 2)
#define NVME_SMART_CRIT_READ_ONLY  (1u << 3)
#define NVME_SMART_CRIT_BACKUP	   (1u << 4)

struct nvme_log_fw { /* 5.16.1.4 */
	uint8_t afi; /* 2:0 active, 6:4 at next reset */
	uint8_t rsvd1[7];
	char frs[7][8];
	uint8_t rsvd64[448];
};
static_assert(sizeof(struct nvme_log_fw) == 512, "5.16.1.4");

struct nvme_log_effects { /* 5.16.1.6 */
	le32 acs[256], iocs[256];
	uint8_t rsvd2048[2048];
};
static_assert(sizeof(struct nvme_log_effects) == 4096, "5.16.1.6");
#define NVME_EFFECT_CSUPP (1u << 0)
#define NVME_EFFECT_LBCC  (1u << 1)
#define NVME_EFFECT_NCC	  (1u << 2)
#define NVME_EFFECT_NIC	  (1u << 3)
#define NVME_EFFECT_CCC	  (1u << 4)

struct nvme_self_test_result { /* 5.16.1.7 */
	uint8_t status;	 /* 3:0 result, 7:4 code */
	uint8_t segment, valid, rsvd3;
	le64 poh;
	le32 nsid;
	le64 flba;
	uint8_t sct, sc, vs[2];
} cc_packed;
static_assert(sizeof(struct nvme_self_test_result) == 28, "5.16.1.7");

#define NVME_SELF_TEST_RESULTS 20
struct nvme_log_self_test {
	uint8_t current_op, completion; /* 3:0 operation, 6:0 percent */
	uint8_t rsvd2[2];
	struct nvme_self_test_result result[NVME_SELF_TEST_RESULTS];
} cc_packed;
static_assert(sizeof(struct nvme_log_self_test) == 564, "5.16.1.7");

struct nvme_log_telemetry { /* 5.16.1.8: header, then data areas in blocks of 512 bytes */
	uint8_t lid;
	uint8_t rsvd1[4];
	uint8_t ieee[3];
	le16 dalb1, dalb2, dalb3; /* last block of each area */
	uint8_t rsvd14[2];
	le32 dalb4;
	uint8_t rsvd20[361];
	uint8_t hostdgn;  /* host-initiated: generation; controller-initiated: 382 */
	uint8_t ctrlavail, ctrldgn;
	uint8_t rsnident[128];
};
static_assert(sizeof(struct nvme_log_telemetry) == 512, "5.16.1.8");
#define NVME_TELEMETRY_CREATE (1u << 8) /* cdw10 LSP bit 0 */

struct nvme_log_sanitize { /* 5.16.1.25 */
	le16 sprog, sstat;
	le32 scdw10, eto, etbe, etce, etond, etbend, etcend;
	uint8_t rsvd32[480];
};
static_assert(sizeof(struct nvme_log_sanitize) == 512, "5.16.1.25");

/* Sanitize, 5.24: cdw10 2:0 */
enum nvme_sanact {
	NVME_SANACT_EXIT_FAILURE = 1,
	NVME_SANACT_BLOCK = 2,
	NVME_SANACT_OVERWRITE = 3,
	NVME_SANACT_CRYPTO = 4,
};

/* Self-test codes, 5.9 */
enum nvme_stc {
	NVME_STC_SHORT = 1,
	NVME_STC_EXTENDED = 2,
	NVME_STC_VENDOR = 0xe,
	NVME_STC_ABORT = 0xf,
};

#endif
