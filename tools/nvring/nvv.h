/* SPDX-License-Identifier: BSD-3-Clause */
/* What the verbs of `nvring nvme` have in common: the target, options, the question before a change, output. */
#ifndef TOOLS_NVRING_NVV_H
#define TOOLS_NVRING_NVV_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/nvring/cli.h"
#include "tools/nvring/nvp.h"
#include "tools/nvring/nvt_ask.h"

/* One invocation. Every function that returns int gives 0 or CLI_FAILED after one line on standard error. */
struct nvv {
	struct cli *cli;
	struct nvt *t;
	uint32_t nsid;	/* --namespace-id, else of the target; 0: none */
	uint32_t given; /* --namespace-id alone: for what is mostly about the controller */
	bool json, raw;
};

/* The target and the options that all have. nvv_close() follows, whatever it gives. */
int nvv_open(struct nvv *v, struct cli *cli);
void nvv_close(struct nvv *v);

/* The line of eb; gives CLI_FAILED. */
int nvv_fail(const struct errbuf *eb);

/* Option @name as a number, decimal, 0x or 0, at most @max; *ret stays when it is not given. */
int nvv_number(const struct nvv *v, const char *name, uint64_t max, uint64_t *ret);

/* The namespace, which has to be given; where there is only one, that. */
int nvv_need_ns(struct nvv *v);

/* What a change is about to do, as a question; --force is an answer, and so is, without a terminal, nothing. Allows the
 * commands that follow. */
int nvv_confirm(struct nvv *v, const char *fmt, ...) cc_printf(2, 3);

/* Name of the device for people: the last part of the target. */
const char *nvv_name(const struct nvv *v);

int nvv_identify(struct nvv *v, uint32_t cns, uint32_t nsid, void *ret);
int nvv_log(struct nvv *v, const struct nvt_log *log, void *ret, uint32_t bytes);
int nvv_ask(struct nvv *v, struct nvme_passthru *cmd);

/* --raw-binary, JSON, or text below @title (NULL: none). Give CLI_OK. */
int nvv_show_page(const struct nvv *v, const struct nvp_page *page, const char *title,
		  const void *data, size_t len);
/* @obj is put. */
int nvv_show_json(struct json_object *obj);
int nvv_show_raw(const void *data, size_t len);

/* A whole file, at most @max bytes; the caller's to free. */
int nvv_read_file(const char *path, size_t max, void **ret_data, size_t *ret_len);

#endif
