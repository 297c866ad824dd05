/* SPDX-License-Identifier: BSD-3-Clause */
/* Parsing of the command line by the table, and the help that comes from it. */
#include "tools/nvring/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_S_DEFAULT 60
#define TIMEOUT_S_MAX	  86400

static const struct cli_opt global_opts[] = {
	{ "socket", "PATH", "control socket of the daemon", 's' },
	{ "json", NULL, "print JSON for machines", 'j' },
	{ "timeout", "SECONDS", "wait so long for an answer (default 60)" },
	{ "help", NULL, "help on the command", 'h' },
};
#define GLOBAL_OPTS (sizeof(global_opts) / sizeof(global_opts[0]))

#define FOR_EACH_COMMAND(c) \
	for (const struct cli_command *c = cli_command_next(NULL); c; c = cli_command_next(c))

const struct cli_command *cli_command_next(const struct cli_command *cmd)
{
	if (!cmd)
		return cli_commands;
	cmd++;
	return cmd->words ? cmd : cmd->more;
}

int cli_error(int rc, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("nvring: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return rc;
}

const char *cli_opt(const struct cli *cli, const char *name)
{
	for (unsigned i = 0; i < CLI_OPTS_MAX && cli->cmd->opts[i].name; i++) {
		if (strcmp(cli->cmd->opts[i].name, name) == 0)
			return cli->opts[i];
	}
	return NULL;
}

/*
 * Help
 */

static void print_opt(const struct cli_opt *o, const struct cli_command *cmd)
{
	char left[48], letter[8] = "";

	/* a command's own letter goes before one of all commands */
	for (unsigned i = 0; cmd && i < CLI_OPTS_MAX && cmd->opts[i].name; i++) {
		if (&cmd->opts[i] != o && cmd->opts[i].letter == o->letter)
			goto print;
	}
	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
print:
	snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->arg ? " " : "",
		 o->arg ? o->arg : "");
	printf("  %-22s %s\n", left, o->help);
}

static void print_command_help(const struct cli_command *cmd)
{
	printf("Usage: nvring %s%s%s%s\n\n%s\n", cmd->words, cmd->opts[0].name ? " [OPTION...]" : "",
	       cmd->args ? " " : "", cmd->args ? cmd->args : "", cmd->summary);
	if (cmd->details)
		fputs(cmd->details, stdout);
	puts("\nOptions");
	for (unsigned i = 0; i < CLI_OPTS_MAX && cmd->opts[i].name; i++)
		print_opt(&cmd->opts[i], cmd);
	for (unsigned i = 0; i < GLOBAL_OPTS; i++)
		print_opt(&global_opts[i], cmd);
}

static void print_help(void)
{
	puts("Usage: nvring [-s SOCKET] [-j] COMMAND [ARGUMENT...]\n\n"
	     "Controls a running nvringd, inspects it, and measures disks.\n\n"
	     "Commands");
	FOR_EACH_COMMAND(c) {
		char left[48];

		snprintf(left, sizeof(left), "%s%s%s", c->words, c->args ? " " : "",
			 c->args ? c->args : "");
		printf("  %-29s %s\n", left, c->summary);
	}
	puts("\nOptions");
	for (unsigned i = 0; i < GLOBAL_OPTS; i++)
		print_opt(&global_opts[i], NULL);
	puts("\nExit status: 0 done, 1 failed, 2 wrong usage, 3 no daemon on the socket.\n"
	     "More: 'nvring COMMAND --help', nvring(1).");
}

/* One command a line, with its options: for the completion script. */
static void print_words(void)
{
	FOR_EACH_COMMAND(c) {
		fputs(c->words, stdout);
		for (unsigned i = 0; i < CLI_OPTS_MAX && c->opts[i].name; i++)
			printf(" --%s", c->opts[i].name);
		putchar('\n');
	}
}

/*
 * Parsing
 */

/* The command that argv[0] and argv[1] name; *ret_used: how many words that took. */
static const struct cli_command *find_command(int argc, char **argv, int *ret_used)
{
	FOR_EACH_COMMAND(c) {
		const char *verb = strchr(c->words, ' ');
		size_t n = verb ? (size_t)(verb - c->words) : strlen(c->words);

		if (argc < 1 || strlen(argv[0]) != n || strncmp(argv[0], c->words, n) != 0)
			continue;
		if (verb && (argc < 2 || strcmp(argv[1], verb + 1) != 0))
			continue;
		*ret_used = verb ? 2 : 1;
		return c;
	}
	return NULL;
}

