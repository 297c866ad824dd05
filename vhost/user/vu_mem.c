/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory table and the memory slots.
 *
 *   mem_replace ─► every running queue gets the new table ─► mem_switched
 *        (a queue whose rings go is drained first)              │ regions are gone
 *                                                               ▼
 *                                   mem_look ─► do chains in flight touch them? ─► mem_looked
 *                                      ▲                                               │ yes
 *                                      └────────────── 1 ms later ─────────────────────┤
 *                                                                                      ▼ no
 *                                                                   mem_done: the old table is
 * unmapped
 *
 * Regions that stay keep their mapping, and with it every address that a chain in flight has.
 */
#include "vhost/user/vu_mem.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "vhost/user/vu_ring.h"

#define VU_MEM_RETRY_NS MONO_NS_PER_MS
#define VU_MEM_LOOK_ONCE \
	16 /* regions a queue is asked about at once: it walks its requests for each */

int vu_mem_init(struct vu_mem *mem)
{
	memset(mem, 0, sizeof(*mem));
	mem->gmem = gmem_create();
	return mem->gmem ? 0 : -ENOMEM;
}

void vu_mem_fini(struct vu_mem *mem)
{
	assert(!mem->old);
	gmem_put(mem->gmem);
	mem->gmem = NULL;
}

/* With GPA_ADDRESSES rings are given by guest address, and the user address says nothing: the guest's
 * stands for it, and everything else stays as it is. */
static void region_normalise(const struct vu_session *s, struct vu_region *r)
{
	if (vu_session_has(s, VU_PROTOCOL_F_GPA_ADDRESSES))
		r->uva = r->gpa;
}

static bool region_is_same(const struct vu_region_id *a, const struct vu_region_id *b)
{
	return memcmp(&a->r, &b->r, sizeof(a->r)) == 0 && a->dev == b->dev && a->ino == b->ino;
}

/* @cur = @cur + one region; @cur is put. On failure too: then NULL. */
static int table_add(struct vu_session *s, struct gmem **cur, const struct vu_region *r, int fd)
{
	const struct gmem_desc d = { .gpa = r->gpa,
				     .uva = r->uva,
				     .len = r->len,
				     .mmap_off = r->mmap_off,
				     .fd = fd,
				     .owner = &s->lost };
	struct gmem *next = NULL;
	int err = gmem_add(*cur, &d, &next, &s->eb);

	gmem_put(*cur);
	*cur = next;
	return err;
}

static int table_del(struct gmem **cur, const struct vu_region *r)
{
	struct gmem *next = NULL;
	int err = gmem_del(*cur, r->gpa, r->uva, r->len, &next);

	gmem_put(*cur);
	*cur = next;
	return err;
}

static int region_identify(const struct vu_region *r, int fd, struct vu_region_id *ret,
			   struct errbuf *eb)
{
	struct stat st;

	if (fstat(fd, &st))
		return errbuf_set(eb, -errno, "guest memory: fstat: %s", strerror(errno));
	memset(ret, 0, sizeof(*ret));
	ret->r = *r;
	ret->dev = st.st_dev;
	ret->ino = st.st_ino;
	return 0;
}

static void queue_set_gmem(struct vdev_queue *q, void *arg)
{
	struct vu_ring *ring = arg;

	vq_set_gmem(&q->vq, ring->s->mem.gmem);
}

static void queue_look(struct vdev_queue *q, void *arg)
{
	struct vu_ring *ring = arg;
	const struct vu_mem *mem = &ring->s->mem;
	unsigned end = CC_MIN(mem->gone_at + VU_MEM_LOOK_ONCE, mem->ngone);

	ring->busy = false;
	for (unsigned i = mem->gone_at; i < end && !ring->busy; i++)
		ring->busy = vq_uses_range(&q->vq, mem->gone[i].va, mem->gone[i].len);
}

static int mem_done(struct vu_session *s)
{
	gmem_put(s->mem.old);
	s->mem.old = NULL;
	s->mem.ngone = 0;
	vu_rings_try_start(s);
	return 0;
}

static int mem_look(struct vu_session *s);

static void mem_retry(struct deadline *d)
{
	vu_wait_done(container_of(d, struct vu_session, mem.retry));
}

static int mem_looked(struct vu_session *s)
{
	bool busy = false;

	for (unsigned i = 0; i < s->nrings; i++)
		busy |= s->rings[i].q && s->rings[i].busy;
	vu_wait_begin(s, mem_look);
	if (busy) {
		vu_wait_add(s);
		deadline_init(&s->mem.retry, mem_retry);
		deadline_arm(s->conf.control, &s->mem.retry, mono_ns() + VU_MEM_RETRY_NS);
	} else {
		s->mem.gone_at = CC_MIN(s->mem.gone_at + VU_MEM_LOOK_ONCE, s->mem.ngone);
	}
	return vu_wait_end(s);
}

static int mem_look(struct vu_session *s)
{
	if (s->mem.gone_at == s->mem.ngone || !vu_session_is_running(s))
		return mem_done(s);
	vu_wait_begin(s, mem_looked);
	for (unsigned i = 0; i < s->nrings; i++) {
		if (s->rings[i].q)
			vu_ring_call(&s->rings[i], queue_look);
	}
	return vu_wait_end(s);
}

/* What the old table maps and the new one does not. */
static void collect_gone(struct vu_mem *mem)
{
	mem->ngone = 0;
	mem->gone_at = 0;
	for (unsigned i = 0; i < mem->old->n; i++) {
		const struct gmem_region *r = &mem->old->r[i];
		const struct gmem_region *now = gmem_find(mem->gmem, r->gpa);

		if (!now || now->va != r->va)
			mem->gone[mem->ngone++] = (struct vu_va_range){ r->va, r->len };
	}
}

