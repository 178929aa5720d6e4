/* A library that is loaded before all others (LD_PRELOAD) and makes one system call on the files of a run fail, be the
 * last thing that its process does, or wait. Counted are calls that change a file: open to write, write, fsync, close,
 * rename, link, unlink; of checkpoints (ckpt-*) and of their folder, which is only synchronised.
 *
 *   BNF_FAULT_FOLDER   the run folder, absolute: nothing else is counted
 *   BNF_FAULT_RANK     only this rank of MPI; else every process
 *   BNF_FAULT_METRICS  set: writes of lines of metrics count, too
 *   BNF_FAULT_REPORT   a file that gets a line when the call has come
 *   BNF_FAULT_TOTAL    a file that gets the number of calls when the process ends
 *   BNF_FAIL_AT=n      the n-th call fails: those that need space with ENOSPC, others with EIO
 *   BNF_DIE_AT=n       the n-th call is made (a write: half of it), then the process is killed
 *   BNF_STOP_AT=n      the process stops itself (SIGSTOP) before the n-th call, and makes it when it is continued */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FD = 4096 };

static _Atomic long calls;
static _Atomic char tracked[MAX_FD]; /* 1: all calls count, 2: only writes */

static void *next(const char *name)
{
    void *it = dlsym(RTLD_NEXT, name);
    if (!it)
        abort();
    return it;
}

static long number(const char *name)
{
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : 0;
}

static bool this_rank(void)
{
    const char *want = getenv("BNF_FAULT_RANK"), *rank = getenv("OMPI_COMM_WORLD_RANK");
    return !want || strcmp(want, rank ? rank : "0") == 0;
}

/* 0: not of interest; as in `tracked` */
static char kind_of(const char *path)
{
    const char *folder = getenv("BNF_FAULT_FOLDER"), *name = strrchr(path, '/');
    size_t n = folder ? strlen(folder) : 0;
    if (!n || strncmp(path, folder, n) != 0 || path[n] != '/' || !this_rank())
        return 0;
    if (strncmp(name + 1, "ckpt-", 5) == 0 || strcmp(name + 1, "checkpoints") == 0)
        return 1;
    return getenv("BNF_FAULT_METRICS") && strcmp(name + 1, "metrics.jsonl") == 0 ? 2 : 0;
}

static void say(const char *variable, const char *format, ...)
{
    char text[512];
    const char *path = getenv(variable);
    if (!path)
        return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int fd = ((int (*)(const char *, int, ...))next("open"))(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0 || ((ssize_t(*)(int, const void *, size_t))next("write"))(fd, text, (size_t)n) != n)
        abort();
    ((int (*)(int))next("close"))(fd);
}

/* What is to happen to a call. */
typedef enum fate { GO = 0, FAIL, DIE } fate;

static fate count(const char *call, const char *what)
{
    long n = atomic_fetch_add(&calls, 1) + 1;
    if (n == number("BNF_FAIL_AT")) {
        say("BNF_FAULT_REPORT", "%ld %s %s\n", n, call, what);
        return FAIL;
    }
    if (n == number("BNF_DIE_AT")) {
        say("BNF_FAULT_REPORT", "%ld %s %s\n", n, call, what);
        return DIE;
    }
    if (n == number("BNF_STOP_AT")) {
        say("BNF_FAULT_REPORT", "%ld %s %s %ld\n", n, call, what, (long)getpid());
        kill(getpid(), SIGSTOP);
    }
    return GO;
}

static int end(int result, fate f)
{
    if (f == DIE)
        kill(getpid(), SIGKILL);
    return result;
}

static int failed(int error)
{
    errno = error;
    return -1;
}

__attribute__((destructor)) static void total(void)
{
    if (this_rank() && atomic_load(&calls) > 0)
        say("BNF_FAULT_TOTAL", "%ld\n", atomic_load(&calls));
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    char kind = flags & (O_WRONLY | O_RDWR | O_DIRECTORY) ? kind_of(path) : 0;
    fate f = kind == 1 ? count("open", path) : GO;
    if (f == FAIL)
        return failed(flags & O_CREAT ? ENOSPC : EIO);
    int fd = ((int (*)(const char *, int, ...))next("open"))(path, flags, mode);
    if (fd >= 0 && fd < MAX_FD)
        atomic_store(&tracked[fd], kind);
    return end(fd, f);
}

static char tracks(int fd)
{
    return fd >= 0 && fd < MAX_FD ? atomic_load(&tracked[fd]) : 0;
}

ssize_t write(int fd, const void *data, size_t bytes)
{
    fate f = tracks(fd) ? count("write", tracks(fd) == 1 ? "ckpt" : "metrics") : GO;
    if (f == FAIL)
        return failed(ENOSPC);
    ssize_t wrote = ((ssize_t(*)(int, const void *, size_t))next("write"))(fd, data, f == DIE ? bytes / 2 : bytes);
    end(0, f);
    return wrote;
}

int fsync(int fd)
{
    fate f = tracks(fd) == 1 ? count("fsync", "ckpt") : GO;
    return f == FAIL ? failed(EIO) : end(((int (*)(int))next("fsync"))(fd), f);
}

int close(int fd)
{
    fate f = tracks(fd) == 1 ? count("close", "ckpt") : GO;
    if (fd >= 0 && fd < MAX_FD)
        atomic_store(&tracked[fd], 0);
    int result = end(((int (*)(int))next("close"))(fd), f);
    return f == FAIL ? failed(EIO) : result;
}

int rename(const char *from, const char *to)
{
    fate f = kind_of(from) == 1 ? count("rename", to) : GO;
    return f == FAIL ? failed(ENOSPC) : end(((int (*)(const char *, const char *))next("rename"))(from, to), f);
}

int unlink(const char *path)
{
    fate f = kind_of(path) == 1 ? count("unlink", path) : GO;
    return f == FAIL ? failed(EIO) : end(((int (*)(const char *))next("unlink"))(path), f);
}

int remove(const char *path)
{
    fate f = kind_of(path) == 1 ? count("remove", path) : GO;
    return f == FAIL ? failed(EIO) : end(((int (*)(const char *))next("remove"))(path), f);
}
