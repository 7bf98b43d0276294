/* A ring of what was told last; the newest word of each is written at most once a while. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/recorder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"

#define NOTE_MAX 1024 /* the API's */
#define NAME_MAX 200  /* of what an Event's name begins with: the API's 253 less a stamp */

struct told {
    struct recorder *recorder;
    struct digest what;
    char *path; /* owns: of the Event; NULL: the slot is free */
    uint64_t told_ms, written_ms;
    uint32_t count, written;
    struct client_call *call;
};

struct recorder {
    struct recorder_options options;
    char *controller, *instance; /* own */
    struct told told[LIMIT_KUBE_EVENTS];
    size_t next;
    uint32_t room; /* new Events that may be written now */
    uint64_t filled_ms;
    uint64_t dropped;
    uint64_t named_ns; /* of the last Event's name: two of one turn must differ */
    struct timer write;
};

/* The API wants microseconds. */
static void stamp(const struct recorder *recorder, char out[28])
{
    char now[25];
    clock_format(loop_wall_ns(recorder->options.loop), now);
    memcpy(out, now, 23);
    memcpy(out + 23, "000Z", 5);
}

static void forget(struct told *told)
{
    client_cancel(told->call);
    free(told->path);
    *told = (struct told){.recorder = told->recorder};
}

/* Nothing is tried again: an Event that cannot be written is one that nobody reads. */
static void on_written(void *owner, const struct client_answer *answer)
{
    struct told *told = owner;
    told->call = NULL;
    if (answer->status == 200 || answer->status == 201)
        return;
    log_debug("an Event cannot be written", log_str("path", told->path),
              log_int("status", answer->status));
    forget(told);
}

static void start(struct told *told, const char *method, struct text path, struct text body)
{
    static const struct client_events EVENTS = {.on_done = on_written};
    bool is_patch = strcmp(method, "PATCH") == 0;
    const struct client_request request = {
        .method = method,
        .path = path,
        .content_type = is_patch ? "application/merge-patch+json" : "application/json",
        .body = body,
        .timeout_ms = LIMIT_KUBE_CALL_MS,
    };
    told->written = told->count;
    told->written_ms = loop_now_ms(told->recorder->options.loop);
    told->call = client_start(told->recorder->options.client, &request, &EVENTS, told);
}

/* ---- the first of its kind ---- */

static void add_about(struct json *json, const struct kind_meta *about)
{
    json_object_begin(json, "regarding");
    json_text(json, "apiVersion", about->api_version);
    json_text(json, "kind", about->kind);
    if (about->namespace.len > 0)
        json_text(json, "namespace", about->namespace);
    json_text(json, "name", about->name);
    json_text(json, "uid", about->uid);
    json_object_end(json);
}

static void create(struct told *told, const struct recorder_event *event)
{
    struct recorder *recorder = told->recorder;
    struct builder body CLEANUP(builder_fini) = {0};
    struct json json;
    struct arena arena;
    char now[28];
    stamp(recorder, now);
    recorder->named_ns = MAX(recorder->named_ns + 1, loop_wall_ns(recorder->options.loop));
    arena_init(&arena, 0);
    struct text namespace =
        event->about->namespace.len > 0 ? event->about->namespace : TEXT("default");
    struct text name = arena_printf(
        &arena, TEXT_FMT ".%016llx",
        TEXT_ARG(text_slice(event->about->name, 0, MIN(event->about->name.len, (size_t)NAME_MAX))),
        (unsigned long long)recorder->named_ns);
    struct text folder = arena_printf(
        &arena, "/apis/events.k8s.io/v1/namespaces/" TEXT_FMT "/events", TEXT_ARG(namespace));
    json_init(&json, &body, 0);
    json_object_begin(&json, NULL);
    json_string(&json, "apiVersion", "events.k8s.io/v1");
    json_string(&json, "kind", "Event");
    json_object_begin(&json, "metadata");
    json_text(&json, "name", name);
    json_text(&json, "namespace", namespace);
    json_object_end(&json);
    json_string(&json, "eventTime", now);
    json_string(&json, "reportingController", recorder->controller);
    json_string(&json, "reportingInstance", recorder->instance);
    json_string(&json, "type", event->is_warning ? "Warning" : "Normal");
    json_string(&json, "reason", event->reason);
    json_string(&json, "action", event->action);
    json_text(&json, "note", text_slice(event->note, 0, MIN(event->note.len, (size_t)NOTE_MAX)));
    add_about(&json, event->about);
    json_object_end(&json);
    told->path = memory_string(
        arena_printf(&arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(folder), TEXT_ARG(name)));
    start(told, "POST", folder, builder_text(&body));
    arena_fini(&arena);
}

