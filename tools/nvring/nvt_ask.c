/* SPDX-License-Identifier: BSD-3-Clause */
/* Identify and Get Log Page. */
#include "tools/nvring/nvt_ask.h"

#include <errno.h>
#include <string.h>

#include "tools/nvring/nvme_status.h"

/* Of one Get Log Page: what every MDTS allows (MPSMIN pages, at least one). */
#define LOG_CHUNK_BYTES 4096u

int nvt_ask(struct nvt *t, struct nvme_passthru *cmd, struct errbuf *eb)
{
	char text[NVP_STATUS_TEXT_MAX];
	int err = nvt_admin(t, cmd, eb);

	if (err || !cmd->status)
		return err;
	return errbuf_set(eb, NVT_STATUS(cmd->status), "NVMe status: %s(0x%x)",
			  nvp_status_text(cmd->status, text), cmd->status);
}

int nvt_identify(struct nvt *t, uint32_t cns, uint32_t nsid, void *ret, struct errbuf *eb)
{
	struct nvme_passthru cmd = {
		.opc = NVME_ADM_IDENTIFY,
		.nsid = nsid,
		.cdw10 = cns,
		.data = ret,
		.data_bytes = NVME_ID_BYTES,
	};

	memset(ret, 0, NVME_ID_BYTES);
	return nvt_ask(t, &cmd, eb);
}

int nvt_ns_list(struct nvt *t, uint32_t ret[NVME_NS_LIST_MAX], unsigned *ret_n,
		     struct errbuf *eb)
{
	le32 list[NVME_NS_LIST_MAX];
	int err = nvt_identify(t, NVME_CNS_ACTIVE_NS_LIST, 0, list, eb);

	if (err)
		return err;
	for (*ret_n = 0; *ret_n < NVME_NS_LIST_MAX && le32_get(list[*ret_n]); ++*ret_n)
		ret[*ret_n] = le32_get(list[*ret_n]);
	return 0;
}

int nvt_log(struct nvt *t, const struct nvt_log *log, void *buf, uint32_t bytes,
		 struct errbuf *eb)
{
	uint64_t off = log->off;
	int err = 0;

	memset(buf, 0, bytes);
	for (uint32_t done = 0; done < bytes && !err;) {
		uint32_t n = CC_MIN(bytes - done, LOG_CHUNK_BYTES);
		uint32_t numd = n / 4 - 1; /* 0's based */
		bool is_last = done + n == bytes;
		struct nvme_passthru cmd = {
			.opc = NVME_ADM_GET_LOG_PAGE,
			.nsid = log->nsid,
			/* the event is let go with the last piece, so that all are of one page */
			.cdw10 = log->lid | (uint32_t)(log->lsp & 0x7f) << 8 |
				 (log->rae || !is_last ? NVME_LOG_RAE : 0) | (numd & 0xffff) << 16,
			.cdw11 = numd >> 16 | (uint32_t)log->lsi << 16,
			.cdw12 = (uint32_t)off,
			.cdw13 = (uint32_t)(off >> 32),
			.data = (char *)buf + done,
			.data_bytes = n,
		};

		err = nvt_ask(t, &cmd, eb);
		done += n;
		off += n;
	}
	return err;
}
