/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's configuration: what is refused and with which words, what comes in, what comes back out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/nvringd/config.h"

#define DISK   "{\"name\": \"vol0\", \"uri\": \"ram:1M\"}"
#define EXPORT "{\"disk\": \"vol0\", \"socket\": \"/tmp/s\"}"

static const struct bad_case {
	const char *text, *error;
} bad_cases[] = {
	{ "", "c.json: line 1: the JSON text ends too early" },
	{ "{", "c.json: line 1: the JSON text ends too early" },
	{ "{\n\"disks\": [}\n", "c.json: line 2: not JSON: unexpected character" },
	{ "{} x", "c.json: line 1: not JSON: unexpected character" },
	{ "[]", "c.json: must be an object" },
	{ "null", "c.json: must be an object" },
	{ "{\"dsks\": []}",
	  "c.json: dsks: unknown key (known: reactors, rpc, log_level, lock_wait_ms, groups, disks, exports, "
	  "vduse, attach, pools)" },
	{ "{\"pools\": [{\"name\": \"p\"}]}", "c.json: pools[0].uri: missing" },
	{ "{\"pools\": [{\"name\": \"p\", \"uri\": \"nvme:0000:01:00.0/1?ro=1\"}]}",
	  "c.json: pools[0].uri: a pool is a whole namespace, without options: nvme:0000:01:00.0/1?ro=1" },
	{ "{\"pools\": [{\"name\": \"p+\", \"uri\": \"dir:/srv\"}]}",
	  "c.json: pools[0].name: a name consists of letters, digits and . _ -" },
	{ "{\"pools\": [{\"name\": \"p\", \"uri\": \"/srv\"}]}",
	  "c.json: pools[0].uri: \"/srv\" is no pool, did you mean dir:/srv?" },
	{ "{\"pools\": [{\"name\": \"p\", \"uri\": \"dir:\"}]}",
	  "c.json: pools[0].uri: \"dir:\" is no pool, did you mean dir:dir:?" },
	{ "{\"pools\": [{\"name\": \"p\", \"uri\": \"dir:/a\"}, {\"name\": \"p\", \"uri\": \"dir:/b\"}]}",
	  "c.json: pools[1].name: there is another pool named \"p\"" },
	{ "{\"disks\": {}}", "c.json: disks: must be an array" },
	{ "{\"disks\": [7]}", "c.json: disks[0]: must be an object" },
	{ "{\"disks\": [{}]}", "c.json: disks[0].name: missing" },
	{ "{\"disks\": [{\"name\": \"a\"}]}", "c.json: disks[0].uri: missing" },
	{ "{\"disks\": [{\"name\": 1, \"uri\": \"ram:1\"}]}",
	  "c.json: disks[0].name: must be a text, not 1" },
	{ "{\"disks\": [{\"name\": \"\", \"uri\": \"ram:1\"}]}",
	  "c.json: disks[0].name: must not be empty" },
	{ "{\"disks\": [{\"name\": \"a b\", \"uri\": \"ram:1\"}]}",
	  "c.json: disks[0].name: a name consists of letters, digits and . _ - + :" },
	{ "{\"disks\": [{\"name\": \"../x\", \"uri\": \"ram:1\"}]}",
	  "c.json: disks[0].name: a name consists of letters, digits and . _ - + :" },
	{ "{\"disks\": [{\"name\": \".x\", \"uri\": \"ram:1\"}]}",
	  "c.json: disks[0].name: a name begins with a letter or a digit" },
	{ "{\"disks\": [{\"name\": \"a\\u0000b\", \"uri\": \"ram:1\"}]}",
	  "c.json: disks[0].name: must not contain a NUL character" },
	{ "{\"disks\": [{\"name\": \"0123456789012345678901234567890123456789012345678901234567890123\", "
	  "\"uri\": \"ram:1\"}]}",
	  "c.json: disks[0].name: longer than 63 characters" },
	{ "{\"disks\": [{\"name\": \"a\", \"uri\": \"disk.img\"}]}",
	  "c.json: disks[0].uri: \"disk.img\" is no disk URI, did you mean file:disk.img?" },
	{ "{\"disks\": [{\"name\": \"a\", \"uri\": \"ram:1\", \"read_only\": \"yes\"}]}",
	  "c.json: disks[0].read_only: must be true or false, not \"yes\"" },
	{ "{\"disks\": [{\"name\": \"a\", \"uri\": \"ram:1\", \"readonly\": true}]}",
	  "c.json: disks[0].readonly: unknown key (known: name, uri, read_only, read_iops, read_iops_burst, "
	  "read_bps, read_bps_burst, write_iops, write_iops_burst, write_bps, write_bps_burst, iops, iops_burst, "
	  "bps, bps_burst, min_iops, min_bps, weight, latency_us, read_deadline_us, write_deadline_us, path_timeout_ms, "
	  "group)" },
	{ "{\"disks\": [{\"name\": \"a\", \"uri\": \"ram:1\", \"iops\": 0}]}",
	  "c.json: disks[0].iops: must be a number from 1 to 1000000000, or null for none, not 0" },
	{ "{\"disks\": [{\"name\": \"a\", \"uri\": \"ram:1\", \"bps\": \"1\"}]}",
	  "c.json: disks[0].bps: must be a number from 1024 to 1099511627776, a text such as \"100M\", or null "
	  "for none, not \"1\"" },
	{ "{\"disks\": [{\"name\": \"a\", \"uri\": \"ram:1\", \"iops\": 5, \"min_iops\": 6}]}",
	  "c.json: disks[0]: a guaranteed minimum of 6 is above the total IOPS limit of 5; lower the one or raise "
	  "the other" },
	{ "{\"groups\": [{\"name\": \"g\"}], \"disks\": [{\"name\": \"a\", \"uri\": \"ram:1\", \"group\": \"h\"}]}",
	  "c.json: disks[0].group: no group named \"h\"" },
	{ "{\"groups\": [{\"name\": \"g\"}, {\"name\": \"g\"}]}",
	  "c.json: groups[1].name: there is another group named \"g\"" },
	{ "{\"groups\": [{\"name\": \"none\"}]}",
	  "c.json: groups[0].name: \"none\" takes a disk out of its group, name it otherwise" },
	{ "{\"groups\": [{\"iops\": 5}]}", "c.json: groups[0].name: missing" },
	{ "{\"groups\": [{\"name\": \"g\", \"iops_burst\": 5}]}",
	  "c.json: groups[0]: total IOPS: a burst of 5 without a limit; set the limit, too" },
	{ "{\"disks\": [" DISK ", " DISK "]}",
	  "c.json: disks[1].name: there is another disk named \"vol0\"" },
	{ "{\"disks\": [" DISK "], \"exports\": [" EXPORT ", {\"disk\": \"vol9\", \"socket\": \"/tmp/t\"}]}",
	  "c.json: exports[1].disk: no disk named \"vol9\"" },
	{ "{\"disks\": [" DISK "], \"exports\": [" EXPORT ", " EXPORT "]}",
	  "c.json: exports[1].socket: another export has the socket /tmp/s" },
	{ "{\"exports\": [{\"disk\": \"vol0\"}]}", "c.json: exports[0].socket: missing" },
	{ "{\"vduse\": {}}", "c.json: vduse: must be an array" },
	{ "{\"vduse\": [{}]}", "c.json: vduse[0].disk: missing" },
	{ "{\"disks\": [" DISK "], \"vduse\": [{\"disk\": \"vol9\"}]}",
	  "c.json: vduse[0].disk: no disk named \"vol9\"" },
	{ "{\"disks\": [" DISK "], \"vduse\": [{\"disk\": \"vol0\"}, {\"disk\": \"vol0\"}]}",
	  "c.json: vduse[1].name: there is another VDUSE device named \"vol0\"" },
	{ "{\"disks\": [" DISK "], \"vduse\": [{\"disk\": \"vol0\", \"name\": \"control\"}]}",
	  "c.json: vduse[0].name: /dev/vduse/control is the kernel's own, name it otherwise" },
	{ "{\"disks\": [" DISK "], \"vduse\": [{\"disk\": \"vol0\", \"name\": \"../x\"}]}",
	  "c.json: vduse[0].name: a name consists of letters, digits and . _ - + :" },
	{ "{\"disks\": [" DISK "], \"vduse\": [{\"disk\": \"vol0\", \"queues\": 257}]}",
	  "c.json: vduse[0].queues: must be a number from 1 to 256, not 257" },
	{ "{\"disks\": [" DISK "], \"vduse\": [{\"disk\": \"vol0\", \"cpus\": \"x\"}]}",
	  "c.json: vduse[0].cpus: \"x\" is no list of CPUs such as 0-3,8" },
	{ "{\"vduse\": [{\"disk\": \"vol0\", \"socket\": \"/s\"}]}",
	  "c.json: vduse[0].socket: unknown key (known: disk, name, read_only, queues, packed, write_cache, "
	  "serial, cpus)" },
	{ "{\"attach\": [{\"disk\": \"vol0\"}]}", "c.json: attach[0].as: missing" },
	{ "{\"attach\": [{\"disk\": \"vol0\", \"as\": \"loop\"}]}",
	  "c.json: attach[0].as: a disk is attached as ublk, nbd or fuse, not as \"loop\"" },
	{ "{\"attach\": [{\"disk\": \"v\", \"as\": \"fuse\", \"queues\": 2}]}",
	  "c.json: attach[0].queues: a file has one" },
	{ "{\"attach\": [{\"disk\": \"v\", \"as\": \"fuse\", \"id\": 1024}]}",
	  "c.json: attach[0].id: files have numbers from 0 to 1023" },
	{ "{\"attach\": [{\"disk\": \"v\", \"as\": \"fuse\", \"path\": \"f\"}]}",
	  "c.json: attach[0].path: must be absolute, not \"f\"" },
	{ "{\"attach\": [{\"disk\": \"v\", \"as\": \"fuse\", \"path\": \"/f\", \"id\": 1}]}",
	  "c.json: attach[0].id: a path and a number are one too many" },
	{ "{\"attach\": [{\"disk\": \"v\", \"as\": \"nbd\", \"path\": \"/f\"}]}",
	  "c.json: attach[0].path: only a file has one (fuse)" },
	{ "{\"disks\": [" DISK "], \"attach\": [{\"disk\": \"vol9\", \"as\": \"nbd\"}]}",
	  "c.json: attach[0].disk: no disk named \"vol9\"" },
	{ "{\"attach\": [{\"disk\": \"vol0\", \"as\": \"ublk\", \"queues\": 65}]}",
	  "c.json: attach[0].queues: must be a number from 1 to 64, not 65" },
	{ "{\"attach\": [{\"disk\": \"v\", \"as\": \"ublk\", \"id\": 1}, {\"disk\": \"w\", \"as\": \"ublk\", \"id\": 1}]}",
	  "c.json: attach[1].id: another disk has this number" },
	{ "{\"exports\": [{\"disk\": \"v\", \"socket\": \"/s\", \"type\": \"nvmf\"}]}",
	  "c.json: exports[0].type: no export type \"nvmf\" (known: vhost-user-blk)" },
	{ "{\"exports\": [{\"disk\": \"v\", \"socket\": \"/s\", \"queues\": 0}]}",
	  "c.json: exports[0].queues: must be a number from 1 to 256, not 0" },
	{ "{\"exports\": [{\"disk\": \"v\", \"socket\": \"/s\", \"queues\": 1.5}]}",
	  "c.json: exports[0].queues: must be a number from 1 to 256, not 1.5" },
	{ "{\"exports\": [{\"disk\": \"v\", \"socket\": \"/s\", \"queues\": 99999999999999999999}]}",
	  "c.json: exports[0].queues: must be a number from 1 to 256, not 18446744073709551615" },
	{ "{\"exports\": [{\"disk\": \"v\", \"socket\": \"/s\", \"mode\": 432}]}",
	  "c.json: exports[0].mode: must be a text of octal digits such as \"0660\", not 432" },
	{ "{\"exports\": [{\"disk\": \"v\", \"socket\": \"/s\", \"mode\": \"0999\"}]}",
	  "c.json: exports[0].mode: must be a text of octal digits such as \"0660\", not \"0999\"" },
	{ "{\"exports\": [{\"disk\": \"v\", \"socket\": \"/s\", \"serial\": \"012345678901234567890\"}]}",
	  "c.json: exports[0].serial: longer than 20 characters" },
	{ "{\"exports\": [{\"disk\": \"v\", \"socket\": \"/s\", \"cpus\": \"0,x\"}]}",
	  "c.json: exports[0].cpus: \"0,x\" is no list of CPUs such as 0-3,8" },
	{ "{\"lock_wait_ms\": 1,\n\"lock_wait_ms\": 2}",
	  "c.json: line 2: the key \"lock_wait_ms\" stands there twice" },
	{ "{\"disks\": [" DISK ", {\"name\":\"b\", \"uri\" : \"ram:\\\"{\", \"name\":\"c\"}]}",
	  "c.json: line 1: the key \"name\" stands there twice" },
	{ "{\"disks\": [{\"name\": \"b\", \"uri\": \"ram:1\", \"read_only\": false, \"iops\": 1, \"iops_burst\": 1,"
	  "\"bps\": 4096, \"bps_burst\": 4096, \"read_iops\": 1, \"read_iops_burst\": 1, \"read_bps\": 4096,"
	  "\"read_bps_burst\": 4096, \"write_iops\": 1, \"write_iops_burst\": 1, \"write_bps\": 4096,"
	  "\"write_bps_burst\": 4096, \"latency_us\": 5, \"weight\": 1,\n\"weight\": 2}]}",
	  "c.json: line 2: the key \"weight\" stands there twice" },
	{ "{\"log_level\": \"loud\"}",
	  "c.json: log_level: no level \"loud\" (known: error, warn, notice, info, debug)" },
	{ "{\"lock_wait_ms\": -1}",
	  "c.json: lock_wait_ms: must be a number from 0 to 600000, not -1" },
	{ "{\"reactors\": {\"mode\": \"fast\"}}",
	  "c.json: reactors.mode: no mode \"fast\" (known: adaptive, poll, interrupt)" },
	{ "{\"reactors\": {\"cpus\": \"3-1\"}}",
	  "c.json: reactors.cpus: \"3-1\" is no list of CPUs such as 0-3,8" },
	{ "{\"reactors\": {\"rebalance\": 1}}",
	  "c.json: reactors.rebalance: must be true or false, not 1" },
	{ "{\"reactors\": {\"idle_max_us\": 0}}",
	  "c.json: reactors.idle_max_us: must be a number from 1 to 1000000, not 0" },
	{ "{\"reactors\": []}", "c.json: reactors: must be an object" },
	{ "{\"rpc\": {\"socket\": false}}", "c.json: rpc.socket: must be a text, not false" },
	{ "{\"log_level\": \"\xff\"}", "c.json: line 1: not JSON: invalid utf-8 string" },
	{ "{\"rpc\": [[[[[[[[[[[]]]]]]]]]]]}", "c.json: line 1: not JSON: nesting too deep" },
};

