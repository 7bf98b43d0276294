/* The writing thread: a slot of one, a condition, and mail back. What comes while the slot is taken
 * joins what waits there: a set that is written whole takes its place, entries of the log follow
 * it. After a long write the thread rests, so that a storm of changes to a large set costs a
 * bounded share of the disk. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/state_writer.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "event/mailbox.h"
#include "xds/state.h"
#include "xds/state_log.h"

#define REST_FACTOR 4 /* of the time that the last write took */
#define REST_MAX_NS (2ull * 1000 * 1000 * 1000)

/* A smaller set is written whole each time: it costs no more than a log does. */
#define LOG_SET_MIN (256u << 10)
/* The log may grow to this part of the set behind which it stands. */
#define LOG_SHARE 2

/* First the set if there is one, then the entries of the log. */
struct job {
    size_t count;                /* 0: no set */
    struct resource **resources; /* owns; shares each */
    struct builder entries;      /* as of state_log.h */
};

struct state_writer {
    char *directory; /* owns */
    state_written on_written;
    void *owner;
    struct mailbox box;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct job *waiting; /* owns */
    bool ending;
    uint64_t rest_until_ns;
    struct state_log log; /* the writing thread's */
    /* The loop's thread. */
    uint32_t submitted, told;
    struct builder noted; /* the entry that state_writer_note began */
    bool is_noted;
    uint64_t log_room; /* what the log may still grow by; 0: the next set is written whole */
};

struct told {
    struct mail mail;
    const char *why;
    uint64_t took_us;
};

static void free_job(struct job *job)
{
    if (job == NULL)
        return;
    for (size_t i = 0; i < job->count; i++)
        resource_unref(job->resources[i]);
    free(job->resources);
    builder_fini(&job->entries);
    free(job);
}

static void deliver(struct mail *mail, void *owner)
{
    struct told *told = (struct told *)mail;
    struct state_writer *writer = owner;
    writer->told++;
    if (told->why != NULL)
        writer->log_room = 0;
    if (writer->on_written != NULL)
        writer->on_written(writer->owner, told->why, told->took_us);
    free(told);
}

/* Under the lock. NULL: the end. */
static struct job *next_job(struct state_writer *writer)
{
    for (;;) {
        uint64_t now = clock_monotonic_ns();
        if (writer->waiting != NULL && (writer->ending || now >= writer->rest_until_ns))
            break;
        if (writer->ending)
            return NULL;
        if (writer->waiting == NULL) {
            pthread_cond_wait(&writer->wake, &writer->lock);
            continue;
        }
        struct timespec until = {(time_t)(writer->rest_until_ns / 1000000000),
                                 (long)(writer->rest_until_ns % 1000000000)};
        pthread_cond_timedwait(&writer->wake, &writer->lock, &until);
    }
    struct job *job = writer->waiting;
    writer->waiting = NULL;
    return job;
}

static const char *write_job(struct state_writer *writer, struct job *job)
{
    if (job->count > 0) {
        struct digest digest;
        const char *why = state_write(writer->directory, job->resources, job->count, &digest);
        if (why != NULL) {
            state_log_fini(&writer->log); /* what follows has nothing to stand on */
            return why;
        }
        state_log_restart(&writer->log, digest);
    }
    return job->entries.len == 0 ? NULL
                                 : state_log_append(&writer->log, writer->directory, &job->entries);
}

