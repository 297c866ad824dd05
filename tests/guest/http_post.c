/* SPDX-License-Identifier: BSD-3-Clause */
/* One HTTP request over a UNIX socket, for guests: http_post SOCKET PATH BODY prints the answer; status 0 if that was 200. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX 65536
#define TIMEOUT_S  100

static int dial(const char *path)
{
	const struct timeval limit = { .tv_sec = TIMEOUT_S };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		fprintf(stderr, "http_post: %s: %s\n", path, strerror(errno));
		return -1;
	}
	return fd;
}

int main(int argc, char **argv)
{
	static char answer[ANSWER_MAX];
	size_t len = 0;
	ssize_t n;
	char *body;
	int fd;

	if (argc != 4)
		return 2;
	fd = dial(argv[1]);
	if (fd < 0)
		return 2;
	dprintf(fd, "POST %s HTTP/1.1\r\nHost: guest\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", argv[2],
		strlen(argv[3]), argv[3]);
	while ((n = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0)
		len += (size_t)n;
	body = strstr(answer, "\r\n\r\n");
	if (n < 0 || !body) {
		fprintf(stderr, "http_post: %s: no answer\n", argv[2]);
		return 2;
	}
	puts(body + 4);
	return strncmp(answer, "HTTP/1.1 200 ", 13) != 0;
}
