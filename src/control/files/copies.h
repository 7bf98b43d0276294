/* The last good content of each file, kept over restarts: should a file be broken when the control
 * plane starts, its objects still have their last good form. In the state directory, mode 0600. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"

/* "STATE/files", made if it is missing. All functions take that path; failing to write costs only
 * the memory over a restart, so they fail in silence but for the return value. */
bool copies_make(const char *directory);
bool copies_save(const char *directory, const char *name, struct text content);
/* False: there is none. */
bool copies_load(const char *directory, const char *name, struct arena *arena,
                 struct text *ret_content);
void copies_forget(const char *directory, const char *name);
/* Removes those of files that are not in `directory_of_files` any more. */
void copies_purge(const char *directory, const char *directory_of_files);