static int parse(struct config *c, const char *text, struct errbuf *eb)
{
	int err;

	config_init(c);
	err = config_parse(c, "c.json", text, strlen(text), eb);
	return err ? err : config_finish(c, eb);
}

static void bad_files_are_refused_with_their_place(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_cases); i++) {
		struct errbuf eb = { "" };
		struct config c;

		assert_int_equal(parse(&c, bad_cases[i].text, &eb), -EINVAL);
		assert_string_equal(eb.text, bad_cases[i].error);
		config_fini(&c);
	}
}

static void an_oversized_file_is_refused(void **state)
{
	char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);
	struct errbuf eb = { "" };
	struct config c;

	memset(text, ' ', CONFIG_FILE_BYTES_MAX + 1);
	config_init(&c);
	assert_int_equal(config_parse(&c, "c.json", text, CONFIG_FILE_BYTES_MAX + 1, &eb), -EINVAL);
	assert_string_equal(eb.text, "c.json: larger than 4194304 bytes");
	config_fini(&c);
	free(text);
}

static void defaults_stand_where_nothing_is_said(void **state)
{
	struct errbuf eb = { "" };
	struct config c;

	assert_int_equal(parse(&c, "{\"disks\": [" DISK "], \"exports\": [" EXPORT "]}", &eb), 0);
	assert_int_equal(c.mode, REACTOR_ADAPTIVE);
	assert_true(c.rebalance);
	assert_int_equal(c.log_level, LOG_LEVEL_NOTICE);
	assert_int_equal(c.lock_wait_ms, CONFIG_LOCK_WAIT_MS);
	assert_true(c.rpc_on);
	assert_int_equal(c.ndisks, 1);
	assert_false(c.disks[0].read_only);
	assert_int_equal(c.nexports, 1);
	assert_int_equal(c.exports[0].queues, CONFIG_QUEUES_DEFAULT);
	assert_int_equal(c.exports[0].mode, 0600);
	assert_true(c.exports[0].packed);
	assert_true(c.exports[0].write_cache);
	assert_int_equal(c.exports[0].fd, -1);
	config_fini(&c);
}

