/* SPDX-License-Identifier: BSD-3-Clause */
/* Container Device Interface: what a device is made of, and its file. */
#include "tools/nvring/cdi.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/shared/jget.h"
#include "tools/shared/jsonfile.h"

#define FILE_BYTES_MAX (1024 * 1024)

int cdi_name_check(const char *name, struct errbuf *eb)
{
	size_t n = strlen(name);

	if (n == 0 || n >= CDI_NAME_MAX)
		return errbuf_set(eb, -EINVAL, "a device's name has 1 to %d characters", CDI_NAME_MAX - 1);
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)name[i]) && !strchr("._-:", name[i]))
			return errbuf_set(eb, -EINVAL,
					  "%s: a device's name consists of letters, digits and . _ - :", name);
	}
	if (!isalnum((unsigned char)name[0]) || !isalnum((unsigned char)name[n - 1]))
		return errbuf_set(eb, -EINVAL, "%s: a device's name begins and ends with a letter or a digit", name);
	return 0;
}

/*
 * Devices
 */

/* Does the folder of @path hold @path alone? */
static bool is_alone(const char *path)
{
	char copy[PATH_MAX];
	const char *base = strrchr(path, '/') + 1;
	struct dirent *e;
	bool alone = true;
	DIR *dir;

	snprintf(copy, sizeof(copy), "%s", path);
	dir = opendir(dirname(copy));
	if (!dir)
		return false;
	while ((e = readdir(dir))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && strcmp(e->d_name, base) != 0)
			alone = false;
	}
	closedir(dir);
	return alone;
}

/* @path absolute, links resolved, into @real; of type @type. */
static int resolve(const char *path, mode_t type, const char *what, char real[PATH_MAX], struct errbuf *eb)
{
	struct stat st;

	if (!realpath(path, real) || stat(real, &st))
		return errbuf_set(eb, -errno, "%s: %s", path, strerror(errno));
	if ((st.st_mode & S_IFMT) != type)
		return errbuf_set(eb, -EINVAL, "%s is no %s", path, what);
	return 0;
}

static int too_long(const char *path, struct errbuf *eb)
{
	return errbuf_set(eb, -ENAMETOOLONG, "%.200s: the path is too long", path);
}

int cdi_socket(const char *name, const char *path, struct cdi_device *ret, struct errbuf *eb)
{
	char real[PATH_MAX];
	int n, err = resolve(path, S_IFSOCK, "socket", real, eb);

	if (err)
		return err;
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	if (is_alone(real)) {
		ret->what = CDI_FOLDER;
		n = snprintf(ret->told, PATH_MAX, "/run/nvring/%s/%s", name, strrchr(real, '/') + 1);
		*strrchr(real, '/') = '\0';
	} else {
		ret->what = CDI_SOCKET;
		n = snprintf(ret->told, PATH_MAX, "/run/nvring/%s.sock", name);
	}
	snprintf(ret->container, sizeof(ret->container), "/run/nvring/%s%s", name,
		 ret->what == CDI_SOCKET ? ".sock" : "");
	memcpy(ret->host, real, PATH_MAX);
	return n < PATH_MAX ? 0 : too_long(path, eb);
}

int cdi_node(const char *name, const char *path, struct cdi_device *ret, struct errbuf *eb)
{
	int err = resolve(path, S_IFBLK, "block device", ret->host, eb);

	if (err)
		return err;
	ret->what = CDI_NODE;
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	snprintf(ret->container, sizeof(ret->container), "/dev/nvring/%s", name);
	memcpy(ret->told, ret->container, PATH_MAX);
	return 0;
}

/*
 * The file
 */

static struct json_object *array_of(struct json_object *one)
{
	struct json_object *arr = json_object_new_array();

	json_object_array_add(arr, one);
	return arr;
}

/* NVRING_VOLUME_VOL0=/run/nvring/vol0/vhost.sock */
static struct json_object *build_env(const struct cdi_device *d)
{
	char text[CDI_NAME_MAX + PATH_MAX + 32], name[CDI_NAME_MAX];

