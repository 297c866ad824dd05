/* SPDX-License-Identifier: BSD-3-Clause */
/* What follows the name of a device on the command line: "backend=URI,queues=4,cpus=[0,2-3],…". Pure. */
#ifndef VDPA_VDPA_ARGS_H
#define VDPA_VDPA_ARGS_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "core/bdev.h"
#include "core/qos_limit.h"
#include "core/reactor.h"

#define VDPA_QUEUES_MAX	     128 /* rte_vhost knows no more */
#define VDPA_QUEUES_DEFAULT  64	 /* offered; one costs memory only once it is used */
#define VDPA_SERIAL_MAX	     21
#define VDPA_STOP_MS_DEFAULT 5000

struct vdpa_args {
	char backend[BDEV_URI_MAX];
	char disk[BDEV_NAME_MAX]; /* shared by all devices that name it; "": its own */
	char serial[VDPA_SERIAL_MAX];
	cpu_set_t cpus;
	bool has_cpus; /* else those of the thread that probes */
	enum reactor_mode mode;
	uint64_t queues, read_only, packed;
	uint64_t widen;	  /* offer what the application left out */
	uint64_t resize_s; /* look for another size so often; 0: never */
	uint64_t stop_ms; /* how long the application may have to wait for I/O to end */
	struct qos_limits limits;
};

/* 0, or -EINVAL with the reason in @eb: unknown, twice, out of range, missing. */
int vdpa_args_parse(const char *text, struct vdpa_args *ret, struct errbuf *eb);

#endif
