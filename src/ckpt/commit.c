#include "ckpt/commit.h"
#include "ckpt/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WRITE_BYTES = 1 << 20 }; /* per call */

/* ---- system calls that a test can make fail -------------------------------------------------------------------- */

static _Atomic int64_t calls_to_failure; /* 0: none fails */

void bnf_ckpt_fail_at(int64_t n)
{
    atomic_store(&calls_to_failure, n);
}

/* Counts a call; true if it is the one that is to fail, with errno set. */
static bool fails_now(int error)
{
    int64_t left = atomic_load(&calls_to_failure);
    if (left > 0)
        atomic_store(&calls_to_failure, left - 1);
    if (left != 1)
        return false;
    errno = error;
    return true;
}

static int checked_open(const char *path, int flags)
{
    return fails_now(ENOSPC) ? -1 : open(path, flags | O_CLOEXEC, 0666);
}

static ssize_t checked_write(int fd, const void *data, size_t bytes)
{
    return fails_now(ENOSPC) ? -1 : write(fd, data, bytes);
}

static int checked_fsync(int fd)
{
    return fails_now(EIO) ? -1 : fsync(fd);
}

/* The descriptor is released whatever the result. */
static int checked_close(int fd)
{
    bool fails = fails_now(EIO);
    int result = close(fd);
    if (!fails)
        return result;
    errno = EIO;
    return -1;
}

static int checked_rename(const char *from, const char *to)
{
    return fails_now(ENOSPC) ? -1 : rename(from, to);
}

/* ---- commit ---------------------------------------------------------------------------------------------------- */

static bnf_status write_all(int fd, const char *path, const void *data, int64_t bytes)
{
    const char *next = data;
    for (int64_t left = bytes; left > 0;) {
        ssize_t wrote = checked_write(fd, next, left < WRITE_BYTES ? (size_t)left : WRITE_BYTES);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return bnf_fail(BNF_ERR_IO, "cannot write '%s': %s", path,
                            wrote < 0 ? strerror(errno) : "nothing was written");
        next += wrote;
        left -= wrote;
    }
    return BNF_OK;
}

static bnf_status write_file(const char *path, const void *head, int64_t head_bytes, const void *body,
                             int64_t body_bytes)
{
    int fd = checked_open(path, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        return bnf_fail(BNF_ERR_IO, "cannot create '%s': %s", path, strerror(errno));
    bnf_status status = write_all(fd, path, head, head_bytes);
    if (status == BNF_OK)
        status = write_all(fd, path, body, body_bytes);
    if (status == BNF_OK && checked_fsync(fd) != 0)
        status = bnf_fail(BNF_ERR_IO, "cannot synchronise '%s' with the disk: %s", path, strerror(errno));
    if (checked_close(fd) != 0 && status == BNF_OK)
        status = bnf_fail(BNF_ERR_IO, "cannot close '%s': %s", path, strerror(errno));
    return status;
}

static bnf_status sync_folder(const char *folder, const char *path)
{
    int fd = checked_open(folder, O_RDONLY | O_DIRECTORY);
    bool failed = fd < 0 || checked_fsync(fd) != 0;
    int reason = errno;
    if (fd >= 0 && checked_close(fd) != 0 && !failed) {
        failed = true;
        reason = errno;
    }
    if (failed)
        return bnf_fail(BNF_ERR_IO, "'%s' is written, but its folder could not be synchronised with the disk: %s", path,
                        strerror(reason));
    return BNF_OK;
}

/* A failure of a job that has lost its folder is told by its cause: its successor may have removed the temporary file.
 * */
static bnf_status explain(bnf_status status, const bnf_fence *fence)
{
    char why[1024];
    if (status != BNF_ERR_IO)
        return status;
    snprintf(why, sizeof why, "%s", bnf_error_message());
    bnf_error_clear();
    if (bnf_fence_check(fence) == BNF_ERR_FENCED)
        return BNF_ERR_FENCED;
    bnf_error_clear();
    return bnf_fail(status, "%s", why);
}

bnf_status bnf_ckpt_commit(const bnf_fence *fence, const char *folder, const char *temporary, const char *path,
                           const void *head, int64_t head_bytes, const void *body, int64_t body_bytes)
{
    BNF_TRY(bnf_fence_check(fence));
    bnf_status status = write_file(temporary, head, head_bytes, body, body_bytes);
    if (status == BNF_OK)
        status = bnf_fence_check(fence);
    if (status == BNF_OK && checked_rename(temporary, path) != 0)
        status = bnf_fail(BNF_ERR_IO, "cannot rename '%s' to '%s': %s", temporary, path, strerror(errno));
    if (status == BNF_OK)
        status = sync_folder(folder, path);
    else
        unlink(temporary);
    bnf_ckpt_fail_at(0);
    return explain(status, fence);
}
