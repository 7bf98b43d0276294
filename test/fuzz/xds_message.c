/* What peers and disks hand to the xDS layer: messages of every kind, responses to be staged,
 * commit records, state files. The first byte picks which. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "fuzz.h"
#include "nantian/config/v1/backend.pb-c.h"
#include "nantian/config/v1/endpoints.pb-c.h"
#include "nantian/config/v1/listener.pb-c.h"
#include "nantian/config/v1/route.pb-c.h"
#include "nantian/report/v1/report.pb-c.h"
#include "schema/pack.h"
#include "schema/unpack.h"
#include "xds/delta_client_stage.h"
#include "xds/refusal.h"
#include "xds/state.h"
#include "xds/state_record.h"

static const ProtobufCMessageDescriptor *const TYPES[] = {
    &envoy__service__discovery__v3__delta_discovery_response__descriptor,
    &envoy__service__discovery__v3__delta_discovery_request__descriptor,
    &nantian__config__v1__route__descriptor,
    &nantian__config__v1__listener__descriptor,
    &nantian__config__v1__backend__descriptor,
    &nantian__config__v1__endpoints__descriptor,
    &nantian__config__v1__snapshot__descriptor,
    &nantian__report__v1__data_plane_report__descriptor,
};

/* What was unpacked and packed again must unpack to the same bytes. */
static void unpack_twice(const ProtobufCMessageDescriptor *type, struct text bytes,
                         struct arena *arena)
{
    void *message, *again;
    if (schema_unpack(type, bytes, arena, &message) != ERR_NONE)
        return;
    struct text packed = schema_pack(message, arena);
    if (schema_unpack(type, packed, arena, &again) != ERR_NONE)
        return; /* grew beyond the bound: defaults that were spelled out are gone */
    CHECK(text_equal(packed, schema_pack(again, arena)));
}

static void stage(struct text bytes, struct arena *arena)
{
    void *message;
    const char *why;
    struct delta_client_stage stage;
    if (schema_unpack(TYPES[0], bytes, arena, &message) != ERR_NONE)
        return;
    const Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *response = message;
    delta_client_stage_init(&stage);
    for (unsigned round = 0; round < 3; round++) {
        enum resource_type type;
        if (!types_from_url(text_of(response->type_url), &type))
            type = RESOURCE_ROUTE;
        (void)!delta_client_stage_put(&stage, type, response, &why);
        delta_client_stage_begin(&stage);
        struct resource *record =
            record_new(&stage.staged.sums, &(struct snapshot_version){.epoch = 1});
        if (round == 0)
            delta_client_stage_refuse(&stage);
        else
            delta_client_stage_accept(&stage, record);
        resource_unref(record);
    }
    CHECK(resource_set_total(&stage.accepted) == resource_set_total(&stage.staged));
    delta_client_stage_fini(&stage);
}

static void read_record(struct text bytes, struct arena *arena)
{
    struct record record;
    struct faults faults;
    struct resource_sums sums = {0};
    struct text whole, other;
    struct resource *before =
        record_new(&sums, &(struct snapshot_version){.epoch = bytes.len == 0 ? 0 : bytes.data[0]});
    if (record_complete(bytes, resource_bytes(before), arena, &whole) == ERR_NONE)
        CHECK(record_complete(whole, TEXT_NONE, arena, &other) == ERR_NONE);
    resource_unref(before);
    if (record_read(bytes, arena, &record) != ERR_NONE)
        return;
    faults_init(&faults, arena);
    (void)record_check(&record, &sums, &faults);
    struct refusal refusal = {.reason = "digest", .offered = &record.version, .faults = &faults};
    CHECK(refusal_from_status(refusal_to_status(&refusal, arena), arena) != NULL);
    faults_fini(&faults);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    struct arena arena;
    struct resource_set set;
    struct text bytes = {(const char *)data + 1, len - 1};
    arena_init(&arena, 0);
    if (data[0] < ARRAY_LEN(TYPES))
        unpack_twice(TYPES[data[0]], bytes, &arena);
    else if (data[0] == 'S')
        stage(bytes, &arena);
    else if (data[0] == 'C')
        read_record(bytes, &arena);
    resource_set_init(&set);
    if (data[0] == 'F' && state_decode(bytes, &set) != NULL)
        CHECK(resource_set_total(&set) == 0);
    if (data[0] == 'R') {
        for (struct text rest = bytes; rest.len > 0;) {
            if (state_record_apply(&rest, true, &set) != NULL)
                break;
        }
        (void)state_record_judge(&set);
    }
    resource_set_fini(&set);
    arena_fini(&arena);
    return 0;
}
