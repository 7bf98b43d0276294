/* Runs a fuzz target over files, and over each of them cut short at every byte: the seeds as a test
 * where no fuzzer is built. Arguments: files or folders of files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_MAX (1 << 20)
#define CUT_MAX   4096

static int replay(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fprintf(stderr, "%s cannot be opened\n", path);
        return -1;
    }
    uint8_t *data = malloc(INPUT_MAX);
    size_t size = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    for (size_t len = 0; len <= size; len++) {
        if (len > CUT_MAX && len < size)
            continue;
        uint8_t *exact = malloc(len + 1); /* so that a sanitizer sees the end */
        memcpy(exact, data, len);
        (void)LLVMFuzzerTestOneInput(exact, len);
        free(exact);
    }
    free(data);
    return 1;
}

static int replay_all(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return replay(path);
    int count = 0;
    struct dirent *entry;
    while (count >= 0 && (entry = readdir(folder)) != NULL) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        count = replay(name) < 0 ? -1 : count + 1;
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        int some = replay_all(argv[i]);
        if (some < 0)
            return 1;
        count += some;
    }
    printf("%d files replayed\n", count);
    return count > 0 ? 0 : 1;
}
