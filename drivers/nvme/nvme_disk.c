/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk from a URI: the controller by its address, then the namespace, then the part of it. */
#include "drivers/nvme/nvme_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bdev.h"
#include "drivers/nvme/nvme_bdev.h"
#include "drivers/nvme/nvme_probe.h"
#include "drivers/part/part.h"
#include "drivers/uri.h"

#define NVME_DISK_QUEUES_MAX  1024
#define NVME_DISK_TIMEOUT_MAX (3600 * 1000u)
#define NVME_DISK_PATH_MAX    (NVME_ADDRESS_MAX + 16) /* address, slash, namespace */

/* What the URI asks for. */
struct nvme_disk_uri {
	char address[NVME_ADDRESS_MAX];
	uint32_t nsid;
	char part[URI_VALUE_MAX];
	uint64_t off, bytes;
	uint64_t read_only, irq;
	uint64_t queues, depth, timeout_ms;
};

/* "ADDRESS/NAMESPACE": the namespace is behind the last slash. */
static int address_split(char *path, bool is_user, struct nvme_disk_uri *ret, struct errbuf *eb)
{
	char *slash = strrchr(path, '/'), *end;
	unsigned long nsid;

	if (!slash || slash == path || !slash[1])
		return errbuf_set(eb, -EINVAL, "the namespace is missing (%s/1)",
				  is_user ? "SOCKET" : "0000:01:00.0");
	nsid = strtoul(slash + 1, &end, 10);
	if (*end || slash[1] < '0' || slash[1] > '9' || nsid == 0 || nsid >= NVME_NSID_ALL)
		return errbuf_set(eb, -EINVAL, "'%.32s' is no namespace: a number from 1 comes last (%s/1)", slash + 1,
				  is_user ? "SOCKET" : "0000:01:00.0");
	*slash = '\0';
	if ((size_t)snprintf(ret->address, sizeof(ret->address), "%s%s",
			     is_user ? "vfio-user:" : "", path) >= sizeof(ret->address))
		return errbuf_set(eb, -ENAMETOOLONG, "the address is longer than %d characters",
				  NVME_ADDRESS_MAX - 1);
	ret->nsid = (uint32_t)nsid;
	return 0;
}

static int disk_uri_parse(const char *text, bool is_user, struct nvme_disk_uri *ret,
			  struct errbuf *eb)
{
	const struct uri_opt opts[] = {
		{ .key = "offset", .kind = URI_SIZE, .max = INT64_MAX, .ret_value = &ret->off },
		{ .key = "size", .kind = URI_SIZE, .min = 512, .max = INT64_MAX, .ret_value = &ret->bytes },
		{ .key = "part", .kind = URI_TEXT, .max = sizeof(ret->part), .ret_text = ret->part },
		{ .key = "ro", .kind = URI_FLAG, .ret_value = &ret->read_only },
		{ .key = "irq", .kind = URI_FLAG, .ret_value = &ret->irq },
		{ .key = "queues", .kind = URI_NUMBER, .min = 1, .max = NVME_DISK_QUEUES_MAX, .ret_value = &ret->queues },
		{ .key = "depth", .kind = URI_NUMBER, .min = 2, .max = BDEV_DEPTH_MAX, .ret_value = &ret->depth },
		{ .key = "timeout", .kind = URI_NUMBER, .min = 100, .max = NVME_DISK_TIMEOUT_MAX, .ret_value = &ret->timeout_ms },
	};
	char path[NVME_DISK_PATH_MAX];
	int err;

	*ret = (struct nvme_disk_uri){ .irq = 1 };
	err = uri_parse(text, path, sizeof(path), opts, ARRAY_SIZE(opts), eb);
	if (err)
		return err;
	if (ret->part[0] && (ret->off || ret->bytes))
		return errbuf_set(eb, -EINVAL, "part= says where it lies: no offset= and size= with it");
	return address_split(path, is_user, ret, eb);
}

/* A partition table is read through the namespace. */
struct peek {
	struct nvme_ctrlr *ctrlr;
	uint32_t nsid;
};

static int peek_read(void *arg, uint64_t off, void *buf, size_t len)
{
	const struct peek *p = arg;

	return nvme_bdev_peek(p->ctrlr, p->nsid, off, buf, (uint32_t)len);
}

/* The table is checked against the size and the format of the whole namespace. */
static int partition_find(struct nvme_ctrlr *ctrlr, struct nvme_disk_uri *uri, struct errbuf *eb)
{
	struct peek peek = { ctrlr, uri->nsid };
	struct part_source src = { .read = peek_read, .arg = &peek };
	int err = nvme_bdev_size(ctrlr, uri->nsid, &src.bytes, &src.block_bytes, eb);

	if (err)
		return err;
	return part_find(&src, uri->part, &uri->off, &uri->bytes, eb);
}

static void disk_released(void *arg)
{
	nvme_probe_put(arg);
}

int nvme_disk_open(const char *text, const struct nvme_disk_opts *opts, struct bdev **ret_bdev,
		   struct errbuf *eb)
{
	struct nvme_disk_uri uri;
	struct nvme_ctrlr *ctrlr;
	int err = disk_uri_parse(text, opts->is_user, &uri, eb);

	if (err)
		return err;
	err = nvme_probe_get(uri.address,
			     &(struct nvme_ctrlr_opts){
				     .control = opts->control,
				     .queues_max = (unsigned)uri.queues,
				     .depth = (unsigned)uri.depth,
				     .io_timeout_ms = (uint32_t)uri.timeout_ms,
				     .poll_only = !uri.irq,
			     },
			     &ctrlr, eb);
	if (err)
		return err;
	if (uri.part[0])
		err = partition_find(ctrlr, &uri, eb);
	if (!err)
		err = nvme_bdev_open(ctrlr, uri.nsid,
				     &(struct nvme_bdev_opts){
					     .off = uri.off,
					     .bytes = uri.bytes,
					     .read_only = uri.read_only || opts->read_only,
					     .release = disk_released,
					     .release_arg = ctrlr,
				     },
				     ret_bdev, eb);
	if (err)
		nvme_probe_put(ctrlr);
	return err;
}
