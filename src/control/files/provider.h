/* One file of the directory as a provider of objects: of each the last good form, over restarts
 * too. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/fault.h"
#include "base/hash.h"
#include "control/files/copies.h"
#include "control/files/holding.h"
#include "control/kind/kind.h"

/* What all of them share. */
struct providers {
    enum kind_mode mode;
    struct holdings *holdings; /* owns */
    struct copies *copies;     /* owns; NULL: nothing is kept over a restart */
    bool is_short;             /* a copy could not be written: told once */
};

struct provider {
    char *name;                /* owns; without the directory */
    struct digest content;     /* of what was read last; zero: nothing */
    struct holding **holdings; /* owns; the objects in use from this file */
    size_t holding_count;
    struct arena fault_arena; /* of the last read */
    struct faults faults;
    bool broken;     /* a syntax error, or it cannot be read */
    bool unkept;     /* the copy could not be written */
    uint32_t newest; /* copy with a faulty object in it; 0: none */
};

/* What a file holds now: read and parsed by any thread. */
struct provider_content {
    struct text path, text;
    struct digest digest;
    bool parsed;
    struct kind_objects objects;
};

void provider_init(struct provider *provider, struct text name);
void provider_fini(struct provider *provider, struct providers *providers);
/* Takes nothing yet; touches the faults of this provider alone. */
void provider_parse(struct provider *provider, enum kind_mode mode,
                    struct provider_content *content);
/* Replaces what the file held. */
void provider_take(struct provider *provider, struct providers *providers,
                   const struct provider_content *content);
/* The file cannot be read: what it held stays. */
void provider_lose(struct provider *provider, struct providers *providers, struct text path,
                   const char *why);
/* Writes the copy that could not be written. False: it still cannot. */
bool provider_keep(struct provider *provider, struct providers *providers, struct text content);
size_t provider_errors(const struct provider *provider);
