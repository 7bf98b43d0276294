/* Statuses from an outcome to the API server: one write an object with all that differs, from what
 * stands there now (the mirror tells), with its resourceVersion, so that nothing that somebody else
 * wrote meanwhile is lost. Writes while its owner says that we lead. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/client.h"
#include "control/translate/outcome.h"

struct status_writer;

struct status_writer_options {
    struct loop *loop;
    struct client *client;
    struct text controller;
    bool (*may_write)(void *owner); /* asked before each write is made, and before it is sent */
    const char *(*api_version)(void *owner, enum kind_id kind);
    /* A status was written over `before` (NULL: there was none). */
    void (*on_written)(void *owner, struct store_key key, const struct value *before,
                       const struct value *after);
    void *owner;
};

struct status_writer *status_writer_new(const struct status_writer_options *options);
void status_writer_free(struct status_writer *writer);

/* The object as the server has it. Kinds without statuses are ignored. */
void status_writer_observe(struct status_writer *writer, enum kind_id kind,
                           const struct value *object);
/* What is observed next is believed even if it is older than what we know. */
void status_writer_set_back(struct status_writer *writer);
void status_writer_forget(struct status_writer *writer, struct store_key key);
/* What a run came to. The outcome is kept and asked until the next one. */
void status_writer_take(struct status_writer *writer, const struct outcome *outcome,
                        const struct outcome_edits *edits);
/* The live status has this condition True, of the object's newest generation. */
bool status_writer_says(const struct status_writer *writer, struct store_key key,
                        const char *condition);
/* We lead from now on: everything is compared once. */
void status_writer_begin(struct status_writer *writer);

struct status_writer_counters {
    uint64_t writes, conflicts, failures;
    size_t waiting;
};
struct status_writer_counters status_writer_counters(const struct status_writer *writer);
