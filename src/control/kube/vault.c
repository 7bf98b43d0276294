/* A fetch a Secret that is asked for. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/vault.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/value.h"
#include "control/kube/reflector.h"

struct fetch {
    struct vault *vault;
    struct fetch *next;
    char *namespace, *name; /* own */
    struct client_call *call;
    struct timer retry;
    uint32_t failures;
};

struct vault {
    struct vault_options options;
    struct fetch *first;
};

static struct store_key key_of(const struct fetch *fetch)
{
    return (struct store_key){KIND_SECRET, text_of(fetch->namespace), text_of(fetch->name)};
}

static struct fetch **find(struct vault *vault, struct store_key key)
{
    struct fetch **at = &vault->first;
    while (*at != NULL &&
           !(text_is(key.namespace, (*at)->namespace) && text_is(key.name, (*at)->name)))
        at = &(*at)->next;
    return at;
}

static void drop(struct fetch **at)
{
    struct fetch *fetch = *at;
    *at = fetch->next;
    client_cancel(fetch->call);
    loop_disarm(fetch->vault->options.loop, &fetch->retry);
    free(fetch->namespace);
    free(fetch->name);
    free(fetch);
}

bool vault_is_named(const struct vault *vault, struct store_key secret)
{
    struct arena arena;
    arena_init(&arena, 0);
    bool named = store_referrers(vault->options.store, secret, &arena).count > 0;
    arena_fini(&arena);
    return named;
}

/* False: it is to be asked for again. */
static bool tell(struct vault *vault, struct text body)
{
    bool is_taken = false;
    struct arena arena;
    struct faults faults;
    struct value *secret = NULL;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    if (value_parse_json(body, TEXT_NONE, &arena, &secret, &faults))
        is_taken = vault->options.on_secret(vault->options.owner, secret);
    faults_fini(&faults);
    arena_fini(&arena);
    return is_taken;
}

static void on_fetched(void *owner, const struct client_answer *answer)
{
    struct fetch *fetch = owner;
    struct vault *vault = fetch->vault;
    bool is_wanted = vault_is_named(vault, key_of(fetch));
    bool is_over = !is_wanted || answer->status == 404;
    fetch->call = NULL;
    if (is_over || (answer->status == 200 && tell(vault, answer->body)))
        drop(find(vault, key_of(fetch)));
    else
        loop_arm(vault->options.loop, &fetch->retry,
                 client_backoff_ms(vault->options.loop, fetch->failures++, answer));
}

static void start(void *owner)
{
    static const struct client_events EVENTS = {.on_done = on_fetched};
    struct fetch *fetch = owner;
    struct arena arena;
    arena_init(&arena, 0);
    const struct client_request request = {
        .method = "GET",
        .path = reflector_path(&arena, "", "v1", "secrets", text_of(fetch->namespace),
                               text_of(fetch->name)),
        .timeout_ms = LIMIT_KUBE_CALL_MS,
    };
    fetch->call = client_start(fetch->vault->options.client, &request, &EVENTS, fetch);
    arena_fini(&arena);
}

static void ask(struct vault *vault, struct store_key key)
{
    if (*find(vault, key) != NULL)
        return;
    struct fetch *fetch = memory_new(struct fetch);
    fetch->vault = vault;
    fetch->namespace = memory_string(key.namespace);
    fetch->name = memory_string(key.name);
    fetch->next = vault->first;
    timer_init(&fetch->retry, fetch, start);
    vault->first = fetch;
    start(fetch);
}

void vault_look(struct vault *vault, struct store_key referrer)
{
    struct store *store = vault->options.store;
    struct arena arena;
    arena_init(&arena, 0);
    struct store_keys keys = store_references(store, referrer, &arena);
    for (size_t i = 0; i < keys.count; i++) {
        struct store_key key = keys.items[i];
        if (key.kind == KIND_SECRET &&
            store_get(store, KIND_SECRET, key.namespace, key.name) == NULL)
            ask(vault, key);
    }
    arena_fini(&arena);
}

void vault_forget(struct vault *vault, struct store_key secret)
{
    struct fetch **at = find(vault, secret);
    if (*at != NULL)
        drop(at);
}

bool vault_is_waiting(const struct vault *vault)
{
    return vault->first != NULL;
}

void vault_sweep(struct vault *vault)
{
    struct store *store = vault->options.store;
    struct store_list list = store_list(store, KIND_SECRET);
    struct arena arena;
    arena_init(&arena, 0);
    size_t count = 0;
    struct store_key *gone = arena_array(&arena, struct store_key, list.count + 1);
    for (size_t i = 0; i < list.count; i++) {
        const struct kind_meta *meta = &list.items[i]->meta;
        struct store_key key = {KIND_SECRET, meta->namespace, meta->name};
        if (!vault_is_named(vault, key))
            gone[count++] = (struct store_key){KIND_SECRET, arena_text(&arena, key.namespace),
                                               arena_text(&arena, key.name)};
    }
    for (size_t i = 0; i < count; i++)
        (void)store_remove(store, gone[i]);
    arena_fini(&arena);
}

struct vault *vault_new(const struct vault_options *options)
{
    struct vault *vault = memory_new(struct vault);
    vault->options = *options;
    return vault;
}

void vault_free(struct vault *vault)
{
    if (vault == NULL)
        return;
    while (vault->first != NULL)
        drop(&vault->first);
    free(vault);
}
