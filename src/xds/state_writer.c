/* The writing thread: a slot of one, a condition, and mail back. After a long write it rests, so
 * that a storm of changes to a large set costs a bounded share of the disk. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/state_writer.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "event/mailbox.h"
#include "xds/state.h"

#define REST_FACTOR 4 /* of the time that the last write took */
#define REST_MAX_NS (2ull * 1000 * 1000 * 1000)

struct job {
    size_t count;
    struct resource *resources[]; /* shares */
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
    uint32_t submitted, told; /* loop's thread */
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
    free(job);
}

static void deliver(struct mail *mail, void *owner)
{
    struct told *told = (struct told *)mail;
    struct state_writer *writer = owner;
    writer->told++;
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

static void *run(void *owner)
{
    struct state_writer *writer = owner;
    pthread_mutex_lock(&writer->lock);
    for (struct job *job; (job = next_job(writer)) != NULL;) {
        pthread_mutex_unlock(&writer->lock);
        uint64_t start = clock_monotonic_ns();
        struct told *told = memory_new(struct told);
        told->mail.deliver = deliver;
        told->why = state_write(writer->directory, job->resources, job->count);
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

void state_writer_submit(struct state_writer *writer, const struct resource_set *set)
{
    size_t room = resource_set_total(set) + resource_set_count(set, RESOURCE_SNAPSHOT);
    struct job *job = memory_alloc(sizeof(*job) + room * sizeof(struct resource *));
    for (unsigned i = 0; i < RESOURCE_TYPES; i++) {
        struct resource *one;
        for (size_t at = 0; (one = resource_set_next(set, (enum resource_type)i, &at)) != NULL;)
            job->resources[job->count++] = resource_ref(one);
    }
    CHECK(job->count == room);
    pthread_mutex_lock(&writer->lock);
    struct job *replaced = writer->waiting;
    writer->waiting = job;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->lock);
    writer->submitted += replaced == NULL;
    free_job(replaced);
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
    free(writer->directory);
    free(writer);
}
