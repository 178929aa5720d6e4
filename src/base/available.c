#include "base/available.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The number behind `name` in a file of "name: number kB" lines; -1 if there is none. */
static int64_t kilobytes(const char *path, const char *name)
{
    char line[256];
    int64_t found = -1;
    FILE *f = fopen(path, "r");
    while (f && found < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            found = strtoll(line + strlen(name), NULL, 10);
    if (f)
        fclose(f);
    return found < 0 ? -1 : found * 1024;
}

/* A file of one number; -1 for "max", or if there is none. */
static int64_t number_in(const char *folder, const char *name)
{
    char path[512], text[64] = "";
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/%s", folder, name);
    FILE *f = fopen(path, "r");
    if (!f)
        return -1;
    if (!fgets(text, sizeof text, f) || text[0] < '0' || text[0] > '9')
        text[0] = 0;
    fclose(f);
    return text[0] ? strtoll(text, NULL, 10) : -1;
}

/* What the limits of the process's control group and those above it leave. */
static int64_t left_in_group(void)
{
    char group[400] = "";
    int64_t least = INT64_MAX;
    FILE *f = fopen("/proc/self/cgroup", "r");
    if (!f || !fgets(group, sizeof group, f) || strncmp(group, "0::", 3) != 0)
        group[0] = 0;
    if (f)
        fclose(f);
    if (!group[0])
        return least;
    group[strcspn(group, "\n")] = 0;
    for (char *folder = group + 3, *slash; *folder; *slash = 0) {
        int64_t most = number_in(folder, "memory.max"), used = number_in(folder, "memory.current");
        if (most >= 0 && used >= 0 && most - used < least)
            least = most > used ? most - used : 0;
        slash = strrchr(folder, '/');
        if (!slash)
            break;
    }
    return least;
}

int64_t bnf_available_bytes(void)
{
    struct rlimit limit;
    int64_t least = kilobytes("/proc/meminfo", "MemAvailable:"), used;

    if (least < 0)
        least = INT64_MAX;
    int64_t group = left_in_group();
    least = group < least ? group : least;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        used = kilobytes("/proc/self/status", "VmSize:");
        int64_t left = (int64_t)limit.rlim_cur - (used < 0 ? 0 : used);
        least = left < least ? left : least;
    }
    return least < 0 ? 0 : least;
}
