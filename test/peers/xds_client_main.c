/* Our delta client alone, for stock servers to try: says what it adopts and refuses.
 * xds_client_main ADDRESS [NODE [CA CHAIN KEY SERVER-NAME]]; commands: dislike NAME | like | dump |
 * counters | restart */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/memory.h"
#include "xds/delta_client.h"
#include "xds_peer.h"

struct program {
    struct loop *loop;
    struct link *link;
    struct delta_client *client;
    char *dislikes; /* owns; NULL: everything is fine */
};

static enum err on_snapshot(void *owner, const struct delta_offer *offer, struct faults *faults)
{
    struct program *program = owner;
    if (program->dislikes != NULL) {
        for (unsigned i = 0; i < RESOURCE_CONTENT_TYPES; i++) {
            enum resource_type type = types_push_order()[i];
            if (resource_set_get(offer->next, type, text_of(program->dislikes)) == NULL)
                continue;
            char where[300];
            (void)snprintf(where, sizeof(where), "%s %s", types_name(type), program->dislikes);
            struct fault fault = {.code = "Disliked",
                                  .where = text_of(where),
                                  .field = TEXT("name"),
                                  .hint = TEXT("Take another.")};
            faults_add(faults, &fault, "the name is disliked");
            return ERR_INVALID;
        }
    }
    (void)printf("snapshot " TEXT_FMT " edits %zu total %zu\n", TEXT_ARG(offer->version_text),
                 offer->edits->count, resource_set_total(offer->next));
    return ERR_NONE;
}

static void on_connected(void *owner, bool connected, const char *why)
{
    (void)owner;
    (void)printf("%s %s\n", connected ? "connected" : "disconnected", why);
}

static void on_refused(void *owner, const char *reason, struct text words)
{
    (void)owner;
    (void)printf("refused %s " TEXT_FMT "\n", reason, TEXT_ARG(words));
}

static void on_same(void *owner, const struct snapshot_version *version)
{
    (void)owner;
    (void)printf("same %" PRIu64 "\n", version_get(version, TEXT("directory")));
}

static void dump(const struct program *program)
{
    const struct resource_set *set = delta_client_accepted(program->client);
    for (unsigned i = 0; i < RESOURCE_CONTENT_TYPES; i++) {
        enum resource_type type = types_push_order()[i];
        struct resource *one;
        for (size_t at = 0; (one = resource_set_next(set, type, &at)) != NULL;) {
            struct text name = resource_name(one);
            (void)printf("resource %s " TEXT_FMT " ", types_name(type), TEXT_ARG(name));
            peer_hex_print(resource_bytes(one));
            (void)printf("\n");
        }
    }
    (void)printf("dump end\n");
}

static void counters(const struct program *program)
{
    const struct delta_client_counters *c = delta_client_counters(program->client);
    (void)printf("counters streams=%" PRIu64 " responses=%" PRIu64 " bytes=%" PRIu64
                 " resources=%" PRIu64 " removed=%" PRIu64 " snapshots=%" PRIu64 " same=%" PRIu64
                 " refused=%" PRIu64 " refused_older=%" PRIu64 "\n",
                 c->streams, c->responses, c->bytes, c->resources, c->removed, c->snapshots,
                 c->same, c->refused, c->refused_older);
}

static void on_line(void *owner, struct text words[PEER_WORDS_MAX], size_t count)
{
    struct program *program = owner;
    bool dislike = text_is(words[0], "dislike") && count == 2;
    if (dislike || text_is(words[0], "like")) {
        free(program->dislikes);
        program->dislikes = dislike ? memory_string(words[1]) : NULL;
        (void)printf("ok\n");
    } else if (text_is(words[0], "dump")) {
        dump(program);
    } else if (text_is(words[0], "counters")) {
        counters(program);
    } else if (text_is(words[0], "restart")) {
        link_restart(program->link, "asked to");
    } else {
        (void)printf("error: what is " TEXT_FMT "?\n", TEXT_ARG(words[0]));
    }
}

int main(int argc, char **argv)
{
    static const struct delta_client_events EVENTS = {.on_snapshot = on_snapshot,
                                                      .on_connected = on_connected,
                                                      .on_refused = on_refused,
                                                      .on_same = on_same};
    struct program program = {.loop = loop_new(NULL)};
    struct peer_input input = {.owner = &program, .on_line = on_line};
    struct address address;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2 || !address_parse_endpoint(text_of(argv[1]), &address)) {
        (void)fprintf(stderr, "usage: xds_client_main ADDRESS [NODE]\n");
        return 2;
    }
    struct link_options link = {.loop = program.loop, .addresses = &address, .count = 1};
    if (argc == 7) {
        link.tls = peer_tls(false, argv + 3);
        link.server_name = text_of(argv[6]);
    }
    program.link = link_new(&link);
    struct delta_client_options options = {.loop = program.loop,
                                           .link = program.link,
                                           .node = text_of(argc > 2 ? argv[2] : "node-1"),
                                           .events = &EVENTS,
                                           .owner = &program};
    program.client = delta_client_new(&options);
    peer_input_start(&input, program.loop);
    link_start(program.link);
    while (!input.ended)
        loop_turn(program.loop, -1);
    loop_unwatch(program.loop, &input.watch);
    builder_fini(&input.line);
    delta_client_free(program.client);
    link_free(program.link);
    tls_context_unref(link.tls);
    free(program.dislikes);
    for (int i = 0; i < 3; i++) /* what was closed is freed at the end of a turn */
        loop_turn(program.loop, 0);
    loop_free(program.loop);
    return 0;
}
