/* One byte and its descriptors a message, so that no message can be cut apart by the stream. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/handover.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/listener.h"

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * HANDOVER_BATCH)];
};

bool handover_send(int socket, char what, const int *fds, size_t count)
{
    CHECK(count <= HANDOVER_BATCH);
    union control control = {0};
    struct iovec part = {.iov_base = &what, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

static void keep(struct handover *handover, const struct cmsghdr *header)
{
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
        handover->fds = memory_grow(handover->fds, handover->count, &handover->cap, sizeof(int));
        handover->fds[handover->count++] = fd;
    }
}

enum err handover_receive(int socket, char *ret_what, struct handover *handover)
{
    union control control;
    struct iovec part = {.iov_base = ret_what, .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? ERR_AGAIN : ERR_SYSTEM;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL;
         header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            keep(handover, header);
    if (got == 0)
        return ERR_CLOSED;
    return (message.msg_flags & MSG_CTRUNC) != 0 ? ERR_LIMIT : ERR_NONE;
}

static bool is_datagram(int fd)
{
    int type = 0;
    socklen_t len = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_DGRAM;
}

int handover_take(struct handover *handover, const struct address *address, bool is_udp)
{
    for (size_t i = 0; handover != NULL && i < handover->count; i++) {
        struct address local = listener_local(handover->fds[i]);
        if (!address_equal(&local, address) || is_datagram(handover->fds[i]) != is_udp)
            continue;
        int fd = handover->fds[i];
        handover->fds[i] = handover->fds[--handover->count];
        return fd;
    }
    return -1;
}

void handover_fini(struct handover *handover)
{
    for (size_t i = 0; i < handover->count; i++)
        close(handover->fds[i]);
    free(handover->fds);
    *handover = (struct handover){0};
}