static void exports_without_a_name_get_one(void **state)
{
	static const char text[] =
		"{\"disks\": [" DISK "], \"exports\": ["
		"{\"disk\": \"vol0\", \"socket\": \"/a\"}, {\"disk\": \"vol0\", \"socket\": \"/b\"},"
		"{\"disk\": \"vol0\", \"socket\": \"/c\", \"name\": \"vol0.2\"},"
		"{\"disk\": \"vol0\", \"socket\": \"/d\"}]}";
	struct errbuf eb = { "" };
	struct config c;

	assert_int_equal(parse(&c, text, &eb), 0);
	assert_string_equal(c.exports[0].name, "vol0");
	assert_string_equal(c.exports[1].name, "vol0.3"); /* .2 was named */
	assert_string_equal(c.exports[2].name, "vol0.2");
	assert_string_equal(c.exports[3].name, "vol0.4");
	config_fini(&c);
}

static void what_is_built_can_be_parsed_back(void **state)
{
	static const char text[] =
		"{\"reactors\": {\"cpus\": \"0-1,3\", \"mode\": \"poll\", \"rebalance\": false,"
		"\"idle_min_us\": 7, \"idle_max_us\": 70}, \"log_level\": \"debug\","
		"\"lock_wait_ms\": 17, \"rpc\": {\"socket\": \"/r.sock\"},"
		"\"groups\": [{\"name\": \"g\", \"iops\": 5000, \"bps\": 1048576, \"bps_burst\": 8388608},"
		"{\"name\": \"h\"}],"
		"\"disks\": [{\"name\": \"a\", \"uri\": \"file:/x%3Fy?direct=0\", \"read_only\": true,"
		"\"read_iops\": 1, \"read_iops_burst\": 2, \"write_iops\": 3, \"write_iops_burst\": 4,"
		"\"iops\": 1000000000, \"iops_burst\": 3600000000000, \"read_bps\": 1024, \"read_bps_burst\": 4096,"
		"\"write_bps\": 8192, \"write_bps_burst\": 16384, \"bps\": 1099511627776,"
		"\"bps_burst\": 1099511627776000, \"min_iops\": 1, \"min_bps\": 1024, \"weight\": 1000,"
		"\"latency_us\": 500, \"read_deadline_us\": 1, \"write_deadline_us\": 60000000,"
		"\"path_timeout_ms\": 0, \"group\": \"g\"}],"
		"\"exports\": [{\"name\": \"e\", \"disk\": \"a\", \"type\": \"vhost-user-blk\","
		"\"socket\": \"/e.sock\", \"mode\": \"0660\", \"read_only\": true, \"queues\": 3,"
		"\"packed\": false, \"write_cache\": false, \"serial\": \"S1\", \"cpus\": \"1,3\"}],"
		"\"vduse\": [{\"name\": \"v\", \"disk\": \"a\", \"read_only\": true, \"queues\": 5,"
		"\"packed\": false, \"write_cache\": false, \"serial\": \"S2\", \"cpus\": \"0-1\"}],"
		"\"attach\": [{\"disk\": \"a\", \"as\": \"ublk\", \"id\": 2, \"queues\": 3, \"depth\": 64,"
		"\"read_only\": true}, {\"disk\": \"a\", \"as\": \"nbd\", \"read_only\": false},"
		"{\"disk\": \"a\", \"as\": \"fuse\", \"read_only\": false, \"path\": \"/a,b\"}]}";
	struct json_object *in = json_tokener_parse(text), *out;
	struct errbuf eb = { "" };
	struct config c;

	assert_int_equal(parse(&c, text, &eb), 0);
	out = config_build(&c);
	assert_true(json_object_equal(in, out));
	json_object_put(out);
	json_object_put(in);
	config_fini(&c);
}

