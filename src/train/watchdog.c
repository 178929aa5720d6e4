/* train/watchdog.c - the threads that look after a rank, and the files by which ranks know of each other. */
#include "train/watchdog.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "comm/agree.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HOST_BYTES 64
#define RECORD_BYTES 128 /* of a file: one line, padded, so that it is replaced by one write */
#define LINE_BYTES 1200
#define ANSWER_SECONDS 5.0 /* at most, that the file system has to tell of the others */

struct bnf_watchdog {
    int rank, ranks;
    double limit, tick, period;
    bnf_watchdog_end end;
    char (*hosts)[HOST_BYTES]; /* [ranks] */
    bnf_watch_rank *known;     /* [ranks] of the thread that reads */
    uint64_t token;            /* of this job, in names of files */
    const bnf_comm *comm;
    pthread_t guard, scribe;
    bool has_guard, has_scribe;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    char *folder; /* NULL: not shared yet */
    char *run;    /* the run folder */
    bool stop_scribe, stop_guard, asked, answered;
    double still; /* of this rank */
    char verdict[LINE_BYTES];
};

static double clamp(double x, double lo, double hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* Holding the mutex: waits for a change, or so long. */
static void wait_for(bnf_watchdog *d, double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    double at = (double)until.tv_nsec * 1e-9 + seconds;
    until.tv_sec += (time_t)at;
    until.tv_nsec = (long)((at - floor(at)) * 1e9);
    pthread_cond_timedwait(&d->changed, &d->mutex, &until);
}

/* ---- the thread that reads and writes files: it may hang ---- */

static void record_path(const bnf_watchdog *d, int rank, char *path, size_t size)
{
    snprintf(path, size, "%s/%016llx-%d", d->folder, (unsigned long long)d->token, rank);
}

/* Failures are not looked at: they are tried again soon, and a rank that does not write is reported as silent. */
static void write_record(const bnf_watchdog *d, double still)
{
    char path[4096], text[RECORD_BYTES];
    bnf_pulse_record at;
    bnf_pulse_read(&at);
    memset(text, ' ', sizeof text);
    int n = snprintf(text, sizeof text, "%lld %d %d %.3f", (long long)at.step, (int)at.phase, (int)at.waits, still);
    text[n] = ' ';
    text[sizeof text - 1] = '\n';
    record_path(d, d->rank, path, sizeof path);
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0)
        return;
    ssize_t written = pwrite(file, text, sizeof text, 0);
    (void)written;
    close(file);
}

/* [out] when: the file's time, by the file system's clock. */
static bool read_record(const bnf_watchdog *d, int rank, bnf_watch_rank *r, double *when)
{
    char path[4096], text[RECORD_BYTES + 1] = "";
    struct stat info;
    long long step;
    int phase, waits;
    record_path(d, rank, path, sizeof path);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    bool good = fstat(file, &info) == 0 && pread(file, text, RECORD_BYTES, 0) == RECORD_BYTES;
    close(file);
    if (!good || sscanf(text, "%lld %d %d %lf", &step, &phase, &waits, &r->still) != 4 || phase < 0 ||
        phase >= BNF_PHASE_COUNT)
        return false;
    r->at = (bnf_pulse_record){.step = step, .phase = (bnf_phase)phase, .waits = waits != 0};
    *when = (double)info.st_mtim.tv_sec + 1e-9 * (double)info.st_mtim.tv_nsec;
    return true;
}

/* Reads all files and judges. */
static void judge(bnf_watchdog *d, double still, char *text, size_t size)
{
    double now = 0, when;
    write_record(d, still);
    for (int r = 0; r < d->ranks; r++)
        d->known[r] = (bnf_watch_rank){.host = d->hosts[r]};
    bool clock = read_record(d, d->rank, &d->known[d->rank], &now);
    d->known[d->rank].known = true;
    d->known[d->rank].still = still;
    bnf_pulse_read(&d->known[d->rank].at);
    for (int r = 0; r < d->ranks && clock; r++) {
        bnf_watch_rank *k = &d->known[r];
        if (r == d->rank || !read_record(d, r, k, &when))
            continue;
        k->known = true;
        k->silent = now > when ? now - when : 0;
        k->still += k->silent;
    }
    bnf_watchdog_verdict(d->known, d->ranks, d->rank, d->limit, text, size);
}

