/* SPDX-License-Identifier: BSD-3-Clause */
/* The one list of drivers. */
#include "drivers/catalogue.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "drivers/fault/faultb.h"
#include "drivers/null/nullb.h"
#include "drivers/nvme/nvme_disk.h"
#include "drivers/ram/ramb.h"
#include "drivers/uri.h"
#include "drivers/uring/urb.h"
#include "drivers/virtio/vub.h"

#define STACK_MAX 4   /* fault devices upon one another */
#define URI_SHOWN 160 /* characters of the URI in an error line: the reason must fit behind it */

struct open_ctx {
	const struct bdev_open_opts *opts;
	unsigned level; /* how many devices stand on this one */
};

static int open_uri(const char *uri, const struct open_ctx *ctx, struct bdev **ret_bdev,
		    struct errbuf *eb);

static int open_null(const char *rest, const struct open_ctx *ctx, struct bdev **ret_bdev,
		     struct errbuf *eb)
{
	(void)ctx;
	return nullb_open(rest, ret_bdev, eb);
}

static int open_ram(const char *rest, const struct open_ctx *ctx, struct bdev **ret_bdev,
		    struct errbuf *eb)
{
	(void)ctx;
	return ramb_open(rest, ret_bdev, eb);
}

static int open_file(const char *rest, const struct open_ctx *ctx, struct bdev **ret_bdev,
		     struct errbuf *eb)
{
	const struct urb_opts opts = {
		.read_only = ctx->opts->read_only,
		.lock_wait_ms = ctx->opts->lock_wait_ms,
	};

	return urb_open(rest, &opts, ret_bdev, eb);
}

static int open_nvme(const char *rest, const struct open_ctx *ctx, struct bdev **ret_bdev,
		     struct errbuf *eb)
{
	const struct nvme_disk_opts opts = {
		.read_only = ctx->opts->read_only,
		.control = ctx->opts->control,
	};

	return nvme_disk_open(rest, &opts, ret_bdev, eb);
}

static int open_nvme_user(const char *rest, const struct open_ctx *ctx, struct bdev **ret_bdev,
			  struct errbuf *eb)
{
	const struct nvme_disk_opts opts = {
		.is_user = true,
		.read_only = ctx->opts->read_only,
		.control = ctx->opts->control,
	};

	return nvme_disk_open(rest, &opts, ret_bdev, eb);
}

static int open_virtio_user(const char *rest, const struct open_ctx *ctx, struct bdev **ret_bdev,
			    struct errbuf *eb)
{
	const struct vub_opts opts = { .read_only = ctx->opts->read_only, .control = ctx->opts->control };

	return vub_open(rest, &opts, ret_bdev, eb);
}

/* RULES@URI: the rules first, because opening the device below may have effects. */
static int open_fault(const char *rest, const struct open_ctx *ctx, struct bdev **ret_bdev,
		      struct errbuf *eb)
{
	const struct open_ctx below = { .opts = ctx->opts, .level = ctx->level + 1 };
	const char *at = strchr(rest, '@');
	char rules[BDEV_URI_MAX];
	struct bdev *lower;
	int err;

	if (!at)
		return errbuf_set(eb, -EINVAL, "the device below is missing (fault:RULES@URI)");
	if (below.level > STACK_MAX)
		return errbuf_set(eb, -EINVAL, "more than %d devices upon one another", STACK_MAX);
	(void)snprintf(rules, sizeof(rules), "%.*s", (int)(at - rest), rest);
	err = faultb_check(rules, eb);
	if (err)
		return err;
	err = open_uri(at + 1, &below, &lower, eb);
	if (err)
		return err;
	err = faultb_open(rules, lower, ret_bdev, eb);
	if (err)
		bdev_close(lower, NULL, NULL);
	return err;
}

static const struct driver {
	const char *scheme;
	int (*open)(const char *rest, const struct open_ctx *ctx, struct bdev **ret_bdev,
		    struct errbuf *eb);
} drivers[] = {
	{ "file", open_file },
	{ "nvme", open_nvme },
	{ "nvme+vfio-user", open_nvme_user },
	{ "virtio-user", open_virtio_user },
	{ "ram", open_ram },
	{ "null", open_null },
	{ "fault", open_fault },
};

