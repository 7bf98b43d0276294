/* Mail from many threads arrives once, in each sender's order; signals come as events. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "event/mailbox.h"
#include "event/signals.h"
#include "test.h"

enum { SENDERS = 4, EACH = 5000 };

struct inbox {
    struct loop *loop;
    struct mailbox box;
    uint32_t next[SENDERS];
    uint32_t got;
};

struct letter {
    struct mail mail;
    uint32_t sender, number;
};

struct sender {
    pthread_t thread;
    struct inbox *to;
    uint32_t number;
};

static void deliver(struct mail *mail, void *owner)
{
    struct inbox *inbox = owner;
    struct letter *letter = CONTAINER_OF(mail, struct letter, mail);
    assert_int_equal(letter->number, inbox->next[letter->sender]);
    inbox->next[letter->sender]++;
    if (++inbox->got == SENDERS * EACH)
        loop_stop(inbox->loop);
    free(letter);
}

static void *send_all(void *owner)
{
    struct sender *sender = owner;
    for (uint32_t i = 0; i < EACH; i++) {
        struct letter *letter = memory_new(struct letter);
        letter->mail.deliver = deliver;
        letter->sender = sender->number;
        letter->number = i;
        mailbox_post(&sender->to->box, &letter->mail);
    }
    return NULL;
}

static void mail_from_many_threads_arrives_once_and_in_order(void **state)
{
    (void)state;
    struct inbox inbox = {.loop = loop_new(NULL)};
    assert_true(mailbox_init(&inbox.box, inbox.loop, &inbox));
    struct sender senders[SENDERS];
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.to = &inbox, .number = i};
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
    }
    loop_run(inbox.loop);
    for (uint32_t i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
    assert_int_equal(inbox.got, SENDERS * EACH);
    mailbox_fini(&inbox.box);
    loop_free(inbox.loop);
}

static void on_signal(void *owner, int number)
{
    int *told = owner;
    *told = number;
}

static void a_signal_is_told_by_the_loop(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct signals signals;
    int told = 0;
    assert_true(signals_init(&signals, loop, &told, on_signal));
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    for (int i = 0; i < 100 && told == 0; i++)
        loop_turn(loop, 100);
    assert_int_equal(told, SIGHUP);
    signals_fini(&signals);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_from_many_threads_arrives_once_and_in_order),
        cmocka_unit_test(a_signal_is_told_by_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
