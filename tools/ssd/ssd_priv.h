/* SPDX-License-Identifier: BSD-3-Clause */
/* The SSD from inside: what its parts keep, and what they call of each other. */
#ifndef TOOLS_SSD_SSD_PRIV_H
#define TOOLS_SSD_SSD_PRIV_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/base/errbuf.h"
#include "core/base/list.h"
#include "core/base/unixsock.h"
#include "drivers/nvme/nvme_spec.h"
#include "tools/ssd/ssd.h"
#include "tools/ssd/ssd_dma.h"
#include "tools/ssd/ssd_fault.h"

#define SSD_BAR0_BYTES	 0x4000u
#define SSD_DB_BYTES	 0x1000u /* the page of doorbells, from NVME_REG_DOORBELLS */
#define SSD_CONFIG_BYTES 0x100u
#define SSD_VECTORS_MAX	 (SSD_QUEUES_MAX + 1)
#define SSD_MSIX_BYTES	 0x1000u /* BAR4: table, then pending bits in its second half */
#define SSD_AERS_MAX	 4
#define SSD_ABORTS_MAX	 4
#define SSD_ERRORS_MAX	 64
#define SSD_FW_SLOTS	 3
#define SSD_FW_BYTES_MAX (1u << 20)
#define SSD_UNCORR_MAX	 128 /* ranges a namespace remembers as unreadable */
#define SSD_VISITORS_MAX 4
#define SSD_BACKLOG	 8
#define SSD_CTRLR_ID	 1
#define SSD_TEMP_WARN	 343 /* Kelvin: 70 degrees */
#define SSD_TEMP_CRIT	 358
#define SSD_IOV_MAX	 ((1u << SSD_MDTS_MAX) + 1) /* pages of a transfer that begins within one */
#define SSD_BURST	 32 /* commands of one queue before the next has its turn */

/* What a handler returns instead of a status when the command is answered later, or never. */
#define SSD_LATER 0xffffu

/*
 * Queues
 */
struct ssd_window { /* a ring in the client's memory; looked up again when the table changes */
	uint64_t iova, len, generation;
	uint8_t *va; /* NULL: not in one piece */
};

struct ssd_sq {
	bool live;
	uint16_t id, cqid;
	uint32_t size, head, tail;
	uint32_t bell; /* the last value of the doorbell that was looked at */
	struct ssd_window ring;
	uint64_t commands;
};

struct ssd_cq {
	bool live, irq, dirty;
	uint16_t id, vector;
	uint32_t size, head, tail;
	uint32_t bell;
	uint8_t phase;
	unsigned nsqs;
	struct list owed; /* struct ssd_held: completions that found no room */
	struct ssd_window ring;
	uint64_t entries;
};

struct ssd_cmd {
	struct nvme_sqe sqe;
	uint16_t sqid;
	uint32_t dw0;
	uint64_t lba; /* of an error, for the log */
};

struct ssd_held {
	struct list link;
	struct ssd_cmd cmd;
	uint16_t status; /* of an owed completion */
	uint64_t due_ns; /* of a delayed command */
	struct ssd_fault_effect effect;
};

/*
 * Namespaces
 */
struct ssd_range {
	uint64_t from, to; /* blocks, @to excluded */
};

struct ssd_ns {
	bool exists, attached;
	bool read_only; /* by option */
	bool null, volatile_file;
	uint8_t protect; /* write protection state, 5.27.1.25 */
	uint32_t nsid;
	int fd;
	uint64_t bytes;
	unsigned shift;	   /* log2 of the block */
	uint32_t boundary; /* bytes: I/O should not cross its multiples; 0: none */
	uint8_t nguid[16], eui64[8], uuid[16];
	struct ssd_range uncorr[SSD_UNCORR_MAX];
	unsigned nuncorr;
	char path[SSD_PATH_MAX];
};

/*
 * Events for the host
 */
enum ssd_event {
	SSD_EVENT_BAD_DB,
	SSD_EVENT_BAD_DB_VALUE,
	SSD_EVENT_SMART_RELIABILITY,
	SSD_EVENT_SMART_TEMP,
	SSD_EVENT_SMART_SPARE,
	SSD_EVENT_NS_ATTR,
	SSD_EVENT_FW,
	SSD_EVENT_SANITIZE,
	SSD_EVENT_COUNT,
};

