/* XBackends: protocol, TLS, status. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/x_backend.h"

#include "control/translate/backends.h"
#include "control/translate/secrets.h"
#include "control/translate/service_policy.h"

#define FAIL_STATUS 502

static bool is_http(enum backends_protocol asked)
{
    return asked == BACKENDS_AS_HINTED || asked == BACKENDS_H2C;
}

static bool choose_protocol(const struct kind_x_backend *backend, enum backends_protocol asked,
                            enum backends_protocol *ret_protocol)
{
    *ret_protocol = asked;
    switch (backend->protocol) {
    case KIND_X_BACKEND_AS_ROUTED:
        return is_http(asked) || (asked == BACKENDS_TCP && backend->protocol_text.len == 0);
    case KIND_X_BACKEND_TCP:
        return asked == BACKENDS_TCP;
    case KIND_X_BACKEND_HTTP11:
        return asked == BACKENDS_AS_HINTED;
    case KIND_X_BACKEND_HTTP2:
    case KIND_X_BACKEND_H2C:
    case KIND_X_BACKEND_GRPC:
        *ret_protocol = BACKENDS_H2C;
        return is_http(asked);
    case KIND_X_BACKEND_MCP:
    case KIND_X_BACKEND_WSS:
        break;
    }
    return false;
}

/* What no route could have of it. */
static struct verdict check_support(struct translation *t, const struct kind_object *object)
{
    const struct kind_x_backend *backend = object->x_backend;
    if (backend->type == KIND_X_BACKEND_ENDPOINT_SELECTOR)
        return (struct verdict){
            "UnsupportedValue",
            TEXT("The type EndpointSelector is not supported; name a Service with that selector "
                 "instead.")};
    if (backend->host == NULL)
        return (struct verdict){"Invalid", TEXT("It names no host.")};
    if (backend->protocol == KIND_X_BACKEND_MCP || backend->protocol == KIND_X_BACKEND_WSS)
        return (struct verdict){"UnsupportedProtocol",
                                arena_printf(&t->scratch,
                                             "The protocol " TEXT_FMT " is not supported.",
                                             TEXT_ARG(backend->protocol_text))};
    return (struct verdict){NULL, TEXT_NONE};
}

struct verdict x_backend_check(struct translation *t, const struct kind_object *object,
                               enum backends_protocol asked, enum backends_protocol *ret_protocol)
{
    struct text path = piece_path(&t->scratch, object->meta.namespace, object->meta.name);
    struct verdict verdict = check_support(t, object);
    if (verdict.reason != NULL) {
        verdict.message =
            arena_printf(&t->scratch, "the XBackend " TEXT_FMT " cannot be used: " TEXT_FMT,
                         TEXT_ARG(path), TEXT_ARG(verdict.message));
        return verdict;
    }
    if (choose_protocol(object->x_backend, asked, ret_protocol) &&
        (*ret_protocol != BACKENDS_H2C || translation_can(t, CAPABILITY_BACKEND_H2C)))
        return verdict;
    struct text protocol = object->x_backend->protocol_text;
    return (struct verdict){
        "UnsupportedProtocol",
        protocol.len == 0
            ? arena_printf(&t->scratch, "the XBackend " TEXT_FMT " cannot be asked over UDP.",
                           TEXT_ARG(path))
            : arena_printf(&t->scratch,
                           "the protocol " TEXT_FMT " of the XBackend " TEXT_FMT
                           " does not go with this kind of route.",
                           TEXT_ARG(protocol), TEXT_ARG(path))};
}

struct judgement {
    struct verdict accepted, resolved;
    struct store_key client; /* kind NONE: none is shown */
};

static struct judgement judge(struct translation *t, const struct kind_object *object,
                              struct piece *piece)
{
    const struct kind_x_backend *backend = object->x_backend;
    struct judgement out = {.accepted = check_support(t, object)};
    if (out.accepted.reason != NULL || backend->mode == KIND_X_BACKEND_PLAIN)
        return out;
    if (backend->validation == NULL) {
        out.accepted = (struct verdict){"Invalid", TEXT("spec.tls lacks validation.")};
        return out;
    }
    backend_tls_judge(t, object, backend->validation, piece, &out.accepted, &out.resolved);
    if (backend->mode != KIND_X_BACKEND_CLIENT_AND_SERVER || out.accepted.reason != NULL)
        return out;
    struct verdict certificate = {"Invalid", TEXT("spec.tls lacks clientCertificateRef.")};
    if (backend->client_certificate != NULL)
        certificate = secrets_certificate(t, piece, object, backend->client_certificate,
                                          "InvalidClientCertificateRef", &out.client);
    if (certificate.reason != NULL) {
        out.resolved = certificate;
        out.accepted = (struct verdict){"Invalid", TEXT("Its client certificate cannot be used.")};
    } else if (!translation_can(t, CAPABILITY_BACKEND_CLIENT_CERTIFICATE)) {
        out.accepted = (struct verdict){
            "Invalid", TEXT("Client certificates to backends are not supported by this data "
                            "plane.")};
    }
    return out;
}

void x_backend_apply(struct translation *t, const struct kind_object *object, struct piece *piece,
                     Nantian__Config__V1__Backend *message)
{
    const struct kind_x_backend *backend = object->x_backend;
    struct judgement judgement = judge(t, object, piece);
    if (judgement.accepted.reason != NULL)
        message->fail_status = FAIL_STATUS;
    else if (backend->mode != KIND_X_BACKEND_PLAIN)
        backend_tls_apply(t, object, backend->validation, judgement.client, piece, message);
}

static void say(const struct kind_object *object, struct piece *piece, struct verdict verdict)
{
    const struct kind_x_backend *backend = object->x_backend;
    bool is_tls = backend->mode != KIND_X_BACKEND_PLAIN &&
                  !text_starts_with(text_of(verdict.reason == NULL ? "" : verdict.reason),
                                    TEXT("Unsupported"));
    struct piece_spot spot = {FAULT_ERROR, verdict.reason,
                              is_tls ? backend->tls_place : backend->place,
                              is_tls ? TEXT("spec.tls") : TEXT("spec"), TEXT_NONE};
    if (verdict.reason != NULL)
        piece_fault(piece, object, &spot, verdict.message);
}

struct piece *x_backend_piece(struct translation *t, const struct kind_object *object)
{
    struct piece *piece = piece_new(piece_key_of(object));
    struct judgement judgement = judge(t, object, piece);
    say(object, piece, judgement.accepted);
    say(object, piece, judgement.resolved);
    service_policy_status(t, object, piece, judgement.accepted, judgement.resolved);
    return piece;
}
