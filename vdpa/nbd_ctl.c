/* SPDX-License-Identifier: BSD-3-Clause */
/* One generic netlink request, one answer. */
#include "vdpa/nbd_ctl.h"

#include <assert.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "vdpa/hostnode.h"

#define ANSWER_S 30 /* a disconnect waits for what is under way */
#define ROOM	 4096

struct message {
	union {
		struct nlmsghdr head;
		uint8_t bytes[ROOM];
	};
};

static void begin(struct message *m, uint16_t type, uint8_t cmd, uint8_t version)
{
	struct genlmsghdr *g = (struct genlmsghdr *)NLMSG_DATA(&m->head);

	memset(m, 0, sizeof(*m));
	m->head.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
	m->head.nlmsg_type = type;
	m->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	g->cmd = cmd;
	g->version = version;
}

static struct nlattr *put(struct message *m, uint16_t type, const void *data, size_t len)
{
	struct nlattr *a = (struct nlattr *)(m->bytes + NLMSG_ALIGN(m->head.nlmsg_len));

	assert(NLMSG_ALIGN(m->head.nlmsg_len) + NLA_HDRLEN + NLA_ALIGN(len) <= ROOM);
	a->nla_type = type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + len);
	if (len)
		memcpy((uint8_t *)a + NLA_HDRLEN, data, len);
	m->head.nlmsg_len = NLMSG_ALIGN(m->head.nlmsg_len) + NLA_ALIGN(a->nla_len);
	return a;
}

static void put_u64(struct message *m, uint16_t type, uint64_t v)
{
	(void)put(m, type, &v, sizeof(v));
}

static void put_u32(struct message *m, uint16_t type, uint32_t v)
{
	(void)put(m, type, &v, sizeof(v));
}

static struct nlattr *nest(struct message *m, uint16_t type)
{
	return put(m, type | NLA_F_NESTED, NULL, 0);
}

static void nest_end(const struct message *m, struct nlattr *a)
{
	a->nla_len = (uint16_t)(m->bytes + m->head.nlmsg_len - (uint8_t *)a);
}

static const struct nlattr *find(const struct nlmsghdr *h, uint16_t type)
{
	const uint8_t *at = (const uint8_t *)NLMSG_DATA(h) + GENL_HDRLEN;
	const uint8_t *end = (const uint8_t *)h + h->nlmsg_len;

	while (at + NLA_HDRLEN <= end) {
		const struct nlattr *a = (const struct nlattr *)at;

		if (a->nla_len < NLA_HDRLEN || at + a->nla_len > end)
			return NULL;
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
		at += NLA_ALIGN(a->nla_len);
	}
	return NULL;
}

/* The u16 or u32 of attribute @type, or @none. */
static uint32_t number(const struct nlmsghdr *h, uint16_t type, uint32_t none)
{
	const struct nlattr *a = find(h, type);
	uint32_t wide;
	uint16_t narrow;

	if (a && a->nla_len == NLA_HDRLEN + sizeof(wide)) {
		memcpy(&wide, (const uint8_t *)a + NLA_HDRLEN, sizeof(wide));
		return wide;
	}
	if (!a || a->nla_len != NLA_HDRLEN + sizeof(narrow))
		return none;
	memcpy(&narrow, (const uint8_t *)a + NLA_HDRLEN, sizeof(narrow));
	return narrow;
}

