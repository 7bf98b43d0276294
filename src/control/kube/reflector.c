/* list -> watch -> (resume | list again), each failure with its own pause. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/reflector.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/builder.h"
#include "base/limits.h"
#include "base/memory.h"

#define MISSING_CONFIRM 3 /* a kind that was there is gone when it is missing so often in a row */

struct reflector {
    struct reflector_options options;
    char *plural;           /* owns */
    size_t version;         /* index into options.versions */
    char *page;             /* owns: the continue token; NULL: the first page */
    char *resource_version; /* owns: where a watch resumes; NULL: a list is due */
    uint64_t told;          /* the same as a number */
    struct client_call *call;
    struct timer timer;   /* the next step */
    struct timer silence; /* of a watch */
    uint64_t relist_ms, watch_began_ms;
    uint32_t attempt, missing;
    uint32_t expiries; /* in a row, without a word of a watch between them */
    bool is_listing;   /* on_list was told */
    bool listed;
    char why[160];
    struct reflector_counters counters;
};

struct text reflector_path(struct arena *arena, const char *group, const char *version,
                           const char *plural, struct text namespace, struct text name)
{
    struct builder out CLEANUP(builder_fini) = {0};
    builder_printf(&out, group[0] == '\0' ? "/api%s/%s" : "/apis/%s/%s", group, version);
    if (namespace.len > 0)
        builder_printf(&out, "/namespaces/" TEXT_FMT, TEXT_ARG(namespace));
    builder_printf(&out, "/%s", plural);
    if (name.len > 0)
        builder_printf(&out, "/" TEXT_FMT, TEXT_ARG(name));
    return arena_text(arena, builder_text(&out));
}

struct text reflector_plural(struct arena *arena, const char *kind)
{
    struct builder out CLEANUP(builder_fini) = {0};
    for (const char *at = kind; *at != '\0'; at++)
        builder_add_char(&out, *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at);
    char last = out.data[out.len - 1], before = out.len > 1 ? out.data[out.len - 2] : 'a';
    if (last == 'y' && strchr("aeiou", before) == NULL) {
        out.len--;
        builder_add_string(&out, "ies");
    } else if (last != 's' || before == 's') { /* else it is one already: GatewayParameters */
        builder_add_string(&out, last == 's' ? "es" : "s");
    }
    return arena_text(arena, builder_text(&out));
}

static uint64_t jitter(struct reflector *reflector, uint64_t ms)
{
    return ms / 2 + random_below(loop_random(reflector->options.loop), ms / 2 + 1);
}

static void again_after(struct reflector *reflector, uint64_t ms)
{
    loop_arm(reflector->options.loop, &reflector->timer, MAX(ms, (uint64_t)1));
}

static void set(char **place, struct text text)
{
    free(*place);
    *place = text.len > 0 ? memory_string(text) : NULL;
}

static uint64_t number_of(struct text version)
{
    uint64_t number = 0;
    return text_to_u64(version, &number) ? number : 0;
}

/* From here on a list is due, from its first page. */
static void forget(struct reflector *reflector)
{
    set(&reflector->page, TEXT_NONE);
    set(&reflector->resource_version, TEXT_NONE);
    reflector->is_listing = false;
}

static void fail(struct reflector *reflector, const struct client_answer *answer)
{
    uint64_t pause = client_backoff_ms(reflector->options.loop, reflector->attempt++, answer);
    reflector->counters.failures++;
    if (answer->status == 0)
        (void)snprintf(reflector->why, sizeof(reflector->why), "%s", answer->why);
    else
        (void)snprintf(reflector->why, sizeof(reflector->why), "the API server answered %d",
                       answer->status);
    again_after(reflector, pause);
}

/* A list is due; a server that never can go on from it is not asked for lists without a pause. */
static void expire(struct reflector *reflector)
{
    static const struct client_answer EXPIRED = {0};
    reflector->counters.expired++;
    forget(reflector);
    again_after(reflector,
                client_backoff_ms(reflector->options.loop, reflector->expiries++, &EXPIRED));
}

/* Not installed, or not in this version: the next version, or empty until it appears. */
static void miss(struct reflector *reflector)
{
    const struct reflector_options *options = &reflector->options;
    forget(reflector);
    reflector->version++;
    if (reflector->version < options->version_count &&
        options->versions[reflector->version] != NULL) {
        again_after(reflector, 1);
        return;
    }
    reflector->version = 0;
    reflector->missing++;
    again_after(reflector, jitter(reflector, LIMIT_KUBE_MISSING_MS));
    if (reflector->listed && reflector->missing != MISSING_CONFIRM)
        return;
    (void)snprintf(reflector->why, sizeof(reflector->why), "the API server has no such kind");
    options->events->on_list(options->owner);
    reflector->listed = true;
    options->events->on_listed(options->owner, 0);
}

