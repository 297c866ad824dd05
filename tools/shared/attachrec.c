/* SPDX-License-Identifier: BSD-3-Clause */
/* One "key value" a line. */
#include "tools/shared/attachrec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "tools/shared/rundir.h"

#define TEXT_MAX (ATTACHREC_URI_MAX + 4 * ATTACHREC_PATH_MAX)
#define SUFFIX	 ".at"

int attachrec_folder(char *buf, size_t len)
{
	char path[ATTACHREC_PATH_MAX], *slash;
	int err = rundir_rpc_path(path, sizeof(path));

	if (err)
		return err;
	slash = strrchr(path, '/');
	*slash = '\0';
	if ((size_t)snprintf(buf, len, "%s/attach", path) >= len)
		return -ENAMETOOLONG;
	return 0;
}

/* "/dev/ublkb0" is called ublkb0.at; of a path all slashes become %. */
static int file_of(const struct attachrec *r, char *buf, size_t len)
{
	char dir[ATTACHREC_PATH_MAX], name[ATTACHREC_PATH_MAX];
	const char *node = strncmp(r->node, "/dev/", 5) == 0 ? r->node + 5 : r->node;
	int err = attachrec_folder(dir, sizeof(dir));

	if (err)
		return err;
	snprintf(name, sizeof(name), "%s", node);
	for (char *s = name; *s; s++)
		*s = *s == '/' ? '%' : *s;
	return (size_t)snprintf(buf, len, "%s/%s" SUFFIX, dir, name) >= len ? -ENAMETOOLONG : 0;
}

int attachrec_make_folder(void)
{
	char dir[ATTACHREC_PATH_MAX], *slash;
	int err = attachrec_folder(dir, sizeof(dir));

	if (err)
		return err;
	slash = strrchr(dir, '/');
	*slash = '\0';
	(void)mkdir(dir, 0755);
	*slash = '/';
	return mkdir(dir, 0700) && errno != EEXIST ? -errno : 0;
}

static int write_file(const char *path, const char *text)
{
	char tmp[2 * ATTACHREC_PATH_MAX + 16];
	size_t len = strlen(text);
	int fd, err = 0;

	snprintf(tmp, sizeof(tmp), "%s.%d", path, getpid());
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len)
		err = -EIO;
	(void)close(fd);
	if (!err && rename(tmp, path))
		err = -errno;
	if (err)
		(void)unlink(tmp);
	return err;
}

int attachrec_write(const struct attachrec *r, struct errbuf *eb)
{
	char path[2 * ATTACHREC_PATH_MAX], text[TEXT_MAX];
	int err = attachrec_make_folder();

	snprintf(text, sizeof(text),
		 "node %s\ntype %s\ndisk %s\nuri %s\nrpc %s\nid %u\nseq %" PRIu64 "\npid %d\nstart %" PRIu64 "\n",
		 r->node, r->type, r->disk, r->uri, r->rpc, r->id, r->seq, r->pid, r->start);
	if (!err)
		err = file_of(r, path, sizeof(path));
	if (!err)
		err = write_file(path, text);
	if (err)
		return errbuf_set(eb, err, "no record of %s can be kept: %s", r->node, strerror(-err));
	return 0;
}

void attachrec_remove(const struct attachrec *r)
{
	char path[2 * ATTACHREC_PATH_MAX];

	if (!file_of(r, path, sizeof(path)))
		(void)unlink(path);
}

static bool take(const char *line, size_t len, const char *key, char *buf, size_t max)
{
	size_t n = strlen(key);

	if (len < n + 1 || strncmp(line, key, n) != 0 || line[n] != ' ' || len - n - 1 >= max)
		return false;
	memcpy(buf, line + n + 1, len - n - 1);
	buf[len - n - 1] = '\0';
	return true;
}

int attachrec_parse(const char *text, struct attachrec *ret)
{
	struct attachrec r = { .pid = 0 };
	char id[16] = "", seq[24] = "", pid[16] = "", start[24] = "";
	struct {
		const char *key;
		char *buf;
		size_t max;
	} const fields[] = {
		{ "node", r.node, sizeof(r.node) }, { "type", r.type, sizeof(r.type) },
		{ "disk", r.disk, sizeof(r.disk) }, { "uri", r.uri, sizeof(r.uri) },
		{ "rpc", r.rpc, sizeof(r.rpc) },    { "id", id, sizeof(id) },
		{ "seq", seq, sizeof(seq) },	    { "pid", pid, sizeof(pid) },
	};
	unsigned n = 0;

	while (*text) {
		size_t len = strcspn(text, "\n");

		for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
			n += take(text, len, fields[i].key, fields[i].buf, fields[i].max);
		(void)take(text, len, "start", start, sizeof(start)); /* older ones have none */
		text += len + (text[len] != '\0');
	}
	if (n != ARRAY_SIZE(fields) || !r.node[0] || !r.type[0])
		return -EINVAL;
	r.id = (unsigned)strtoul(id, NULL, 10);
	r.seq = strtoull(seq, NULL, 10);
	r.pid = (pid_t)strtol(pid, NULL, 10);
	r.start = strtoull(start, NULL, 10);
	if (r.pid <= 0)
		return -EINVAL;
	*ret = r;
	return 0;
}

