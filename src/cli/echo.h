/* The built-in backend: answers every request with what it saw, as JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "event/loop.h"
#include "net/address.h"

struct echo;

/* NULL: the address cannot be bound (errno). Port 0 takes a free one. `name` is borrowed. */
struct echo *echo_new(struct loop *loop, const struct address *address, const char *name);
struct address echo_address(const struct echo *echo);
void echo_free(struct echo *echo);
