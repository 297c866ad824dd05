/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest in plain memory. */
#include "tests/unit/fake_guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static void fg_must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static void fg_region(struct fg *fg, uint64_t gpa, uint64_t len)
{
	struct gmem *old = fg->g;
	struct gmem_desc d = { .gpa = gpa, .uva = gpa + FG_UVA, .len = len };

	d.fd = memfd_create("guest", MFD_CLOEXEC);
	fg_must(d.fd >= 0 && ftruncate(d.fd, (off_t)len) == 0, "memfd");
	fg_must(gmem_add(old, &d, &fg->g, NULL) == 0, "gmem_add");
	close(d.fd);
	gmem_put(old);
}

void *fg_va(const struct fg *fg, uint64_t gpa)
{
	return gmem_gpa_to_va(fg->g, gpa, 1);
}

int fg_device_start(struct fg *fg)
{
	return vq_init(&fg->q, &fg->conf, fg->slots, sizeof(*fg->slots), NULL);
}

void fg_device_drop(struct fg *fg)
{
	vq_fini(&fg->q);
	memset(&fg->q, 0, sizeof(fg->q));
	memset(fg->slots, 0xa5, fg->o.size * sizeof(*fg->slots));
}

/* descriptors at +0, driver's part at +0x8000, device's at +0xc000 */
static void fg_rings(struct fg *fg)
{
	const struct fg_opts *o = &fg->o;

	fg->conf = (struct vq_conf){
		.size = o->size,
		.packed = o->packed,
		.features = o->features,
		.desc = fg_va(fg, FG_RING_GPA),
		.avail = fg_va(fg, FG_RING_GPA + 0x8000),
		.used = fg_va(fg, FG_RING_GPA + 0xc000),
		.avail_idx = o->start,
		.avail_wrap = true,
		.used_wrap = true,
		.kick_fd = fg->kick,
		.call_fd = fg->call,
		.gmem = fg->g,
		.inflight = fg->inflight,
		.log_used_gpa = UINT64_MAX,
	};
}

static void fg_driver(struct fg *fg)
{
	struct vqd_conf c = {
		.size = fg->o.size,
		.packed = fg->o.packed,
		.features = fg->o.features,
		.desc = fg->conf.desc,
		.avail = fg->conf.avail,
		.used = fg->conf.used,
		.indirect = fg_va(fg, FG_TABLE_GPA),
		.indirect_gpa = FG_TABLE_GPA,
		.indirect_max = FG_TABLE_MAX,
		.kick_fd = fg->kick,
	};

	fg_must(vqd_init(&fg->d, &c) == 0, "vqd_init");
	if (fg->o.packed || !fg->o.start)
		return;
	fg->d.avail_idx = fg->d.avail_pub = fg->d.used_idx = fg->d.used_seen = fg->o.start;
	((struct virtq_avail *)fg->conf.avail)->idx = le16_make(fg->o.start);
	((struct virtq_used *)fg->conf.used)->idx = le16_make(fg->o.start);
}

void fg_init(struct fg *fg, const struct fg_opts *o)
{
	memset(fg, 0, sizeof(*fg));
	fg->o = *o;
	fg->g = gmem_create();
	fg_region(fg, FG_HIGH_GPA, FG_HIGH_BYTES);
	fg_region(fg, FG_RING_GPA, FG_RING_BYTES);
	fg_region(fg, FG_DATA_GPA, FG_DATA_BYTES);
	fg->kick = o->eventfds ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1;
	fg->call = o->eventfds ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1;
	if (o->inflight) {
		fg->inflight = mmap(NULL, vqi_bytes(o->packed, o->size), PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		fg_must(fg->inflight != MAP_FAILED, "mmap");
		vqi_format(fg->inflight, o->packed, o->size, 0);
	}
	fg->slots = calloc(o->size, sizeof(*fg->slots));
	fg_must(fg->slots, "slots");
	fg_rings(fg);
	fg_driver(fg);
	fg_must(fg_device_start(fg) == 0, "vq_init");
}

void fg_fini(struct fg *fg)
{
	vq_fini(&fg->q);
	vqd_fini(&fg->d);
	free(fg->slots);
	if (fg->inflight)
		munmap(fg->inflight, vqi_bytes(fg->o.packed, fg->o.size));
	if (fg->kick >= 0)
		close(fg->kick);
	if (fg->call >= 0)
		close(fg->call);
	gmem_put(fg->g);
}

static void fg_write(struct fg *fg, void *at, struct vqd_buf b, uint16_t flags, uint16_t next)
{
	flags |= b.device_writes ? VIRTQ_DESC_F_WRITE : 0;
	if (fg->o.packed) {
		struct virtq_pdesc d = { le64_make(b.addr), le32_make(b.len), le16_make(next),
					 le16_make(flags) };

		memcpy(at, &d, sizeof(d));
	} else {
		struct virtq_desc d = { le64_make(b.addr), le32_make(b.len), le16_make(flags),
					le16_make(next) };

		memcpy(at, &d, sizeof(d));
	}
}

void fg_desc(struct fg *fg, unsigned i, struct vqd_buf b, uint16_t flags, uint16_t next)
{
	fg_write(fg, (char *)fg->conf.desc + 16 * i, b, flags, next);
}

/* May straddle regions: byte by byte. */
void fg_table(struct fg *fg, uint64_t gpa, struct vqd_buf b, uint16_t flags, uint16_t next)
{
	char copy[16];

	fg_write(fg, copy, b, flags, next);
	for (unsigned i = 0; i < sizeof(copy); i++) {
		char *va = fg_va(fg, gpa + i);

		if (va)
			*va = copy[i];
	}
}

void fg_avail(struct fg *fg, uint16_t head)
{
	struct virtq_avail *a = fg->conf.avail;
	uint16_t idx = le16_get(a->idx);

	a->ring[idx & (fg->o.size - 1)] = le16_make(head);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	a->idx = le16_make((uint16_t)(idx + 1));
}
