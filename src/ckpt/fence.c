/* ckpt/fence.c - generations of jobs in a folder. */
#include "ckpt/fence.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "ckpt/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    WATCH_SECONDS = 8, /* for a sign of life from elsewhere; several beats */
    GRACE_SECONDS = 6, /* for a process on this host to end */
    POLLS_PER_SECOND = 10
};

struct bnf_fence {
    char *shown;  /* the folder, for messages */
    char *folder; /* .../generations */
    char predecessor[512];
    int64_t generation;
    bnf_buf record; /* what generations/<number> holds */
    bool beats;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards `stop` */
    pthread_cond_t wake;
    bool stop;
};

/* ---- files ----------------------------------------------------------------------------------------------------- */

/* "folder/000012<suffix>" */
static bnf_status file_of(const char *folder, int64_t generation, const char *suffix, bnf_buf *path)
{
    char name[48];
    snprintf(name, sizeof name, "%06" PRId64 "%s", generation, suffix);
    return bnf_fs_join(path, folder, name);
}

/* Number and suffix of a name in the folder. False if it is something else. */
static bool parse_name(const char *name, int64_t *generation, const char **suffix)
{
    char *end;
    if (name[0] < '0' || name[0] > '9')
        return false;
    *generation = strtoll(name, &end, 10);
    *suffix = end;
    return end - name >= 6 && *generation >= 1;
}

/* [out] newest  0 if there is none. */
static bnf_status find_newest(const char *folder, int64_t *newest)
{
    bnf_fs_names names = {0};
    const char *suffix;
    int64_t generation;
    *newest = 0;
    BNF_TRY(bnf_fs_list(folder, &names));
    for (int64_t i = 0; i < names.count; i++)
        if (parse_name(names.name[i], &generation, &suffix) && !*suffix && generation > *newest)
            *newest = generation;
    bnf_fs_names_release(&names);
    return BNF_OK;
}

static bnf_status write_new(const char *path, const bnf_buf *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool failed = fd < 0 || write(fd, text->data, text->size) != (ssize_t)text->size || fsync(fd) != 0;
    int reason = errno;
    if (fd >= 0 && close(fd) != 0 && !failed) {
        failed = true;
        reason = errno;
    }
    if (!failed)
        return BNF_OK;
    errno = reason;
    return bnf_fail(BNF_ERR_IO, "cannot write '%s': %s", path, strerror(reason));
}

/* Creates FOLDER/<generation><suffix> with this content, unless it exists. A hard link says who was first also where a
 * network loses the answer: then the file has two names all the same. Where there are no links, exclusive creation
 * has to do. [out] created. */
static bnf_status publish(const char *folder, int64_t generation, const char *suffix, const bnf_buf *text,
                          bool *created)
{
    bnf_buf path = {0}, temporary = {0};
    char name[96];
    struct stat info;
    bnf_status s = file_of(folder, generation, suffix, &path);
    snprintf(name, sizeof name, ".new-%ld-%" PRId64, (long)getpid(), bnf_clock_nanoseconds());
    if (s == BNF_OK)
        s = bnf_fs_join(&temporary, folder, name);
    *created = false;
    if (s == BNF_OK)
        s = write_new(temporary.data, text);
    if (s == BNF_OK) {
        int error = link(temporary.data, path.data) == 0 ? 0 : errno;
        *created = !error || (stat(temporary.data, &info) == 0 && info.st_nlink == 2);
        unlink(temporary.data);
        if (!*created && (error == EPERM || error == EOPNOTSUPP || error == ENOSYS)) {
            s = write_new(path.data, text);
            *created = s == BNF_OK;
            if (errno == EEXIST)
                s = BNF_OK;
        } else if (!*created && error != EEXIST) {
            s = bnf_fail(BNF_ERR_IO, "cannot create '%s': %s", path.data, strerror(error));
        }
    } else if (temporary.size) {
        unlink(temporary.data);
    }
    if (s == BNF_OK && *created)
        s = bnf_fs_sync(folder);
    bnf_buf_release(&temporary);
    bnf_buf_release(&path);
    return s;
}