static const struct driver *driver_find(const char *uri, size_t scheme_len)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		if (strlen(drivers[i].scheme) == scheme_len &&
		    !memcmp(drivers[i].scheme, uri, scheme_len))
			return &drivers[i];
	}
	return NULL;
}

/* The beginning of the URI as it may stand in a log line. */
static void show(const char *uri, char ret[URI_SHOWN + 1])
{
	size_t n = strnlen(uri, URI_SHOWN);

	for (size_t i = 0; i < n; i++)
		ret[i] = iscntrl((unsigned char)uri[i]) ? '?' : uri[i];
	ret[n] = '\0';
}

static int scheme_unknown(const char *uri, size_t scheme_len, struct errbuf *eb)
{
	char list[128] = "", shown[URI_SHOWN + 1];
	size_t n = 0;

	show(uri, shown);
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s:", i ? ", " : "",
				      drivers[i].scheme);
	if (uri[scheme_len] != ':')
		return errbuf_set(eb, -EINVAL, "%s: no scheme (known: %s)", shown, list);
	return errbuf_set(eb, -EINVAL, "%s: unknown scheme '%.*s' (known: %s)", shown,
			  (int)CC_MIN(scheme_len, 32), shown, list);
}

/*
 * A name for a disk that was given none: the file's last component, else the scheme. What does not
 * belong into a name of a socket or an RPC becomes '_'.
 */
static void name_derive(struct bdev *bdev, const char *uri, size_t scheme_len)
{
	const char *path = uri + scheme_len + 1, *from = uri;
	size_t len = scheme_len;

	if (!strncmp(uri, "file:", 5)) {
		size_t end = strcspn(path, "?"), start;

		while (end && path[end - 1] == '/')
			end--;
		for (start = end; start && path[start - 1] != '/';)
			start--;
		from = path + start;
		len = end - start;
	}
	len = CC_MIN(len, sizeof(bdev->name) - 1);
	for (size_t i = 0; i < len; i++) {
		char c = from[i];

		bdev->name[i] = isalnum((unsigned char)c) || strchr("._-", c) ? c : '_';
	}
	bdev->name[len] = '\0';
}

static int open_uri(const char *uri, const struct open_ctx *ctx, struct bdev **ret_bdev,
		    struct errbuf *eb)
{
	size_t scheme_len = strcspn(uri, ":");
	struct errbuf why = { "" };
	char shown[URI_SHOWN + 1], rest[BDEV_URI_MAX];
	const struct driver *drv;
	uint64_t merges = 0;
	struct bdev *bdev;
	int err;

	show(uri, shown);
	if (strlen(uri) >= BDEV_URI_MAX)
		return errbuf_set(eb, -ENAMETOOLONG, "%s…: longer than %d characters", shown,
				  BDEV_URI_MAX - 1);
	drv = uri[scheme_len] ? driver_find(uri, scheme_len) : NULL;
	if (!drv)
		return scheme_unknown(uri, scheme_len, eb);
	err = uri_flag_take(uri, URI_OPT_MERGE, rest, sizeof(rest), &merges, &why);
	if (!err)
		err = drv->open(rest + scheme_len + 1, ctx, &bdev, &why);
	if (err)
		return errbuf_set(eb, err, "%s: %.300s", shown, why.text);
	bdev->control = ctx->opts->control;
	if (ctx->opts->read_only)
		bdev->lim.read_only = true;
	bdev->merges = merges != 0;
	memcpy(bdev->uri, uri, strlen(uri) + 1);
	if (ctx->opts->name && !ctx->level)
		(void)snprintf(bdev->name, sizeof(bdev->name), "%s", ctx->opts->name);
	else
		name_derive(bdev, uri, scheme_len);
	if (!bdev->id[0])
		(void)snprintf(bdev->id, sizeof(bdev->id), "%.20s", bdev->name);
	*ret_bdev = bdev;
	return 0;
}

int bdev_open(const char *uri, const struct bdev_open_opts *opts, struct bdev **ret_bdev,
	      struct errbuf *eb)
{
	const struct open_ctx ctx = { .opts = opts };

	if (opts->name && strlen(opts->name) >= BDEV_NAME_MAX)
		return errbuf_set(eb, -ENAMETOOLONG,
				  "disk name '%.20s…' is longer than %d characters", opts->name,
				  BDEV_NAME_MAX - 1);
	return open_uri(uri, &ctx, ret_bdev, eb);
}
