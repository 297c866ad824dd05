/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of nvringd: what it means, and what it refuses with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tools/nvringd/options.h"

#define ARGS_MAX 8

static const struct bad_case {
	const char *argv[ARGS_MAX];
	const char *error;
} bad_cases[] = {
	{ { "--disk", "vol0" }, "--disk vol0: must be NAME=URI" },
	{ { "--disk", "=ram:1M" }, "--disk =ram:1M: must be NAME=URI" },
	{ { "--disk", "a=x.img" },
	  "--disk a=x.img: uri: \"x.img\" is no disk URI, did you mean file:x.img?" },
	{ { "--disk", "a=ram:1M", "--disk", "a=ram:1M" },
	  "--disk a=ram:1M: name: there is another disk named \"a\"" },
	{ { "--disk", "a=ram:1M", "--vhost-user-blk", "b=/s" },
	  "--vhost-user-blk b=/s: disk: no disk named \"b\"" },
	{ { "--disk", "a=ram:1M", "--vhost-user-blk", "a" },
	  "--vhost-user-blk a: must be NAME=SOCKET" },
	{ { "--disk", "a=ram:1M", "--vhost-user-blk", "a=,ro" }, "--vhost-user-blk a=,ro:: empty" },
	{ { "--disk", "a=ram:1M", "--vhost-user-blk", "a=/s,rw" },
	  "--vhost-user-blk a=/s,rw: rw: unknown option (known: ro, queues=N, serial=TEXT, "
	  "name=TEXT, mode=0660, no-packed, write-through, cpus=LIST)" },
	{ { "--disk", "a=ram:1M", "--vhost-user-blk", "a=/s,cpus=0-" },
	  "--vhost-user-blk a=/s,cpus=0-: cpus: \"0-\" is no list of CPUs such as 0-3,8" },
	{ { "--disk", "a=ram:1M", "--vhost-user-blk", "a=/s,cpus=" },
	  "--vhost-user-blk a=/s,cpus=: cpus=: empty" },
	{ { "--disk", "a=ram:1M", "--vhost-user-blk", "a=/s,queues=x" },
	  "--vhost-user-blk a=/s,queues=x: queues=x: must be a number from 1 to 256, not \"x\"" },
	{ { "--disk", "a=ram:1M", "--vhost-user-blk", "a=/s,mode=rw" },
	  "--vhost-user-blk a=/s,mode=rw: mode=rw: must be octal digits such as 0660" },
	{ { "--disk", "a=ram:1M", "--vduse", "b" }, "--vduse b: disk: no disk named \"b\"" },
	{ { "--disk", "a=ram:1M", "--vduse", "" }, "--vduse :: empty" },
	{ { "--disk", "a=ram:1M", "--vduse", "a=" }, "--vduse a=:: empty" },
	{ { "--disk", "a=ram:1M", "--vduse", "a=control" },
	  "--vduse a=control: name: /dev/vduse/control is the kernel's own, name it otherwise" },
	{ { "--disk", "a=ram:1M", "--vduse", "a=x/y" },
	  "--vduse a=x/y: name: a name consists of letters, digits and . _ - + :" },
	{ { "--disk", "a=ram:1M", "--vduse", "a", "--vduse", "a,ro" },
	  "--vduse a,ro: name: there is another VDUSE device named \"a\"" },
	{ { "--disk", "a=ram:1M", "--vduse", "a,mode=0600" },
	  "--vduse a,mode=0600: mode=0600: unknown option (known: ro, queues=N, serial=TEXT, no-packed, "
	  "write-through, cpus=LIST)" },
	{ { "--disk", "a=ram:1M", "--vduse", "a,queues=0" },
	  "--vduse a,queues=0: queues=0: must be a number from 1 to 256, not \"0\"" },
	{ { "--disk", "a=ram:1M", "--ublk", "b" }, "--ublk b: disk: no disk named \"b\"" },
	{ { "--disk", "a=ram:1M", "--ublk", "a=x" },
	  "--ublk a=x: number: must be a number from 0 to 1048575, not \"x\"" },
	{ { "--disk", "a=ram:1M", "--ublk", "a=1", "--ublk", "a=1,ro" },
	  "--ublk a=1,ro: id: another disk has this number" },
	{ { "--disk", "a=ram:1M", "--ublk", "a,serial=x" },
	  "--ublk a,serial=x: serial=x: unknown option (known: ro, queues=N, depth=N, path=PATH)" },
	{ { "--disk", "a=ram:1M", "--ublk", "a,depth=1025" },
	  "--ublk a,depth=1025: depth=1025: must be a number from 1 to 1024, not \"1025\"" },
	{ { "--disk", "a=ram:1M", "--nbd", "a,depth=64" },
	  "--nbd a,depth=64: depth: the kernel's NBD client has its own, 128" },
	{ { "--disk", "a=ram:1M", "--fuse", "a,queues=2" }, "--fuse a,queues=2: queues: a file has one" },
	{ { "--disk", "a=ram:1M", "--fuse", "a,path=x" }, "--fuse a,path=x: path: must be absolute, not \"x\"" },
	{ { "--disk", "a=ram:1M", "--idle-max", "9s" },
	  "--idle-max: must be a number from 1 to 1000000, not \"9s\"" },
	{ { "--disk", "a=ram:1M", "--idle-max", "5" },
	  "the shortest idle window, 10 us, is more than the longest, 5 us" },
	{ { "--disk", "a=ram:1M", "--mode", "fast" },
	  "--mode: adaptive, poll or interrupt, not fast" },
	{ { "--disk", "a=ram:1M", "--rebalance", "yes" }, "--rebalance: on or off, not yes" },
	{ { "--disk", "a=ram:1M", "--cpus", "0-" },
	  "--cpus: \"0-\" is no list of CPUs such as 0-3,8" },
	{ { "--disk", "a=ram:1M", "--lock-wait", "soon" },
	  "--lock-wait: must be a number from 0 to 600000, not \"soon\"" },
	{ { "--disk", "a=ram:1M", "--log-level", "loud" },
	  "--log-level: error, warn, notice, info or debug, not loud" },
	{ { "--blk-file=x" }, "--blk-file needs either --socket-path=SOCKET or --fd=N" },
	{ { "--blk-file=x", "--socket-path=/s", "--fd=3" },
	  "--blk-file needs either --socket-path=SOCKET or --fd=N" },
	{ { "--socket-path=/s" }, "--socket-path and --fd need --blk-file=PATH" },
	{ { "--blk-file=x", "--fd=789" }, "--fd=789: not open" },
	{ { "--blk-file=x", "--fd=-1" }, "--fd: must be a number from 0 to 1048576, not \"-1\"" },
	{ { "--disk", "a=ram:1M", "--read-only" }, "--read-only belongs to --blk-file" },
	{ { "--config", "/no/such/file.json" },
	  "/no/such/file.json: cannot read: No such file or directory" },
};