	snprintf(name, sizeof(name), "%s", d->name);
	for (char *s = name; *s; s++)
		*s = isalnum((unsigned char)*s) ? (char)toupper((unsigned char)*s) : '_';
	snprintf(text, sizeof(text), "NVRING_VOLUME_%s=%s", name, d->told);
	return array_of(json_object_new_string(text));
}

static struct json_object *build_node(const struct cdi_device *d)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "path", json_object_new_string(d->container));
	json_object_object_add(obj, "hostPath", json_object_new_string(d->host));
	json_object_object_add(obj, "permissions", json_object_new_string("rw"));
	return obj;
}

static struct json_object *build_mount(const struct cdi_device *d)
{
	static const char *const options[] = { "bind", "rw", "nosuid", "nodev", "noexec" };
	struct json_object *obj = json_object_new_object(), *arr = json_object_new_array();

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		json_object_array_add(arr, json_object_new_string(options[i]));
	json_object_object_add(obj, "hostPath", json_object_new_string(d->host));
	json_object_object_add(obj, "containerPath", json_object_new_string(d->container));
	json_object_object_add(obj, "options", arr);
	return obj;
}

struct json_object *cdi_build(const struct cdi_device *d)
{
	struct json_object *top = json_object_new_object(), *dev = json_object_new_object();
	struct json_object *edits = json_object_new_object();

	json_object_object_add(edits, "env", build_env(d));
	if (d->what == CDI_NODE)
		json_object_object_add(edits, "deviceNodes", array_of(build_node(d)));
	else
		json_object_object_add(edits, "mounts", array_of(build_mount(d)));
	json_object_object_add(dev, "name", json_object_new_string(d->name));
	json_object_object_add(dev, "containerEdits", edits);
	json_object_object_add(top, "cdiVersion", json_object_new_string(CDI_VERSION));
	json_object_object_add(top, "kind", json_object_new_string(CDI_KIND));
	json_object_object_add(top, "devices", array_of(dev));
	return top;
}

static int file_path(const char *dir, const char *name, char path[PATH_MAX], struct errbuf *eb)
{
	int n = snprintf(path, PATH_MAX, "%s/nvring.io-volume-%s.json", dir, name);

	return n < PATH_MAX ? 0 : too_long(dir, eb);
}

/* May the file go? 0: ours; -ENOENT: there is none; -EEXIST with eb: somebody else's. */
static int check_file(const char *path, struct errbuf *eb)
{
	struct json_object *obj;
	struct stat st;
	bool is_ours;

	if (lstat(path, &st))
		return errno == ENOENT ? -ENOENT : errbuf_set(eb, -errno, "%s: %s", path, strerror(errno));
	obj = S_ISREG(st.st_mode) && st.st_size <= FILE_BYTES_MAX ? json_object_from_file(path) : NULL;
	is_ours = strcmp(jget_text(obj, "kind"), CDI_KIND) == 0;
	json_object_put(obj);
	return is_ours ? 0 : errbuf_set(eb, -EEXIST, "%s: is not of kind " CDI_KIND ", left as it is", path);
}

int cdi_write(const char *dir, const struct cdi_device *d, char ret_path[PATH_MAX], struct errbuf *eb)
{
	struct json_object *obj;
	int err = file_path(dir, d->name, ret_path, eb);

	if (err)
		return err;
	if (mkdir(dir, 0755) && errno != EEXIST)
		return errbuf_set(eb, -errno, "%s: cannot be made: %s", dir, strerror(errno));
	err = check_file(ret_path, eb);
	if (err && err != -ENOENT)
		return err;
	obj = cdi_build(d);
	err = jsonfile_save(ret_path, obj, 0644, eb);
	json_object_put(obj);
	return err;
}

int cdi_remove(const char *dir, const char *name, struct errbuf *eb)
{
	char path[PATH_MAX];
	int err = file_path(dir, name, path, eb);

	if (err)
		return err;
	err = check_file(path, eb);
	if (err == -ENOENT)
		return errbuf_set(eb, -ENOENT, "%s: no such file: the device is not known", path);
	return err ? err : jsonfile_remove(path, eb);
}
