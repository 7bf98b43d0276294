/* What both xDS peer programs share: lines of commands on standard input, words out at once. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/builder.h"
#include "event/loop.h"
#include "net/tls.h"
#include "schema/types.h"

#define PEER_WORDS_MAX 6

struct peer_input {
    struct loop *loop;
    struct watch watch;
    struct builder line;
    bool ended; /* no more commands: the program ends */
    void *owner;
    void (*on_line)(void *owner, struct text words[PEER_WORDS_MAX], size_t count);
};

static inline void peer_split(struct peer_input *input, struct text line)
{
    struct text words[PEER_WORDS_MAX] = {0};
    size_t count = 0;
    while (count < PEER_WORDS_MAX && text_split(&line, ' ', &words[count]))
        count++;
    if (count > 0)
        input->on_line(input->owner, words, count);
}

static inline void peer_on_ready(void *owner, uint32_t events)
{
    struct peer_input *input = owner;
    (void)events;
    char *at = builder_reserve(&input->line, 65536);
    ssize_t got = read(input->watch.fd, at, 65536);
    if (got == 0) {
        input->ended = true;
        return;
    }
    input->line.len += got > 0 ? (size_t)got : 0;
    struct text all = builder_text(&input->line);
    size_t from = 0;
    for (size_t end; (end = text_find(all, '\n', from)) < all.len; from = end + 1)
        peer_split(input, text_slice(all, from, end));
    struct builder rest = {0};
    builder_add(&rest, text_slice(all, from, all.len));
    builder_fini(&input->line);
    input->line = rest;
}

static inline void peer_input_start(struct peer_input *input, struct loop *loop)
{
    input->loop = loop;
    input->watch = (struct watch){.fd = STDIN_FILENO, .owner = input, .on_ready = peer_on_ready};
    (void)fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    if (!loop_watch_level(loop, &input->watch)) {
        (void)fprintf(stderr, "standard input cannot be watched\n");
        exit(2);
    }
}

static inline void peer_hex_decode(struct text hex, struct builder *out)
{
    for (size_t i = 0; i + 1 < hex.len; i += 2) {
        uint64_t byte;
        if (!text_hex_to_u64(text_slice(hex, i, i + 2), &byte))
            break;
        builder_add_char(out, (char)byte);
    }
}

static inline void peer_hex_print(struct text bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        (void)printf("%02x", (unsigned char)bytes.data[i]);
}

static inline void peer_read_file(const char *path, struct builder *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (ssize_t got = fd < 0 ? -1 : 1; got > 0; out->len += (size_t)got) {
        got = read(fd, builder_reserve(out, 65536), 65536);
        if (got < 0) {
            (void)fprintf(stderr, "%s cannot be read\n", path);
            exit(2);
        }
    }
    close(fd);
}

/* Mutual TLS from three PEM files: whom to trust, our chain, our key. */
static inline struct tls_context *peer_tls(bool serving, char *const files[3])
{
    static const char *const H2[] = {"h2", NULL};
    struct builder ca = {0}, chain = {0}, key = {0};
    const char *why = "";
    peer_read_file(files[0], &ca);
    peer_read_file(files[1], &chain);
    peer_read_file(files[2], &key);
    struct tls_certificate *certificate =
        tls_certificate_new(builder_text(&chain), builder_text(&key), &why);
    struct tls_context *context = NULL;
    struct tls_server_options server = {.certificate = certificate,
                                        .alpn = H2,
                                        .client_ca_pem = builder_text(&ca),
                                        .client_certificate_required = true};
    struct tls_client_options client = {
        .ca_pem = builder_text(&ca), .certificate = certificate, .alpn = H2};
    if (certificate != NULL)
        context = serving ? tls_server_new(&server, &why) : tls_client_new(&client, &why);
    if (context == NULL) {
        (void)fprintf(stderr, "no TLS: %s\n", why);
        exit(2);
    }
    tls_certificate_unref(certificate);
    builder_fini(&ca);
    builder_fini(&chain);
    builder_fini(&key);
    return context;
}
