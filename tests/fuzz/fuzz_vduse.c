/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A kernel and a driver made of fuzz behind a VDUSE device, and the log that a process before us has left.
 *
 * Input: a byte (bit 0: begin with a driver that is ready, bit 1: packed rings), then records of 24 bytes,
 * { op, index, u16, u32, u64, u64 }: a message, where a ring is, a region of memory more or less, a kick, the driver's
 * features, bytes of its memory, or the end of the process, with a byte of its log changed for the next one.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/sigbus.h"
#include "tests/fuzz/fuzz_dev.h"
#include "tests/unit/fake_vduse.h"
#include "vdpa/vduse.h"

#define RECORDS_MAX  64
#define TURNS_MAX    100000 /* a device that does not end is a bug */
#define LOG_MAX	     (64 * 1024)
#define MEMORY_BYTES (FAKE_VDUSE_BOUNCE + FAKE_VDUSE_QUEUES * FAKE_VDUSE_RING)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct record {
	uint8_t op, index;
	uint16_t a;
	uint32_t b;
	uint64_t c, d;
};
static_assert(sizeof(struct record) == 24, "no holes");

static struct reactor *reactor;
static struct vdev dev;
static struct vduse *v;
static char log_path[64];
static bool gone;

static const struct vdev_ops dev_ops = { FUZZ_DEV_OPS };

static void no_log(enum log_level level, const char *tag, const char *text)
{
	(void)level;
	(void)tag;
	(void)text;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct reactor_opts opts = { .name = "fuzz", .cpu = -1, .mode = REACTOR_INTERRUPT };

	(void)argc;
	(void)argv;
	log_set_sink(no_log);
	if (sigbus_guard_start() || reactor_create(&opts, &reactor))
		abort();
	reactor_adopt(reactor);
	snprintf(log_path, sizeof(log_path), "/dev/shm/fuzz-vduse-%d.log", (int)getpid());
	return 0;
}

static void turns(unsigned n)
{
	while (n--)
		reactor_turn(reactor);
}

static void begin(void)
{
	const struct vduse_opts opts = {
		.name = "fuzz",
		.log = log_path,
		.dev = &dev,
		.control = reactor,
		.reactors = &reactor,
		.nreactors = 1,
		.sys = &fake_vduse_sys,
	};

	if (vduse_create(&opts, &v, NULL))
		v = NULL;
}

static void on_gone(void *arg, bool stays)
{
	(void)arg;
	(void)stays;
	gone = true;
}

static void end(void)
{
	if (!v)
		return;
	gone = false;
	vduse_destroy(v, on_gone, NULL);
	for (unsigned i = 0; !gone; i++) {
		if (i == TURNS_MAX)
			abort();
		reactor_turn(reactor);
	}
	v = NULL;
}

/* The process dies, its log is what it is, and somebody changes a byte of it. */
static void die(const struct record *rec)
{
	static char text[LOG_MAX];
	FILE *file = v ? fopen(log_path, "r") : NULL;
	size_t n = file ? fread(text, 1, sizeof(text), file) : 0;

	if (file)
		fclose(file);
	fake_vduse.attached = true;
	end();
	if (n) {
		text[rec->b % n] = (char)rec->a;
		file = fopen(log_path, "w");
		if (!file || fwrite(text, 1, n, file) != n || fclose(file))
			abort();
	}
	begin();
}

static void message(const struct record *rec)
{
	struct vduse_dev_request req = { .type = rec->index % 5, .request_id = rec->b };
	const size_t bytes = rec->a & 1u << 15 ? rec->a % sizeof(req) : sizeof(req); /* the kernel never does */

	switch (req.type) {
	case VDUSE_SET_STATUS:
		req.s.status = (uint8_t)rec->a;
		break;
	case VDUSE_GET_VQ_STATE:
		req.vq_state.index = rec->a & 0x7fff;
		break;
	default:
		req.iova.start = rec->c;
		req.iova.last = rec->d;
	}
	if (fake_vduse.kernel >= 0)
		(void)!send(fake_vduse.kernel, &req, bytes, MSG_NOSIGNAL);
}

static void ring(const struct record *rec)
{
	struct vduse_vq_info *info = &fake_vduse.q[rec->index % FAKE_VDUSE_QUEUES].info;

	*info = (struct vduse_vq_info){ .num = rec->a,
					.desc_addr = rec->c,
					.driver_addr = rec->d,
					.device_addr = rec->c + rec->b,
					.ready = rec->index & 0x80 ? 0 : 1 };
	info->packed.last_avail_counter = info->packed.last_used_counter = rec->index >> 4 & 1;
}

static void region(const struct record *rec)
{
	struct fake_vduse *f = &fake_vduse;

	if (rec->index & 1 && f->nregions) {
		f->region[rec->a % f->nregions] = f->region[f->nregions - 1];
		f->nregions--;
	} else if (f->nregions < FAKE_VDUSE_REGIONS) {
		fake_vduse_map(rec->c, rec->d, rec->index & 2);
		f->region[f->nregions - 1].is_sized = rec->index & 4;
		f->region[f->nregions - 1].e.offset = rec->index & 8 ? rec->b : rec->c;
		f->region[f->nregions - 1].e.perm = 1 + rec->a % 3;
	}
}

static void play(const struct record *rec)
{
	struct vduse_dev_response resp;

	switch (rec->op % 7) {
	case 0:
		message(rec);
		break;
	case 1:
		ring(rec);
		break;
	case 2:
		region(rec);
		break;
	case 3:
		fake_vduse_kick(rec->index % FAKE_VDUSE_QUEUES);
		break;
	case 4:
		fake_vduse.features = rec->c;
		break;
	case 5:
		memcpy(fake_vduse.mem + rec->b % (MEMORY_BYTES - 16), &rec->c, 16);
		break;
	default:
		die(rec);
	}
	turns(8);
	while (fake_vduse.kernel >= 0 && fake_vduse_answer(&resp))
		;
}

/* A driver that is ready, its rings where they should be. */
static void good_start(bool packed)
{
	const struct record ready = { .index = VDUSE_SET_STATUS, .a = 15 };

	fake_vduse.features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) |
			      (packed ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0);
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, true);
	for (unsigned i = 0; i < FAKE_VDUSE_QUEUES; i++) {
		const struct record at = { .index = (uint8_t)(i | 0x10),
					   .a = 64,
					   .b = 0x8000,
					   .c = fake_vduse_ring(i),
					   .d = fake_vduse_ring(i) + 0x4000 };

		fake_vduse_map(fake_vduse_ring(i), FAKE_VDUSE_RING, false);
		ring(&at);
	}
	play(&ready);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record rec;

	if (size == 0)
		return 0;
	fake_vduse_init();
	vdev_init(&dev, &dev_ops, FAKE_VDUSE_QUEUES);
	begin();
	if (data[0] & 1)
		good_start(data[0] & 2);
	for (size_t at = 1, n = 0; at + sizeof(rec) <= size && n < RECORDS_MAX; n++) {
		memcpy(&rec, data + at, sizeof(rec));
		at += sizeof(rec);
		play(&rec);
	}
	fake_vduse.attached = false;
	end();
	fake_vduse_fini();
	unlink(log_path);
	return 0;
}
