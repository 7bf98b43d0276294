/* Read; if it is not there, make and create; if somebody was faster, read again. Then issue, again
 * and again. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/credentials.h"

#include <stdlib.h>
#include <string.h>

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
    uint32_t life_s;
    credentials_ready on_ready;
    void *owner;
    struct client_call *call;
    struct timer retry, renew;
    struct arena arena; /* owns what stands in the Secret */
    struct tls_made found;
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

/* What was not made by us as an authority (somebody else put it there) is used as it is. */
static void issue(void *owner)
{
    struct credentials *credentials = owner;
    struct tls_made made = credentials->found;
    struct arena arena;
    arena_init(&arena, 0);
    bool is_ours = tls_make_certificate(text_of(credentials->server_name), credentials->life_s,
                                        &credentials->found, &arena, &made);
    const struct credentials_issued issued = {
        .authority = credentials->found.chain,
        .chain = made.chain,
        .key = made.key,
        .secret = credentials->found.key,
    };
    credentials->on_ready(credentials->owner, &issued);
    log_info("the certificate for data planes is there", log_int("own", is_ours),
             log_int("life_s", credentials->life_s));
    if (is_ours) {
        explicit_bzero((char *)(uintptr_t)made.key.data, made.key.len);
        loop_arm(credentials->loop, &credentials->renew,
                 (uint64_t)credentials->life_s * 1000 / 3 * 2);
    }
    arena_fini(&arena);
}

static void take(struct credentials *credentials, const struct client_answer *answer)
{
    arena_reset(&credentials->arena); /* of a Secret that could not be used; it may long be so */
    if (read_secret(answer->body, &credentials->arena, &credentials->found.chain,
                    &credentials->found.key))
        issue(credentials);
    else
        refuse(credentials, answer);
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
    struct tls_made made;
    struct json json;
    CHECK(tls_make_authority(CREDENTIALS_SECRET, LIMIT_AUTHORITY_S, arena, &made));
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
    json_text(&json, "tls.crt", base64_encode(made.chain, arena));
    json_text(&json, "tls.key", base64_encode(made.key, arena));
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

struct credentials *credentials_new(const struct credentials_options *options)
{
    struct credentials *credentials = memory_new(struct credentials);
    credentials->loop = options->loop;
    credentials->client = options->client;
    credentials->namespace = memory_string(options->namespace);
    credentials->server_name = memory_string(options->server_name);
    credentials->life_s = options->life_s != 0 ? options->life_s : LIMIT_CERTIFICATE_S;
    credentials->on_ready = options->on_ready;
    credentials->owner = options->owner;
    arena_init(&credentials->arena, 0);
    timer_init(&credentials->retry, credentials, look);
    timer_init(&credentials->renew, credentials, issue);
    return credentials;
}

void credentials_free(struct credentials *credentials)
{
    if (credentials == NULL)
        return;
    client_cancel(credentials->call);
    loop_disarm(credentials->loop, &credentials->retry);
    loop_disarm(credentials->loop, &credentials->renew);
    struct text secret = credentials->found.key;
    if (secret.data != NULL)
        explicit_bzero((char *)(uintptr_t)secret.data, secret.len);
    arena_fini(&credentials->arena);
    free(credentials->namespace);
    free(credentials->server_name);
    free(credentials);
}

void credentials_start(struct credentials *credentials)
{
    look(credentials);
}
