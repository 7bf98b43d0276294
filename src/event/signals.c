/* Signals as events of the loop, by signalfd. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "event/signals.h"

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void on_ready(void *owner, uint32_t events)
{
    (void)events;
    struct signals *signals = owner;
    struct signalfd_siginfo info;
    if (read(signals->watch.fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    signals->on_signal(signals->owner, (int)info.ssi_signo);
}

bool signals_init(struct signals *signals, struct loop *loop, void *owner,
                  void (*on_signal)(void *owner, int number))
{
    *signals = (struct signals){.loop = loop, .owner = owner, .on_signal = on_signal};
    signals->watch = (struct watch){.fd = -1, .owner = signals, .on_ready = on_ready};

    static const int told[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(told); i++)
        sigaddset(&set, told[i]);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (sigaction(SIGPIPE, &ignore, NULL) != 0 || sigaction(SIGXFSZ, &ignore, NULL) != 0 ||
        pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return false;

    signals->watch.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals->watch.fd < 0)
        return false;
    if (!loop_watch_level(loop, &signals->watch)) {
        close(signals->watch.fd);
        signals->watch.fd = -1;
        return false;
    }
    return true;
}

void signals_fini(struct signals *signals)
{
    if (signals->loop == NULL || signals->watch.fd < 0)
        return;
    int fd = signals->watch.fd;
    loop_unwatch(signals->loop, &signals->watch);
    close(fd); /* the signals stay blocked: what comes now is for nobody */
}