static int read_record(int dir, const char *name, struct attachrec *ret)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char text[TEXT_MAX + 1];
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, TEXT_MAX);
	(void)close(fd);
	if (n <= 0)
		return -EIO;
	text[n] = '\0';
	return attachrec_parse(text, ret);
}

int attachrec_for_each(attachrec_fn fn, void *arg)
{
	char path[ATTACHREC_PATH_MAX];
	struct attachrec r;
	struct dirent *de;
	DIR *dir;
	int rc = 0;

	if (attachrec_folder(path, sizeof(path)))
		return 0;
	dir = opendir(path);
	while (dir && !rc && (de = readdir(dir))) {
		size_t n = strlen(de->d_name);

		if (n > strlen(SUFFIX) && strcmp(de->d_name + n - strlen(SUFFIX), SUFFIX) == 0 &&
		    !read_record(dirfd(dir), de->d_name, &r))
			rc = fn(arg, &r);
	}
	if (dir)
		closedir(dir);
	return rc;
}

struct wanted {
	const char *node, *type, *uri;
	struct attachrec *ret;
};

static int is_node(void *arg, const struct attachrec *r)
{
	const struct wanted *w = arg;

	if (strcmp(r->node, w->node) != 0)
		return 0;
	*w->ret = *r;
	return 1;
}

int attachrec_find_node(const char *node, struct attachrec *ret)
{
	struct wanted w = { .node = node, .ret = ret };

	return attachrec_for_each(is_node, &w) ? 0 : -ENOENT;
}

/* Field 22 of its stat; the second one, its name in parentheses, may contain anything. */
uint64_t attachrec_start_of(pid_t pid)
{
	char path[32], text[1024];
	const char *s = NULL;
	uint64_t start = 0;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	s = strrchr(text, ')');
	for (int field = 2; s && field < 22; field++)
		s = strchr(s + 1, ' ');
	if (!s || sscanf(s, " %" SCNu64, &start) != 1)
		return 0;
	return start;
}

/* A process that is about to end has no program any more. */
bool attachrec_is_served(const struct attachrec *r)
{
	char path[32], exe[ATTACHREC_PATH_MAX];
	ssize_t n;

	if (r->start && r->start != attachrec_start_of(r->pid))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/exe", r->pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	exe[CC_MAX(n, (ssize_t)0)] = '\0';
	return strstr(exe, "/nvringd") != NULL; /* also with " (deleted)" behind it */
}

/* First the process, then whether it is the one: the number may have gone to another before, and no more afterwards. */
int attachrec_open_server(const struct attachrec *r)
{
	int fd = pidfd_open(r->pid, 0);

	if (fd < 0)
		return -errno;
	if (attachrec_is_served(r))
		return fd;
	close(fd);
	return -ESRCH;
}

static int is_left(void *arg, const struct attachrec *r)
{
	const struct wanted *w = arg;

	if (strcmp(r->type, w->type) != 0 || strcmp(r->uri, w->uri) != 0 || attachrec_is_served(r) ||
	    r->seq != attachrec_seq(r->node))
		return 0;
	*w->ret = *r;
	return 1;
}

int attachrec_find_left(const char *type, const char *uri, struct attachrec *ret)
{
	struct wanted w = { .type = type, .uri = uri, .ret = ret };

	return attachrec_for_each(is_left, &w) ? 0 : -ENOENT;
}

uint64_t attachrec_seq(const char *node)
{
	const char *name = strrchr(node, '/');
	char path[ATTACHREC_PATH_MAX + 32];
	uint64_t seq = 0;
	FILE *f;

	if (strncmp(node, "/dev/", 5) != 0)
		return 0; /* a file */
	snprintf(path, sizeof(path), "/sys/block/%s/diskseq", name ? name + 1 : node);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%" SCNu64, &seq) != 1)
		seq = 0;
	fclose(f);
	return seq;
}