/* ---- the ones after it ---- */

static void continue_series(struct told *told)
{
    struct builder body CLEANUP(builder_fini) = {0};
    struct json json;
    char now[28];
    stamp(told->recorder, now);
    json_init(&json, &body, 0);
    json_object_begin(&json, NULL);
    json_object_begin(&json, "series");
    json_int(&json, "count", told->count);
    json_string(&json, "lastObservedTime", now);
    json_object_end(&json);
    json_object_end(&json);
    start(told, "PATCH", text_of(told->path), builder_text(&body));
}

static void on_write(void *owner)
{
    struct recorder *recorder = owner;
    uint64_t now = loop_now_ms(recorder->options.loop);
    for (size_t i = 0; i < LIMIT_KUBE_EVENTS; i++) {
        struct told *told = &recorder->told[i];
        if (told->path == NULL || told->call != NULL || told->count == told->written)
            continue;
        if (now - told->written_ms >= LIMIT_KUBE_EVENT_MS)
            continue_series(told);
        else if (!timer_is_armed(&recorder->write))
            loop_arm(recorder->options.loop, &recorder->write, LIMIT_KUBE_EVENT_MS);
    }
}

/* ---- telling ---- */

static struct told *find(struct recorder *recorder, struct digest what)
{
    uint64_t now = loop_now_ms(recorder->options.loop);
    for (size_t i = 0; i < LIMIT_KUBE_EVENTS; i++) {
        struct told *told = &recorder->told[i];
        if (told->path != NULL && digest_equal(told->what, what) &&
            now - told->told_ms < LIMIT_KUBE_EVENT_SERIES_MS)
            return told;
    }
    return NULL;
}

static bool take_room(struct recorder *recorder)
{
    uint64_t now = loop_now_ms(recorder->options.loop);
    uint64_t fresh = (now - recorder->filled_ms) / LIMIT_KUBE_EVENT_REFILL_MS;
    if (fresh > 0) {
        recorder->room = (uint32_t)MIN(recorder->room + fresh, (uint64_t)LIMIT_KUBE_EVENT_BURST);
        recorder->filled_ms = now;
    }
    if (recorder->room == 0) {
        if (recorder->dropped++ % 1000 == 0)
            log_warn("there is more to tell than Events may be written; some are left out",
                     log_int("dropped", (int64_t)recorder->dropped));
        return false;
    }
    recorder->room--;
    return true;
}

static struct digest digest_of(const struct recorder_event *event)
{
    struct builder all CLEANUP(builder_fini) = {0};
    builder_printf(&all, TEXT_FMT "\n%s\n" TEXT_FMT, TEXT_ARG(event->about->uid), event->reason,
                   TEXT_ARG(event->note));
    return hash_digest(builder_text(&all));
}

void recorder_tell(struct recorder *recorder, const struct recorder_event *event)
{
    struct digest what = digest_of(event);
    struct told *told = find(recorder, what);
    if (told != NULL) {
        told->count++;
        told->told_ms = loop_now_ms(recorder->options.loop);
        if (!timer_is_armed(&recorder->write))
            loop_arm(recorder->options.loop, &recorder->write, LIMIT_KUBE_EVENT_MS);
        return;
    }
    if (!take_room(recorder))
        return;
    told = &recorder->told[recorder->next++ % LIMIT_KUBE_EVENTS];
    forget(told);
    told->what = what;
    told->count = 1;
    told->told_ms = loop_now_ms(recorder->options.loop);
    create(told, event);
}