static void *run(void *owner)
{
    struct state_writer *writer = owner;
    pthread_mutex_lock(&writer->lock);
    for (struct job *job; (job = next_job(writer)) != NULL;) {
        pthread_mutex_unlock(&writer->lock);
        uint64_t start = clock_monotonic_ns();
        struct told *told = memory_new(struct told);
        told->mail.deliver = deliver;
        told->why = write_job(writer, job);
        free_job(job);
        uint64_t end = clock_monotonic_ns();
        told->took_us = (end - start) / 1000;
        pthread_mutex_lock(&writer->lock);
        writer->rest_until_ns = end + MIN((end - start) * REST_FACTOR, REST_MAX_NS);
        mailbox_post(&writer->box, &told->mail);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

struct state_writer *state_writer_new(struct loop *loop, const char *directory,
                                      state_written on_written, void *owner)
{
    struct state_writer *writer = memory_new(struct state_writer);
    writer->directory = memory_string(text_of(directory));
    state_log_init(&writer->log);
    writer->on_written = on_written;
    writer->owner = owner;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    if (mailbox_init(&writer->box, loop, writer)) {
        if (pthread_create(&writer->thread, NULL, run, writer) == 0)
            return writer;
        mailbox_fini(&writer->box);
    }
    pthread_cond_destroy(&writer->wake);
    pthread_mutex_destroy(&writer->lock);
    free(writer->directory);
    free(writer);
    return NULL;
}

void state_writer_note(struct state_writer *writer, const struct resource_edits *edits)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < edits->count; i++)
        bytes += resource_edit_either(&edits->items[i])->bytes_len;
    if (bytes >= writer->log_room)
        return;
    builder_clear(&writer->noted);
    (void)state_log_open(&writer->noted);
    for (size_t i = 0; i < edits->count; i++) {
        const struct resource_edit *edit = &edits->items[i];
        if (edit->after != NULL)
            state_record_add(&writer->noted, edit->after);
        else
            state_record_add_gone(&writer->noted, edit->before);
    }
    writer->is_noted = true;
}

static struct job *whole_job(const struct resource_set *set)
{
    size_t room = resource_set_total(set) + resource_set_count(set, RESOURCE_SNAPSHOT);
    struct job *job = memory_new(struct job);
    job->resources = memory_alloc((room + 1) * sizeof(struct resource *));
    for (unsigned i = 0; i < RESOURCE_TYPES; i++) {
        struct resource *one;
        for (size_t at = 0; (one = resource_set_next(set, (enum resource_type)i, &at)) != NULL;)
            job->resources[job->count++] = resource_ref(one);
    }
    CHECK(job->count == room);
    return job;
}

/* The noted entry with its commit record; NULL: there is none, or no room for it. */
static struct job *entry_job(struct state_writer *writer, const struct resource_set *set)
{
    const struct resource *record =
        resource_set_get(set, RESOURCE_SNAPSHOT, TEXT(TYPES_SNAPSHOT_NAME));
    if (!writer->is_noted || record == NULL)
        return NULL;
    writer->is_noted = false;
    state_record_add(&writer->noted, record);
    state_log_close(&writer->noted, 0);
    if (writer->noted.len >= writer->log_room)
        return NULL;
    writer->log_room -= writer->noted.len;
    struct job *job = memory_new(struct job);
    builder_add(&job->entries, builder_text(&writer->noted));
    return job;
}

void state_writer_submit(struct state_writer *writer, const struct resource_set *set)
{
    struct job *job = entry_job(writer, set), *useless = NULL;
    if (job == NULL) {
        job = whole_job(set);
        writer->log_room = set->bytes < LOG_SET_MIN ? 0 : set->bytes / LOG_SHARE;
    }
    pthread_mutex_lock(&writer->lock);
    struct job *waiting = writer->waiting;
    if (waiting != NULL && job->count == 0) {
        builder_add(&waiting->entries, builder_text(&job->entries));
        useless = job;
    } else {
        useless = waiting;
        writer->waiting = job;
    }
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->lock);
    writer->submitted += waiting == NULL;
    free_job(useless);
}

bool state_writer_busy(const struct state_writer *writer)
{
    return writer->submitted != writer->told;
}

void state_writer_free(struct state_writer *writer)
{
    if (writer == NULL)
        return;
    pthread_mutex_lock(&writer->lock);
    writer->ending = true;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->lock);
    pthread_join(writer->thread, NULL);
    /* The last words wait in the box: they are delivered here, not lost. */
    while (writer->box.first != NULL) {
        struct mail *mail = writer->box.first;
        writer->box.first = mail->next;
        mail->deliver(mail, writer);
    }
    writer->box.last = &writer->box.first;
    mailbox_fini(&writer->box);
    pthread_cond_destroy(&writer->wake);
    pthread_mutex_destroy(&writer->lock);
    state_log_fini(&writer->log);
    builder_fini(&writer->noted);
    free(writer->directory);
    free(writer);
}
