/* SPDX-License-Identifier: BSD-3-Clause */
/* A call of the control interface: what a daemon may answer, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <json-c/json.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/rpc/rpcclient.h"

#define LONG_MS 60000

/* A daemon of one connection: reads a request, says @answer in pieces, then hangs up, or waits until the client does. */
static struct {
	char dir[32], path[64], asked[512];
	const char *answer;
	size_t piece; /* bytes at once; 0: all */
	bool repeats, waits;
	int fd;
	pthread_t thread;
} served;

static void say(int fd)
{
	do {
		const char *text = served.answer;

		while (*text) {
			size_t n = served.piece ? CC_MIN(served.piece, strlen(text)) : strlen(text);

			if (send(fd, text, n, MSG_NOSIGNAL) < 0)
				return;
			text += n;
		}
	} while (served.repeats);
}

static void *serve(void *arg)
{
	int fd = accept(served.fd, NULL, NULL);
	char last;

	(void)arg;
	if (recv(fd, served.asked, sizeof(served.asked) - 1, 0) > 0)
		say(fd);
	while (served.waits && recv(fd, &last, 1, 0) > 0)
		;
	close(fd);
	return NULL;
}

static int set_up(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	(void)state;
	memset(&served, 0, sizeof(served));
	snprintf(served.dir, sizeof(served.dir), "/tmp/rpcclientXXXXXX");
	if (!mkdtemp(served.dir))
		return -1;
	snprintf(served.path, sizeof(served.path), "%s/s", served.dir);
	memcpy(sa.sun_path, served.path, strlen(served.path));
	served.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return bind(served.fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(served.fd, 1) ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(served.fd);
	unlink(served.path);
	return rmdir(served.dir);
}

/* Of a daemon that answers @answer. */
static int call(const char *answer, unsigned ms, struct json_object **ret, struct errbuf *eb)
{
	struct json_object *params = json_object_new_object();
	int err;

	served.answer = answer;
	json_object_object_add(params, "name", json_object_new_string("v"));
	assert_int_equal(pthread_create(&served.thread, NULL, serve, NULL), 0);
	err = rpcclient_call(served.path, ms, "m", params, ret, eb);
	assert_int_equal(pthread_join(served.thread, NULL), 0);
	return err;
}

static void the_result_is_the_callers(void **state)
{
	struct json_object *ret = NULL;
	struct errbuf eb;

	(void)state;
	served.piece = 1;
	served.waits = true; /* the end of a value is found without the end of the connection */
	assert_int_equal(call("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[7,\"x\"]}", LONG_MS, &ret, &eb), 0);
	assert_string_equal(json_object_to_json_string_ext(ret, JSON_C_TO_STRING_PLAIN), "[7,\"x\"]");
	assert_string_equal(served.asked,
			    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"name\":\"v\"}}");
	json_object_put(ret);
}

static void what_is_no_result_is_told_apart(void **state)
{
	static const struct {
		const char *answer;
		int err;
		const char *why;
	} rows[] = {
		{ "{\"error\":{\"code\":-1,\"message\":\"no such volume\"}}", -EREMOTEIO, "no such volume" },
		{ "{\"error\":{\"code\":-1}}", -EBADMSG, "makes no sense" },
		{ "[]", -EBADMSG, "makes no sense" },
		{ "HTTP/1.1 400 Bad Request\r\n", -EBADMSG, "makes no sense" },
		{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", -EBADMSG, "makes no sense" },
		{ "{\"result\":", -ECONNRESET, "no answer from nvringd on /tmp/" },
		{ "", -ECONNRESET, "Connection reset" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct json_object *ret = NULL;
		struct errbuf eb;

		assert_int_equal(call(rows[i].answer, LONG_MS, &ret, &eb), rows[i].err);
		assert_non_null(strstr(eb.text, rows[i].why));
		assert_null(ret);
	}
	(void)state;
}

static void an_answer_without_end_is_none(void **state)
{
	static char blanks[65536];
	struct json_object *ret = NULL;
	struct errbuf eb;

	(void)state;
	memset(blanks, ' ', sizeof(blanks) - 1);
	served.repeats = true;
	assert_int_equal(call(blanks, LONG_MS, &ret, &eb), -EBADMSG);
	assert_null(ret);
}

static void a_daemon_that_says_nothing_costs_no_more_than_the_time(void **state)
{
	struct json_object *ret = NULL;
	struct errbuf eb;

	(void)state;
	served.waits = true;
	assert_int_equal(call("", 300, &ret, &eb), -ETIMEDOUT);
	assert_non_null(strstr(eb.text, "timed out"));
	assert_int_equal(call("{\"result\":", 300, &ret, &eb), -ETIMEDOUT);
	assert_null(ret);
}

static void nobody_there_is_told_with_the_path(void **state)
{
	struct json_object *ret = NULL;
	char path[256];
	struct errbuf eb;

	(void)state;
	assert_int_equal(rpcclient_call("/no/such/socket", LONG_MS, "m", NULL, &ret, &eb), -ENOENT);
	assert_string_equal(eb.text, "cannot reach nvringd on /no/such/socket: No such file or directory");
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(rpcclient_call(path, LONG_MS, "m", json_object_new_array(), &ret, &eb), -ENAMETOOLONG);
	close(served.fd);
	assert_int_equal(rpcclient_call(served.path, LONG_MS, "m", NULL, &ret, &eb), -ECONNREFUSED);
	served.fd = -1;
	assert_null(ret);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_result_is_the_callers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_result_is_told_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_answer_without_end_is_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_daemon_that_says_nothing_costs_no_more_than_the_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_there_is_told_with_the_path, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