/* Sends @m; until its acknowledgement comes, the number @want of what else comes goes to *ret. */
static int ask(int fd, const struct message *m, uint16_t want, uint32_t *ret)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct message in;
	ssize_t n;

	if (sendto(fd, m->bytes, m->head.nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	while ((n = recv(fd, in.bytes, sizeof(in.bytes), 0)) > 0 || errno == EINTR) {
		struct nlmsghdr *h = &in.head;

		for (int left = (int)n; left > 0 && NLMSG_OK(h, (unsigned)left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
			*ret = number(h, want, *ret);
		}
	}
	return n < 0 ? -errno : -EPIPE;
}

static int open_netlink(uint32_t *ret_family, struct errbuf *eb)
{
	const struct timeval limit = { .tv_sec = ANSWER_S };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	struct message m;
	int err;

	if (fd < 0)
		return errbuf_set(eb, -errno, "no netlink socket: %s", strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	begin(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
	(void)put(&m, CTRL_ATTR_FAMILY_NAME, NBD_GENL_FAMILY_NAME, sizeof(NBD_GENL_FAMILY_NAME));
	*ret_family = 0;
	err = ask(fd, &m, CTRL_ATTR_FAMILY_ID, ret_family);
	if (!err && *ret_family)
		return fd;
	(void)close(fd);
	if (err == -ENOENT || !err)
		return errbuf_set(eb, -ENOENT, "the kernel has no NBD client: modprobe nbd (CONFIG_BLK_DEV_NBD)");
	return errbuf_set(eb, err, "no answer about the kernel's NBD client: %s", strerror(-err));
}

static void put_sockets(struct message *m, const struct nbd_ctl_conf *conf)
{
	struct nlattr *all = nest(m, NBD_ATTR_SOCKETS);

	for (unsigned i = 0; i < conf->nfds; i++) {
		struct nlattr *one = nest(m, NBD_SOCK_ITEM);

		put_u32(m, NBD_SOCK_FD, (uint32_t)conf->fds[i]);
		nest_end(m, one);
	}
	nest_end(m, all);
}

static int explain(int err, int id, struct errbuf *eb)
{
	if (err == -EPERM || err == -EACCES)
		return errbuf_set(eb, err, "no permission to connect NBD devices: this takes root (CAP_SYS_ADMIN)");
	if (err == -EBUSY && id >= 0)
		return errbuf_set(eb, err, "/dev/nbd%d is taken: name another number, or none", id);
	if (id >= 0)
		return errbuf_set(eb, err, "/dev/nbd%d: the kernel refuses: %s", id, strerror(-err));
	return errbuf_set(eb, err, "no NBD device: the kernel refuses: %s", strerror(-err));
}

/* The protocol has no way to say it. Not possible: longer ones are refused. */
static void limit_io(unsigned id, uint32_t bytes)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/block/nbd%u/queue/max_sectors_kb", id);
	f = fopen(path, "we");
	if (!f)
		return;
	fprintf(f, "%u\n", bytes / 1024);
	fclose(f);
}

int nbd_ctl_connect(const struct nbd_ctl_conf *conf, unsigned *ret_id, struct errbuf *eb)
{
	uint32_t family, id = conf->id < 0 ? UINT32_MAX : (uint32_t)conf->id;
	int fd = open_netlink(&family, eb);
	struct message m;
	int err;

	if (fd < 0)
		return fd;
	begin(&m, (uint16_t)family, NBD_CMD_CONNECT, NBD_GENL_VERSION);
	if (conf->id >= 0)
		put_u32(&m, NBD_ATTR_INDEX, id);
	put_u64(&m, NBD_ATTR_SIZE_BYTES, conf->bytes);
	put_u64(&m, NBD_ATTR_BLOCK_SIZE_BYTES, conf->block_bytes);
	put_u64(&m, NBD_ATTR_SERVER_FLAGS, conf->flags);
	put_u64(&m, NBD_ATTR_TIMEOUT, 0); /* a slow disk is no dead server */
	put_u64(&m, NBD_ATTR_DEAD_CONN_TIMEOUT, conf->wait_s);
	(void)put(&m, NBD_ATTR_BACKEND_IDENTIFIER, conf->backend, strlen(conf->backend) + 1);
	put_sockets(&m, conf);
	err = ask(fd, &m, NBD_ATTR_INDEX, &id);
	(void)close(fd);
	if (!err && id == UINT32_MAX)
		err = -EPROTO;
	if (err)
		return explain(err, conf->id, eb);
	limit_io(id, conf->io_bytes_max);
	*ret_id = id;
	return 0;
}

int nbd_ctl_take_over(const struct nbd_ctl_conf *conf, struct errbuf *eb)
{
	uint32_t family, id = (uint32_t)conf->id;
	int fd = open_netlink(&family, eb);
	struct message m;
	int err;

	if (fd < 0)
		return fd;
	begin(&m, (uint16_t)family, NBD_CMD_RECONFIGURE, NBD_GENL_VERSION);
	put_u32(&m, NBD_ATTR_INDEX, id);
	(void)put(&m, NBD_ATTR_BACKEND_IDENTIFIER, conf->backend, strlen(conf->backend) + 1);
	put_sockets(&m, conf);
	err = ask(fd, &m, NBD_ATTR_INDEX, &id);
	(void)close(fd);
	if (err == -ENOSPC)
		return errbuf_set(eb, -EAGAIN, "/dev/nbd%d is still served", conf->id);
	if (err == -EINVAL || err == -ENODEV)
		return errbuf_set(eb, -ENODEV, "/dev/nbd%d waits for no server, or for another one", conf->id);
	return err ? explain(err, conf->id, eb) : 0;
}

int nbd_ctl_disconnect(unsigned id, struct errbuf *eb)
{
	uint32_t family, got = 0;
	int fd = open_netlink(&family, eb);
	struct message m;
	int err;

	if (fd < 0)
		return fd;
	begin(&m, (uint16_t)family, NBD_CMD_DISCONNECT, NBD_GENL_VERSION);
	put_u32(&m, NBD_ATTR_INDEX, id);
	err = ask(fd, &m, NBD_ATTR_INDEX, &got);
	(void)close(fd);
	return err ? explain(err, (int)id, eb) : 0;
}

static void node_path(unsigned id, char path[32])
{
	snprintf(path, 32, "/dev/nbd%u", id);
}

int nbd_ctl_sync(unsigned id)
{
	char path[32];

	node_path(id, path);
	return hostnode_sync(path);
}

bool nbd_ctl_is_claimed(unsigned id)
{
	char path[32];

	node_path(id, path);
	return hostnode_is_claimed(path);
}
