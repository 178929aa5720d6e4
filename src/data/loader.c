#include "data/loader.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "data/sampler.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_BYTES 1024

/* One batch in the ring. */
struct slot {
    bnf_batch batch;
    float *x;
    int32_t *labels;
    float *weight;
    int64_t *index;
};

/* A sample to read: which, and for which row of the batch. */
struct wanted {
    int64_t index, row;
};

struct bnf_loader {
    const bnf_dataset *dataset;
    bnf_dataset_info info;
    bnf_loader_config config;
    int64_t rows, row_lo, steps_per_epoch;
    bnf_sampler *sampler;
    bnf_transform *transform;

    /* Work space of whoever fills a slot: the thread, or the caller without one. */
    struct wanted *wanted; /* [rows] */
    int64_t *sorted;       /* [rows] */
    uint8_t *stored;       /* [rows] images as they are in the file */

    struct slot *slots; /* [slot_count]; the batch of step s is in slot s % slot_count */
    int slot_count;

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t mutex; /* guards everything below, and which slots belong to whom */
    pthread_cond_t filled, freed;
    int64_t next_fill; /* the step that the thread fills next or is filling */
    int64_t next_take; /* the step that the caller gets next; the one before it may be in its hands */
    bool taken;        /* step next_take - 1 is in the caller's hands */
    bool filling, stop;
    bnf_status status; /* of the step next_fill, which failed */
    char message[MESSAGE_BYTES];
    bnf_loader_stats stats;
};

/* ---- Filling one batch ---- */

/* Heap sort by index: in place and without a worst case. */
static void sift(struct wanted *w, int64_t root, int64_t n)
{
    struct wanted moved = w[root];
    for (int64_t child = 2 * root + 1; child < n; child = 2 * root + 1) {
        if (child + 1 < n && w[child + 1].index > w[child].index)
            child++;
        if (w[child].index <= moved.index)
            break;
        w[root] = w[child];
        root = child;
    }
    w[root] = moved;
}

static void sort_wanted(struct wanted *w, int64_t n)
{
    for (int64_t i = n / 2; i-- > 0;)
        sift(w, i, n);
    for (int64_t end = n - 1; end > 0; end--) {
        struct wanted largest = w[0];
        w[0] = w[end];
        w[end] = largest;
        sift(w, 0, end);
    }
}

/* Fills index, labels and weights; returns how many samples are to be read. */
static int64_t plan_rows(bnf_loader *l, struct slot *slot, int64_t position)
{
    const int64_t *order = bnf_sampler_order(l->sampler, slot->batch.epoch);
    const int32_t *labels = bnf_dataset_labels(l->dataset);
    int64_t n = 0;

    for (int64_t i = 0; i < l->rows; i++) {
        bool valid = position + i < l->info.count;
        int64_t index = valid ? order[position + i] : -1;
        slot->index[i] = index;
        slot->labels[i] = valid ? labels[index] : 0;
        slot->weight[i] = valid ? 1.0f : 0.0f;
        if (valid)
            l->wanted[n++] = (struct wanted){index, i};
    }
    return n;
}

static bnf_status fill_slot(bnf_loader *l, int64_t step)
{
    struct slot *slot = &l->slots[step % l->slot_count];
    int64_t start = step % l->steps_per_epoch * l->config.batch; /* of the global batch in the epoch */
    int64_t left = l->info.count - start;
    int64_t pixels = l->info.h * l->info.w * l->info.c;

    slot->batch.step = step;
    slot->batch.epoch = step / l->steps_per_epoch;
    slot->batch.first_sample = step * l->config.batch + l->row_lo;
    slot->batch.valid = left < l->config.batch ? left : l->config.batch;
    int64_t n = plan_rows(l, slot, start + l->row_lo);
    if (n == 0) { /* all padding, or no leaves */
        memset(slot->x, 0, (size_t)(l->rows * pixels) * sizeof(float));
        return BNF_OK;
    }
    sort_wanted(l->wanted, n);
    for (int64_t i = 0; i < n; i++)
        l->sorted[i] = l->wanted[i].index;
    BNF_TRY(bnf_dataset_read(l->dataset, n, l->sorted, l->stored));
    for (int64_t i = 0; i < n; i++) {
        bnf_image_move move = bnf_augment_draw(&l->config.augment, l->config.seed, slot->batch.epoch, l->sorted[i]);
        bnf_transform_apply(l->transform, l->stored + i * l->info.sample_bytes, &move,
                            slot->x + l->wanted[i].row * pixels);
    }
    memset(slot->x + n * pixels, 0,
           (size_t)((l->rows - n) * pixels) * sizeof(float)); /* padding is always at the end */
    return BNF_OK;
}

/* ---- The thread ---- */

static bool may_fill(const bnf_loader *l)
{
    return l->status == BNF_OK && l->next_fill - (l->next_take - (l->taken ? 1 : 0)) < l->slot_count;
}

