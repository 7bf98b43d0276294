/* What is secret is the same as in outcome_resources_json: private keys and keys of sessions. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/admin/disclose.h"

#include "base/base64.h"
#include "nantian/config/v1/backend.pb-c.h"
#include "nantian/config/v1/route.pb-c.h"
#include "nantian/config/v1/secret.pb-c.h"
#include "schema/pack.h"
#include "schema/unpack.h"

static ProtobufCBinaryData bytes_of(struct text text)
{
    return (ProtobufCBinaryData){text.len, (uint8_t *)(uintptr_t)text.data};
}

static void blank_session(Nantian__Config__V1__Session *session)
{
    if (session != NULL && session->key.len > 0)
        memset(session->key.data, 0, session->key.len);
}

static const ProtobufCMessageDescriptor *descriptor_of(enum resource_type type)
{
    switch (type) {
    case RESOURCE_ROUTE:
        return &nantian__config__v1__route__descriptor;
    case RESOURCE_BACKEND:
        return &nantian__config__v1__backend__descriptor;
    case RESOURCE_SECRET:
        return &nantian__config__v1__secret__descriptor;
    default:
        return NULL; /* holds nothing that is secret */
    }
}

static struct text blank(const struct outcome_resource *resource, const struct tls_made *stand_in,
                         struct arena *arena)
{
    void *message = NULL;
    const ProtobufCMessageDescriptor *type = descriptor_of(resource->type);
    if (type == NULL)
        return resource->bytes;
    if (schema_unpack(type, resource->bytes, arena, &message) != ERR_NONE)
        return TEXT_NONE;
    if (resource->type == RESOURCE_ROUTE)
        blank_session(((Nantian__Config__V1__Route *)message)->session);
    if (resource->type == RESOURCE_BACKEND)
        blank_session(((Nantian__Config__V1__Backend *)message)->session);
    Nantian__Config__V1__Secret *secret = message;
    if (resource->type == RESOURCE_SECRET && secret->private_key.len > 0) {
        secret->certificate_chain = bytes_of(stand_in->chain);
        secret->private_key = bytes_of(stand_in->key);
    }
    return schema_pack(message, arena);
}

void disclose_resources(const struct outcome *outcome, const struct publish *publish,
                        struct text gateway, const struct tls_made *stand_in, struct json *json)
{
    struct arena arena, scratch;
    size_t count;
    arena_init(&arena, 0);
    arena_init(&scratch, 0);
    struct outcome_resource *all = outcome_resources(outcome, &arena, &count);
    json_array_begin(json, NULL);
    for (size_t i = 0; i < count; i++) {
        if (!publish_sees(publish, gateway, all[i].type, all[i].name))
            continue;
        json_object_begin(json, NULL);
        json_string(json, "type", types_name(all[i].type));
        json_text(json, "name", all[i].name);
        json_text(json, "bytes", base64_encode(blank(&all[i], stand_in, &scratch), &scratch));
        json_object_end(json);
        arena_reset(&scratch);
    }
    json_array_end(json);
    arena_fini(&scratch);
    arena_fini(&arena);
}