/* ---- documents ---- */

static struct value *string_value(struct arena *arena, struct text text)
{
    struct value *value = arena_new(arena, struct value);
    value->kind = VALUE_STRING;
    value->string = text;
    return value;
}

/* Items of a list of built-in kinds name neither version nor kind: those of the list are theirs. */
static const struct value *complete(struct arena *arena, const struct value *list,
                                    const struct value *item)
{
    if (item->kind != VALUE_MAP || value_get(item, "kind") != NULL)
        return item;
    struct text kind = value_string(value_get(list, "kind"));
    if (text_ends_with(kind, TEXT("List")))
        kind.len -= 4;
    struct value *whole = arena_new(arena, struct value);
    *whole = *item;
    whole->map.members = arena_array(arena, struct value_member, item->map.count + 2);
    if (item->map.count > 0)
        memcpy(whole->map.members, item->map.members,
               item->map.count * sizeof(struct value_member));
    whole->map.members[whole->map.count++] =
        (struct value_member){.key = TEXT("kind"), .value = string_value(arena, kind)};
    whole->map.members[whole->map.count++] =
        (struct value_member){.key = TEXT("apiVersion"), .value = value_get(list, "apiVersion")};
    return whole;
}

static struct text version_of(const struct value *object)
{
    return value_string(value_get(value_get(object, "metadata"), "resourceVersion"));
}

/* An object of the API server stands in no file. */
static void clear_places(struct value *value)
{
    value->line = value->column = 0;
    if (value->kind == VALUE_LIST) {
        for (size_t i = 0; i < value->list.count; i++)
            clear_places(value->list.items[i]);
    } else if (value->kind == VALUE_MAP) {
        for (size_t i = 0; i < value->map.count; i++) {
            value->map.members[i].line = value->map.members[i].column = 0;
            clear_places(value->map.members[i].value);
        }
    }
}

static const struct value *parse(struct arena *arena, struct text text)
{
    struct faults faults;
    struct value *value = NULL;
    faults_init(&faults, arena);
    bool good = value_parse_json_pruned(text, TEXT_NONE, arena, &value, &faults);
    faults_fini(&faults);
    if (!good || value->kind != VALUE_MAP)
        return NULL;
    clear_places(value);
    return value;
}

/* ---- list ---- */

static void step(void *owner);

static void end_list(struct reflector *reflector, struct text version)
{
    const struct reflector_options *options = &reflector->options;
    set(&reflector->page, TEXT_NONE);
    set(&reflector->resource_version, version);
    reflector->told = number_of(version);
    reflector->is_listing = false;
    reflector->attempt = reflector->missing = 0;
    reflector->why[0] = '\0';
    reflector->relist_ms = loop_now_ms(options->loop) + jitter(reflector, options->relist_ms);
    again_after(reflector, 1);
    reflector->listed = true;
    options->events->on_listed(options->owner, reflector->told);
}

static bool take_page(struct reflector *reflector, struct arena *arena, struct text body)
{
    const struct reflector_options *options = &reflector->options;
    const struct value *list = parse(arena, body);
    const struct value *items = value_get(list, "items");
    struct text version = version_of(list);
    if (list == NULL || version.len == 0)
        return false;
    if (!reflector->is_listing) {
        reflector->is_listing = true;
        options->events->on_list(options->owner);
    }
    for (size_t i = 0; items != NULL && items->kind == VALUE_LIST && i < items->list.count; i++) {
        const struct value *item = complete(arena, list, items->list.items[i]);
        options->events->on_object(options->owner, item, number_of(version_of(item)));
    }
    struct text next = value_string(value_get(value_get(list, "metadata"), "continue"));
    if (next.len > 0) {
        set(&reflector->page, next);
        again_after(reflector, 1);
    } else {
        end_list(reflector, version);
    }
    return true;
}

