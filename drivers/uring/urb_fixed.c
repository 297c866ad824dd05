/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registered buffers of one ring: its table follows the set of pinned memory.
 *
 * What comes is cloned, what goes is cleared, both on the channel's reactor between two I/Os. A
 * region goes after its last I/O (I6), and the kernel counts references besides. An address is
 * looked up in the registry as it is now and compared by the region's serial, so an entry that
 * outlives its region for a moment is never used.
 */
#include "drivers/uring/urb_fixed_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "drivers/uring/urb_table_priv.h"

/* Their message is still on its way when the channel has gone. Under the set's lock. */
static struct list dead = { &dead, &dead };

static void on_told(struct reactor_msg *msg);

bool urb_fixed_look_up(struct urb_fixed *f, const void *va)
{
	struct dma_range r = dma_find(f->domain, va, &f->gen);
	struct urb_place at = urb_place_of(r.iova);

	f->va = r.va;
	f->len = r.len;
	f->first = -1;
	if (r.len == 0)
		return false;
	if (at.first == URB_PIECES_MAX)
		return true;
	/* they are given in order: with the last all are there */
	if (f->owner[at.first + urb_pieces(r.len) - 1] == at.serial)
		f->first = (int32_t)at.first;
	else
		urb_pin_want(at);
	return true;
}

/* Place @i is no longer its region's; in order, so that with the last the ring is done with it. */
static void place_leave(struct urb_fixed *f, uint32_t i)
{
	uint32_t serial = f->owner[i];

	f->owner[i] = 0;
	if (i + 1 == URB_PIECES_MAX || f->owner[i + 1] != serial)
		urb_pin_release(serial);
}

static bool place_is_gone(const struct urb_fixed *f, uint32_t i)
{
	return f->owner[i] && f->owner[i] != urb_pin_serial(i);
}

/* Places whose region has gone, in runs; where that unpins memory one alone. True: there may be
 * more. With the set locked. */
static bool clear_gone(struct urb_fixed *f)
{
	uint32_t n, max = urb_pin_can_clone() ? URB_TABLE_CLEAR_MAX : 1;

	for (uint32_t i = 0; i < URB_PIECES_MAX; i += CC_MAX(n, 1u)) {
		for (n = 0; n < max && i + n < URB_PIECES_MAX && place_is_gone(f, i + n); n++)
			place_leave(f, i + n);
		if (n)
			urb_table_clear(f->ring, i, n);
		if (n && max == 1)
			return true;
	}
	return false;
}

/* Once: it goes on with what it has. */
static void refused(struct urb_fixed *f, int err)
{
	f->is_refused = true;
	urb_pin_complain("a ring cannot have registered buffers", err);
}

/* All places of @p are the region's @serial (again), or nobody's (0). */
static void places_give(struct urb_fixed *f, const struct urb_pinned *p, uint32_t serial)
{
	uint32_t *owner = &f->owner[p->at.first];

	if (*owner == serial)
		return;
	if (serial)
		urb_pin_hold(serial);
	else
		urb_pin_release(*owner);
	for (uint32_t i = 0; i < p->npieces; i++)
		owner[i] = serial;
}

/*
 * Places whose region is there now. Before Linux 6.19 (and a fix in 6.18) a clone forgets the
 * entries behind it, so these are cloned again.
 */
static void clone_new(struct urb_fixed *f)
{
	bool is_changed = false;
	struct urb_pinned p;
	int err;

	for (uint32_t from = 0; urb_pin_next(from, &p); from = p.at.first + p.npieces) {
		if (!is_changed && f->owner[p.at.first] == p.at.serial)
			continue;
		err = urb_table_clone(f->ring->ring_fd, p.ring, p.at.first, p.npieces);
		is_changed |= !err;
		places_give(f, &p, err ? 0 : p.at.serial);
		if (err)
			refused(f, err);
	}
}