/* A small file's text; "" if there is none. */
static void read_text(const char *folder, int64_t generation, const char *suffix, bnf_buf *text)
{
    bnf_buf path = {0};
    bnf_buf_clear(text);
    if (file_of(folder, generation, suffix, &path) != BNF_OK || !bnf_fs_exists(path.data) ||
        bnf_fs_read(path.data, text) != BNF_OK) {
        bnf_error_clear();
        bnf_buf_clear(text);
    }
    bnf_buf_release(&path);
}

/* ---- who has it ------------------------------------------------------------------------------------------------ */

/* "generation 3, since 2026-01-31T12:34:56.789Z: host node7, process 4711, job 1234" */
static const char *describe(int64_t generation, const bnf_buf *record, char *text, size_t size)
{
    bnf_process p;
    bnf_process_parse(bnf_buf_text(record), &p);
    snprintf(text, size, "generation %" PRId64 ", since %s: host %s, process %" PRId64 "%s%s", generation, p.time,
             p.host, p.pid, p.job[0] ? ", job " : "", p.job);
    return text;
}

static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000000 / POLLS_PER_SECOND}, NULL);
}

/* Does a job on another host raise its counter? */
static bool moves(const char *folder, int64_t generation)
{
    bnf_buf before = {0}, now = {0};
    bool moved = false;
    read_text(folder, generation, ".beat", &before);
    for (int i = 0; i < WATCH_SECONDS * POLLS_PER_SECOND && !moved; i++) {
        wait_a_little();
        read_text(folder, generation, ".beat", &now);
        moved = strcmp(bnf_buf_text(&before), bnf_buf_text(&now)) != 0;
    }
    bnf_buf_release(&before);
    bnf_buf_release(&now);
    return moved;
}

static bool lives(const char *folder, int64_t generation, const bnf_process *p)
{
    if (!bnf_process_is_here(p))
        return moves(folder, generation);
    for (int i = 0; i < GRACE_SECONDS * POLLS_PER_SECOND; i++) {
        if (!bnf_process_runs(p))
            return false;
        wait_a_little();
    }
    return true;
}

/* May this job follow that generation? */
static bnf_status judge(bnf_fence *f, int64_t generation, bool take_over)
{
    bnf_buf record = {0}, done = {0};
    bnf_process then, now;
    char who[sizeof f->predecessor];
    bnf_status s = BNF_OK;
    read_text(f->folder, generation, "", &record);
    read_text(f->folder, generation, ".done", &done);
    bool ended = done.size > 0;
    describe(generation, &record, who, sizeof who);
    bnf_process_parse(bnf_buf_text(&record), &then);
    bnf_process_self(&now);
    bool restarted = now.job[0] && strcmp(now.job, then.job) == 0 && now.restart > then.restart;
    if (!ended && !restarted && !take_over && lives(f->folder, generation, &then))
        s = bnf_fail(BNF_ERR_FENCED,
                     "'%s' is in use: %s. Wait for it or stop it; --take-over takes the run folder away from it",
                     f->shown, who);
    snprintf(f->predecessor, sizeof f->predecessor, "%s", ended ? "" : who);
    bnf_buf_release(&done);
    bnf_buf_release(&record);
    return s;
}

/* ---- a sign of life -------------------------------------------------------------------------------------------- */

static void write_beat(const char *path, int64_t count)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%012" PRId64 "\n", count);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return; /* the folder may be full or gone: whoever writes something that matters will say so */
    if (pwrite(fd, text, (size_t)length, 0) != length)
        bnf_log_debug("cannot write '%s'", path);
    close(fd);
}

static void *beat(void *argument)
{
    bnf_fence *f = argument;
    bnf_buf path = {0};
    bool known = file_of(f->folder, f->generation, ".beat", &path) == BNF_OK;
    pthread_mutex_lock(&f->mutex);
    for (int64_t count = 1; known && !f->stop; count++) {
        struct timespec until;
        pthread_mutex_unlock(&f->mutex);
        write_beat(path.data, count);
        pthread_mutex_lock(&f->mutex);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        while (!f->stop && pthread_cond_timedwait(&f->wake, &f->mutex, &until) == 0)
            ;
    }
    pthread_mutex_unlock(&f->mutex);
    bnf_buf_release(&path);
    return NULL;
}