static void on_page(void *owner, const struct client_answer *answer)
{
    static const struct client_answer UNREADABLE = {.why = "a list that is no JSON"};
    struct reflector *reflector = owner;
    reflector->call = NULL;
    if (answer->status == 404) {
        miss(reflector);
        return;
    }
    if (answer->status == 410 && reflector->page != NULL) { /* the pages' revision is gone */
        expire(reflector);
        return;
    }
    struct arena arena;
    arena_init(&arena, 65536);
    if (answer->status != 200) {
        forget(reflector);
        fail(reflector, answer);
    } else if (!take_page(reflector, &arena, answer->body)) {
        forget(reflector);
        fail(reflector, &UNREADABLE);
    }
    arena_fini(&arena);
}

static struct text base_path(const struct reflector *reflector, struct arena *arena)
{
    return reflector_path(arena, reflector->options.group, reflector_version(reflector),
                          reflector->plural, reflector->options.namespace, TEXT_NONE);
}

static void add_selector(const struct reflector *reflector, struct builder *path)
{
    if (reflector->options.selector != NULL)
        builder_printf(path, "&%s", reflector->options.selector);
}

/* Continue tokens are base64 for URLs, but nobody promises it. */
static void add_escaped(struct builder *out, const char *token)
{
    for (const char *at = token; *at != '\0'; at++) {
        bool is_plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                        (*at >= '0' && *at <= '9') || strchr("-_.~", *at) != NULL;
        if (is_plain)
            builder_add_char(out, *at);
        else
            builder_printf(out, "%%%02X", (unsigned)(unsigned char)*at);
    }
}

static void list(struct reflector *reflector)
{
    static const struct client_events EVENTS = {.on_done = on_page};
    struct arena arena;
    struct builder path CLEANUP(builder_fini) = {0};
    arena_init(&arena, 0);
    builder_add(&path, base_path(reflector, &arena));
    builder_printf(&path, "?limit=%d", LIMIT_KUBE_PAGE);
    add_selector(reflector, &path);
    if (reflector->page != NULL) {
        builder_add_string(&path, "&continue=");
        add_escaped(&path, reflector->page);
    } else {
        reflector->counters.lists++;
    }
    const struct client_request request = {
        .method = "GET", .path = builder_text(&path), .timeout_ms = LIMIT_KUBE_LIST_MS};
    reflector->call = client_start(reflector->options.client, &request, &EVENTS, reflector);
    arena_fini(&arena);
}

/* ---- watch ---- */

/* The server says why it cannot go on: 410, or a fault of its own. */
static void on_error_event(struct reflector *reflector, const struct value *status)
{
    struct client_answer answer = {.status = (int)value_int(value_get(status, "code"), 500)};
    client_cancel(reflector->call);
    reflector->call = NULL;
    loop_disarm(reflector->options.loop, &reflector->silence);
    if (answer.status != 410) {
        fail(reflector, &answer);
        return;
    }
    expire(reflector);
}

static void take_event(struct reflector *reflector, struct text type, const struct value *object)
{
    const struct reflector_options *options = &reflector->options;
    struct text version = version_of(object);
    uint64_t number = number_of(version);
    bool is_bookmark = text_is(type, "BOOKMARK");
    if (is_bookmark && number != 0 && number < reflector->told) {
        reflector_relist(reflector);
        return;
    }
    if (number != 0 && number <= reflector->told)
        return; /* told already: a duplicate, or an older form of what we have */
    if (text_is(type, "DELETED"))
        options->events->on_removed(options->owner, object, number);
    else if (text_is(type, "ADDED") || text_is(type, "MODIFIED"))
        options->events->on_object(options->owner, object, number);
    if (version.len > 0)
        set(&reflector->resource_version, version);
    reflector->told = MAX(reflector->told, number);
    if (is_bookmark && number != 0)
        options->events->on_version(options->owner, number);
}

static void on_line(void *owner, struct text line)
{
    static const struct client_answer UNREADABLE = {.why = "an event that is no JSON"};
    struct reflector *reflector = owner;
    struct arena arena;
    arena_init(&arena, 16384);
    const struct value *event = parse(&arena, line);
    const struct value *object = value_get(event, "object");
    struct text type = value_string(value_get(event, "type"));
    loop_arm(reflector->options.loop, &reflector->silence, LIMIT_KUBE_SILENCE_MS);
    if (object == NULL || object->kind != VALUE_MAP) {
        client_cancel(reflector->call);
        reflector->call = NULL;
        loop_disarm(reflector->options.loop, &reflector->silence);
        fail(reflector, &UNREADABLE);
    } else if (text_is(type, "ERROR")) {
        on_error_event(reflector, object);
    } else {
        reflector->attempt = reflector->expiries = 0;
        take_event(reflector, type, object);
    }
    arena_fini(&arena);
}