static enum options_verdict parse(const char *const args[ARGS_MAX], struct config *c,
				  struct errbuf *eb)
{
	char *argv[ARGS_MAX + 2] = { (char *)"nvringd" };
	int argc = 1;

	while (argc <= ARGS_MAX && args[argc - 1]) {
		argv[argc] = (char *)args[argc - 1];
		argc++;
	}
	config_init(c);
	return options_parse(argc, argv, c, eb);
}

static void impossible_options_are_refused_with_their_name(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_cases); i++) {
		struct errbuf eb = { "" };
		struct config c;

		assert_int_equal(parse(bad_cases[i].argv, &c, &eb), OPTIONS_BAD_CONFIG);
		assert_string_equal(eb.text, bad_cases[i].error);
		config_fini(&c);
	}
}

static void no_command_line_is_a_usage_error(void **state)
{
	static const char *const lines[][ARGS_MAX] = {
		{ NULL }, { "--dsk", "a=ram:1M" }, { "--disk" }, { "stray" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct errbuf eb = { "" };
		struct config c;

		assert_int_equal(parse(lines[i], &c, &eb), OPTIONS_USAGE);
		config_fini(&c);
	}
}

static void an_export_takes_all_its_options(void **state)
{
	static const char *const args[ARGS_MAX] = {
		"--disk", "a=ram:1M", "--vhost-user-blk",
		"a=/tmp/x,,y.sock,ro,queues=7,serial=A,,B,name=e1,mode=0666,no-packed,write-through,cpus=0,,2-3",
	};
	struct errbuf eb = { "" };
	struct config c;

	assert_int_equal(parse(args, &c, &eb), OPTIONS_RUN);
	assert_int_equal(c.nexports, 1);
	assert_string_equal(c.exports[0].socket, "/tmp/x,y.sock");
	assert_string_equal(c.exports[0].serial, "A,B");
	assert_string_equal(c.exports[0].name, "e1");
	assert_true(c.exports[0].read_only);
	assert_false(c.exports[0].packed);
	assert_false(c.exports[0].write_cache);
	assert_int_equal(c.exports[0].queues, 7);
	assert_int_equal(c.exports[0].mode, 0666);
	assert_string_equal(c.exports[0].cpus, "0,2-3");
	config_fini(&c);
}

static void attached_disks_take_all_their_options(void **state)
{
	static const char *const args[ARGS_MAX] = {
		"--disk", "a=ram:1M", "--ublk", "a=7,ro,queues=3,depth=64", "--nbd", "a",
	};
	struct errbuf eb = { "" };
	struct config c;

	assert_int_equal(parse(args, &c, &eb), OPTIONS_RUN);
	assert_int_equal(c.nattachs, 2);
	assert_string_equal(c.attachs[0].as, "ublk");
	assert_string_equal(c.attachs[0].disk, "a");
	assert_int_equal(c.attachs[0].id, 7);
	assert_int_equal(c.attachs[0].queues, 3);
	assert_int_equal(c.attachs[0].depth, 64);
	assert_true(c.attachs[0].read_only);
	assert_string_equal(c.attachs[1].as, "nbd");
	assert_int_equal(c.attachs[1].id, CONFIG_ATTACH_ANY);
	assert_int_equal(c.attachs[1].queues, 0);
	assert_false(c.attachs[1].read_only);
	config_fini(&c);
	(void)state;
}

static void a_vduse_device_takes_all_its_options(void **state)
{
	static const char *const args[ARGS_MAX] = {
		"--disk", "a=ram:1M", "--vduse", "a", "--vduse",
		"a=v1,ro,queues=7,serial=A,,B,no-packed,write-through,cpus=0,,2-3",
	};
	struct errbuf eb = { "" };
	struct config c;

	assert_int_equal(parse(args, &c, &eb), OPTIONS_RUN);
	assert_int_equal(c.nvduses, 2);
	assert_string_equal(c.vduses[0].name, "a");
	assert_string_equal(c.vduses[0].disk, "a");
	assert_int_equal(c.vduses[0].queues, CONFIG_VDUSE_QUEUES_DEFAULT);
	assert_true(c.vduses[0].packed);
	assert_true(c.vduses[0].write_cache);
	assert_false(c.vduses[0].read_only);
	assert_string_equal(c.vduses[1].name, "v1");
	assert_string_equal(c.vduses[1].serial, "A,B");
	assert_string_equal(c.vduses[1].cpus, "0,2-3");
	assert_true(c.vduses[1].read_only);
	assert_false(c.vduses[1].packed);
	assert_false(c.vduses[1].write_cache);
	assert_int_equal(c.vduses[1].queues, 7);
	config_fini(&c);
}

static void the_back_end_form_makes_one_disk_and_no_control_socket(void **state)
{
	static const char *const args[ARGS_MAX] = { "--blk-file=/a?b%", "--read-only",
						    "--socket-path=/s" };
	struct errbuf eb = { "" };
	struct config c;

	assert_int_equal(parse(args, &c, &eb), OPTIONS_RUN);
	assert_int_equal(c.ndisks, 1);
	assert_string_equal(c.disks[0].uri, "file:/a%3Fb%25");
	assert_true(c.disks[0].read_only);
	assert_string_equal(c.exports[0].socket, "/s");
	assert_true(c.exports[0].read_only);
	assert_false(c.rpc_on);
	config_fini(&c);
}

static void the_back_end_form_takes_uris_and_a_control_socket(void **state)
{
	static const char *const args[ARGS_MAX] = { "--blk-file=null:1G", "--fd=0", "--rpc", "/r" };
	struct errbuf eb = { "" };
	struct config c;

	assert_int_equal(parse(args, &c, &eb), OPTIONS_RUN);
	assert_string_equal(c.disks[0].uri, "null:1G");
	assert_int_equal(c.exports[0].fd, 0);
	assert_string_equal(c.exports[0].socket, "");
	assert_true(c.rpc_on);
	config_fini(&c);
}

static void order_of_disks_and_exports_does_not_matter(void **state)
{
	static const char *const args[ARGS_MAX] = { "--vhost-user-blk", "a=/s", "--disk-ro",
						    "a=ram:1M", "--no-rpc" };
	struct errbuf eb = { "" };
	struct config c;

	assert_int_equal(parse(args, &c, &eb), OPTIONS_RUN);
	assert_true(c.disks[0].read_only);
	assert_false(c.rpc_on);
	config_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(impossible_options_are_refused_with_their_name),
		cmocka_unit_test(no_command_line_is_a_usage_error),
		cmocka_unit_test(attached_disks_take_all_their_options),
		cmocka_unit_test(a_vduse_device_takes_all_its_options),
		cmocka_unit_test(an_export_takes_all_its_options),
		cmocka_unit_test(the_back_end_form_makes_one_disk_and_no_control_socket),
		cmocka_unit_test(the_back_end_form_takes_uris_and_a_control_socket),
		cmocka_unit_test(order_of_disks_and_exports_does_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
