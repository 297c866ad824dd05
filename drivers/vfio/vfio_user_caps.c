/* SPDX-License-Identifier: BSD-3-Clause */
/* Parses a server's capabilities, which another process has written. */
#include "drivers/vfio/vfio_user_caps.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "core/base/cc.h"
#include "drivers/vfio/vfio_user_wire.h"

#define JSON_DEPTH_MAX 8
#define MAPS_DEFAULT   65535
#define PAGE_DEFAULT   4096
#define XFER_BYTES_MIN 8 /* the longest register */

/* One fd comes with a region's info. */
const char vfio_user_caps_ours[] =
	"{\"capabilities\":{\"max_msg_fds\":1,\"max_data_xfer_size\":1048576}}";

/* The number @key, if it is there, is [min, max]. */
static int number_parse(struct json_object *caps, const char *key, int64_t min, int64_t max,
			int64_t *value, struct errbuf *eb)
{
	struct json_object *o;
	int64_t v;

	if (!json_object_object_get_ex(caps, key, &o))
		return 0;
	if (!json_object_is_type(o, json_type_int))
		return errbuf_set(eb, -EPROTO, "its capability %s is no whole number", key);
	v = json_object_get_int64(o);
	if (v < min || v > max)
		return errbuf_set(eb, -EPROTO, "its capability %s is %lld", key, (long long)v);
	*value = v;
	return 0;
}

static int caps_fill(struct json_object *root, struct vfio_user_caps *c, struct errbuf *eb)
{
	int64_t fds = c->fds_max, xfer = c->xfer_bytes, maps = c->maps_max,
		pages = (int64_t)c->page_bytes;
	struct json_object *caps;
	int err;

	if (!json_object_is_type(root, json_type_object))
		return errbuf_set(eb, -EPROTO, "its capabilities are no JSON object");
	if (!json_object_object_get_ex(root, "capabilities", &caps))
		return 0;
	if (!json_object_is_type(caps, json_type_object))
		return errbuf_set(eb, -EPROTO, "its capabilities are no JSON object");
	err = number_parse(caps, VFIO_USER_CAP_MAX_MSG_FDS, 0, INT64_MAX, &fds, eb);
	if (!err)
		err = number_parse(caps, VFIO_USER_CAP_MAX_DATA_XFER, XFER_BYTES_MIN, INT64_MAX,
				   &xfer, eb);
	if (!err)
		err = number_parse(caps, VFIO_USER_CAP_MAX_DMA_MAPS, 1, INT64_MAX, &maps, eb);
	if (!err)
		err = number_parse(caps, VFIO_USER_CAP_PGSIZES, 1, INT64_MAX, &pages, eb);
	if (err)
		return err;
	c->fds_max = (unsigned)CC_MIN(fds, (int64_t)UINT16_MAX);
	c->xfer_bytes = (uint32_t)CC_MIN(xfer, (int64_t)VFIO_USER_DATA_XFER_DEFAULT);
	c->maps_max = (unsigned)CC_MIN(maps, (int64_t)MAPS_DEFAULT);
	c->page_bytes = CC_MAX((uint64_t)(pages & -pages), (uint64_t)PAGE_DEFAULT);
	return 0;
}

int vfio_user_caps_parse(const void *body, size_t len, struct vfio_user_caps *ret_caps,
			 struct errbuf *eb)
{
	struct vfio_user_caps caps = { 1, VFIO_USER_DATA_XFER_DEFAULT, MAPS_DEFAULT, PAGE_DEFAULT };
	const char *text = (const char *)body + sizeof(struct vfio_user_version);
	struct vfio_user_version version;
	struct json_tokener *tok;
	struct json_object *root;
	int err;

	if (len < sizeof(version))
		return errbuf_set(eb, -EPROTO, "its VERSION reply is too short");
	memcpy(&version, body, sizeof(version));
	if (version.major != VFIO_USER_MAJOR || version.minor > VFIO_USER_MINOR)
		return errbuf_set(eb, -EPROTO, "it speaks version %u.%u, not %u.%u", version.major,
				  version.minor, VFIO_USER_MAJOR, VFIO_USER_MINOR);
	len -= sizeof(version);
	if (len > 0 && text[len - 1] != '\0')
		return errbuf_set(eb, -EPROTO, "its capabilities do not end in NUL");
	if (len > 1) {
		tok = json_tokener_new_ex(JSON_DEPTH_MAX);
		if (!tok)
			return errbuf_set(eb, -ENOMEM, "no memory");
		root = json_tokener_parse_ex(tok, text, (int)len);
		json_tokener_free(tok);
		err = root ? caps_fill(root, &caps, eb)
			   : errbuf_set(eb, -EPROTO, "its capabilities are no JSON");
		json_object_put(root);
		if (err)
			return err;
	}
	*ret_caps = caps;
	return 0;
}