static void note_failure(bnf_loader *l, bnf_status status, int64_t step)
{
    l->status = status;
    snprintf(l->message, sizeof l->message, "batch of step %lld: %s", (long long)step, bnf_error_message());
    bnf_error_clear();
}

static void *prefetch(void *arg)
{
    bnf_loader *l = arg;

    pthread_mutex_lock(&l->mutex);
    while (!l->stop) {
        if (!may_fill(l)) {
            pthread_cond_wait(&l->freed, &l->mutex);
            continue;
        }
        int64_t step = l->next_fill;
        l->filling = true;
        pthread_mutex_unlock(&l->mutex);
        double started = bnf_clock_seconds();
        bnf_status status = fill_slot(l, step);
        double took = bnf_clock_seconds() - started;
        pthread_mutex_lock(&l->mutex);
        l->filling = false;
        l->stats.read_seconds += took;
        if (status != BNF_OK)
            note_failure(l, status, step);
        else
            l->next_fill++;
        pthread_cond_broadcast(&l->filled);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

/* Signals are for the main thread: this one starts with all of them blocked. */
static bnf_status start_thread(bnf_loader *l)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&l->thread, NULL, prefetch, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return bnf_fail(BNF_ERR_MEMORY, "cannot start a thread to read '%s': %s", l->info.path, strerror(error));
    l->has_thread = true;
    return BNF_OK;
}

/* ---- Life ---- */

static bnf_status check_config(const bnf_dataset_info *info, const bnf_loader_config *c)
{
    if (c->batch < 1 || c->leaves < 1 || c->batch % c->leaves != 0)
        return bnf_fail(BNF_ERR_CONFIG, "a batch of %lld samples cannot be cut into %lld equal leaves",
                        (long long)c->batch, (long long)c->leaves);
    if (c->drop_tail && c->batch > info->count)
        return bnf_fail(BNF_ERR_CONFIG,
                        "a batch of %lld samples is larger than /%s of '%s' (%lld), and incomplete batches are "
                        "to be dropped",
                        (long long)c->batch, info->name, info->path, (long long)info->count);
    if (c->augment.pad_crop < 0 || c->augment.pad_crop >= info->h || c->augment.pad_crop >= info->w)
        return bnf_fail(BNF_ERR_CONFIG,
                        "pad and crop by %lld pixels: it must be between 0 and the images' side (%lld x %lld)",
                        (long long)c->augment.pad_crop, (long long)info->h, (long long)info->w);
    BNF_ASSERT(c->leaf_lo >= 0 && c->leaf_lo <= c->leaf_hi && c->leaf_hi <= c->leaves);
    BNF_ASSERT(c->prefetch >= 0 && c->prefetch <= 1024 && c->window_rows >= 0);
    return BNF_OK;
}

static bnf_status make_sampler(bnf_loader *l)
{
    const bnf_loader_config *c = &l->config;
    bool small = l->info.count * l->info.sample_bytes <= BNF_LOADER_WINDOW_BYTES;
    bnf_sampler_config sampler = {.seed = c->seed,
                                  .count = l->info.count,
                                  .shuffle = c->shuffle,
                                  .chunk_rows = l->info.chunk_rows,
                                  .window_rows = c->window_rows};

    if (c->window_rows == 0 && !small)
        sampler.window_rows = BNF_LOADER_WINDOW_ROWS;
    return bnf_sampler_create(&sampler, &l->sampler);
}

static bnf_status make_slot(const bnf_loader *l, struct slot *slot)
{
    size_t rows = (size_t)l->rows, pixels = (size_t)(l->info.h * l->info.w * l->info.c);

    BNF_TRY(bnf_calloc(rows * pixels, sizeof *slot->x, "batch", &slot->x));
    BNF_TRY(bnf_calloc(rows, sizeof *slot->labels, "labels of a batch", &slot->labels));
    BNF_TRY(bnf_calloc(rows, sizeof *slot->weight, "weights of a batch", &slot->weight));
    BNF_TRY(bnf_calloc(rows, sizeof *slot->index, "indices of a batch", &slot->index));
    slot->batch = (bnf_batch){.rows = l->rows,
                              .first_position = l->row_lo,
                              .x = slot->x,
                              .labels = slot->labels,
                              .weight = slot->weight,
                              .index = slot->index};
    return BNF_OK;
}

static bnf_status make_loader(bnf_loader *l, bnf_dataset *dataset)
{
    const bnf_loader_config *c = &l->config;
    int64_t leaf = c->batch / c->leaves;
    size_t rows;

    l->row_lo = c->leaf_lo * leaf;
    l->rows = (c->leaf_hi - c->leaf_lo) * leaf;
    l->steps_per_epoch = (l->info.count + (c->drop_tail ? 0 : c->batch - 1)) / c->batch;
    rows = (size_t)l->rows;
    if (l->info.count * l->info.sample_bytes <= c->hold_bytes)
        BNF_TRY(bnf_dataset_hold(dataset));
    BNF_TRY(make_sampler(l));
    BNF_TRY(bnf_transform_create(&l->info, &c->normalise, &l->transform));
    BNF_TRY(bnf_calloc(rows, sizeof *l->wanted, "samples to read", &l->wanted));
    BNF_TRY(bnf_calloc(rows, sizeof *l->sorted, "samples to read", &l->sorted));
    BNF_TRY(bnf_alloc(rows * (size_t)l->info.sample_bytes, "images as stored", &l->stored));
    l->slot_count = c->prefetch + 1; /* one is in the caller's hands */
    BNF_TRY(bnf_calloc((size_t)l->slot_count, sizeof *l->slots, "batches", &l->slots));
    for (int i = 0; i < l->slot_count; i++)
        BNF_TRY(make_slot(l, &l->slots[i]));
    return c->prefetch > 0 ? start_thread(l) : BNF_OK;
}

bnf_status bnf_loader_create(bnf_dataset *dataset, const bnf_loader_config *config, bnf_loader **loader)
{
    bnf_loader *l;
    const bnf_dataset_info *info = bnf_dataset_get_info(dataset);

    BNF_TRY(check_config(info, config));
    BNF_TRY(bnf_calloc(1, sizeof *l, "loader", &l));
    l->dataset = dataset;
    l->info = *info;
    l->config = *config;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->filled, NULL);
    pthread_cond_init(&l->freed, NULL);
    bnf_status status = make_loader(l, dataset);
    if (status == BNF_OK)
        *loader = l;
    else
        bnf_loader_destroy(l);
    return status;
}