/* What survives resets and clients: the device's own bookkeeping. */
struct ssd_health {
	uint64_t reads, writes, read_bytes, write_bytes, media_errors;
	uint64_t busy_ns, power_cycles, unsafe_shutdowns;
	uint64_t errors; /* entries ever made in the error log */
	struct nvme_log_error error[SSD_ERRORS_MAX];
	uint16_t temperature; /* Kelvin */
	uint8_t spare, spare_thresh, used, critical;
	uint64_t warm_ns, hot_ns; /* above the warning and the critical temperature */
	uint64_t born_ns, seen_ns;
};

struct ssd_self_test {
	uint8_t code; /* running; 0: none */
	uint32_t nsid;
	uint64_t began_ns, end_ns;
	unsigned n;
	struct nvme_self_test_result result[NVME_SELF_TEST_RESULTS];
};

struct ssd_sanitize {
	uint8_t action; /* running; 0: none */
	bool failed, done;
	uint32_t cdw10, pattern;
	uint64_t end_ns; /* not before */
	uint32_t nsid;	 /* where it is */
	uint64_t off, done_bytes, total_bytes;
};

struct ssd_firmware {
	uint8_t active, next; /* slots from 1; next 0: as is */
	char rev[SSD_FW_SLOTS + 1][8];
	uint8_t *image;
	uint32_t have; /* bytes of the image so far */
};

struct ssd_hmb {
	bool on;
	uint32_t pages, ndesc;
	uint64_t list;
	uint64_t stamps;
};

struct ssd_counters {
	uint64_t sq_bell_changes, cq_bell_changes; /* seen by looking at the page */
	uint64_t sq_bell_messages, cq_bell_messages;
	uint64_t region_reads, region_writes;
	uint64_t irqs, clients, faults, bad_bells, data_errors, crossings;
};

struct ssd_pci {
	uint8_t config[SSD_CONFIG_BYTES];
	uint8_t msix[SSD_MSIX_BYTES];
	int irq[SSD_VECTORS_MAX]; /* eventfds; -1: none */
	int req_irq, err_irq;
	int bar_fd; /* memfd of the whole BAR0; only the page of doorbells is mapped and used */
	uint32_t *bells;
};

struct ssd_conn;
struct ssd_ctl;

struct ssd {
	struct ssd_opts opts;
	char socket_path[SSD_PATH_MAX], ctl_path[SSD_PATH_MAX], pool[SSD_PATH_MAX];
	struct ssd_dma dma;
	struct ssd_pci pci;

	/* registers */
	uint64_t cap, asq, acq;
	uint32_t cc, csts, aqa, intm;
	uint64_t ready_ns; /* RDY is due; 0: nothing due */
	bool fatal, hung, removed;
	uint64_t alive_ns; /* the last Keep Alive */
	uint32_t page;	   /* bytes, of CC.MPS */

	struct ssd_sq sq[SSD_QUEUES_MAX + 1];
	struct ssd_cq cq[SSD_QUEUES_MAX + 1];
	unsigned sq_last; /* highest live queue */
	struct list held; /* commands to execute later, by due_ns */
	uint64_t channel_free_ns[SSD_CHANNELS_MAX]; /* --service: when each has done what it has */
	struct ssd_cmd aer[SSD_AERS_MAX];
	unsigned naers;
	bool queues_asked;
	uint64_t shadow, eventidx; /* DBBUF pages; 0: off */

	uint32_t feat[256], feat_saved[256];
	uint8_t host_id[16];
	uint8_t host_behavior[NVME_HOST_BEHAVIOR_BYTES];
	uint64_t timestamp, timestamp_at_ns;
	uint16_t temp_over, temp_under;

	bool event_pending[SSD_EVENT_COUNT], event_masked[SSD_EVENT_COUNT];
	uint32_t changed_ns[NVME_NS_LIST_MAX];
	unsigned nchanged;

	struct ssd_ns ns[SSD_NS_MAX + 1]; /* by nsid; 0 is unused */
	uint64_t capacity_used;

	struct ssd_health health;
	struct ssd_self_test self_test;
	struct ssd_sanitize sanitize;
	struct ssd_firmware fw;
	struct ssd_hmb hmb;
	uint8_t telemetry_generation;
	struct ssd_counters counters;
	struct ssd_faults faults;

	struct iovec iov[SSD_IOV_MAX];
	unsigned niov;
	uint8_t *bounce; /* 1 << SSD_MDTS_MAX pages */

	struct ssd_conn *conn;
	struct ssd_ctl *ctl;
	int visitor[SSD_VISITORS_MAX]; /* connected while there was a client; -1: none */
	struct unixsock sock; /* fd -1: does not listen */
	int signal_fd;
	uint64_t busy_until_ns; /* polls without a pause */
	uint64_t nap_ns;
	unsigned turns;
	bool busy; /* the last turn did something */
	bool stop;
};

