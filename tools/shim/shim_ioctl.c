/* SPDX-License-Identifier: BSD-3-Clause */
/* Preloaded by `nvring exec`: the ioctls of an NVMe device, as the kernel's driver answers them. */
#include <dlfcn.h>
#include <errno.h>
#include <linux/fs.h>
#include <linux/nvme_ioctl.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "tools/shim/shim_dev.h"

#define EXPORTED __attribute__((visibility("default")))

/* >0: NVMe status, 0: done, <0: -errno. What both widths of struct share lies at the same place up to rsvd2. */
static int admin(const struct shim_dev *dev, const struct nvme_passthru_cmd *cmd,
		 struct shim_answer *ret)
{
	struct shim_request req = {
		.op = SHIM_ADMIN,
		.opc = cmd->opcode,
		.nsid = cmd->nsid,
		.cdw2 = cmd->cdw2,
		.cdw3 = cmd->cdw3,
		.cdw10 = cmd->cdw10,
		.cdw11 = cmd->cdw11,
		.cdw12 = cmd->cdw12,
		.cdw13 = cmd->cdw13,
		.cdw14 = cmd->cdw14,
		.cdw15 = cmd->cdw15,
		.data_bytes = cmd->data_len,
		.timeout_ms = cmd->timeout_ms,
	};
	int err;

	if (cmd->flags || cmd->metadata_len)
		return -EINVAL; /* no admin command has metadata or is fused */
	err = shim_dev_ask(dev, &req, (void *)(uintptr_t)cmd->addr, ret);
	if (!err)
		err = ret->err;
	return err ? err : (int)ret->status;
}

static int admin32(const struct shim_dev *dev, struct nvme_passthru_cmd *cmd)
{
	struct shim_answer answer;
	int rc = admin(dev, cmd, &answer);

	if (rc >= 0)
		cmd->result = answer.result;
	return rc;
}

static int admin64(const struct shim_dev *dev, struct nvme_passthru_cmd64 *cmd)
{
	struct shim_answer answer;
	int rc = admin(dev, (const struct nvme_passthru_cmd *)cmd, &answer);

	if (rc >= 0)
		cmd->result = (uint64_t)answer.result_high << 32 | answer.result;
	return rc;
}
_Static_assert(offsetof(struct nvme_passthru_cmd, timeout_ms) ==
		       offsetof(struct nvme_passthru_cmd64, timeout_ms),
	       "one struct is the beginning of the other");

static int simple(const struct shim_dev *dev, enum shim_op op)
{
	struct shim_request req = { .op = op };
	struct shim_answer answer;
	int err = shim_dev_ask(dev, &req, NULL, &answer);

	return err ? err : answer.err;
}

/* Of a namespace only. */
static int block(const struct shim_dev *dev, unsigned long request, void *arg)
{
	struct shim_answer look;
	int err = dev->ns ? shim_dev_look(dev, &look) : -ENOTTY;

	if (err)
		return err;
	switch (request) {
	case BLKGETSIZE64:
		*(uint64_t *)arg = look.bytes;
		break;
	case BLKGETSIZE:
		*(unsigned long *)arg = look.bytes / 512;
		break;
	case BLKPBSZGET:
	case BLKSSZGET:
		*(unsigned *)arg = look.block_bytes;
		break;
	case BLKROGET:
		*(int *)arg = 1; /* by this road it is */
		break;
	default:
		return -ENOTTY;
	}
	return 0;
}

static int answer(const struct shim_dev *dev, unsigned long request, void *arg)
{
	switch (request) {
	case NVME_IOCTL_ID:
		return dev->ns ? (int)dev->ns : -ENOTTY;
	case NVME_IOCTL_ADMIN_CMD:
		return admin32(dev, arg);
	case NVME_IOCTL_ADMIN64_CMD:
		return admin64(dev, arg);
	case NVME_IOCTL_RESET:
		return simple(dev, SHIM_RESET);
	case NVME_IOCTL_SUBSYS_RESET:
		return simple(dev, SHIM_SUBSYS_RESET);
	case NVME_IOCTL_RESCAN:
		return simple(dev, SHIM_RESCAN);
	default:
		/* and NVME_IOCTL_IO_CMD, NVME_IOCTL_SUBMIT_IO: data goes through disks, not by here */
		return block(dev, request, arg);
	}
}

static int answer_errno(const struct shim_dev *dev, unsigned long request, void *arg)
{
	int rc = answer(dev, request, arg);

	if (rc >= 0)
		return rc;
	errno = -rc;
	return -1;
}

EXPORTED int ioctl(int fd, unsigned long request, ...)
{
	static __typeof__(&ioctl) real;
	unsigned type = _IOC_TYPE(request);
	struct shim_dev dev;
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if ((type == 'N' || type == 0x12) && shim_dev_of_fd(fd, &dev))
		return answer_errno(&dev, request, arg);
	if (!real)
		real = (__typeof__(&ioctl))dlsym(RTLD_NEXT, "ioctl");
	return real(fd, request, arg);
}