void bnf_loader_destroy(bnf_loader *l)
{
    if (!l)
        return;
    if (l->has_thread) {
        pthread_mutex_lock(&l->mutex);
        l->stop = true;
        pthread_cond_broadcast(&l->freed);
        pthread_mutex_unlock(&l->mutex);
        pthread_join(l->thread, NULL);
    }
    for (int i = 0; l->slots && i < l->slot_count; i++) {
        bnf_free(l->slots[i].x);
        bnf_free(l->slots[i].labels);
        bnf_free(l->slots[i].weight);
        bnf_free(l->slots[i].index);
    }
    bnf_free(l->slots);
    bnf_free(l->stored);
    bnf_free(l->sorted);
    bnf_free(l->wanted);
    bnf_transform_destroy(l->transform);
    bnf_sampler_destroy(l->sampler);
    pthread_cond_destroy(&l->freed);
    pthread_cond_destroy(&l->filled);
    pthread_mutex_destroy(&l->mutex);
    bnf_free(l);
}

/* ---- Use ---- */

int64_t bnf_loader_steps_per_epoch(const bnf_loader *l)
{
    return l->steps_per_epoch;
}

const bnf_transform *bnf_loader_transform(const bnf_loader *l)
{
    return l->transform;
}

void bnf_loader_seek(bnf_loader *l, int64_t step)
{
    BNF_ASSERT(step >= 0);
    pthread_mutex_lock(&l->mutex);
    l->taken = false;
    if (step != l->next_take || l->status != BNF_OK) {
        l->status = BNF_ERR_INTERRUPTED; /* the thread rests after the batch that it is filling */
        while (l->filling)
            pthread_cond_wait(&l->filled, &l->mutex);
        l->next_fill = l->next_take = step;
        l->status = BNF_OK;
    }
    pthread_cond_broadcast(&l->freed);
    pthread_mutex_unlock(&l->mutex);
}

/* Without a thread: fills the batch here. With one: waits for it. Called with the mutex held. */
static void await_batch(bnf_loader *l)
{
    double started = bnf_clock_seconds();

    if (!l->has_thread && l->status == BNF_OK) {
        bnf_status status = fill_slot(l, l->next_fill);
        if (status != BNF_OK)
            note_failure(l, status, l->next_fill);
        else
            l->next_fill++;
        l->stats.read_seconds += bnf_clock_seconds() - started;
    }
    while (l->next_fill <= l->next_take && l->status == BNF_OK)
        pthread_cond_wait(&l->filled, &l->mutex);
    l->stats.stall_seconds += bnf_clock_seconds() - started;
}

bnf_status bnf_loader_next(bnf_loader *l, const bnf_batch **batch)
{
    bnf_status status = BNF_OK;

    pthread_mutex_lock(&l->mutex);
    l->taken = false;
    pthread_cond_broadcast(&l->freed);
    if (l->next_fill <= l->next_take)
        await_batch(l);
    if (l->next_fill > l->next_take) {
        *batch = &l->slots[l->next_take % l->slot_count].batch;
        l->next_take++;
        l->taken = true;
        l->stats.batches++;
    } else {
        status = l->status;
    }
    pthread_mutex_unlock(&l->mutex);
    /* The message is stable: after a failure the thread rests until the next seek, which only this caller makes. */
    return status == BNF_OK ? BNF_OK : bnf_fail(status, "%s", l->message);
}

void bnf_loader_get_stats(bnf_loader *l, bnf_loader_stats *stats)
{
    pthread_mutex_lock(&l->mutex);
    *stats = l->stats;
    pthread_mutex_unlock(&l->mutex);
}