/*
 * ssd_queue.c: rings, doorbells, completions
 */
bool ssd_queue_poll(struct ssd *s);				  /* true: something was done */
void ssd_queue_bell(struct ssd *s, uint64_t off, uint32_t value); /* a doorbell by message */
void ssd_queue_complete(struct ssd *s, const struct ssd_cmd *cmd, uint16_t status);
void ssd_queue_irqs(struct ssd *s);
int ssd_queue_open(struct ssd *s, struct ssd_sq *sq, struct ssd_cq *cq); /* either may be NULL */
void ssd_queue_close_sq(struct ssd *s, struct ssd_sq *sq);
void ssd_queue_close_cq(struct ssd *s, struct ssd_cq *cq);
void ssd_queue_shadow(struct ssd *s, uint64_t shadow, uint64_t eventidx);
void ssd_queue_close_all(struct ssd *s);
/* Executes @cmd after effect->delay_ns. False: no memory. */
bool ssd_queue_hold(struct ssd *s, const struct ssd_cmd *cmd,
		    const struct ssd_fault_effect *effect);
bool ssd_queue_abort(struct ssd *s, uint16_t sqid, uint16_t cid);
uint64_t ssd_queue_due(
	const struct ssd *s); /* when the first held command is due; UINT64_MAX: none */
/* Before sleep: shadow doorbells will be followed by real ones. False: there is something to do
 * after all. */
bool ssd_queue_arm(struct ssd *s);

/*
 * ssd_exec.c: one command from its queue to its handler
 */
void ssd_exec(struct ssd *s, const struct ssd_cmd *cmd);
void ssd_exec_now(struct ssd *s, struct ssd_cmd *cmd, const struct ssd_fault_effect *effect);

/*
 * ssd_data.c: the client's buffers of a command. Statuses.
 */
/* Fills s->iov with @len bytes; the device writes there with @to_host. */
uint16_t ssd_data_map(struct ssd *s, const struct nvme_sqe *sqe, uint64_t len, bool to_host);
uint16_t ssd_data_to_host(struct ssd *s, const struct ssd_cmd *cmd, const void *buf, uint64_t len);
uint16_t ssd_data_from_host(struct ssd *s, const struct ssd_cmd *cmd, void *buf, uint64_t len);

/*
 * ssd_ctrlr.c: registers and life
 */
void ssd_ctrlr_init(struct ssd *s);
void ssd_ctrlr_read(struct ssd *s, uint64_t off, void *buf, uint32_t len);
void ssd_ctrlr_write(struct ssd *s, uint64_t off, const void *buf, uint32_t len);
void ssd_ctrlr_reset(struct ssd *s); /* CC.EN to 0 */
void ssd_ctrlr_flr(struct ssd *s);   /* everything of PCI, too */
void ssd_ctrlr_fatal(struct ssd *s, const char *why);
void ssd_ctrlr_remove(struct ssd *s, bool removed);
void ssd_ctrlr_tick(struct ssd *s, uint64_t now, bool busy); /* @busy: since the last one */
uint64_t ssd_ctrlr_due(
	const struct ssd *s); /* when the next is needed; UINT64_MAX: not by itself */
static inline bool ssd_ctrlr_is_running(const struct ssd *s)
{
	return (s->csts & NVME_CSTS_RDY) && !s->fatal && !s->hung && !s->removed;
}

/*
 * ssd_pci.c
 */
void ssd_pci_init(struct ssd *s); /* before anything can fail */
int ssd_pci_open(struct ssd *s, struct errbuf *eb);
void ssd_pci_close(struct ssd *s);
void ssd_pci_reset(struct ssd *s);  /* registers; interrupts stay */
void ssd_pci_forget(struct ssd *s); /* the client's eventfds */
/* 0 or -EINVAL; @region as VFIO numbers them. */
int ssd_pci_read(struct ssd *s, uint32_t region, uint64_t off, void *buf, uint32_t len);
int ssd_pci_write(struct ssd *s, uint32_t region, uint64_t off, const void *buf, uint32_t len);
uint64_t ssd_pci_region_bytes(const struct ssd *s, uint32_t region);
void ssd_pci_irq(struct ssd *s, unsigned vector);
/* Where the eventfd of an interrupt stands; NULL: there is no such. */
int *ssd_pci_irq_slot(struct ssd *s, uint32_t index, uint32_t vector);
uint32_t ssd_pci_irq_count(const struct ssd *s, uint32_t index);
void ssd_pci_signal(int fd);
bool ssd_pci_is_master(const struct ssd *s);

/*
 * Commands: a status, or SSD_LATER
 */
