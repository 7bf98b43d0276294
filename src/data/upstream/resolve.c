/* A thread for each lookup under way, a few at a time; getaddrinfo may take as long as it likes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/resolve.h"

#include <netdb.h>
#include <stdlib.h>
#include <strings.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/memory.h"
#include "data/upstream/dns.h"
#include "event/errand.h"

struct name {
    char *key, *host; /* own */
    struct address *addresses;
    size_t count;
    bool is_wanted, is_asked;
    uint64_t due_ms;
};

struct resolve {
    struct loop *loop;
    struct errands *errands; /* owns */
    struct map names;        /* key -> struct name, owns */
    struct timer timer;
    uint32_t running;
    resolve_answer on_answer;
    void *owner;
};

struct lookup {
    struct errand errand; /* first */
    char *key, *host;
    struct address *addresses;
    size_t count;
    uint64_t pause_ms; /* until the next */
};

static void run_due(struct resolve *resolve);

static struct lookup *lookup_of(struct errand *errand)
{
    return CONTAINER_OF(errand, struct lookup, errand);
}

static void lookup_free(struct lookup *lookup)
{
    free(lookup->key);
    free(lookup->host);
    free(lookup->addresses);
    free(lookup);
}

static int compare_addresses(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct address));
}

static void take_answer(struct lookup *lookup, const struct addrinfo *list)
{
    size_t cap = 0;
    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next) {
        if (lookup->count >= LIMIT_ENDPOINTS || at->ai_addrlen > sizeof(struct sockaddr_storage))
            break;
        lookup->addresses =
            memory_grow(lookup->addresses, lookup->count, &cap, sizeof(struct address));
        struct address *address = &lookup->addresses[lookup->count++];
        memset(address, 0, sizeof(*address));
        memcpy(&address->storage, at->ai_addr, at->ai_addrlen);
        address->len = at->ai_addrlen;
    }
    /* Resolvers rotate; the same set in another order is no news. */
    if (lookup->count > 1)
        qsort(lookup->addresses, lookup->count, sizeof(struct address), compare_addresses);
}

/* RFC 6761 6.3: this name is the loopback's, also where no hosts file and no server says so. */
static bool is_localhost(const char *host)
{
    return strcasecmp(host, "localhost") == 0;
}

/* Of its IPv4 addresses, which stands for both kinds; else of the others. A server that does not
 * answer one question is not asked the other. False: nobody told. */
static bool ask_time(const char *host, struct dns_time *ret_time)
{
    struct dns_time v6;
    if (is_localhost(host) || !dns_ask(host, false, ret_time))
        return false;
    if (ret_time->is_negative && dns_ask(host, true, &v6) && !v6.is_negative)
        *ret_time = v6;
    return true;
}

static uint64_t within(uint64_t ms, uint64_t min_ms, uint64_t max_ms)
{
    return MIN(MAX(ms, min_ms), max_ms);
}

/* Until the next lookup. A name that is known from elsewhere, or by a search list, has no time of
 * its own: `time` is NULL, or says the opposite. */
static uint64_t pause_of(const struct lookup *lookup, const struct dns_time *time)
{
    bool is_found = lookup->count > 0;
    if (time == NULL || time->is_negative == is_found)
        return is_found ? LIMIT_RESOLVE_MS : LIMIT_RESOLVE_RETRY_MS;
    uint64_t ms = time->seconds * UINT64_C(1000);
    return is_found ? within(ms, LIMIT_RESOLVE_MIN_MS, LIMIT_RESOLVE_MAX_MS)
                    : within(ms, LIMIT_RESOLVE_RETRY_MS, LIMIT_RESOLVE_NONE_MS);
}

static void run_lookup(struct errand *errand)
{
    struct lookup *lookup = lookup_of(errand);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *list = NULL;
    struct dns_time time;
    /* Asked first: what changes in between is found again when this time is over. */
    bool is_told = ask_time(lookup->host, &time);
    if (getaddrinfo(lookup->host, NULL, &hints, &list) == 0 ||
        (is_localhost(lookup->host) && getaddrinfo(NULL, "0", &hints, &list) == 0)) {
        take_answer(lookup, list);
        freeaddrinfo(list);
    }
    lookup->pause_ms = pause_of(lookup, is_told ? &time : NULL);
}

static void drop(struct errand *errand)
{
    lookup_free(lookup_of(errand));
}

static void name_free(struct name *name)
{
    free(name->key);
    free(name->host);
    free(name->addresses);
    free(name);
}

static bool is_same(const struct name *name, const struct lookup *lookup)
{
    return name->count == lookup->count &&
           memcmp(name->addresses, lookup->addresses, name->count * sizeof(struct address)) == 0;
}

