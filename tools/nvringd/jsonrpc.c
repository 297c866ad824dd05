/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON-RPC 2.0: framing by complete JSON values, envelope checks, answers. */
#include "tools/nvringd/jsonrpc.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "core/base/cc.h"

int jsonrpc_stream_init(struct jsonrpc_stream *s)
{
	s->bytes = 0;
	s->tok = json_tokener_new_ex(JSONRPC_DEPTH_MAX);
	if (!s->tok)
		return -ENOMEM;
	json_tokener_set_flags(s->tok, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS |
					       JSON_TOKENER_VALIDATE_UTF8);
	return 0;
}

void jsonrpc_stream_fini(struct jsonrpc_stream *s)
{
	if (s->tok)
		json_tokener_free(s->tok);
	s->tok = NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int jsonrpc_stream_feed(struct jsonrpc_stream *s, const char *data, size_t len, size_t *ret_used,
			struct json_object **ret_value)
{
	enum json_tokener_error err;
	struct json_object *value;
	size_t skip = 0, room;

	while (s->bytes == 0 && skip < len && is_blank(data[skip]))
		skip++; /* between values: an endless row of blanks is no request */
	*ret_used = skip;
	if (skip == len)
		return 0;
	room = JSONRPC_REQUEST_BYTES_MAX - s->bytes;
	value = json_tokener_parse_ex(s->tok, data + skip, (int)CC_MIN(len - skip, room));
	err = json_tokener_get_error(s->tok);
	if (err == json_tokener_continue) {
		s->bytes += CC_MIN(len - skip, room);
		*ret_used = skip + CC_MIN(len - skip, room);
		return s->bytes == JSONRPC_REQUEST_BYTES_MAX ? -E2BIG : 0;
	}
	if (err != json_tokener_success)
		return err == json_tokener_error_depth ? -E2BIG : -EBADMSG;
	*ret_used = skip + json_tokener_get_parse_end(s->tok);
	*ret_value = value;
	s->bytes = 0;
	json_tokener_reset(s->tok);
	return 1;
}

bool jsonrpc_stream_is_partial(const struct jsonrpc_stream *s)
{
	return s->bytes > 0;
}

int jsonrpc_request_parse(struct json_object *msg, struct jsonrpc_request *ret,
			  const char **ret_why)
{
	struct json_object *version, *method;

	*ret = (struct jsonrpc_request){ .is_notification = false };
	if (!json_object_is_type(msg, json_type_object)) {
		*ret_why = "a request must be an object";
		return JSONRPC_INVALID_REQUEST;
	}
	ret->is_notification = !json_object_object_get_ex(msg, "id", &ret->id);
	if (json_object_is_type(ret->id, json_type_object) ||
	    json_object_is_type(ret->id, json_type_array) ||
	    json_object_is_type(ret->id, json_type_boolean)) {
		ret->id = NULL;
		*ret_why = "id must be a number, a text or null";
		return JSONRPC_INVALID_REQUEST;
	}
	if (!json_object_object_get_ex(msg, "jsonrpc", &version) ||
	    !json_object_is_type(version, json_type_string) ||
	    strcmp(json_object_get_string(version), "2.0") != 0) {
		*ret_why = "jsonrpc must be \"2.0\"";
		return JSONRPC_INVALID_REQUEST;
	}
	if (!json_object_object_get_ex(msg, "method", &method) ||
	    !json_object_is_type(method, json_type_string) ||
	    json_object_get_string_len(method) >= JSONRPC_METHOD_MAX) {
		*ret_why = "method must be a text of at most 63 characters";
		return JSONRPC_INVALID_REQUEST;
	}
	ret->method = json_object_get_string(method);
	json_object_object_get_ex(msg, "params", &ret->params);
	if (ret->params && !json_object_is_type(ret->params, json_type_object)) {
		*ret_why = "params must be an object";
		return JSONRPC_INVALID_PARAMS;
	}
	return 0;
}

static struct json_object *envelope(struct json_object *id)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "jsonrpc", json_object_new_string("2.0"));
	json_object_object_add(obj, "id", json_object_get(id));
	return obj;
}

struct json_object *jsonrpc_result(struct json_object *id, struct json_object *result)
{
	struct json_object *obj = envelope(id);

	json_object_object_add(obj, "result", result);
	return obj;
}

struct json_object *jsonrpc_error(struct json_object *id, int code, const char *text)
{
	struct json_object *obj = envelope(id), *err = json_object_new_object();

	json_object_object_add(err, "code", json_object_new_int(code));
	json_object_object_add(err, "message", json_object_new_string(text));
	json_object_object_add(obj, "error", err);
	return obj;
}
