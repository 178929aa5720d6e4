/* cli/doctor_disk.c - tries out a folder: speed, fsync, rename, locks, whether all ranks see the same. What may hang is
 * done by a thread of its own that is given up after a while. */
#include "cli/doctor.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "comm/agree.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_SECONDS 10.0
#define WRITE_SECONDS 3.0
#define WRITE_BYTES (INT64_C(64) << 20)
#define BLOCK_BYTES (1 << 20)
#define SYNCS 10

/* All of it static: a thread that was given up may still use it. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool finished;
    bool hangs; /* a thread was given up: no more is tried */
    void (*work)(void);
    bnf_doctor_disk disk;
    char token[4096], mine[4096];
    int lock; /* of rank 0 */
} probe = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .lock = -1};

static void *run(void *unused)
{
    (void)unused;
    probe.work();
    pthread_mutex_lock(&probe.mutex);
    probe.finished = true;
    pthread_cond_signal(&probe.changed);
    pthread_mutex_unlock(&probe.mutex);
    return NULL;
}

/* Whether it was over in time. */
static bool in_time(void (*work)(void))
{
    pthread_t thread;
    struct timespec until;
    if (probe.hangs)
        return false;
    probe.finished = false;
    probe.work = work;
    if (pthread_create(&thread, NULL, run, NULL) != 0)
        return false;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)ANSWER_SECONDS;
    pthread_mutex_lock(&probe.mutex);
    while (!probe.finished && pthread_cond_timedwait(&probe.changed, &probe.mutex, &until) != ETIMEDOUT) {
    }
    probe.hangs = !probe.finished;
    pthread_mutex_unlock(&probe.mutex);
    if (probe.hangs)
        pthread_detach(thread);
    else
        pthread_join(thread, NULL);
    return !probe.hangs;
}

static void failed(const char *what)
{
    if (!probe.disk.error[0])
        snprintf(probe.disk.error, sizeof probe.disk.error, "%s: %s", what, strerror(errno));
}

static const char *type_name(long magic, char *other, size_t size)
{
    static const struct {
        long magic;
        const char *name;
    } known[] = {{0xEF53, "ext4"},     {0x58465342, "xfs"},        {0x9123683E, "btrfs"}, {0x01021994, "tmpfs"},
                 {0x6969, "nfs"},      {0x0BD00BD0, "lustre"},     {0x47504653, "gpfs"},  {0x794C7630, "overlay"},
                 {0x65735546, "fuse"}, {0x19830326, "beegfs"},     {0x00C36400, "ceph"},  {0x01021997, "9p"},
                 {0x2FC12FC1, "zfs"},  {(long)0xFF534D42, "cifs"}, {0xFE534D42, "smb2"},  {0x858458F6, "ramfs"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].magic == magic)
            return known[i].name;
    snprintf(other, size, "0x%lx", (unsigned long)magic);
    return other;
}

static double write_speed(int file)
{
    static char block[BLOCK_BYTES];
    for (int i = 0; i < BLOCK_BYTES; i++)
        block[i] = (char)(i * 2654435761u >> 13); /* nothing that a file system could compress away */
    double start = bnf_clock_seconds();
    int64_t done = 0;
    while (done < WRITE_BYTES && bnf_clock_seconds() - start < WRITE_SECONDS) {
        ssize_t n = write(file, block, BLOCK_BYTES);
        if (n <= 0) {
            failed("write");
            return -1;
        }
        done += n;
    }
    if (fsync(file) != 0) {
        failed("fsync");
        return -1;
    }
    return (double)done / (bnf_clock_seconds() - start);
}

static double sync_time(int file)
{
    double start = bnf_clock_seconds();
    int n = 0;
    for (; n < SYNCS && bnf_clock_seconds() - start < WRITE_SECONDS; n++)
        if (pwrite(file, "x", 1, 4096 * n) != 1 || fsync(file) != 0) {
            failed("write and fsync");
            return -1;
        }
    return (bnf_clock_seconds() - start) / n;
}