/* ---- the fence ------------------------------------------------------------------------------------------------- */

static bnf_status new_fence(const char *folder, bnf_fence **fence)
{
    bnf_fence *f;
    bnf_buf path = {0};
    BNF_TRY(bnf_calloc(1, sizeof *f, "fence", &f));
    pthread_mutex_init(&f->mutex, NULL);
    pthread_cond_init(&f->wake, NULL);
    bnf_status s = bnf_fs_join(&path, folder, "generations");
    if (s == BNF_OK)
        s = bnf_buf_take(&path, &f->folder);
    if (s == BNF_OK)
        s = bnf_strdup(folder, &f->shown);
    bnf_buf_release(&path);
    *fence = f;
    return s;
}

/* Generations up to this one that never said where they went on from never will: whoever creates the file first has
 * decided it. */
static bnf_status void_unbegun(const bnf_fence *f)
{
    bnf_buf text = {0}, path = {0};
    bnf_status s = bnf_buf_puts(&text, "void\n");
    for (int64_t g = f->generation - 1; g >= 1 && s == BNF_OK; g--) {
        bool created = false;
        s = file_of(f->folder, g, ".from", &path);
        if (s == BNF_OK && bnf_fs_exists(path.data))
            continue;
        if (s == BNF_OK)
            s = publish(f->folder, g, ".from", &text, &created);
        if (s == BNF_OK && file_of(f->folder, g, ".beat", &path) == BNF_OK)
            unlink(path.data);
    }
    bnf_buf_release(&path);
    bnf_buf_release(&text);
    return s;
}

static bnf_status take(bnf_fence *f, bool take_over, int ranks)
{
    bool created = false;
    bnf_process self;
    BNF_TRY(bnf_fs_make_folders(f->folder));
    while (!created) { /* whoever was faster is judged in turn */
        int64_t newest;
        BNF_TRY(find_newest(f->folder, &newest));
        if (newest > 0)
            BNF_TRY(judge(f, newest, take_over));
        f->generation = newest + 1;
        bnf_process_self(&self);
        bnf_buf_clear(&f->record);
        BNF_TRY(bnf_process_format(&self, ranks, &f->record));
        BNF_TRY(publish(f->folder, f->generation, "", &f->record, &created));
    }
    return void_unbegun(f);
}

bnf_status bnf_fence_take(const char *folder, bool take_over, int ranks, bnf_fence **fence)
{
    bnf_fence *f = NULL;
    bnf_status s = new_fence(folder, &f);
    if (s == BNF_OK)
        s = take(f, take_over, ranks);
    if (s == BNF_OK && pthread_create(&f->thread, NULL, beat, f) != 0)
        s = bnf_fail(BNF_ERR_MEMORY, "cannot start a thread for signs of life");
    else if (s == BNF_OK)
        f->beats = true;
    if (s == BNF_OK)
        *fence = f;
    else
        bnf_fence_release(f, false);
    return s;
}

bnf_status bnf_fence_join(const char *folder, int64_t generation, bnf_fence **fence)
{
    bnf_fence *f = NULL;
    bnf_buf path = {0};
    bnf_status s = new_fence(folder, &f);
    if (s == BNF_OK)
        s = file_of(f->folder, generation, "", &path);
    if (s == BNF_OK)
        s = bnf_fs_read(path.data, &f->record);
    bnf_buf_release(&path);
    if (s == BNF_OK) {
        f->generation = generation;
        *fence = f;
    } else {
        bnf_fence_release(f, false);
    }
    return s;
}

void bnf_fence_release(bnf_fence *fence, bool done)
{
    if (!fence)
        return;
    if (fence->beats) {
        pthread_mutex_lock(&fence->mutex);
        fence->stop = true;
        pthread_cond_signal(&fence->wake);
        pthread_mutex_unlock(&fence->mutex);
        pthread_join(fence->thread, NULL);
        bnf_buf path = {0};
        if (done && file_of(fence->folder, fence->generation, ".done", &path) == BNF_OK)
            (void)bnf_fs_append(path.data, "done\n", 5);
        bnf_buf_release(&path);
    }
    pthread_mutex_destroy(&fence->mutex);
    pthread_cond_destroy(&fence->wake);
    bnf_buf_release(&fence->record);
    bnf_free(fence->folder);
    bnf_free(fence->shown);
    bnf_free(fence);
}

