/* Read; if it is not there, make and create; if somebody was faster, read again. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/credentials.h"

#include <stdlib.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/tls_make.h"

#define RETRY_MS 1000

struct credentials {
    struct loop *loop;
    struct client *client;
    char *namespace, *server_name; /* owns */
    credentials_ready on_ready;
    void *owner;
    struct client_call *call;
    struct timer retry;
};

static void later(struct credentials *credentials)
{
    uint64_t wait = RETRY_MS + random_below(loop_random(credentials->loop), RETRY_MS);
    loop_arm(credentials->loop, &credentials->retry, wait);
}

static bool read_secret(struct text body, struct arena *arena, struct text *ret_chain,
                        struct text *ret_key)
{
    struct faults faults;
    struct value *secret = NULL;
    faults_init(&faults, arena);
    bool good = value_parse_json(body, TEXT_NONE, arena, &secret, &faults);
    faults_fini(&faults);
    const struct value *data = good ? value_get(secret, "data") : NULL;
    return base64_decode(value_string(value_get(data, "tls.crt")), arena, ret_chain) &&
           base64_decode(value_string(value_get(data, "tls.key")), arena, ret_key) &&
           ret_chain->len > 0 && ret_key->len > 0;
}

static void refuse(struct credentials *credentials, const struct client_answer *answer)
{
    log_error("the Secret with the control plane's certificate cannot be had",
              log_str("namespace", credentials->namespace), log_str("name", CREDENTIALS_SECRET),
              log_int("status", answer->status),
              log_str("why", answer->why == NULL ? "" : answer->why));
    later(credentials);
}

static void take(struct credentials *credentials, const struct client_answer *answer)
{
    struct arena arena;
    struct text chain, key;
    arena_init(&arena, 0);
    if (read_secret(answer->body, &arena, &chain, &key)) {
        credentials->on_ready(credentials->owner, chain, key);
        explicit_bzero((char *)(uintptr_t)key.data, key.len);
    } else {
        refuse(credentials, answer);
    }
    arena_fini(&arena);
}

static void on_created(void *owner, const struct client_answer *answer)
{
    struct credentials *credentials = owner;
    credentials->call = NULL;
    if (answer->status == 201)
        take(credentials, answer);
    else if (answer->status == 409)
        later(credentials);
    else
        refuse(credentials, answer);
}

static void add_body(struct credentials *credentials, struct builder *body, struct arena *arena)
{
    struct text chain, key, name = text_of(credentials->server_name);
    struct json json;
    CHECK(tls_make_certificate(&name, 1, LIMIT_CERTIFICATE_DAYS, arena, &chain, &key));
    json_init(&json, body, 0);
    json_object_begin(&json, NULL);
    json_string(&json, "apiVersion", "v1");
    json_string(&json, "kind", "Secret");
    json_string(&json, "type", "kubernetes.io/tls");
    json_object_begin(&json, "metadata");
    json_string(&json, "name", CREDENTIALS_SECRET);
    json_string(&json, "namespace", credentials->namespace);
    json_object_end(&json);
    json_object_begin(&json, "data");
    json_text(&json, "tls.crt", base64_encode(chain, arena));
    json_text(&json, "tls.key", base64_encode(key, arena));
    json_object_end(&json);
    json_object_end(&json);
}

static void create(struct credentials *credentials)
{
    static const struct client_events EVENTS = {.on_done = on_created};
    struct builder path CLEANUP(builder_fini) = {0}, body CLEANUP(builder_fini) = {0};
    struct arena arena;
    arena_init(&arena, 0);
    add_body(credentials, &body, &arena);
    builder_printf(&path, "/api/v1/namespaces/%s/secrets", credentials->namespace);
    const struct client_request request = {
        .method = "POST",
        .path = builder_text(&path),
        .content_type = "application/json",
        .body = builder_text(&body),
        .timeout_ms = LIMIT_KUBE_CALL_MS,
    };
    credentials->call = client_start(credentials->client, &request, &EVENTS, credentials);
    arena_fini(&arena);
}

static void on_read(void *owner, const struct client_answer *answer)
{
    struct credentials *credentials = owner;
    credentials->call = NULL;
    if (answer->status == 200)
        take(credentials, answer);
    else if (answer->status == 404)
        create(credentials);
    else
        refuse(credentials, answer);
}

static void look(void *owner)
{
    static const struct client_events EVENTS = {.on_done = on_read};
    struct credentials *credentials = owner;
    struct builder path CLEANUP(builder_fini) = {0};
    builder_printf(&path, "/api/v1/namespaces/%s/secrets/" CREDENTIALS_SECRET,
                   credentials->namespace);
    const struct client_request request = {
        .method = "GET", .path = builder_text(&path), .timeout_ms = LIMIT_KUBE_CALL_MS};
    credentials->call = client_start(credentials->client, &request, &EVENTS, credentials);
}

struct credentials *credentials_new(struct loop *loop, struct client *client, struct text namespace,
                                    struct text server_name, credentials_ready on_ready,
                                    void *owner)
{
    struct credentials *credentials = memory_new(struct credentials);
    credentials->loop = loop;
    credentials->client = client;
    credentials->namespace = memory_string(namespace);
    credentials->server_name = memory_string(server_name);
    credentials->on_ready = on_ready;
    credentials->owner = owner;
    timer_init(&credentials->retry, credentials, look);
    return credentials;
}

void credentials_free(struct credentials *credentials)
{
    if (credentials == NULL)
        return;
    client_cancel(credentials->call);
    loop_disarm(credentials->loop, &credentials->retry);
    free(credentials->namespace);
    free(credentials->server_name);
    free(credentials);
}

void credentials_start(struct credentials *credentials)
{
    look(credentials);
}