static void append_to_log(const bnf_watchdog *d, const char *text)
{
    char path[4096], line[LINE_BYTES + 64], time[BNF_CLOCK_ISO_BYTES];
    snprintf(path, sizeof path, "%s/log.txt", d->run);
    int n = snprintf(line, sizeof line, "%s error: %s\n", bnf_clock_iso(time), text);
    int file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file < 0)
        return;
    ssize_t written = write(file, line, (size_t)n);
    (void)written;
    close(file);
}

static void *scribe(void *self)
{
    bnf_watchdog *d = self;
    char text[LINE_BYTES];
    pthread_mutex_lock(&d->mutex);
    while (!d->stop_scribe) {
        double still = d->still;
        bool asked = d->asked && !d->answered;
        pthread_mutex_unlock(&d->mutex);
        if (asked) {
            judge(d, still, text, sizeof text);
            append_to_log(d, text);
        } else {
            write_record(d, still);
        }
        pthread_mutex_lock(&d->mutex);
        if (asked) {
            memcpy(d->verdict, text, sizeof text);
            d->answered = true;
            pthread_cond_broadcast(&d->changed);
        }
        double until = bnf_clock_seconds() + d->period;
        for (double left = d->period; left > 0 && !d->stop_scribe && (!d->asked || d->answered);
             left = until - bnf_clock_seconds())
            wait_for(d, left);
    }
    pthread_mutex_unlock(&d->mutex);
    return NULL;
}

/* ---- the thread that ends the process: it waits for nothing ---- */

/* Holding the mutex, which is given up: what is known, told, and the end. */
static void bark(bnf_watchdog *d)
{
    char text[LINE_BYTES];
    bnf_pulse_record at;
    double answer = d->limit < ANSWER_SECONDS ? d->limit : ANSWER_SECONDS, until = bnf_clock_seconds() + answer;
    bnf_pulse_read(&at);
    d->asked = true;
    pthread_cond_broadcast(&d->changed);
    for (double left = answer; left > 0 && d->has_scribe && !d->answered; left = until - bnf_clock_seconds())
        wait_for(d, left);
    if (d->answered)
        memcpy(text, d->verdict, sizeof text);
    else
        snprintf(text, sizeof text,
                 "rank %d on host %s %s: step %lld, phase %s, for %.1f s; %s; run.watchdog allows %g s", d->rank,
                 d->hosts[d->rank], at.waits ? "waits for other ranks" : "is late", (long long)at.step,
                 bnf_phase_names[at.phase], d->still,
                 d->ranks == 1   ? "it is the only one"
                 : d->has_scribe ? "what the others do is not known, the run folder does not answer"
                                 : "what the others do is not known",
                 d->limit);
    pthread_mutex_unlock(&d->mutex);
    d->end(text);
}

static void *guard(void *self)
{
    bnf_watchdog *d = self;
    bnf_pulse_record last, at;
    double looked = bnf_clock_seconds();
    bnf_pulse_read(&last);
    pthread_mutex_lock(&d->mutex);
    while (!d->stop_guard) {
        wait_for(d, d->tick);
        /* Time in which this thread did not run either is none of the main thread's: the process was suspended. */
        double now = bnf_clock_seconds(), passed = now - looked;
        looked = now;
        bnf_pulse_read(&at);
        d->still = at.count == last.count ? d->still + (passed < 4 * d->tick ? passed : 4 * d->tick) : 0;
        last = at;
        /* Who is late speaks first, then the waiting ranks one after the other: one report, not as many as ranks. */
        double mine = d->limit + (at.waits ? 1 + 0.25 * (d->rank < 8 ? d->rank : 8) : 0);
        if (d->still >= mine && !d->stop_guard)
            bark(d);
    }
    pthread_mutex_unlock(&d->mutex);
    return NULL;
}

/* ---- life ---- */

/* Signals are for the main thread. */
static bnf_status start_thread(pthread_t *thread, void *(*run)(void *), void *self, bool *has)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(thread, NULL, run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return bnf_fail(BNF_ERR_MEMORY, "cannot start a thread of the watchdog: %s", strerror(error));
    *has = true;
    return BNF_OK;
}

/* BNF_TEST_STALL=RANK:STEP:PHASE[:SECONDS] */
static bnf_status stall_for_tests(int rank)
{
    const char *text = getenv("BNF_TEST_STALL");
    int who;
    long long step;
    char phase[16];
    double seconds = INFINITY;
    if (!text)
        return BNF_OK;
    if (sscanf(text, "%d:%lld:%15[a-z]:%lf", &who, &step, phase, &seconds) >= 3)
        for (int p = 0; p < BNF_PHASE_COUNT; p++)
            if (strcmp(phase, bnf_phase_names[p]) == 0) {
                if (who == rank)
                    bnf_pulse_stall((bnf_phase)p, step, seconds);
                return BNF_OK;
            }
    return bnf_fail(BNF_ERR_CONFIG, "BNF_TEST_STALL=%s: it is RANK:STEP:PHASE[:SECONDS]", text);
}