const char *bnf_fence_predecessor(const bnf_fence *fence)
{
    return fence->predecessor;
}

int64_t bnf_fence_generation(const bnf_fence *fence)
{
    return fence ? fence->generation : 1;
}

bnf_status bnf_fence_check(const bnf_fence *fence)
{
    if (!fence)
        return BNF_OK;
    int64_t newest;
    bnf_buf record = {0};
    char who[512];
    bnf_status s = BNF_OK;
    BNF_TRY(find_newest(fence->folder, &newest));
    read_text(fence->folder, newest, "", &record);
    if (newest < fence->generation)
        s = bnf_fail(BNF_ERR_IO, "'%s' has lost the entry of this job: was the run folder deleted?", fence->shown);
    else if (newest > fence->generation || strcmp(bnf_buf_text(&record), bnf_buf_text(&fence->record)) != 0)
        s = bnf_fail(BNF_ERR_FENCED, "another job has taken over '%s': %s; this one stops", fence->shown,
                     describe(newest, &record, who, sizeof who));
    bnf_buf_release(&record);
    return s;
}

bnf_status bnf_fence_begin(const bnf_fence *fence, int64_t step)
{
    bnf_buf text = {0};
    bool created = false;
    bnf_status s = bnf_buf_printf(&text, "%" PRId64 "\n", step);
    if (s == BNF_OK)
        s = bnf_fence_check(fence);
    if (s == BNF_OK)
        s = publish(fence->folder, fence->generation, ".from", &text, &created);
    bnf_buf_release(&text);
    if (s == BNF_OK && !created) { /* a successor has settled it */
        s = bnf_fence_check(fence);
        if (s == BNF_OK)
            s = bnf_fail(BNF_ERR_IO, "'%s': generation %" PRId64 " has begun already", fence->folder,
                         fence->generation);
    }
    return s;
}

/* ---- what counts ----------------------------------------------------------------------------------------------- */

static bnf_status load_lineage(const char *folder, bnf_lineage *lineage)
{
    bnf_fs_names names = {0};
    bnf_buf text = {0};
    const char *suffix;
    int64_t generation, from;
    BNF_TRY(bnf_fs_list(folder, &names));
    bnf_status s = bnf_calloc((size_t)names.count + 1, sizeof *lineage->begun, "generations", &lineage->begun);
    for (int64_t i = 0; i < names.count && s == BNF_OK; i++) {
        if (!parse_name(names.name[i], &generation, &suffix) || strcmp(suffix, ".from") != 0)
            continue;
        read_text(folder, generation, ".from", &text);
        if (sscanf(bnf_buf_text(&text), "%" SCNd64, &from) != 1)
            continue;
        lineage->begun[lineage->count].generation = generation;
        lineage->begun[lineage->count++].from = from;
    }
    bnf_buf_release(&text);
    bnf_fs_names_release(&names);
    return s;
}

bnf_status bnf_lineage_load(const char *folder, bnf_lineage *lineage)
{
    bnf_buf path = {0};
    *lineage = (bnf_lineage){0};
    bnf_status s = bnf_fs_join(&path, folder, "generations");
    if (s == BNF_OK && bnf_fs_is_folder(path.data))
        s = load_lineage(path.data, lineage);
    bnf_buf_release(&path);
    return s;
}

void bnf_lineage_release(bnf_lineage *lineage)
{
    bnf_free(lineage->begun);
    *lineage = (bnf_lineage){0};
}

bool bnf_lineage_counts(const bnf_lineage *lineage, int64_t step, int64_t generation)
{
    for (int64_t i = 0; i < lineage->count; i++)
        if (lineage->begun[i].generation > generation && lineage->begun[i].from < step)
            return false;
    return true;
}
