/* The floor: the least that a process between two TCP connections must do. One upstream connection
 * a client, bytes handed on as they come, no look at what they say. floor LISTEN_PORT BACKEND_PORT
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define DESCRIPTORS 65536

static int peer_of[DESCRIPTORS];
static char buffer[65536];

static void forward(int fd)
{
    int peer = peer_of[fd];
    if (peer < 0)
        return;
    ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got > 0 && write(peer, buffer, (size_t)got) == got)
        return;
    if (got < 0 && errno == EAGAIN)
        return;
    close(fd);
    close(peer);
    peer_of[fd] = peer_of[peer] = -1;
}

static void take(int listener, int poll, const struct sockaddr_in *backend)
{
    int client = 0, yes = 1;
    while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        int upstream = socket(AF_INET, SOCK_STREAM, 0);
        if (upstream < 0 ||
            connect(upstream, (const struct sockaddr *)backend, sizeof(*backend)) != 0) {
            close(client);
            close(upstream);
            continue;
        }
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        setsockopt(upstream, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        peer_of[client] = upstream;
        peer_of[upstream] = client;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = client};
        epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
        event.data.fd = upstream;
        epoll_ctl(poll, EPOLL_CTL_ADD, upstream, &event);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: floor LISTEN_PORT BACKEND_PORT\n");
        return 2;
    }
    memset(peer_of, -1, sizeof(peer_of));
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtod(argv[1], NULL)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in backend = address;
    backend.sin_port = htons((uint16_t)strtod(argv[2], NULL));
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, 4096) != 0) {
        perror("floor: listen");
        return 1;
    }
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(poll, ready, 256, -1);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.fd == listener)
                take(listener, poll, &backend);
            else
                forward(ready[i].data.fd);
        }
    }
}