struct recorder *recorder_new(const struct recorder_options *options)
{
    struct recorder *recorder = memory_new(struct recorder);
    recorder->options = *options;
    recorder->controller = memory_string(options->controller);
    recorder->instance = memory_string(options->instance);
    recorder->room = LIMIT_KUBE_EVENT_BURST;
    recorder->filled_ms = loop_now_ms(options->loop);
    for (size_t i = 0; i < LIMIT_KUBE_EVENTS; i++)
        recorder->told[i].recorder = recorder;
    timer_init(&recorder->write, recorder, on_write);
    return recorder;
}

void recorder_free(struct recorder *recorder)
{
    if (recorder == NULL)
        return;
    for (size_t i = 0; i < LIMIT_KUBE_EVENTS; i++)
        forget(&recorder->told[i]);
    loop_disarm(recorder->options.loop, &recorder->write);
    free(recorder->controller);
    free(recorder->instance);
    free(recorder);
}

/* ---- statuses ---- */

static const struct value *condition(const struct value *place, const char *type)
{
    const struct value *list = value_get(place, "conditions");
    for (size_t i = 0; list != NULL && list->kind == VALUE_LIST && i < list->list.count; i++)
        if (text_is(value_string(value_get(list->list.items[i], "type")), type))
            return list->list.items[i];
    return NULL;
}

static bool is_true(const struct value *condition)
{
    return text_is(value_string(value_get(condition, "status")), "True");
}

static const struct value *listener(const struct value *status, struct text name)
{
    const struct value *list = value_get(status, "listeners");
    for (size_t i = 0; list != NULL && list->kind == VALUE_LIST && i < list->list.count; i++)
        if (text_equal(value_string(value_get(list->list.items[i], "name")), name))
            return list->list.items[i];
    return NULL;
}

/* False because of what it refers to, and that is certificates, of servers or of their clients. */
static bool lacks_certificate(const struct value *resolved)
{
    struct text reason = value_string(value_get(resolved, "reason"));
    return resolved != NULL && !is_true(resolved) && !text_is(reason, "InvalidRouteKinds");
}

static void tell_certificate(struct recorder *recorder, const struct kind_meta *about,
                             const struct value *before, const struct value *after)
{
    const struct value *was = condition(before, "ResolvedRefs");
    const struct value *is = condition(after, "ResolvedRefs");
    struct text message = value_string(value_get(is, "message"));
    bool lacked = lacks_certificate(was), lacks = lacks_certificate(is);
    if (lacks == lacked && (!lacks || text_equal(message, value_string(value_get(was, "message")))))
        return;
    struct arena arena;
    arena_init(&arena, 0);
    struct text name = value_string(value_get(after, "name"));
    struct recorder_event event = {about, lacks, lacks ? "CertificateInvalid" : "CertificateLoaded",
                                   "LoadCertificate",
                                   arena_printf(&arena, "Listener " TEXT_FMT ": " TEXT_FMT,
                                                TEXT_ARG(name), TEXT_ARG(message))};
    recorder_tell(recorder, &event);
    arena_fini(&arena);
}

void recorder_tell_turns(struct recorder *recorder, const struct kind_meta *about,
                         const struct value *before, const struct value *after)
{
    const struct value *programmed = condition(after, "Programmed");
    if (programmed != NULL && is_true(programmed) && !is_true(condition(before, "Programmed")))
        recorder_tell(recorder,
                      &(struct recorder_event){about, false, "Programmed", "Program",
                                               value_string(value_get(programmed, "message"))});
    const struct value *list = value_get(after, "listeners");
    for (size_t i = 0; list != NULL && list->kind == VALUE_LIST && i < list->list.count; i++) {
        const struct value *one = list->list.items[i];
        tell_certificate(recorder, about, listener(before, value_string(value_get(one, "name"))),
                         one);
    }
}
