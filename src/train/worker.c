/* train/worker.c - one thread that does one thing at a time when it is asked. */
#include "train/worker.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/spans.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

struct bnf_worker {
    bool threaded;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards everything below */
    pthread_cond_t changed;
    bnf_work work; /* NULL: nothing is under way */
    void *self;
    bool stop;
    bnf_status status;
    char message[2048];
    bnf_spans *spans; /* NULL: nobody records */
    int lane;
};

/* Runs what was asked; the lock is not held meanwhile. */
static void run(bnf_worker *w, bnf_work work, void *self)
{
    bnf_error_clear();
    int64_t begin = bnf_spans_now(w->spans);
    bnf_status s = work(self);
    bnf_spans_end(w->spans, w->lane, BNF_SPAN_WRITE, -1, -1, begin);
    w->status = s;
    snprintf(w->message, sizeof w->message, "%s", s == BNF_OK ? "" : bnf_error_message());
    bnf_error_clear();
}

static void *serve(void *argument)
{
    bnf_worker *w = argument;
    pthread_mutex_lock(&w->mutex);
    for (;;) {
        while (!w->work && !w->stop)
            pthread_cond_wait(&w->changed, &w->mutex);
        if (!w->work)
            break;
        pthread_mutex_unlock(&w->mutex);
        run(w, w->work, w->self); /* the owner leaves all fields alone while `work` is set */
        pthread_mutex_lock(&w->mutex);
        w->work = NULL;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

bnf_status bnf_worker_create(bool thread, bnf_worker **worker)
{
    bnf_worker *w;
    BNF_TRY(bnf_calloc(1, sizeof *w, "worker", &w));
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
    if (thread) {
        sigset_t all, before; /* signals are for the main thread */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        w->threaded = pthread_create(&w->thread, NULL, serve, w) == 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (!w->threaded) {
            bnf_worker_destroy(w);
            return bnf_fail(BNF_ERR_MEMORY, "cannot start a thread for checkpoints");
        }
    }
    *worker = w;
    return BNF_OK;
}

void bnf_worker_destroy(bnf_worker *worker)
{
    if (!worker)
        return;
    if (worker->threaded) {
        pthread_mutex_lock(&worker->mutex);
        worker->stop = true;
        pthread_cond_broadcast(&worker->changed);
        pthread_mutex_unlock(&worker->mutex);
        pthread_join(worker->thread, NULL);
    }
    pthread_mutex_destroy(&worker->mutex);
    pthread_cond_destroy(&worker->changed);
    bnf_free(worker);
}

void bnf_worker_ask(bnf_worker *worker, bnf_work work, void *self)
{
    if (!worker->threaded) {
        run(worker, work, self);
        return;
    }
    pthread_mutex_lock(&worker->mutex);
    BNF_ASSERT(!worker->work);
    worker->work = work;
    worker->self = self;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->mutex);
}

void bnf_worker_record(bnf_worker *worker, bnf_spans *spans, int lane)
{
    pthread_mutex_lock(&worker->mutex);
    BNF_ASSERT(!worker->work);
    worker->spans = worker->threaded ? spans : NULL;
    worker->lane = lane;
    pthread_mutex_unlock(&worker->mutex);
}

bool bnf_worker_idle(bnf_worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    bool idle = !worker->work;
    pthread_mutex_unlock(&worker->mutex);
    return idle;
}

bnf_status bnf_worker_result(bnf_worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    while (worker->work)
        pthread_cond_wait(&worker->changed, &worker->mutex);
    bnf_status s = worker->status;
    worker->status = BNF_OK;
    pthread_mutex_unlock(&worker->mutex);
    if (s == BNF_OK)
        return s;
    bnf_error_clear();
    return bnf_fail(s, "%s", worker->message);
}