static void on_watch_done(void *owner, const struct client_answer *answer)
{
    struct reflector *reflector = owner;
    uint64_t now = loop_now_ms(reflector->options.loop);
    reflector->call = NULL;
    loop_disarm(reflector->options.loop, &reflector->silence);
    if (answer->status == 410) {
        expire(reflector);
    } else if (answer->status == 404) {
        forget(reflector);
        again_after(reflector, jitter(reflector, LIMIT_KUBE_RETRY_MIN_MS));
    } else if (answer->status == 200 && now - reflector->watch_began_ms > 1000) {
        again_after(reflector, jitter(reflector, 20)); /* its time was over */
    } else {
        fail(reflector, answer);
    }
}

static void on_silence(void *owner)
{
    struct reflector *reflector = owner;
    client_cancel(reflector->call);
    reflector->call = NULL;
    reflector->counters.failures++;
    again_after(reflector, jitter(reflector, LIMIT_KUBE_RETRY_MIN_MS));
}

static void watch(struct reflector *reflector)
{
    static const struct client_events EVENTS = {.on_line = on_line, .on_done = on_watch_done};
    struct loop *loop = reflector->options.loop;
    struct arena arena;
    struct builder path CLEANUP(builder_fini) = {0};
    arena_init(&arena, 0);
    uint64_t seconds = LIMIT_KUBE_WATCH_S + random_below(loop_random(loop), LIMIT_KUBE_WATCH_S);
    builder_add(&path, base_path(reflector, &arena));
    builder_printf(&path, "?watch=1&allowWatchBookmarks=true&timeoutSeconds=%d&resourceVersion=",
                   (int)seconds);
    add_escaped(&path, reflector->resource_version);
    add_selector(reflector, &path);
    reflector->counters.watches++;
    reflector->watch_began_ms = loop_now_ms(loop);
    const struct client_request request = {.method = "GET", .path = builder_text(&path)};
    reflector->call = client_start(reflector->options.client, &request, &EVENTS, reflector);
    loop_arm(loop, &reflector->silence, LIMIT_KUBE_SILENCE_MS);
    if (reflector->relist_ms > loop_now_ms(loop)) /* a watch may outlast the time of a list */
        again_after(reflector, reflector->relist_ms - loop_now_ms(loop));
    arena_fini(&arena);
}

static void step(void *owner)
{
    struct reflector *reflector = owner;
    bool is_due = reflector->resource_version != NULL &&
                  loop_now_ms(reflector->options.loop) >= reflector->relist_ms;
    if (is_due)
        reflector_relist(reflector);
    if (is_due || reflector->call != NULL)
        return;
    if (reflector->resource_version == NULL)
        list(reflector);
    else
        watch(reflector);
}

struct reflector *reflector_new(const struct reflector_options *options)
{
    struct reflector *reflector = memory_new(struct reflector);
    reflector->options = *options;
    reflector->plural = memory_string(text_of(options->plural));
    timer_init(&reflector->timer, reflector, step);
    timer_init(&reflector->silence, reflector, on_silence);
    return reflector;
}

void reflector_free(struct reflector *reflector)
{
    if (reflector == NULL)
        return;
    client_cancel(reflector->call);
    loop_disarm(reflector->options.loop, &reflector->timer);
    loop_disarm(reflector->options.loop, &reflector->silence);
    free(reflector->plural);
    free(reflector->page);
    free(reflector->resource_version);
    free(reflector);
}

void reflector_start(struct reflector *reflector)
{
    step(reflector);
}

void reflector_relist(struct reflector *reflector)
{
    client_cancel(reflector->call);
    reflector->call = NULL;
    loop_disarm(reflector->options.loop, &reflector->silence);
    forget(reflector);
    reflector->missing = MIN(reflector->missing, MISSING_CONFIRM - 1u); /* that is told again */
    again_after(reflector, 1);
}

bool reflector_is_listed(const struct reflector *reflector)
{
    return reflector->listed;
}

bool reflector_is_missing(const struct reflector *reflector)
{
    return reflector->missing > 0;
}

const char *reflector_why(const struct reflector *reflector)
{
    return reflector->why[0] == '\0' ? NULL : reflector->why;
}

const char *reflector_version(const struct reflector *reflector)
{
    return reflector->options.versions[reflector->version];
}

const struct reflector_counters *reflector_counters(const struct reflector *reflector)
{
    return &reflector->counters;
}
