/* recvmsg and sendmsg with the local address of each datagram (ip(7) IP_PKTINFO). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"

union control {
    struct cmsghdr align;
    char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

static bool prepare(int fd, const struct address *address, bool reuse_port)
{
    int on = 1;
    if (address->any.sa_family == AF_INET6) {
        if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0 ||
            setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) != 0)
            return false;
    } else if (setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) != 0) {
        return false;
    }
    return !reuse_port || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0;
}

static int open_socket(const struct address *address)
{
    return socket(address->any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int give_up(int fd)
{
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

int datagram_open(const struct address *address, bool reuse_port)
{
    int fd = open_socket(address);
    if (fd < 0)
        return -1;
    if (prepare(fd, address, reuse_port) && bind(fd, &address->any, address->len) == 0)
        return fd;
    return give_up(fd);
}

int datagram_connect(const struct address *to)
{
    int fd = open_socket(to);
    if (fd < 0)
        return -1;
    return connect(fd, &to->any, to->len) == 0 ? fd : give_up(fd);
}

static void read_local(struct msghdr *message, uint16_t port, struct address *ret_local)
{
    ret_local->len = 0;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at != NULL; at = CMSG_NXTHDR(message, at)) {
        if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(at), sizeof(info));
            struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr = info.ipi_spec_dst};
            memcpy(&ret_local->any, &local, sizeof(local));
            ret_local->len = sizeof(local);
        } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(at), sizeof(info));
            struct sockaddr_in6 local = {.sin6_family = AF_INET6, .sin6_addr = info.ipi6_addr};
            memcpy(&ret_local->any, &local, sizeof(local));
            ret_local->len = sizeof(local);
        }
    }
    if (ret_local->len > 0)
        address_set_port(ret_local, port);
}

ssize_t datagram_receive(int fd, uint16_t port, char *data, size_t size,
                         struct datagram_from *ret_from)
{
    union control control;
    struct iovec part = {data, size};
    *ret_from = (struct datagram_from){.peer.len = 0};
    struct msghdr message = {
        .msg_name = &ret_from->peer.storage,
        .msg_namelen = sizeof(ret_from->peer.storage),
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t got = recvmsg(fd, &message, 0);
    if (got < 0)
        return -1;
    ret_from->peer.len = message.msg_namelen;
    read_local(&message, port, &ret_from->local);
    return got;
}

/* The control message that names our side; its length. */
static size_t write_local(const struct address *local, union control *control)
{
    struct cmsghdr *head = &control->align;
    memset(control, 0, sizeof(*control));
    if (local->any.sa_family == AF_INET6) {
        struct sockaddr_in6 from;
        memcpy(&from, &local->any, sizeof(from));
        struct in6_pktinfo info = {.ipi6_addr = from.sin6_addr};
        *head = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IPV6, IPV6_PKTINFO};
        memcpy(CMSG_DATA(head), &info, sizeof(info));
        return CMSG_SPACE(sizeof(info));
    }
    struct sockaddr_in from;
    memcpy(&from, &local->any, sizeof(from));
    struct in_pktinfo info = {.ipi_spec_dst = from.sin_addr};
    *head = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IP, IP_PKTINFO};
    memcpy(CMSG_DATA(head), &info, sizeof(info));
    return CMSG_SPACE(sizeof(info));
}

bool datagram_answer(int fd, const struct datagram_from *to, struct text data)
{
    union control control;
    union {
        const char *in;
        void *out;
    } bytes = {.in = data.data};
    struct address peer = to->peer; /* the kernel does not write to it */
    struct iovec part = {bytes.out, data.len};
    struct msghdr message = {
        .msg_name = &peer.storage, .msg_namelen = peer.len, .msg_iov = &part, .msg_iovlen = 1};
    if (to->local.len > 0) {
        message.msg_control = &control;
        message.msg_controllen = write_local(&to->local, &control);
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL) >= 0;
}
