/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvring's threads in somebody else's process: one control reactor, and a data reactor for each CPU that a device
 * asks for. All devices share them; they are there while a device is.
 */
#ifndef VDPA_VDPA_HOST_H
#define VDPA_VDPA_HOST_H

#include <sched.h>

#include "core/base/errbuf.h"
#include "core/reactor.h"

#define VDPA_REACTORS_MAX 64 /* of one device */

/* What a device holds of them. */
struct vdpa_threads {
	struct reactor *control;
	struct reactor *data[VDPA_REACTORS_MAX];
	unsigned ndata;
};

/**
 * vdpa_host_get - threads on @cpus; NULL: on those that the calling thread may use. An application that pins its own
 * threads (EAL does) does not narrow @cpus by that. 0 or -errno with eb (a thread that is there already and runs in
 * another mode, too): nothing is held then. Any thread.
 */
int vdpa_host_get(const cpu_set_t *cpus, enum reactor_mode mode, struct vdpa_threads *ret, struct errbuf *eb);

/* Everything that lived on them is gone. Zeroed or put already: fine. */
void vdpa_host_put(struct vdpa_threads *t);

#endif
