/* The neutral backend of the benchmarks: answers every request at once with a fixed body. It reads
 * requests no further than it must (head, and a body by Content-Length), and must be at least
 * twice as fast as any proxy before it. backend PORT [BODY_BYTES] */
/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 65536

struct client {
    char buffer[65536];
    size_t len;
};

static struct client *clients[CONNECTIONS];
static char *answer;
static size_t answer_len;

static void drop(int fd)
{
    free(clients[fd]);
    clients[fd] = NULL;
    close(fd);
}

/* Bytes of the first whole request, or 0. */
static size_t request_len(const struct client *client)
{
    const char *end = memmem(client->buffer, client->len, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    size_t head = (size_t)(end - client->buffer) + 4, body = 0;
    for (const char *at = client->buffer; at < end; at = strstr(at, "\r\n") + 2) {
        if (strncasecmp(at, "content-length:", 15) == 0)
            for (at += 15; *at == ' ' || (*at >= '0' && *at <= '9'); at++)
                body = *at == ' ' ? body : body * 10 + (size_t)(*at - '0');
    }
    return client->len >= head + body ? head + body : 0;
}

static void serve(int fd)
{
    struct client *client = clients[fd];
    ssize_t got = read(fd, client->buffer + client->len, sizeof(client->buffer) - 1 - client->len);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            drop(fd);
        return;
    }
    client->len += (size_t)got;
    client->buffer[client->len] = '\0';
    size_t used = 0;
    while ((used = request_len(client)) > 0) {
        client->len -= used;
        memmove(client->buffer, client->buffer + used, client->len + 1);
        if (write(fd, answer, answer_len) != (ssize_t)answer_len) {
            drop(fd);
            return;
        }
    }
}

static void take(int listener, int poll)
{
    int fd = 0, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= CONNECTIONS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        clients[fd] = calloc(1, sizeof(struct client));
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: backend PORT [BODY_BYTES]\n");
        return 2;
    }
    size_t body = argc > 2 ? (size_t)strtod(argv[2], NULL) : 1024;
    answer = malloc(body + 256);
    answer_len = (size_t)snprintf(answer, 256,
                                  "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                  "Content-Length: %zu\r\n\r\n",
                                  body);
    memset(answer + answer_len, 'x', body);
    answer_len += body;

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtod(argv[1], NULL)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, 4096) != 0) {
        perror("backend: listen");
        return 1;
    }
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(poll, ready, 256, -1);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.fd == listener)
                take(listener, poll);
            else if (clients[ready[i].data.fd] != NULL)
                serve(ready[i].data.fd);
        }
    }
}
