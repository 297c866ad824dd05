/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vfio-user server of a device with nothing in it, on a thread of its own, which can be told to
 * break the protocol. BAR0: a page of registers by message, a page of doorbells in a file. BAR2: a
 * page by message.
 */
#ifndef TESTS_INTEGRATION_VFIO_SERVER_H
#define TESTS_INTEGRATION_VFIO_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define VS_PAGE		4096u
#define VS_BAR0_BYTES	(2 * VS_PAGE)
#define VS_VECTORS	20
#define VS_FDS_MAX	8 /* what it says it takes in a message */
#define VS_MAPS_MAX	32
#define VS_CONFIG_BYTES 256

enum vs_fault {
	VS_OK,
	VS_CLOSE,  /* ends instead of an answer */
	VS_SILENT, /* no answer, ever */
	VS_WRONG_ID,
	VS_WRONG_CMD,
	VS_WRONG_TYPE, /* neither command nor reply */
	VS_SHORT,      /* the body lacks its last byte (an empty one: the header its last one) */
	VS_CUT,	       /* ends within the reply */
	VS_LONG,       /* more than any reply has */
	VS_TINY_SIZE,  /* a message of 8 bytes, it says */
	VS_HUGE_SIZE,  /* a message of 4 GiB, it says */
	VS_GARBAGE,
	VS_FDS,		  /* two fds with it */
	VS_MANY_FDS,	  /* a hundred of them */
	VS_ERROR,	  /* a proper error: EBUSY */
	VS_ERROR_STRANGE, /* an error, but none that exists; with a body */
	VS_TRICKLE,	  /* right, byte by byte */
	VS_COMMANDS,	  /* wants to read our memory, twice, and then answers right */
	VS_BODY_ZEROED,	  /* the right size, but zeroes */
	VS_BODY_ONES,	  /* the right size, but 0xff */
};

struct vs_map {
	uint64_t iova, bytes;
	uint8_t *va;
};

struct vs {
	int fd; /* the server's end */
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	unsigned fault_cmd;
	enum vs_fault fault;
	const char *json; /* NULL: what a server says */
	int region_fd;	  /* of the doorbells; -1: BAR0 cannot be mapped */
	uint8_t bar0[VS_BAR0_BYTES], bar2[VS_PAGE], config[VS_CONFIG_BYTES];
	int vectors[VS_VECTORS];
	struct vs_map maps[VS_MAPS_MAX];
	unsigned nmaps, resets, refused, posts, broken;
};

/* Starts it on one end of a socketpair; returns the client's. */
int vs_start(struct vs *s);
/* Before it is asked. */
void vs_fault_set(struct vs *s, unsigned cmd, enum vs_fault fault);
/* Waits for its end, which comes with the end of the client's socket. */
void vs_join(struct vs *s);
/* Ends its side of the connection. */
void vs_hang_up(struct vs *s);

#endif
