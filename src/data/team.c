#include "data/team.h"

#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_BYTES 1024

struct member {
    bnf_team *team;
    pthread_t thread;
};

struct bnf_team {
    struct member *members; /* [threads - 1]; the caller is worker 0 */
    int threads, started;

    pthread_mutex_t mutex; /* guards everything below */
    pthread_cond_t begin, end;
    bool stop;
    int64_t job; /* number of the job: members see by it that there is a new one */
    int working; /* members that are not through with it */
    bnf_team_fn fn;
    void *self;
    int64_t items, next;
    int64_t failed; /* the first item that failed; INT64_MAX: none */
    bnf_status status;
    char message[MESSAGE_BYTES];
};

/* Takes items until there is none. The mutex is held, but not while working. Items are handed out in order: when one
 * fails, all before it have been handed out, and the first one to fail is found whatever the timing. */
static void work(bnf_team *t, int worker)
{
    while (t->next < t->items && t->next < t->failed) {
        int64_t item = t->next++;
        pthread_mutex_unlock(&t->mutex);
        bnf_status status = t->fn(t->self, worker, item);
        pthread_mutex_lock(&t->mutex);
        if (status != BNF_OK && item < t->failed) {
            t->failed = item;
            t->status = status;
            snprintf(t->message, sizeof t->message, "%s", bnf_error_message());
        }
        if (status != BNF_OK)
            bnf_error_clear(); /* else this thread's next error would keep the message of this one */
    }
}

static void *member_main(void *arg)
{
    struct member *m = arg;
    bnf_team *t = m->team;
    int64_t seen = 0;

    pthread_mutex_lock(&t->mutex);
    while (!t->stop) {
        if (t->job == seen) {
            pthread_cond_wait(&t->begin, &t->mutex);
            continue;
        }
        seen = t->job;
        work(t, (int)(m - t->members) + 1);
        if (--t->working == 0)
            pthread_cond_signal(&t->end);
    }
    pthread_mutex_unlock(&t->mutex);
    return NULL;
}

/* Signals are for the main thread: these start with all of them blocked. */
static bnf_status start(bnf_team *t)
{
    sigset_t all, before;
    int error = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < t->threads - 1 && !error; i++) {
        t->members[i].team = t;
        error = pthread_create(&t->members[i].thread, NULL, member_main, &t->members[i]);
        t->started += !error;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? bnf_fail(BNF_ERR_MEMORY, "cannot start a thread to decode pictures: %s", strerror(error)) : BNF_OK;
}

bnf_status bnf_team_create(int threads, bnf_team **team)
{
    bnf_team *t;

    BNF_TRY(bnf_calloc(1, sizeof *t, "team", &t));
    t->threads = threads;
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->begin, NULL);
    pthread_cond_init(&t->end, NULL);
    bnf_status status = bnf_calloc((size_t)threads, sizeof *t->members, "team", &t->members);
    if (status == BNF_OK)
        status = start(t);
    if (status == BNF_OK)
        *team = t;
    else
        bnf_team_destroy(t);
    return status;
}

void bnf_team_destroy(bnf_team *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->mutex);
    t->stop = true;
    pthread_cond_broadcast(&t->begin);
    pthread_mutex_unlock(&t->mutex);
    for (int i = 0; i < t->started; i++)
        pthread_join(t->members[i].thread, NULL);
    pthread_cond_destroy(&t->end);
    pthread_cond_destroy(&t->begin);
    pthread_mutex_destroy(&t->mutex);
    bnf_free(t->members);
    bnf_free(t);
}

bnf_status bnf_team_run(bnf_team *t, bnf_team_fn fn, void *self, int64_t items)
{
    pthread_mutex_lock(&t->mutex);
    t->fn = fn;
    t->self = self;
    t->items = items;
    t->next = 0;
    t->failed = INT64_MAX;
    t->status = BNF_OK;
    t->working = t->started;
    t->job++;
    pthread_cond_broadcast(&t->begin);
    work(t, 0);
    while (t->working > 0)
        pthread_cond_wait(&t->end, &t->mutex);
    bnf_status status = t->status;
    pthread_mutex_unlock(&t->mutex);
    return status == BNF_OK ? BNF_OK : bnf_fail(status, "%s", t->message);
}