static void relative_paths_are_written_absolute(void **state)
{
	static const char text[] = "{\"disks\": [{\"name\": \"a\", \"uri\": \"file:x.img\"}],"
				   "\"exports\": [{\"disk\": \"a\", \"socket\": \"e.sock\"}]}";
	struct json_object *out;
	struct errbuf eb = { "" };
	struct config c;
	const char *built;

	assert_int_equal(chdir("/tmp"), 0);
	assert_int_equal(parse(&c, text, &eb), 0);
	out = config_build(&c);
	built = json_object_to_json_string_ext(out, JSON_C_TO_STRING_NOSLASHESCAPE);
	assert_non_null(strstr(built, "\"file:/tmp/x.img\""));
	assert_non_null(strstr(built, "\"/tmp/e.sock\""));
	json_object_put(out);
	config_fini(&c);
}

/* The first lines of a file, or "" when it is not there. */
static const char *slurp(const char *path)
{
	static char buf[4096];
	FILE *f = fopen(path, "r");

	buf[f ? fread(buf, 1, sizeof(buf) - 1, f) : 0] = '\0';
	if (f)
		fclose(f);
	return buf;
}

static void saving_replaces_the_file_or_leaves_it(void **state)
{
	char dir[] = "/tmp/nvring-test-XXXXXX", path[64], far[128];
	struct json_object *json = json_tokener_parse("{\"disks\": []}");
	struct errbuf eb = { "" };
	struct stat st;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/c.json", dir);
	assert_int_equal(config_save(path, json, &eb), 0);
	assert_non_null(strstr(slurp(path), "\"disks\":"));
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(config_save(path, json, &eb), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640); /* it stays the owner's decision */
	snprintf(far, sizeof(far), "%s/no/such/folder/c.json", dir);
	assert_int_equal(config_save(far, json, &eb), -ENOENT);
	assert_non_null(strstr(eb.text, "cannot write: No such file or directory"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0); /* no temporary file stayed behind */
	json_object_put(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_files_are_refused_with_their_place),
		cmocka_unit_test(an_oversized_file_is_refused),
		cmocka_unit_test(defaults_stand_where_nothing_is_said),
		cmocka_unit_test(exports_without_a_name_get_one),
		cmocka_unit_test(what_is_built_can_be_parsed_back),
		cmocka_unit_test(relative_paths_are_written_absolute),
		cmocka_unit_test(saving_replaces_the_file_or_leaves_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