/* The first piece that is there and not in the ring. Behind clear_gone(), with the set locked. */
static bool next_piece(const struct urb_fixed *f, struct urb_pinned *ret, uint32_t *ret_i)
{
	for (uint32_t from = 0; urb_pin_next(from, ret); from = ret->at.first + ret->npieces) {
		for (uint32_t i = 0; i < ret->npieces; i++) {
			*ret_i = i;
			if (f->owner[ret->at.first + i] != ret->at.serial)
				return true;
		}
	}
	return false;
}

/* Registers piece @i of @p. Nothing is locked meanwhile: should the region go, something else may
 * be pinned for the moment, and is not used. True: there may be more. */
static bool piece_register(struct urb_fixed *f, const struct urb_pinned *p, uint32_t i)
{
	uint32_t at = p->at.first + i;
	int err = urb_table_set(f->ring, at, p->va, p->len, i);

	urb_pin_lock();
	if (urb_pin_serial(at) != p->at.serial) {
		if (!err)
			urb_table_clear(f->ring, at, 1);
	} else if (err) {
		refused(f, err);
	} else {
		if (i == 0)
			urb_pin_hold(p->at.serial);
		f->owner[at] = p->at.serial;
	}
	urb_pin_unlock();
	return !f->is_refused;
}

/* With the set locked. */
static void tell(struct urb_fixed *f)
{
	if (f->is_told)
		return;
	f->is_told = true;
	reactor_send(f->reactor, &f->msg, on_told);
}

static void fixed_follow(struct urb_fixed *f)
{
	bool is_more, has_piece = false;
	struct urb_pinned p;
	uint32_t i;

	urb_pin_lock();
	is_more = clear_gone(f);
	if (urb_pin_can_clone() && !f->is_refused)
		clone_new(f);
	else if (!f->is_refused && !is_more)
		has_piece = next_piece(f, &p, &i);
	urb_pin_unlock();
	if (has_piece)
		is_more = piece_register(f, &p, i);
	f->len = 0; /* look again */
	if (!is_more)
		return;
	urb_pin_lock();
	tell(f);
	urb_pin_unlock();
}

/* Until it is stopped on this reactor, nobody else destroys it. */
static void on_told(struct reactor_msg *msg)
{
	struct urb_fixed *f = container_of(msg, struct urb_fixed, msg);
	bool is_dead, is_stopped;

	urb_pin_lock();
	f->is_told = false;
	is_dead = f->is_dead;
	is_stopped = f->is_stopped;
	if (is_dead)
		list_del(&f->link.link);
	urb_pin_unlock();
	if (is_dead)
		free(f);
	else if (!is_stopped)
		fixed_follow(f);
}

static void on_changed(struct urb_pin_link *l)
{
	tell(container_of(l, struct urb_fixed, link));
}

int urb_fixed_create(struct io_uring *ring, struct reactor *r, struct urb_fixed **ret)
{
	struct urb_fixed *f = calloc(1, sizeof(*f));
	int err = -ENOMEM;

	if (!f)
		return err;
	f->owner = calloc(URB_PIECES_MAX, sizeof(*f->owner));
	if (f->owner)
		err = io_uring_register_buffers_sparse(ring, URB_PIECES_MAX);
	if (err) {
		free(f->owner);
		free(f);
		return err;
	}
	f->domain = urb_pin_domain();
	f->link.changed = on_changed;
	f->ring = ring;
	f->reactor = r;
	*ret = f;
	return 0;
}

void urb_fixed_destroy(struct urb_fixed *f)
{
	bool is_told;

	if (!f)
		return;
	urb_pin_lock();
	for (uint32_t i = 0; i < URB_PIECES_MAX; i++) {
		if (f->owner[i])
			place_leave(f, i);
	}
	free(f->owner);
	f->owner = NULL;
	f->is_dead = true;
	is_told = f->is_told;
	if (is_told)
		list_add_tail(&dead, &f->link.link);
	urb_pin_unlock();
	if (!is_told)
		free(f);
}

void urb_fixed_start(struct urb_fixed *f)
{
	urb_pin_attach(&f->link);
	fixed_follow(f);
}

void urb_fixed_stop(struct urb_fixed *f)
{
	urb_pin_detach(&f->link);
	urb_pin_lock();
	f->is_stopped = true;
	urb_pin_unlock();
}