static void deliver(struct errand *errand, void *owner)
{
    struct lookup *lookup = lookup_of(errand);
    struct resolve *resolve = owner;
    struct name *name = map_get(&resolve->names, text_of(lookup->key));
    resolve->running--;
    if (name != NULL && strcmp(name->host, lookup->host) == 0) {
        name->is_asked = false;
        name->due_ms = loop_now_ms(resolve->loop) + lookup->pause_ms;
        if (lookup->count > 0 && !is_same(name, lookup)) {
            free(name->addresses);
            name->addresses = lookup->addresses;
            name->count = lookup->count;
            lookup->addresses = NULL;
            resolve->on_answer(resolve->owner, text_of(name->key), name->addresses, name->count);
        }
    }
    lookup_free(lookup);
    run_due(resolve);
}

static void start(struct resolve *resolve, struct name *name)
{
    struct lookup *lookup = memory_new(struct lookup);
    lookup->errand = (struct errand){.run = run_lookup, .done = deliver, .drop = drop};
    lookup->key = memory_string(text_of(name->key));
    lookup->host = memory_string(text_of(name->host));
    if (errands_start(resolve->errands, &lookup->errand)) {
        name->is_asked = true;
        resolve->running++;
        return;
    }
    name->due_ms = loop_now_ms(resolve->loop) + LIMIT_RESOLVE_RETRY_MS;
    lookup_free(lookup);
}

/* Starts what is due, and sleeps until the next is. */
static void run_due(struct resolve *resolve)
{
    uint64_t now_ms = loop_now_ms(resolve->loop), next_ms = UINT64_MAX;
    size_t at = 0;
    struct map_entry *entry;
    while (map_next(&resolve->names, &at, &entry)) {
        struct name *name = entry->value;
        if (name->is_asked)
            continue;
        if (name->due_ms <= now_ms && resolve->running < LIMIT_RESOLVE_THREADS)
            start(resolve, name);
        if (!name->is_asked) /* not its turn, or there was no thread for it */
            next_ms = MIN(next_ms, name->due_ms);
    }
    if (next_ms != UINT64_MAX && resolve->running < LIMIT_RESOLVE_THREADS)
        loop_arm(resolve->loop, &resolve->timer, next_ms > now_ms ? next_ms - now_ms : 1);
}

static void on_due(void *owner)
{
    run_due(owner);
}

struct resolve *resolve_new(struct loop *loop, resolve_answer on_answer, void *owner)
{
    struct resolve *resolve = memory_new(struct resolve);
    *resolve = (struct resolve){.loop = loop, .on_answer = on_answer, .owner = owner};
    resolve->errands = errands_new(loop, resolve);
    if (resolve->errands == NULL) {
        free(resolve);
        return NULL;
    }
    map_init(&resolve->names);
    timer_init(&resolve->timer, resolve, on_due);
    return resolve;
}

static void forget_all(struct resolve *resolve)
{
    size_t at = 0;
    struct map_entry *entry;
    while (map_next(&resolve->names, &at, &entry))
        name_free(entry->value);
    map_fini(&resolve->names);
    map_init(&resolve->names);
}

void resolve_free(struct resolve *resolve)
{
    if (resolve == NULL)
        return;
    errands_free(resolve->errands);
    forget_all(resolve);
    loop_disarm(resolve->loop, &resolve->timer);
    map_fini(&resolve->names);
    free(resolve);
}

void resolve_begin(struct resolve *resolve)
{
    size_t at = 0;
    struct map_entry *entry;
    while (map_next(&resolve->names, &at, &entry))
        ((struct name *)entry->value)->is_wanted = false;
}

void resolve_want(struct resolve *resolve, struct text key, struct text host)
{
    struct name *name = map_get(&resolve->names, key);
    if (name != NULL && text_equal(text_of(name->host), host)) {
        name->is_wanted = true;
        return;
    }
    if (name != NULL) {
        map_remove(&resolve->names, key);
        name_free(name);
    }
    name = memory_new(struct name);
    name->key = memory_string(key);
    name->host = memory_string(host);
    name->is_wanted = true;
    map_put(&resolve->names, text_of(name->key), name);
}

void resolve_commit(struct resolve *resolve)
{
    size_t count;
    void **all = map_sorted(&resolve->names, &count);
    for (size_t i = 0; i < count; i++) {
        struct name *name = all[i];
        if (name->is_wanted)
            continue;
        map_remove(&resolve->names, text_of(name->key));
        name_free(name);
    }
    free(all);
    run_due(resolve);
}
