/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of nvring: one table of commands, from which parsing, help and completion come. */
#ifndef TOOLS_NVRING_CLI_H
#define TOOLS_NVRING_CLI_H

#include <stdbool.h>

#define CLI_ARGS_MAX 64 /* positional arguments of a command */
#define CLI_OPTS_MAX 22 /* options of a command */

/* What scripts can rely on. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,	     /* it was tried and did not work */
	CLI_USAGE = 2,	     /* the command line is wrong; nothing was tried */
	CLI_UNREACHABLE = 3, /* no daemon on the socket */
};

struct cli_opt {
	const char *name; /* without -- */
	const char *arg;  /* word for its value; NULL: a flag */
	const char *help;
	char letter;	   /* the short form; 0: none. Goes before the short forms of all commands */
};

struct cli;

struct cli_command {
	const char *words;   /* "disk create" */
	const char *args;    /* "NAME URI"; optional ones in brackets, ... at the end: any number;
				NULL: none */
	const char *summary; /* one line */
	const char *details; /* further lines of help; NULL: none */
	struct cli_opt opts[CLI_OPTS_MAX]; /* name NULL ends */
	int (*fn)(struct cli *cli); /* returns enum cli_exit */
	int (*raw)(int argc, char **argv); /* parses its own arguments; fn is NULL */
	bool takes_rest; /* what stands behind "--" is a command line of somebody else's */
	const struct cli_command *more; /* of the last entry, the one without words: the table that follows */
	bool is_nvme;	 /* exit status as nvme-cli has it: 0, or 1 for whatever went wrong */
};

/* One invocation. */
struct cli {
	const struct cli_command *cmd;
	const char *socket; /* --socket; NULL: the default place */
	bool json;
	unsigned timeout_s;
	const char *args[CLI_ARGS_MAX]; /* NULL: not given */
	const char *opts[CLI_OPTS_MAX]; /* parallel to cmd->opts; flags: "" */
	char **rest;			/* behind "--", ends with NULL; NULL: nothing */
};

/* The tables of commands; each ends with words NULL. */
extern const struct cli_command cli_commands[], cli_volume_commands[], cli_nvme_commands[];

/* All commands, in the order of the help: the first one for NULL; NULL behind the last. */
const struct cli_command *cli_command_next(const struct cli_command *cmd);

/* Does it, and returns the exit status. */
int cli_main(int argc, char **argv);

/* Value of option @name of the command; "" for a flag; NULL: not given. */
const char *cli_opt(const struct cli *cli, const char *name);

/* "nvring: …" on standard error; returns @rc. */
int cli_error(int rc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The commands' functions, by file. */
int cli_status(struct cli *cli);
int cli_version(struct cli *cli);
int cli_rpc(struct cli *cli);
int cli_log(struct cli *cli);
int cli_config_show(struct cli *cli);
int cli_config_save(struct cli *cli);
int cli_disk_list(struct cli *cli);
int cli_disk_create(struct cli *cli);
int cli_disk_resize(struct cli *cli);
int cli_disk_delete(struct cli *cli);
int cli_disk_stats(struct cli *cli);
int cli_disk_faults(struct cli *cli);
int cli_disk_limit(struct cli *cli);
int cli_disk_freeze(struct cli *cli);
int cli_disk_thaw(struct cli *cli);
int cli_group_list(struct cli *cli);
int cli_group_add(struct cli *cli);
int cli_group_set(struct cli *cli);
int cli_group_delete(struct cli *cli);
int cli_export_list(struct cli *cli);
int cli_export_create(struct cli *cli);
int cli_export_delete(struct cli *cli);
int cli_export_show(struct cli *cli);
int cli_vhost_move(struct cli *cli);
int cli_vduse_attach(struct cli *cli);
int cli_vduse_detach(struct cli *cli);
int cli_vduse_list(struct cli *cli);
int cli_attach(struct cli *cli);
int cli_detach(struct cli *cli);
int cli_cdi_write(struct cli *cli);
int cli_cdi_remove(struct cli *cli);
int cli_kata_write(struct cli *cli);
int cli_kata_remove(struct cli *cli);
int cli_pool_list(struct cli *cli);
int cli_pool_init(struct cli *cli);
int cli_volume_list(struct cli *cli);
int cli_volume_create(struct cli *cli);
int cli_volume_resize(struct cli *cli);
int cli_volume_remove(struct cli *cli);
int cli_volume_export(struct cli *cli);
int cli_volume_unexport(struct cli *cli);
int cli_reactor_list(struct cli *cli);
int cli_reactor_idle(struct cli *cli);
int cli_reactor_mode(struct cli *cli);
int cli_reactor_rebalance(struct cli *cli);
int cli_setup_status(struct cli *cli);
int cli_setup_bind(struct cli *cli);
int cli_setup_unbind(struct cli *cli);
int cli_doctor(struct cli *cli);
int cli_help(struct cli *cli);
int cli_exec(struct cli *cli);
int cli_top(struct cli *cli);
int cli_where(struct cli *cli);
int cli_nvme_admin_passthru(struct cli *cli);
int cli_nvme_attach_ns(struct cli *cli);
int cli_nvme_create_ns(struct cli *cli);
int cli_nvme_delete_ns(struct cli *cli);
int cli_nvme_detach_ns(struct cli *cli);
int cli_nvme_effects_log(struct cli *cli);
int cli_nvme_endurance_log(struct cli *cli);
int cli_nvme_error_log(struct cli *cli);
int cli_nvme_format(struct cli *cli);
int cli_nvme_fw_commit(struct cli *cli);
int cli_nvme_fw_download(struct cli *cli);
int cli_nvme_fw_log(struct cli *cli);
int cli_nvme_get_feature(struct cli *cli);
int cli_nvme_get_log(struct cli *cli);
int cli_nvme_id_ctrl(struct cli *cli);
int cli_nvme_id_ns(struct cli *cli);
int cli_nvme_list(struct cli *cli);
int cli_nvme_list_ns(struct cli *cli);
int cli_nvme_ns_descs(struct cli *cli);
int cli_nvme_ns_rescan(struct cli *cli);
int cli_nvme_reset(struct cli *cli);
int cli_nvme_sanitize(struct cli *cli);
int cli_nvme_sanitize_log(struct cli *cli);
int cli_nvme_self_test(struct cli *cli);
int cli_nvme_self_test_log(struct cli *cli);
int cli_nvme_set_feature(struct cli *cli);
int cli_nvme_show_regs(struct cli *cli);
int cli_nvme_smart_log(struct cli *cli);
int cli_nvme_subsystem_reset(struct cli *cli);
int cli_nvme_telemetry_log(struct cli *cli);

#endif
