/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A software NVMe SSD: a controller with file-backed namespaces, served to one vfio-user client at
 * a time.
 *
 *   socket ─► ssd_conn (messages) ─► ssd_pci (config space, BARs, interrupts) ─► ssd_ctrlr
 * (registers, life) client's memory ◄─ ssd_dma ◄─ ssd_data (PRP, SGL) ◄─ ssd_admin, ssd_io ◄─
 * ssd_queue (doorbells, entries) file ◄─ ssd_ns ◄───────────────────────────────────────┘
 *
 * One thread does everything; nothing here is shared with another.
 */
#ifndef TOOLS_SSD_SSD_H
#define TOOLS_SSD_SSD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"

#define SSD_CHANNELS_MAX 256 /* of --service */
#define SSD_NS_MAX     32
#define SSD_QUEUES_MAX 128   /* I/O queue pairs; their doorbells fit into one page */
#define SSD_MQES_MAX   65536 /* entries, the most that CAP.MQES can say */
#define SSD_MDTS_MAX   8     /* 2^8 pages of 4 KiB: 1 MiB */
#define SSD_FAULTS_MAX 32
#define SSD_PATH_MAX   512

struct ssd;

struct ssd_ns_opts {
	char path[SSD_PATH_MAX];
	uint64_t bytes; /* 0: as large as the file is */
	uint32_t block; /* 512 or 4096 */
	bool read_only;
	uint32_t boundary; /* bytes that I/O should not cross; 0: none */
	bool null;	   /* moves no data: for benchmarks */
};

struct ssd_opts {
	const char *socket_path;
	const char *ctl_path; /* NULL: no control socket */
	struct ssd_ns_opts ns[SSD_NS_MAX];
	unsigned nns;
	const char *faults[SSD_FAULTS_MAX];
	unsigned nfaults;
	char serial[21], model[41];
	unsigned queues, mqes, mdts;
	bool dbbuf, sgl, no_mmap, no_cache;
	uint64_t hmb_min, hmb_pref; /* bytes; 0: wants none */
	uint64_t capacity;	    /* bytes that namespaces made by the client may have together */
	const char *pool;	    /* folder for their files; NULL: memory */
	unsigned spin_us, nap_us; /* polling: so long without a pause, then pauses up to so long */
	unsigned ready_ms;	  /* CSTS.RDY comes so long after CC.EN */
	unsigned service_us, nchannels; /* an I/O command keeps a channel busy so long; 0: as fast as it goes */
};

/* Everything as it is without options; no namespaces. */
void ssd_opts_init(struct ssd_opts *o);

/* Opens the namespaces; no socket yet. @opts is copied, its strings are the caller's. 0 or -errno
 * with eb. */
int ssd_create(const struct ssd_opts *opts, struct ssd **ret_ssd, struct errbuf *eb);
void ssd_destroy(struct ssd *s);

/* Sockets from the options. 0 or -errno with eb. */
int ssd_listen(struct ssd *s, struct errbuf *eb);

/* Serves @fd, a connected socket, instead of waiting for a client. Owns it; -EBUSY (and closed):
 * there is one. */
int ssd_serve(struct ssd *s, int fd);

/* One look at doorbells and sockets; waits at most @wait_ns for something to do. False: nothing was
 * there to do. */
bool ssd_turn(struct ssd *s, uint64_t wait_ns);

/* Turns until SIGTERM or SIGINT. 0 or -errno (logged). */
int ssd_run(struct ssd *s);

/* `nvring-ssd ctl SOCKET WORD…`: says it to a running SSD and prints the answer. The exit status.
 */
int ssd_ctl_call(const char *socket_path, int nwords, char **words);

#endif