uint16_t ssd_admin_exec(struct ssd *s, struct ssd_cmd *cmd);
uint16_t ssd_io_exec(struct ssd *s, struct ssd_cmd *cmd);
uint16_t ssd_identify(struct ssd *s, struct ssd_cmd *cmd);
uint16_t ssd_get_features(struct ssd *s, struct ssd_cmd *cmd);
uint16_t ssd_set_features(struct ssd *s, struct ssd_cmd *cmd);
void ssd_feat_reset(struct ssd *s, bool power);
void ssd_feat_hmb_stamp(struct ssd *s);
uint16_t ssd_get_log_page(struct ssd *s, struct ssd_cmd *cmd);
void ssd_log_error(struct ssd *s, const struct ssd_cmd *cmd, uint16_t status);
uint32_t ssd_log_effect(const struct ssd *s, bool admin, uint8_t opc);
uint16_t ssd_ns_mgmt(struct ssd *s, struct ssd_cmd *cmd);
uint16_t ssd_ns_attach(struct ssd *s, struct ssd_cmd *cmd);
uint16_t ssd_format(struct ssd *s, struct ssd_cmd *cmd);
uint16_t ssd_sanitize_start(struct ssd *s, struct ssd_cmd *cmd);
uint16_t ssd_self_test(struct ssd *s, struct ssd_cmd *cmd);
uint16_t ssd_fw_download(struct ssd *s, struct ssd_cmd *cmd);
uint16_t ssd_fw_commit(struct ssd *s, struct ssd_cmd *cmd);
void ssd_fw_reset(struct ssd *s);
void ssd_self_test_reset(struct ssd *s);
void ssd_maint_tick(struct ssd *s, uint64_t now); /* self-test and sanitize go on */
uint64_t ssd_maint_due(const struct ssd *s);

/*
 * ssd_event.c: asynchronous events
 */
uint16_t ssd_event_request(struct ssd *s, struct ssd_cmd *cmd);
void ssd_event_raise(struct ssd *s, enum ssd_event ev);
void ssd_event_log_read(struct ssd *s, uint8_t lid); /* unmasks what that log tells of */
void ssd_event_ns_changed(struct ssd *s, uint32_t nsid);
void ssd_event_health(struct ssd *s); /* after a change of temperature, spare or warnings */
void ssd_event_reset(struct ssd *s);

/*
 * ssd_ns.c: namespaces and their files
 */
int ssd_ns_open(struct ssd *s, uint32_t nsid, const struct ssd_ns_opts *o, struct errbuf *eb);
int ssd_ns_create(struct ssd *s, uint32_t nsid, uint64_t bytes, unsigned shift);
void ssd_ns_close(struct ssd *s, struct ssd_ns *ns);
struct ssd_ns *ssd_ns_get(struct ssd *s, uint32_t nsid); /* allocated, or NULL */
int ssd_ns_resize(struct ssd *s, struct ssd_ns *ns, uint64_t bytes, struct errbuf *eb);
int ssd_ns_clear(struct ssd_ns *ns, uint64_t off, uint64_t len, bool deallocate);
int ssd_ns_sync(struct ssd_ns *ns);
bool ssd_ns_is_protected(const struct ssd_ns *ns);
void ssd_ns_uncorr_set(struct ssd_ns *ns, uint64_t lba, uint64_t nblocks);
void ssd_ns_uncorr_clear(struct ssd_ns *ns, uint64_t lba, uint64_t nblocks);
/* The first unreadable block of a range; false: none. */
bool ssd_ns_uncorr_find(const struct ssd_ns *ns, uint64_t lba, uint64_t nblocks, uint64_t *ret_lba);
static inline uint64_t ssd_ns_blocks(const struct ssd_ns *ns)
{
	return ns->bytes >> ns->shift;
}

/*
 * ssd_conn.c: the client's messages
 */
int ssd_conn_open(struct ssd *s, int fd);
void ssd_conn_close(struct ssd *s, const char *why); /* NULL: it went by itself */
int ssd_conn_fd(const struct ssd_conn *c);
void ssd_conn_readable(struct ssd *s);

/*
 * ssd_ctl.c: the control socket
 */
#define SSD_CTL_CLIENTS_MAX 8
struct pollfd;
int ssd_ctl_open(struct ssd *s, struct errbuf *eb);
void ssd_ctl_close(struct ssd *s);
unsigned ssd_ctl_pollfds(const struct ssd *s,
			 struct pollfd *fds); /* at most SSD_CTL_CLIENTS_MAX + 1 */
void ssd_ctl_events(struct ssd *s, const struct pollfd *fds, unsigned n);

#endif
