/* SPDX-License-Identifier: BSD-3-Clause */
/* One NBD connection in its transmission phase, on a reactor: requests to bios, bios to replies. */
#ifndef VDPA_NBD_CONN_H
#define VDPA_NBD_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/bdev.h"
#include "vdpa/nbd_spec.h"

struct nbd_conn;

struct nbd_slot {
	struct bio bio;
	struct iovec iov;
	struct nbd_conn *c;
	uint8_t *buf;
	uint64_t cookie;
	uint32_t len;
	bool has_data; /* a reply with data */
	struct nbd_slot *next; /* free, or to be sent */
};

enum nbd_conn_state {
	NBD_CONN_SERVES,
	NBD_CONN_LEAVES, /* takes nothing new */
	NBD_CONN_OVER,	 /* nothing under way, nothing to send or nobody to send it to */
};

/* Owned by whoever starts it; the reactor's from then until over() is called, on the control thread. */
struct nbd_conn {
	/* set by the owner */
	const char *name;
	int fd; /* ours; non-blocking */
	struct reactor *reactor, *control;
	struct bdev_chan *chan;
	struct nbd_slot *slots;
	unsigned nslots;
	uint32_t buf_bytes;
	void (*over)(struct nbd_conn *c);
	void *owner;
	/* the reactor's */
	struct poller poller;
	enum nbd_conn_state state;
	struct nbd_slot *free, *tx, **tx_last;
	struct nbd_slot *rx; /* of a write whose data comes */
	union {
		struct nbd_wire_request request;
		uint8_t bytes[sizeof(struct nbd_wire_request)];
	} in;
	uint32_t in_bytes;  /* of the request; then of its data */
	uint32_t skip;	    /* data of a request that is refused */
	bool has_header, is_shut; /* shut: no more to read or nobody who reads */
	union {
		struct nbd_wire_reply reply;
		uint8_t bytes[sizeof(struct nbd_wire_reply)];
	} out;
	uint64_t out_bytes; /* of the first of tx */
	unsigned nheld;
	uint64_t ios, errors; /* read by others */
	struct reactor_msg start_msg, leave_msg, over_msg;
};

/* Control thread. */
void nbd_conn_start(struct nbd_conn *c);
void nbd_conn_leave(struct nbd_conn *c);

#endif