/* Commands that begin with @word, for those who do not know the rest. */
static int print_group(FILE *to, const char *word)
{
	size_t n = strlen(word);
	int found = 0;

	FOR_EACH_COMMAND(c) {
		if (strncmp(c->words, word, n) != 0 || c->words[n] != ' ')
			continue;
		if (!found++)
			fputs("Commands:\n", to);
		fprintf(to, "  nvring %s%s%s\n", c->words, c->args ? " " : "",
			c->args ? c->args : "");
	}
	return found;
}

static bool is_group(const char *word)
{
	size_t n = strlen(word);

	FOR_EACH_COMMAND(c) {
		if (strncmp(c->words, word, n) == 0 && c->words[n] == ' ')
			return true;
	}
	return false;
}

static int unknown_command(int argc, char **argv)
{
	bool asks = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);

	if (asks && print_group(stdout, argv[0]))
		return CLI_OK;
	if (argc > 1 && !asks)
		cli_error(0, "no command '%s %s'", argv[0], argv[1]);
	else
		cli_error(0, is_group(argv[0]) ? "'%s' needs one more word" : "no command '%s'", argv[0]);
	if (!print_group(stderr, argv[0]))
		fputs("Try 'nvring help'.\n", stderr);
	return CLI_USAGE;
}

static int set_timeout(struct cli *cli, const char *value)
{
	char *end;
	long v = strtol(value, &end, 10);

	if (end == value || *end || v < 1 || v > TIMEOUT_S_MAX)
		return cli_error(CLI_USAGE, "--timeout: a number of seconds, not '%s'", value);
	cli->timeout_s = (unsigned)v;
	return CLI_OK;
}

/* Is @arg the option @o? *ret_value: what stands behind '=' or behind the letter; NULL: nothing. */
static bool is_opt(const char *arg, const struct cli_opt *o, const char **ret_value)
{
	size_t n = strlen(o->name);

	*ret_value = NULL;
	if (arg[1] != '-') {
		if (!o->letter || arg[1] != o->letter || (arg[2] && !o->arg))
			return false;
		*ret_value = arg[2] ? arg + 2 : NULL;
		return true;
	}
	if (strncmp(arg + 2, o->name, n) != 0 || (arg[2 + n] != '\0' && arg[2 + n] != '='))
		return false;
	if (arg[2 + n] == '=')
		*ret_value = arg + 2 + n + 1;
	return true;
}

struct parse {
	struct cli *cli;
	int argc;
	char **argv;
	int at;
	bool help;
};

static int apply_global(struct parse *p, unsigned i, const char *value)
{
	switch (i) {
	case 0:
		p->cli->socket = value;
		return CLI_OK;
	case 1:
		p->cli->json = true;
		return CLI_OK;
	case 2:
		return set_timeout(p->cli, value);
	default:
		p->help = true;
		return CLI_OK;
	}
}

/* The value of option @o that was found with @value behind '='; moves on when it is the next word. */
static int take_value(struct parse *p, const struct cli_opt *o, const char **value)
{
	if (!o->arg && *value)
		return cli_error(CLI_USAGE, "--%s takes no value", o->name);
	if (!o->arg)
		*value = "";
	else if (!*value && p->at + 1 >= p->argc)
		return cli_error(CLI_USAGE, "--%s needs %s", o->name, o->arg);
	else if (!*value)
		*value = p->argv[++p->at];
	return CLI_OK;
}

static int parse_option(struct parse *p)
{
	const struct cli_command *cmd = p->cli->cmd;
	const char *arg = p->argv[p->at], *value;
	int rc;

	for (unsigned i = 0; cmd && i < CLI_OPTS_MAX && cmd->opts[i].name; i++) {
		if (!is_opt(arg, &cmd->opts[i], &value))
			continue;
		rc = take_value(p, &cmd->opts[i], &value);
		p->cli->opts[i] = value;
		return rc;
	}
	for (unsigned i = 0; i < GLOBAL_OPTS; i++) {
		if (!is_opt(arg, &global_opts[i], &value))
			continue;
		rc = take_value(p, &global_opts[i], &value);
		return rc ? rc : apply_global(p, i, value);
	}
	return cli_error(CLI_USAGE, "unknown option '%s' (try 'nvring %s%s--help')", arg,
			 cmd ? cmd->words : "", cmd ? " " : "");
}

