/* Events (events.k8s.io/v1): what happened to an object, for "kubectl describe". The same thing
 * told again is a series of one Event; how many there are in a time is bounded, and what is over
 * the bound is dropped: nothing depends on them. Each replica writes what it saw itself, whether it
 * leads or not: its data planes are nobody else's. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/kind.h"
#include "control/kube/client.h"

struct recorder;

struct recorder_options {
    struct loop *loop;
    struct client *client;
    struct text controller, instance; /* who reports */
};

struct recorder_event {
    const struct kind_meta *about;
    bool is_warning;
    const char *reason; /* "Programmed"; static */
    const char *action; /* what we were about; static */
    struct text note;   /* cut at 1024 bytes */
};

struct recorder *recorder_new(const struct recorder_options *options);
void recorder_free(struct recorder *recorder);
void recorder_tell(struct recorder *recorder, const struct recorder_event *event);
/* The Events that a status is worth which was written over `before` (NULL: there was none). */
void recorder_tell_turns(struct recorder *recorder, const struct kind_meta *about,
                         const struct value *before, const struct value *after);
