/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nbdkit_nvring: a vhost-user-blk disk for whatever speaks NBD, fio's nbd engine for example; a plugin of nbdkit.
 *
 *   cc -shared -fPIC nbdkit_nvring.c -o nbdkit-nvring-plugin.so $(pkg-config --cflags --libs libnvring-client nbdkit)
 *   nbdkit -f -U /tmp/vol0.nbd ./nbdkit-nvring-plugin.so /run/nvring/vol0.sock
 *   fio --name=a --ioengine=nbd --uri='nbd+unix:///?socket=/tmp/vol0.nbd' --rw=randrw --verify=crc32c --size=64M
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <errno.h>
#include <nvring_client.h>
#include <stdlib.h>
#include <string.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_SERIALIZE_ALL_REQUESTS /* one queue, one request at a time */
#define PIECE	     (1u << 20)					/* a longer request goes in pieces */

static char *path;
static struct nvrc *disk; /* one for all connections: a socket serves one client */
static struct nvrc_info info = { .size = sizeof(info) };
static char *buf;

static int nv_config(const char *key, const char *value)
{
	if (strcmp(key, "socket")) {
		nbdkit_error("unknown parameter '%s' (known: socket)", key);
		return -1;
	}
	path = nbdkit_absolute_path(value);
	return path ? 0 : -1;
}

static int nv_get_ready(void)
{
	struct nvrc_opts o = { .size = sizeof(o), .path = path, .flags = NVRC_SLEEP, .reconnect_ms = 30000 };
	char why[512] = "no memory";

	if (!path || nvrc_open(&o, &disk, why, sizeof(why))) {
		nbdkit_error("%s", path ? why : "socket=PATH is missing");
		return -1;
	}
	buf = nvrc_alloc(disk, PIECE);
	return buf && !nvrc_get_info(disk, &info) ? 0 : -1;
}

static void nv_unload(void)
{
	nvrc_close(disk);
	free(path);
}

static void *nv_open(int readonly)
{
	(void)readonly;
	return &disk;
}

static int64_t nv_get_size(void *handle)
{
	(void)handle;
	(void)nvrc_get_info(disk, &info); /* its size is right */
	return (int64_t)info.bytes;
}

static int nv_can_write(void *handle)
{
	(void)handle;
	return !info.read_only;
}

static int nv_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	(void)handle;
	*minimum = info.block_bytes;
	*preferred = 4096;
	*maximum = 32u << 20;
	return 0;
}

/* One request and its result. */
static int go(enum nvrc_op op, uint64_t off, uint64_t len)
{
	struct nvrc_queue *q = nvrc_queue(disk, 0);
	struct iovec iov = { buf, len };
	int data = op == NVRC_READ || op == NVRC_WRITE, n = nvrc_submit(q, op, off, len, &iov, data, NULL);
	struct nvrc_result res;

	for (nvrc_push(q); n == 0;) {
		n = nvrc_poll(q, &res, 1);
		if (n == 0)
			(void)nvrc_wait(q, 1000); /* what goes wrong, poll says */
		else if (n > 0)
			n = res.status ? res.status : 1;
	}
	if (n > 0)
		return 0;
	nbdkit_set_error(-n);
	nbdkit_error("%s: %s", path, strerror(-n));
	return -1;
}

static int nv_pread(void *handle, void *to, uint32_t count, uint64_t off, uint32_t flags)
{
	(void)handle, (void)flags;
	for (uint32_t at = 0, n; at < count; at += n) {
		n = count - at < PIECE ? count - at : PIECE;
		if (go(NVRC_READ, off + at, n))
			return -1;
		memcpy((char *)to + at, buf, n);
	}
	return 0;
}

static int nv_pwrite(void *handle, const void *from, uint32_t count, uint64_t off, uint32_t flags)
{
	(void)handle, (void)flags;
	for (uint32_t at = 0, n; at < count; at += n) {
		n = count - at < PIECE ? count - at : PIECE;
		memcpy(buf, (const char *)from + at, n);
		if (go(NVRC_WRITE, off + at, n))
			return -1;
	}
	return 0;
}

static int nv_flush(void *handle, uint32_t flags)
{
	(void)handle, (void)flags;
	return info.can_flush ? go(NVRC_FLUSH, 0, 0) : 0;
}

static struct nbdkit_plugin plugin = {
	.name = "nvring",
	.longname = "vhost-user-blk disks",
	.magic_config_key = "socket",
	.config = nv_config,
	.config_help = "socket=PATH  the disk's vhost-user-blk socket",
	.get_ready = nv_get_ready,
	.unload = nv_unload,
	.open = nv_open,
	.get_size = nv_get_size,
	.can_write = nv_can_write,
	.block_size = nv_block_size,
	.pread = nv_pread,
	.pwrite = nv_pwrite,
	.flush = nv_flush,
	.errno_is_preserved = 0,
};
struct nbdkit_plugin *plugin_init(void); /* what the macro defines, it does not declare */
NBDKIT_REGISTER_PLUGIN(plugin)
