/* Our delta server alone, for stock clients to try: resources come as commands on standard input.
 *   xds_server_main ADDRESS [CA CHAIN KEY]
 *   put TYPE NAME HEX | remove TYPE NAME | publish REVISION [EPOCH] | counters | nodes */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/memory.h"
#include "xds/xds_server.h"
#include "xds_peer.h"

struct program {
    struct loop *loop;
    struct delta_server *delta;
    struct delta_edit edits[1024];
    size_t count;
};

static void on_node(void *owner, const struct delta_node *node, bool joined)
{
    (void)owner;
    (void)printf("%s %s\n", joined ? "join" : "leave", node->id);
}

static void on_ack(void *owner, const struct delta_node *node,
                   const struct snapshot_version *version, uint64_t apply_us)
{
    (void)owner;
    (void)printf("ack %s %" PRIu64 ".%" PRIu64 " us %" PRIu64 "\n", node->id, version->epoch,
                 version_get(version, TEXT("directory")), apply_us);
}

static void on_nack(void *owner, const struct delta_node *node, struct text type_url,
                    struct text words, const Nantian__Config__V1__Refusal *refusal)
{
    (void)owner;
    (void)printf("nack %s " TEXT_FMT " reason=%s faults=%zu " TEXT_FMT "\n", node->id,
                 TEXT_ARG(type_url), refusal == NULL ? "-" : refusal->reason,
                 refusal == NULL ? (size_t)0 : refusal->n_faults, TEXT_ARG(words));
}

static void on_unknown(void *owner, const struct delta_node *node, struct text type_url)
{
    (void)owner;
    (void)printf("unknown %s " TEXT_FMT "\n", node->id, TEXT_ARG(type_url));
}

static void publish(struct program *program, struct text revision, struct text epoch)
{
    uint64_t number = 0, era = 1;
    struct snapshot_version version = {0};
    if (!text_to_u64(revision, &number) || (epoch.len > 0 && !text_to_u64(epoch, &era)) ||
        !version_set(&version, TEXT("directory"), number)) {
        (void)printf("error: publish REVISION [EPOCH]\n");
        return;
    }
    version.epoch = era;
    delta_server_publish(program->delta, program->edits, program->count, &version);
    for (size_t i = 0; i < program->count; i++) {
        free((void *)(uintptr_t)program->edits[i].name.data);
        free((void *)(uintptr_t)program->edits[i].bytes.data);
    }
    program->count = 0;
    (void)printf("published %" PRIu64 "\n", number);
}

static void add_edit(struct program *program, struct text *words, bool removed)
{
    enum resource_type type;
    struct builder bytes = {0};
    if (program->count == 1024 || !types_from_name(words[1], &type)) {
        (void)printf("error: no such type, or too many edits\n");
        return;
    }
    peer_hex_decode(words[3], &bytes);
    program->edits[program->count++] =
        (struct delta_edit){.type = type,
                            .name = {memory_string(words[2]), words[2].len},
                            .bytes = {bytes.data, bytes.len},
                            .removed = removed};
}

static void print_counters(const struct delta_counters *c)
{
    (void)printf("counters pushes=%" PRIu64 " responses=%" PRIu64 " bytes=%" PRIu64
                 " resources=%" PRIu64 " removed=%" PRIu64 " snapshots=%" PRIu64 " acks=%" PRIu64
                 " refusals=%" PRIu64 "\n",
                 c->pushes, c->responses, c->bytes, c->resources, c->removed, c->snapshots, c->acks,
                 c->refusals);
}

static void print_nodes(const struct program *program)
{
    const struct delta_node *node;
    for (size_t i = 0; (node = delta_server_node(program->delta, i)) != NULL; i++)
        (void)printf("node %s streams=%u product=%s applied=%s refusing=%d\n", node->id,
                     node->streams, node->product, node->applied == NULL ? "-" : node->applied,
                     node->refusing);
    (void)printf("nodes end\n");
}

static void on_line(void *owner, struct text words[PEER_WORDS_MAX], size_t count)
{
    struct program *program = owner;
    if (text_is(words[0], "put") && count >= 3)
        add_edit(program, words, false);
    else if (text_is(words[0], "remove") && count >= 3)
        add_edit(program, words, true);
    else if (text_is(words[0], "publish") && count >= 2)
        publish(program, words[1], words[2]);
    else if (text_is(words[0], "counters"))
        print_counters(delta_server_counters(program->delta));
    else if (text_is(words[0], "nodes"))
        print_nodes(program);
    else
        (void)printf("error: what is " TEXT_FMT "?\n", TEXT_ARG(words[0]));
}

int main(int argc, char **argv)
{
    static const struct delta_server_events EVENTS = {
        .on_node = on_node, .on_ack = on_ack, .on_nack = on_nack, .on_unknown_type = on_unknown};
    struct program program = {.loop = loop_new(NULL)};
    struct peer_input input = {.owner = &program, .on_line = on_line};
    struct address address;
    char text[ADDRESS_TEXT_MAX];
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!address_parse_endpoint(text_of(argc > 1 ? argv[1] : "127.0.0.1:0"), &address))
        return 2;
    program.delta = delta_server_new(program.loop, &EVENTS, &program);
    struct xds_server *server = xds_server_new(program.loop, program.delta, NULL);
    struct tls_context *tls = argc == 5 ? peer_tls(true, argv + 2) : NULL;
    const char *why = xds_server_listen(server, &address, tls);
    if (why != NULL) {
        (void)fprintf(stderr, "%s\n", why);
        return 1;
    }
    struct text where = address_format(xds_server_address(server, 0), text);
    (void)printf("listening " TEXT_FMT "\n", TEXT_ARG(where));
    peer_input_start(&input, program.loop);
    while (!input.ended)
        loop_turn(program.loop, -1);
    loop_unwatch(program.loop, &input.watch);
    builder_fini(&input.line);
    xds_server_free(server);
    tls_context_unref(tls);
    delta_server_free(program.delta);
    for (int i = 0; i < 3; i++) /* what was closed is freed at the end of a turn */
        loop_turn(program.loop, 0);
    loop_free(program.loop);
    return 0;
}
