/* SPDX-License-Identifier: BSD-3-Clause */
/* Around each verb. */
#include "tools/nvring/nvv.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int nvv_fail(const struct errbuf *eb)
{
	/* A status of the controller stands alone, as nvme-cli prints it. */
	if (strncmp(eb->text, "NVMe status: ", 13) == 0) {
		fflush(stdout);
		fprintf(stderr, "%s\n", eb->text);
		return CLI_FAILED;
	}
	return cli_error(CLI_FAILED, "%s", eb->text);
}

int nvv_number(const struct nvv *v, const char *name, uint64_t max, uint64_t *ret)
{
	const char *text = cli_opt(v->cli, name);
	unsigned long long n;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || *end || end == text || *text == '-')
		return cli_error(CLI_FAILED, "--%s: '%s' is no number", name, text);
	if (n > max)
		return cli_error(CLI_FAILED, "--%s: %s is more than %llu", name, text,
				 (unsigned long long)max);
	*ret = n;
	return 0;
}

static int output_format(struct nvv *v)
{
	const char *format = cli_opt(v->cli, "output-format");

	v->json = v->cli->json || (format && strcmp(format, "json") == 0);
	v->raw = cli_opt(v->cli, "raw-binary") || (format && strcmp(format, "binary") == 0);
	if (!format || v->json || v->raw || strcmp(format, "normal") == 0)
		return 0;
	return cli_error(CLI_FAILED, "--output-format: normal, json or binary, not '%s'", format);
}

int nvv_open(struct nvv *v, struct cli *cli)
{
	struct errbuf eb;
	uint64_t nsid;

	*v = (struct nvv){ .cli = cli };
	if (output_format(v))
		return CLI_FAILED;
	nsid = 0;
	if (nvv_number(v, "namespace-id", UINT32_MAX, &nsid))
		return CLI_FAILED;
	if (nvt_open(cli, cli->args[0], &v->t, &eb))
		return nvv_fail(&eb);
	v->given = (uint32_t)nsid;
	v->nsid = nsid ? v->given : nvt_nsid(v->t);
	return 0;
}

void nvv_close(struct nvv *v)
{
	nvt_close(v->t);
}

int nvv_need_ns(struct nvv *v)
{
	uint32_t list[NVME_NS_LIST_MAX];
	char text[128] = "none";
	struct errbuf eb;
	unsigned n;
	size_t at = 0;

	if (v->nsid)
		return 0;
	if (nvt_ns_list(v->t, list, &n, &eb))
		return nvv_fail(&eb);
	if (n == 1) {
		v->nsid = list[0];
		return 0;
	}
	for (unsigned i = 0; i < n && at + 16 < sizeof(text); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%u", i ? ", " : "", list[i]);
	return cli_error(CLI_FAILED, "%s: which namespace? --namespace-id N (there are: %s)",
			 nvt_address(v->t), text);
}

/* "yes" typed at the terminal. */
static bool ask(const char *question)
{
	char line[16];

	fflush(stdout);
	fprintf(stderr, "%s\nType 'yes' to go on: ", question);
	return fgets(line, sizeof(line), stdin) && strcmp(line, "yes\n") == 0;
}

int nvv_confirm(struct nvv *v, const char *fmt, ...)
{
	const struct nvmecmd_allow allow = { .write = true,
					     .exported = cli_opt(v->cli, "force-exported") };
	char question[512];
	va_list ap;
	int n = snprintf(question, sizeof(question), "%s: ", nvt_address(v->t));

	va_start(ap, fmt);
	vsnprintf(question + n, sizeof(question) - (size_t)n, fmt, ap);
	va_end(ap);
	if (!cli_opt(v->cli, "force")) {
		if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
			return cli_error(CLI_FAILED, "%s; not done: nobody at a terminal to ask (--force does it without)",
					 question);
		if (!ask(question))
			return cli_error(CLI_FAILED, "nothing was done");
	}
	nvt_allow(v->t, &allow);
	return 0;
}

const char *nvv_name(const struct nvv *v)
{
	const char *slash = strrchr(v->cli->args[0], '/');

	return slash && slash[1] ? slash + 1 : v->cli->args[0];
}

int nvv_identify(struct nvv *v, uint32_t cns, uint32_t nsid, void *ret)
{
	struct errbuf eb;

	return nvt_identify(v->t, cns, nsid, ret, &eb) ? nvv_fail(&eb) : 0;
}

int nvv_log(struct nvv *v, const struct nvt_log *log, void *ret, uint32_t bytes)
{
	struct errbuf eb;

	return nvt_log(v->t, log, ret, bytes, &eb) ? nvv_fail(&eb) : 0;
}

int nvv_ask(struct nvv *v, struct nvme_passthru *cmd)
{
	struct errbuf eb;

	return nvt_ask(v->t, cmd, &eb) ? nvv_fail(&eb) : 0;
}

int nvv_show_raw(const void *data, size_t len)
{
	return fwrite(data, 1, len, stdout) == len ? CLI_OK : CLI_FAILED;
}

int nvv_show_json(struct json_object *obj)
{
	puts(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PRETTY |
							 JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(obj);
	return CLI_OK;
}

int nvv_show_page(const struct nvv *v, const struct nvp_page *page, const char *title,
		  const void *data, size_t len)
{
	if (v->raw)
		return nvv_show_raw(data, len);
	if (v->json)
		return nvv_show_json(nvp_json(page, data, len));
	if (title)
		puts(title);
	nvp_print(stdout, page, data, len);
	return CLI_OK;
}

static int read_fd(int fd, const char *path, size_t max, void **ret_data, size_t *ret_len)
{
	struct stat st;
	char *data;
	size_t at = 0;
	ssize_t n = 1;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > max || !st.st_size)
		return cli_error(CLI_FAILED, "%s: not a file of 1 to %zu bytes", path, max);
	data = malloc((size_t)st.st_size);
	if (!data)
		return cli_error(CLI_FAILED, "out of memory");
	while (at < (size_t)st.st_size && n > 0) {
		n = read(fd, data + at, (size_t)st.st_size - at);
		at += n > 0 ? (size_t)n : 0;
	}
	if (at < (size_t)st.st_size) {
		free(data);
		return cli_error(CLI_FAILED, "%s: %s", path, n ? strerror(errno) : "it became shorter");
	}
	*ret_data = data;
	*ret_len = at;
	return 0;
}

int nvv_read_file(const char *path, size_t max, void **ret_data, size_t *ret_len)
{
	int rc, fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return cli_error(CLI_FAILED, "%s: %s", path, strerror(errno));
	rc = read_fd(fd, path, max, ret_data, ret_len);
	close(fd);
	return rc;
}