/* How many arguments @cmd needs and takes, counted in its synopsis. */
static void count_args(const struct cli_command *cmd, unsigned *ret_min, unsigned *ret_max)
{
	bool optional = false, in_word = false;

	*ret_min = 0;
	*ret_max = 0;
	for (const char *s = cmd->args ? cmd->args : ""; *s; s++) {
		if (*s == '[')
			optional = true;
		if (*s == ' ' || *s == '[' || *s == ']') {
			in_word = false;
			continue;
		}
		*ret_max += !in_word;
		*ret_min += !in_word && !optional;
		in_word = true;
	}
	if (cmd->args && strstr(cmd->args, "..."))
		*ret_max = CLI_ARGS_MAX;
}

static int parse_command(struct parse *p)
{
	unsigned n = 0, min, max;
	bool only_args = false;
	int rc;

	count_args(p->cli->cmd, &min, &max);
	for (; p->at < p->argc; p->at++) {
		const char *arg = p->argv[p->at];

		if (!only_args && strcmp(arg, "--") == 0) {
			only_args = true;
			if (p->cli->cmd->takes_rest) {
				p->cli->rest = p->argv + p->at + 1;
				break;
			}
		} else if (!only_args && arg[0] == '-' && arg[1]) {
			rc = parse_option(p);
			if (rc)
				return rc;
		} else if (n == max) {
			return cli_error(CLI_USAGE, "too many arguments at '%s' (nvring %s%s%s)", arg,
					 p->cli->cmd->words, max ? " " : "",
					 max ? p->cli->cmd->args : "");
		} else {
			p->cli->args[n++] = arg;
		}
	}
	if (n < min && !p->help)
		return cli_error(CLI_USAGE, "usage: nvring %s %s", p->cli->cmd->words,
				 p->cli->cmd->args);
	return CLI_OK;
}

int cli_help(struct cli *cli)
{
	char *words[2] = { (char *)cli->args[0], (char *)cli->args[1] };
	const struct cli_command *cmd;
	int n = !!words[0] + !!words[1], used;

	if (cli_opt(cli, "words")) {
		print_words();
		return CLI_OK;
	}
	if (!words[0]) {
		print_help();
		return CLI_OK;
	}
	cmd = find_command(n, words, &used);
	if (cmd && cmd->raw) {
		char name[] = "nvring bench", opt[] = "--help";
		char *help[] = { name, opt, NULL };

		return cmd->raw(2, help);
	}
	if (cmd) {
		print_command_help(cmd);
		return CLI_OK;
	}
	if (n == 1 && print_group(stdout, words[0]))
		return CLI_OK;
	return unknown_command(n, words);
}

static int run_raw(struct parse *p, int used)
{
	char name[64];
	char **argv = p->argv + p->at + used - 1;

	snprintf(name, sizeof(name), "nvring %s", p->cli->cmd->words);
	argv[0] = name;
	return p->cli->cmd->raw(p->argc - p->at - used + 1, argv);
}

static int run_command(struct parse *p)
{
	int rc = parse_command(p);

	if (rc)
		return rc;
	if (p->help) {
		print_command_help(p->cli->cmd);
		return CLI_OK;
	}
	rc = p->cli->cmd->fn(p->cli);
	if (fflush(stdout) || ferror(stdout))
		return CLI_FAILED; /* a full disk or a closed pipe: the output did not arrive */
	return rc;
}

int cli_main(int argc, char **argv)
{
	struct cli cli = { .timeout_s = TIMEOUT_S_DEFAULT };
	struct parse p = { .cli = &cli, .argc = argc, .argv = argv, .at = 1 };
	int rc = CLI_OK, used = 0;

	for (; p.at < argc && argv[p.at][0] == '-' && !rc; p.at++) {
		if (strcmp(argv[p.at], "--version") == 0 || strcmp(argv[p.at], "-V") == 0) {
			puts("nvring " NVRING_VERSION);
			return CLI_OK;
		}
		rc = parse_option(&p);
	}
	if (rc)
		return rc;
	if (p.help && p.at == argc) {
		print_help();
		return CLI_OK;
	}
	if (p.at == argc) {
		fputs("nvring: no command given\nTry 'nvring help'.\n", stderr);
		return CLI_USAGE;
	}
	cli.cmd = find_command(argc - p.at, argv + p.at, &used);
	if (!cli.cmd)
		return unknown_command(argc - p.at, argv + p.at);
	if (cli.cmd->raw)
		return run_raw(&p, used);
	p.at += used;
	rc = run_command(&p);
	return rc && cli.cmd->is_nvme ? CLI_FAILED : rc;
}