/* A file is replaced by a rename: what is read then must be the new one. */
static double rename_time(void)
{
    char other[4120], got = 0;
    snprintf(other, sizeof other, "%s.new", probe.mine);
    double start = bnf_clock_seconds();
    int file = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool good = file >= 0 && write(file, "N", 1) == 1 && fsync(file) == 0;
    if (file >= 0)
        good = close(file) == 0 && good;
    good = good && rename(other, probe.mine) == 0;
    double took = bnf_clock_seconds() - start;
    if (!good) {
        failed("rename over a file");
        unlink(other);
        return -1;
    }
    file = open(probe.mine, O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, &got, 1) != 1 || got != 'N') {
        errno = EIO;
        failed("a renamed file does not hold what was written");
    }
    if (file >= 0)
        close(file);
    return took;
}

/* Rank 0: everything that is measured, and the file that the others look for, with a lock on it. */
static void measure(void)
{
    bnf_doctor_disk *d = &probe.disk;
    int file = open(probe.mine, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) {
        failed("create a file");
        return;
    }
    d->write_bytes_per_second = write_speed(file);
    d->sync_seconds = sync_time(file);
    close(file);
    d->rename_seconds = rename_time();
    unlink(probe.mine);
    probe.lock = open(probe.token, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (probe.lock < 0 || fcntl(probe.lock, F_SETLK, &all) != 0 || fsync(probe.lock) != 0)
        failed("lock a file");
}

static void describe(void)
{
    struct statfs info;
    struct statvfs space;
    char folder[4096], other[24];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(probe.token, '/') - probe.token), probe.token);
    if (statfs(folder, &info) != 0 || statvfs(folder, &space) != 0) {
        failed("look at the folder");
        return;
    }
    snprintf(probe.disk.type, sizeof probe.disk.type, "%s", type_name((long)info.f_type, other, sizeof other));
    probe.disk.free_bytes = (int64_t)space.f_bavail * (int64_t)space.f_frsize;
}

/* Another rank: rank 0's file must come into sight, and its lock must hold. */
static void look(void)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    int file = -1;
    for (double until = bnf_clock_seconds() + 5; file < 0 && bnf_clock_seconds() < until;) {
        file = open(probe.token, O_RDWR | O_CLOEXEC);
        if (file < 0)
            nanosleep(&pause, NULL);
    }
    probe.disk.sees_first = file >= 0;
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    probe.disk.lock_kept = file >= 0 && fcntl(file, F_SETLK, &all) != 0;
    if (file >= 0)
        close(file);
}

static void tidy(void)
{
    if (probe.lock >= 0)
        close(probe.lock);
    unlink(probe.token);
}

bnf_status bnf_doctor_folder(const bnf_comm *comm, const char *folder, bnf_doctor_disk *disk)
{
    bool first = bnf_comm_rank(comm) == 0;
    int64_t id = (int64_t)(bnf_clock_wall_seconds() * 1e6);
    BNF_TRY(bnf_comm_bcast(comm, 0, &id, sizeof id));
    snprintf(probe.token, sizeof probe.token, "%s/.doctor-%llx", folder, (unsigned long long)id);
    snprintf(probe.mine, sizeof probe.mine, "%s/.doctor-%llx-speed", folder, (unsigned long long)id);
    probe.disk = (bnf_doctor_disk){.write_bytes_per_second = -1, .sync_seconds = -1, .rename_seconds = -1};
    if (first)
        BNF_TRY(bnf_comm_agree(comm, bnf_fs_make_folders(folder)));
    else
        BNF_TRY(bnf_comm_agree(comm, BNF_OK));
    bool done = true;
    if (first)
        done = in_time(measure) && in_time(describe);
    probe.disk.sees_first = probe.disk.lock_kept = true;
    BNF_TRY(bnf_comm_barrier(comm));
    if (!first)
        done = in_time(look) && in_time(describe);
    BNF_TRY(bnf_comm_barrier(comm));
    if (first && done)
        done = in_time(tidy);
    if (done)
        *disk = probe.disk;
    else
        *disk = (bnf_doctor_disk){0};
    disk->done = done;
    return BNF_OK;
}
