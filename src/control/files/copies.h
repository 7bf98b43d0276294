/* What each file held, kept over restarts: should a file be faulty when the control plane starts,
 * its objects still have their last good form. In the state directory, mode 0600. A file has a copy
 * without faults, form 0, and those since, numbered as they came. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "base/limits.h"

struct copies;

/* Under "STATE/files"; those of files that `directory_of_files` holds no more are removed. NULL:
 * errno. */
struct copies *copies_new(const char *state_dir, const char *directory_of_files);
void copies_free(struct copies *copies);

/* False: errno. */
MUST_USE bool copies_save(struct copies *copies, const char *name, uint32_t form,
                          struct text content);
/* False: there is none. */
MUST_USE bool copies_load(const struct copies *copies, const char *name, uint32_t form,
                          struct arena *arena, struct text *ret_content);
/* The numbers of the forms with faults, the oldest first; the oldest ones if there are too many. */
size_t copies_forms(const struct copies *copies, const char *name,
                    uint32_t ret_forms[LIMIT_FILE_FORMS]);
void copies_forget(struct copies *copies, const char *name, uint32_t form);
void copies_forget_all(struct copies *copies, const char *name);
