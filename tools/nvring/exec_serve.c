/* SPDX-License-Identifier: BSD-3-Clause */
/* One request after the other: what takes its time keeps the others waiting, as an admin queue does. */
#include "tools/nvring/exec_serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/base/unixsock.h"
#include "tools/nvring/nvt_ask.h"
#include "tools/shim/shim_wire.h"

#define CLIENT_WAIT_S 10 /* for the rest of a request: the library sends it in one go */
#define BACKLOG	      64

int exec_serve_listen(const char *folder, int *ret_fd, struct errbuf *eb)
{
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	struct unixsock s;
	int err;

	if (snprintf(path, sizeof(path), "%s/socket", folder) >= (int)sizeof(path))
		return errbuf_set(eb, -ENAMETOOLONG, "%s: too long for a socket (TMPDIR names another place)",
				  folder);
	err = unixsock_listen(path, 0600, BACKLOG, &s, eb);
	if (!err)
		*ret_fd = s.fd;
	return err;
}

static bool recv_all(int fd, void *data, size_t len)
{
	for (char *at = data; len;) {
		ssize_t n = recv(fd, at, len, 0);

		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static bool send_all(int fd, const void *data, size_t len)
{
	for (const char *at = data; len;) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

/* Into -errno for the program: what the kernel would say. */
static int program_errno(int err)
{
	return err == -EPERM || err == -EACCES ? -EACCES : err == -ENOTCONN ? -ENODEV : err;
}

/* The namespace's size; -ENODEV: no such. */
static int look(struct nvt *t, uint32_t nsid, struct shim_answer *ret)
{
	uint32_t list[NVME_NS_LIST_MAX];
	struct nvme_id_ns id;
	const struct nvme_lbaf *f;
	struct errbuf eb;
	unsigned n;

	if (!nsid)
		return 0;
	if (nvt_ns_list(t, list, &n, &eb))
		return -EIO;
	for (unsigned i = 0; i < n; i++) {
		if (list[i] != nsid)
			continue;
		if (nvt_identify(t, NVME_CNS_NS, nsid, &id, &eb))
			return -EIO;
		f = &id.lbaf[NVME_FLBAS_INDEX(id.flbas)];
		ret->block_bytes = f->lbads >= 9 && f->lbads <= 16 ? 1u << f->lbads : 512;
		if (le64_get(id.nsze) <= INT64_MAX / ret->block_bytes)
			ret->bytes = le64_get(id.nsze) * ret->block_bytes;
		return 0;
	}
	return -ENOENT;
}

static int admin(struct nvt *t, const struct shim_request *req, void *data,
		 struct shim_answer *ret)
{
	struct nvme_passthru cmd = {
		.opc = req->opc,
		.nsid = req->nsid,
		.cdw2 = req->cdw2,
		.cdw3 = req->cdw3,
		.cdw10 = req->cdw10,
		.cdw11 = req->cdw11,
		.cdw12 = req->cdw12,
		.cdw13 = req->cdw13,
		.cdw14 = req->cdw14,
		.cdw15 = req->cdw15,
		.data = data,
		.data_bytes = req->data_bytes,
		.timeout_ms = req->timeout_ms,
	};
	struct errbuf eb;
	int err = nvt_admin(t, &cmd, &eb);

	if (err) {
		fprintf(stderr, "nvring: %s\n", eb.text);
		return err;
	}
	ret->status = cmd.status;
	ret->result = cmd.result;
	ret->result_high = cmd.result_high;
	if (!cmd.status && (req->opc & NVME_OPC_XFER_MASK) == NVME_OPC_XFER_TO_HOST)
		ret->data_bytes = req->data_bytes;
	return 0;
}

static int carry_out(struct nvt *t, const struct shim_request *req, void *data,
		     struct shim_answer *ret)
{
	struct errbuf eb = { "" };
	int err = 0;

	switch ((enum shim_op)req->op) {
	case SHIM_LOOK:
		return look(t, req->ns, ret);
	case SHIM_ADMIN:
		return admin(t, req, data, ret);
	case SHIM_RESET:
	case SHIM_SUBSYS_RESET:
		err = nvt_reset(t, req->op == SHIM_SUBSYS_RESET, &eb);
		break;
	case SHIM_RESCAN:
		err = nvt_rescan(t, &eb);
		break;
	case SHIM_OP_COUNT:
		return -ENOTTY;
	}
	if (err)
		fprintf(stderr, "nvring: %s\n", eb.text);
	return err;
}

/* The request, checked, and its data; false: this is none. */
static bool receive(int fd, struct shim_request *req, void **ret_data)
{
	*ret_data = NULL;
	if (!recv_all(fd, req, sizeof(*req)) || req->magic != SHIM_MAGIC ||
	    req->op >= SHIM_OP_COUNT || req->data_bytes > SHIM_DATA_BYTES_MAX)
		return false;
	if (!req->data_bytes)
		return true;
	*ret_data = calloc(1, req->data_bytes);
	if (!*ret_data)
		return false;
	return req->op != SHIM_ADMIN || !(req->opc & NVME_OPC_XFER_TO_DEV) ||
	       recv_all(fd, *ret_data, req->data_bytes);
}

void exec_serve_one(int listener, const struct exec_devices *devs)
{
	struct timeval tv = { .tv_sec = CLIENT_WAIT_S };
	struct shim_answer answer = { .err = -ENOENT };
	struct shim_request req;
	void *data = NULL;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (receive(fd, &req, &data)) {
		for (unsigned i = 0; i < devs->n; i++) {
			if (devs->dev[i].number == req.ctrlr)
				answer.err = program_errno(
					carry_out(devs->dev[i].t, &req, data, &answer));
		}
		if (send_all(fd, &answer, sizeof(answer)) && answer.data_bytes)
			(void)send_all(fd, data, answer.data_bytes);
	}
	free(data);
	close(fd);
}
