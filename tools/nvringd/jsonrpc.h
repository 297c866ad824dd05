/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON-RPC 2.0 without sockets: bytes into values, values into checked requests, answers into values. */
#ifndef TOOLS_NVRINGD_JSONRPC_H
#define TOOLS_NVRINGD_JSONRPC_H

#include <stdbool.h>
#include <stddef.h>

struct json_object;
struct json_tokener;

#define JSONRPC_REQUEST_BYTES_MAX (1024 * 1024)
#define JSONRPC_DEPTH_MAX	  16
#define JSONRPC_BATCH_MAX	  256
#define JSONRPC_METHOD_MAX	  64

enum jsonrpc_code {
	JSONRPC_PARSE_ERROR = -32700,
	JSONRPC_INVALID_REQUEST = -32600,
	JSONRPC_NO_METHOD = -32601,
	JSONRPC_INVALID_PARAMS = -32602,
	JSONRPC_INTERNAL = -32603,
	JSONRPC_STATE = -1, /* well asked, but it cannot be done now; as SPDK answers */
};

/* Cuts a byte stream into JSON values. After an error it is of no use any more. */
struct jsonrpc_stream {
	struct json_tokener *tok;
	size_t bytes; /* of the value under way */
};

int jsonrpc_stream_init(struct jsonrpc_stream *s);
void jsonrpc_stream_fini(struct jsonrpc_stream *s);

/**
 * jsonrpc_stream_feed - up to one value out of @data; *ret_used says how much of it was taken.
 * 1: *ret_value is a value (the caller's to put; may be NULL for JSON null). 0: more bytes are needed.
 * -EBADMSG: not JSON; -E2BIG: longer than JSONRPC_REQUEST_BYTES_MAX or nested too deeply.
 */
int jsonrpc_stream_feed(struct jsonrpc_stream *s, const char *data, size_t len, size_t *ret_used,
			struct json_object **ret_value);

/* Is a value under way? (At the end of the stream: it was cut.) */
bool jsonrpc_stream_is_partial(const struct jsonrpc_stream *s);

struct jsonrpc_request {
	const char *method;	    /* borrowed from the message */
	struct json_object *params; /* borrowed; NULL: none */
	struct json_object *id;	    /* borrowed; NULL: null or none */
	bool is_notification;	    /* no id: no answer */
};

/* One member of the stream or of a batch. 0, or the error code with *ret_why; ret->id is set either way. Pure. */
int jsonrpc_request_parse(struct json_object *msg, struct jsonrpc_request *ret,
			  const char **ret_why);

/* New objects. @id is borrowed, @result is taken over. */
struct json_object *jsonrpc_result(struct json_object *id, struct json_object *result);
struct json_object *jsonrpc_error(struct json_object *id, int code, const char *text);

#endif
