/* One run of the translation: what its parts are given. Internal to this folder. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/map.h"
#include "control/translate/piece.h"
#include "control/translate/terms/capability.h"
#include "control/translate/terms/conditions.h"
#include "control/translate/translate.h"

/* The proto messages that several files build, under shorter names. */
#include "nantian/config/v1/filter.pb-c.h"
#include "nantian/config/v1/route.pb-c.h"

struct gateway_view;

struct translation {
    struct store *store;
    const struct translate_options *options;
    uint64_t capabilities;
    struct text controller;
    struct outcome *outcome;
    struct arena scratch; /* of one piece: reset between them */
    struct arena run;     /* of the whole run */
    struct map policies;  /* of policies.c: by what they target, as far as it was asked for */
};

static inline bool translation_can(const struct translation *t, enum capability capability)
{
    return capability_has(t->capabilities, capability);
}

/* A condition other than the good one: reason NULL means that all is well. */
struct verdict {
    const char *reason;
    struct text message;
};