static bnf_status make(bnf_watchdog *d)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&d->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->changed, &attr);
    pthread_condattr_destroy(&attr);
    d->tick = clamp(d->limit / 50, 0.02, 1);
    d->period = clamp(d->limit / 20, 0.1, 30);
    BNF_TRY(bnf_calloc((size_t)d->ranks, sizeof *d->hosts, "watchdog", &d->hosts));
    BNF_TRY(bnf_calloc((size_t)d->ranks, sizeof *d->known, "watchdog", &d->known));
    return stall_for_tests(d->rank);
}

bnf_status bnf_watchdog_start(const bnf_comm *comm, double seconds, bnf_watchdog_end end, bnf_watchdog **dog)
{
    bnf_watchdog *d;
    char host[HOST_BYTES] = "";
    *dog = NULL;
    bnf_status s = bnf_calloc(1, sizeof *d, "watchdog", &d);
    BNF_TRY(bnf_comm_agree(comm, s));
    d->rank = bnf_comm_rank(comm);
    d->ranks = bnf_comm_size(comm);
    d->comm = comm;
    d->limit = seconds;
    d->end = end;
    s = bnf_comm_agree(comm, make(d));
    strncpy(host, bnf_comm_host(), sizeof host - 1);
    if (s == BNF_OK)
        s = bnf_comm_allgather(comm, host, sizeof host, d->hosts);
    bnf_pulse_begin();
    if (s == BNF_OK)
        s = bnf_comm_agree(comm, start_thread(&d->guard, guard, d, &d->has_guard));
    if (s != BNF_OK) {
        bnf_watchdog_stop(d);
        return s;
    }
    *dog = d;
    return BNF_OK;
}

static bnf_status name_folder(bnf_watchdog *d, const char *folder)
{
    bnf_buf b = {0};
    bnf_status s = bnf_fs_join(&b, folder, ".watch");
    if (s == BNF_OK)
        s = bnf_buf_take(&b, &d->folder);
    bnf_buf_release(&b);
    if (s == BNF_OK)
        s = bnf_strdup(folder, &d->run);
    if (s == BNF_OK && d->rank == 0)
        s = bnf_fs_remove(d->folder);
    if (s == BNF_OK && d->rank == 0)
        s = bnf_fs_make_folders(d->folder);
    return s;
}

bnf_status bnf_watchdog_share(bnf_watchdog *dog, const char *folder)
{
    bnf_watchdog *d = dog;
    d->token = (uint64_t)(bnf_clock_wall_seconds() * 1e6) ^ (uint64_t)getpid() << 48;
    BNF_TRY(bnf_comm_bcast(d->comm, 0, &d->token, sizeof d->token));
    BNF_TRY(bnf_comm_agree(d->comm, name_folder(d, folder)));
    pthread_mutex_lock(&d->mutex);
    bnf_status s = start_thread(&d->scribe, scribe, d, &d->has_scribe);
    pthread_mutex_unlock(&d->mutex);
    return bnf_comm_agree(d->comm, s);
}

/* Tells a thread to stop and waits for it. */
static void stop(bnf_watchdog *d, bool *flag, pthread_t thread, bool has)
{
    if (!has)
        return;
    pthread_mutex_lock(&d->mutex);
    *flag = true;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->mutex);
    pthread_join(thread, NULL);
}

void bnf_watchdog_stop(bnf_watchdog *dog)
{
    bnf_watchdog *d = dog;
    char path[4096];
    if (!d)
        return;
    stop(d, &d->stop_scribe, d->scribe, d->has_scribe); /* the guard goes on: a file system that hangs now ends it */
    if (d->has_scribe) {
        record_path(d, d->rank, path, sizeof path);
        unlink(path);
        rmdir(d->folder); /* by the last rank that ends: until then it is not empty */
    }
    stop(d, &d->stop_guard, d->guard, d->has_guard);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->mutex);
    bnf_free(d->folder);
    bnf_free(d->run);
    bnf_free(d->hosts);
    bnf_free(d->known);
    bnf_free(d);
}