/*
 * A queue goes on in the new table; one whose rings have another address now is drained and starts
 * there again (mem_done). One whose rings are gone is broken, until the front-end gives their
 * memory back: QEMU takes a region away and adds it again when its borders change.
 */
static void ring_follow(struct vu_ring *ring, const struct gmem *g)
{
	enum vu_ring_place place = vu_ring_place(ring, g);

	if (place == VU_RING_SAME) {
		vu_ring_call(ring, queue_set_gmem);
		return;
	}
	if (place == VU_RING_LOST)
		vu_ring_break(ring, "the memory of its rings was taken away");
	vu_ring_stop(ring);
}

/* Publish @g (taken over). */
static int mem_replace(struct vu_session *s, struct gmem *g)
{
	s->mem.old = s->mem.gmem;
	s->mem.gmem = g;
	collect_gone(&s->mem);
	vu_wait_begin(s, mem_look);
	for (unsigned i = 0; i < s->nrings; i++) {
		if (s->rings[i].q)
			ring_follow(&s->rings[i], g);
	}
	return vu_wait_end(s);
}

/*
 * @table of regions [0, n): which of the present ones stay. Marks keep[] (present) and kept[]
 * (new), each region once, so that a region given twice is an overlap and not a twin.
 */
static void match_regions(const struct vu_mem *mem, const struct vu_region_id *table, unsigned n,
			  bool *keep, bool *kept)
{
	for (unsigned i = 0; i < n; i++) {
		for (unsigned j = 0; j < mem->n && !kept[i]; j++) {
			if (!keep[j] && region_is_same(&mem->ids[j], &table[i]))
				keep[j] = kept[i] = true;
		}
	}
}

/* A table of exactly @table's regions. Old regions go first: the new ones may lie where they were.
 */
static int table_build(struct vu_session *s, const struct vu_region_id *table,
		       const struct vu_msg *m, struct gmem **ret_g)
{
	const struct vu_mem *mem = &s->mem;
	unsigned n = m->p.table.nregions;
	bool keep[GMEM_REGIONS_MAX] = { false }, kept[VU_TABLE_REGIONS_MAX] = { false };
	struct gmem *g = gmem_get(mem->gmem);
	int err = 0;

	match_regions(mem, table, n, keep, kept);
	for (unsigned j = 0; j < mem->n && !err; j++) {
		if (!keep[j])
			err = table_del(&g, &mem->ids[j].r);
	}
	for (unsigned i = 0; i < n && !err; i++) {
		if (!kept[i])
			err = table_add(s, &g, &m->p.table.regions[i], m->fds[i]);
	}
	if (!err)
		*ret_g = g;
	return err;
}

int vu_set_mem_table(struct vu_session *s, struct vu_msg *m)
{
	struct vu_region_id table[VU_TABLE_REGIONS_MAX];
	unsigned n = m->p.table.nregions;
	struct gmem *g = NULL;
	int err;

	if (n > VU_TABLE_REGIONS_MAX || m->nfds != n ||
	    m->h.size < offsetof(struct vu_mem_table, regions) + n * sizeof(struct vu_region))
		return errbuf_set(&s->eb, -EPROTO, "%u regions, %u file descriptors, %u bytes", n,
				  m->nfds, m->h.size);
	for (unsigned i = 0; i < n; i++) {
		region_normalise(s, &m->p.table.regions[i]);
		err = region_identify(&m->p.table.regions[i], m->fds[i], &table[i], &s->eb);
		if (err)
			return err;
	}
	errbuf_set(&s->eb, 0, "out of memory");
	err = table_build(s, table, m, &g);
	if (err)
		return err;
	memcpy(s->mem.ids, table, n * sizeof(table[0]));
	s->mem.n = n;
	return mem_replace(s, g);
}

int vu_get_max_mem_slots(struct vu_session *s, struct vu_msg *m)
{
	(void)s;
	m->p.u64 = VU_MEM_SLOTS_MAX;
	m->h.size = sizeof(m->p.u64);
	return 0;
}

int vu_add_mem_reg(struct vu_session *s, struct vu_msg *m)
{
	struct vu_region *r = &m->p.mem_reg.region;
	struct gmem *g;
	int err;

	region_normalise(s, r);
	if (s->mem.n >= VU_MEM_SLOTS_MAX)
		return errbuf_set(&s->eb, -ENOSPC, "more than %d memory regions", VU_MEM_SLOTS_MAX);
	err = region_identify(r, m->fds[0], &s->mem.ids[s->mem.n], &s->eb);
	if (err)
		return err;
	g = gmem_get(s->mem.gmem);
	err = table_add(s, &g, r, m->fds[0]);
	if (err)
		return err;
	s->mem.n++;
	return mem_replace(s, g);
}

/* A region is named by its addresses and length; an fd that comes along is closed with the message.
 */
int vu_rem_mem_reg(struct vu_session *s, struct vu_msg *m)
{
	struct vu_region *r = &m->p.mem_reg.region;
	struct vu_mem *mem = &s->mem;
	struct gmem *g = gmem_get(mem->gmem);
	int err;

	region_normalise(s, r);
	err = table_del(&g, r);
	if (err)
		return errbuf_set(
			&s->eb, err,
			err == -ENOENT
				? "no region at gpa %#llx with uva %#llx and %#llx bytes"
				: "region at gpa %#llx, uva %#llx, %#llx bytes: out of memory",
			(unsigned long long)r->gpa, (unsigned long long)r->uva,
			(unsigned long long)r->len);
	for (unsigned i = 0; i < mem->n; i++) {
		if (mem->ids[i].r.gpa == r->gpa) {
			mem->ids[i] = mem->ids[--mem->n];
			break;
		}
	}
	return mem_replace(s, g);
}
