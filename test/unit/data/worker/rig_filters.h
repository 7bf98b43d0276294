/* For rig.make_filters: chains that send somewhere themselves, to the rule's only backend. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/filter/chain.h"
#include "nantian/config/v1/filter.pb-c.h"
#include "rig.h"

/* The rule's requests go to its only backend a second time. */
static inline struct filter_chain *rig_mirroring(const struct rig *rig, struct arena *arena)
{
    (void)rig;
    Nantian__Config__V1__Mirror message = NANTIAN__CONFIG__V1__MIRROR__INIT;
    const void *config = NULL;
    struct fault fault = {0};
    assert_int_equal(filter_mirror.compile(&message, arena, &config, &fault), ERR_NONE);
    struct filter_step step = {.type = &filter_mirror, .config = (void *)(uintptr_t)config};
    filter_mirror.backend(step.config)->slot = 0;
    return chain_new(arena, &step, 1);
}

/* A service that is asked about each request; with bodies of up to 8 bytes, or without. */
static inline struct filter_chain *rig_ask(struct arena *arena, uint32_t body_max)
{
    Nantian__Config__V1__ExternalAuth message = NANTIAN__CONFIG__V1__EXTERNAL_AUTH__INIT;
    char prefix[] = "/check/", backend[] = "default/app:80";
    char told[] = "x-told", spoofed[] = "X-Forwarded-For", user[] = "x-user";
    char *to[] = {told, spoofed}, *from[] = {user};
    message.path_prefix = prefix;
    message.backend = backend;
    message.allowed_request_headers = to;
    message.n_allowed_request_headers = 2;
    message.allowed_response_headers = from;
    message.n_allowed_response_headers = 1;
    message.body_bytes_max = body_max;
    const void *config = NULL;
    struct fault fault = {0};
    assert_int_equal(filter_external_auth.compile(&message, arena, &config, &fault), ERR_NONE);
    struct filter_step step = {.type = &filter_external_auth, .config = (void *)(uintptr_t)config};
    filter_external_auth.backend(step.config)->slot = 0;
    return chain_new(arena, &step, 1);
}

static inline struct filter_chain *rig_asking(const struct rig *rig, struct arena *arena)
{
    (void)rig;
    return rig_ask(arena, 0);
}

static inline struct filter_chain *rig_asking_with_body(const struct rig *rig, struct arena *arena)
{
    (void)rig;
    return rig_ask(arena, 8);
}
