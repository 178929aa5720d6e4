#include "data/loader.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/spans.h"
#include "comm/agree.h"
#include "data/store.h"
#include "data/team.h"
#include "data/view.h"

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

/* What a thread that makes images works with. */
struct maker {
    bnf_maker maker;
    uint8_t *image; /* [h, w, c] */
};

struct bnf_loader {
    const bnf_dataset *dataset;
    bnf_dataset_info info;
    bnf_loader_config config;
    int64_t rows, row_lo;
    bnf_sampler *sampler;
    bnf_transform *transform;
    bnf_store *store; /* NULL: every rank reads for itself */

    /* Work space of whoever fills a slot: the thread, or the caller without one. */
    int64_t *drawn;        /* [batch] samples of the whole step */
    struct wanted *wanted; /* [rows] */
    int64_t *sorted;       /* [rows] */
    uint8_t *stored;       /* [rows] images as they are in the file */

    /* The same where images are made of what is stored; team NULL: they are not. */
    bnf_team *team;
    bnf_raw raw;
    struct maker *makers; /* [decode_threads] */

    struct slot *slots; /* [slot_count]; the batch of step s is in slot s % slot_count */
    int slot_count;     /* and its delivery, if there is a store, is s % slot_count, too */

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t mutex; /* guards everything below, and which slots belong to whom */
    pthread_cond_t filled, freed;
    /* A step is planned (thread), posted and completed (caller: the messages), filled (thread), taken (caller). Without
     * a store it is just filled and taken. Each number is the step that comes next or is being done. */
    int64_t next_plan, next_post, next_arrive, next_fill, next_take;
    bool taken;          /* step next_take - 1 is in the caller's hands */
    bool busy, stop;     /* the thread works on a step */
    int64_t failed_step; /* could not be had; INT64_MAX: none. 0: the thread is to rest */
    bnf_status status;   /* of that step */
    char message[MESSAGE_BYTES];
    bnf_loader_stats stats;
    bnf_spans *spans; /* NULL: nobody records */
    int lane;
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

/* The batch but for its images. index: of this rank's rows; drawn: samples of the whole step. Returns how many of this
 * rank's rows have one. */
static int64_t describe_rows(bnf_loader *l, struct slot *slot, int64_t step, const int64_t *index, int64_t drawn)
{
    const int32_t *labels = bnf_dataset_labels(l->dataset);
    int64_t n = drawn - l->row_lo;

    n = n < 0 ? 0 : n > l->rows ? l->rows : n;
    slot->batch.step = step;
    slot->batch.epoch = step / bnf_sampler_steps_per_epoch(l->sampler);
    slot->batch.first_sample = step * l->config.batch + l->row_lo;
    slot->batch.valid = drawn;
    for (int64_t i = 0; i < l->rows; i++) {
        slot->index[i] = i < n ? index[i] : -1;
        slot->labels[i] = i < n ? labels[index[i]] : 0;
        slot->weight[i] = i < n ? 1.0f : 0.0f;
    }
    return n;
}

/* What a row's changes are drawn by: see loader.h. */
struct draw {
    int64_t epoch, sample;
};

static struct draw draw_of(const bnf_loader *l, const struct slot *slot, int64_t row)
{
    if (bnf_sampler_by_step(l->sampler)) /* a sample may be there twice */
        return (struct draw){slot->batch.step, l->row_lo + row};
    return (struct draw){slot->batch.epoch, slot->index[row]};
}

static void fill_row(bnf_loader *l, struct slot *slot, int64_t row, const void *image)
{
    int64_t pixels = l->info.h * l->info.w * l->info.c;
    struct draw d = draw_of(l, slot, row);
    bnf_image_move move = bnf_augment_draw(&l->config.augment, l->config.seed, d.epoch, d.sample);
    bnf_transform_apply(l->transform, image, &move, slot->x + row * pixels);
}

/* Where images are made: the fetched image `item` to its row. */
struct making {
    bnf_loader *loader;
    struct slot *slot;
};

static bnf_status make_row(void *self, int worker, int64_t item)
{
    struct making *m = self;
    bnf_loader *l = m->loader;
    struct maker *maker = &l->makers[worker];
    struct wanted w = l->wanted[item];
    const int64_t *start = l->raw.start + item;
    const char *bytes = l->raw.bytes.data + start[0];
    bnf_image_box box;

    if (l->config.augment.resized_crop) {
        struct draw d = draw_of(l, m->slot, w.row);
        bnf_image_extents e = bnf_dataset_extents(l->dataset, w.index);
        box = bnf_augment_crop(&l->config.augment, l->config.seed, d.epoch, d.sample, e.h, e.w);
    }
    BNF_TRY(bnf_dataset_make(l->dataset, &maker->maker, bytes, start[1] - start[0], w.index,
                             l->config.augment.resized_crop ? &box : NULL, maker->image));
    fill_row(l, m->slot, w.row, maker->image);
    return BNF_OK;
}

/* Rows [0, n) from the data set, read in its order. */
static bnf_status read_rows(bnf_loader *l, struct slot *slot, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        l->wanted[i] = (struct wanted){slot->index[i], i};
    sort_wanted(l->wanted, n);
    for (int64_t i = 0; i < n; i++)
        l->sorted[i] = l->wanted[i].index;
    if (l->team) {
        BNF_TRY(bnf_dataset_fetch(l->dataset, n, l->sorted, &l->raw));
        return bnf_team_run(l->team, make_row, &(struct making){l, slot}, n);
    }
    BNF_TRY(bnf_dataset_read(l->dataset, n, l->sorted, l->stored));
    for (int64_t i = 0; i < n; i++)
        fill_row(l, slot, l->wanted[i].row, l->stored + i * l->info.sample_bytes);
    return BNF_OK;
}

static int delivery_of(const bnf_loader *l, int64_t step)
{
    return (int)(step % l->slot_count);
}

static bnf_status fill_slot(bnf_loader *l, int64_t step)
{
    struct slot *slot = &l->slots[step % l->slot_count];
    int64_t pixels = l->info.h * l->info.w * l->info.c, drawn, n;

    if (l->store) {
        const int64_t *index = bnf_store_samples(l->store, delivery_of(l, step), &drawn);
        n = describe_rows(l, slot, step, index, drawn);
        for (int64_t i = 0; i < n; i++)
            fill_row(l, slot, i, bnf_store_image(l->store, delivery_of(l, step), i));
    } else {
        BNF_TRY(bnf_sampler_draw(l->sampler, step, l->config.batch, l->drawn, &drawn));
        n = describe_rows(l, slot, step, l->drawn + l->row_lo, drawn);
        if (n > 0)
            BNF_TRY(read_rows(l, slot, n));
    }
    memset(slot->x + n * pixels, 0, (size_t)((l->rows - n) * pixels) * sizeof(float)); /* padding is at the end */
    return BNF_OK;
}

static bnf_status plan_step(bnf_loader *l, int64_t step)
{
    int64_t n;
    BNF_TRY(bnf_sampler_draw(l->sampler, step, l->config.batch, l->drawn, &n));
    bnf_store_plan(l->store, delivery_of(l, step), l->drawn, n);
    return BNF_OK;
}

/* ---- The thread ---- */

static bool may_fill(const bnf_loader *l)
{
    return l->next_fill < l->failed_step && (!l->store || l->next_fill < l->next_arrive) &&
           l->next_fill - (l->next_take - (l->taken ? 1 : 0)) < l->slot_count;
}

/* The delivery's last user has been filled. */
static bool may_plan(const bnf_loader *l)
{
    return l->store && l->next_plan < l->failed_step && l->next_plan - l->next_fill < l->slot_count;
}

static void note_failure(bnf_loader *l, bnf_status status, int64_t step)
{
    if (step < l->failed_step) {
        l->failed_step = step;
        l->status = status;
        snprintf(l->message, sizeof l->message, "batch of step %lld: %s", (long long)step, bnf_error_message());
    }
    bnf_error_clear();
}

/* Does the next work that can be done by any thread; false: there is none. The mutex is held, but not while working. */
static bool work_once(bnf_loader *l)
{
    bool plan = may_plan(l);
    if (!plan && !may_fill(l))
        return false;
    int64_t step = plan ? l->next_plan : l->next_fill;
    l->busy = true;
    bnf_spans *spans = l->spans;
    int lane = l->lane;
    pthread_mutex_unlock(&l->mutex);
    int64_t begin = bnf_spans_now(spans);
    double started = bnf_clock_seconds();
    bnf_status status = plan ? plan_step(l, step) : fill_slot(l, step);
    double took = bnf_clock_seconds() - started;
    bnf_spans_end(spans, lane, BNF_SPAN_READ, step, -1, begin);
    pthread_mutex_lock(&l->mutex);
    l->busy = false;
    l->stats.read_seconds += took;
    if (status != BNF_OK)
        note_failure(l, status, step);
    else if (plan)
        l->next_plan++;
    else
        l->next_fill++;
    pthread_cond_broadcast(&l->filled);
    return true;
}

static void *prefetch(void *arg)
{
    bnf_loader *l = arg;

    pthread_mutex_lock(&l->mutex);
    while (!l->stop)
        if (!work_once(l))
            pthread_cond_wait(&l->freed, &l->mutex);
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

/* Lets whoever works go on until `*next` is beyond `step`, or cannot be. The mutex is held. */
static void await(bnf_loader *l, const int64_t *next, int64_t step)
{
    while (*next <= step && *next < l->failed_step) {
        if (l->has_thread)
            pthread_cond_wait(&l->filled, &l->mutex);
        else if (!work_once(l))
            BNF_ASSERT(!"a step that can be filled");
    }
}

/* ---- Messages: the caller's part ---- */

/* Posts the steps up to `prefetch` behind the one that is taken next: on every rank the same, whatever its thread has
 * got to, so that all have the same messages under way between two calls. */
static void post_steps(bnf_loader *l)
{
    while (l->next_post <= l->next_take + l->config.prefetch) {
        await(l, &l->next_plan, l->next_post);
        if (l->next_plan <= l->next_post)
            return; /* it cannot be had */
        pthread_mutex_unlock(&l->mutex);
        bnf_status status = bnf_store_post(l->store, delivery_of(l, l->next_post));
        pthread_mutex_lock(&l->mutex);
        if (status != BNF_OK) {
            note_failure(l, status, l->next_post);
            return;
        }
        l->next_post++;
    }
}

/* Sees what has arrived; waits for the step that is taken next. */
static void receive_steps(bnf_loader *l)
{
    while (l->next_arrive < l->next_post && l->next_arrive < l->failed_step) {
        int delivery = delivery_of(l, l->next_arrive);
        bool done = true, wait = l->next_arrive <= l->next_take;
        pthread_mutex_unlock(&l->mutex);
        bnf_status status = wait ? bnf_store_wait(l->store, delivery) : bnf_store_test(l->store, delivery, &done);
        pthread_mutex_lock(&l->mutex);
        if (status != BNF_OK)
            note_failure(l, status, l->next_arrive);
        if (status != BNF_OK || !done)
            return;
        l->next_arrive++;
        pthread_cond_broadcast(&l->freed);
    }
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
    if (info->h < 1)
        return bnf_fail(BNF_ERR_CONFIG,
                        "'%s': the pictures of /%s differ in size: data.size must say which size they "
                        "are brought to",
                        info->path, info->name);
    if (c->augment.pad_crop < 0 || c->augment.pad_crop >= info->h || c->augment.pad_crop >= info->w)
        return bnf_fail(BNF_ERR_CONFIG,
                        "pad and crop by %lld pixels: it must be between 0 and the images' side (%lld x %lld)",
                        (long long)c->augment.pad_crop, (long long)info->h, (long long)info->w);
    if (c->augment.roll < 0 || BNF_AUGMENT_ROLLS * c->augment.roll >= info->h)
        return bnf_fail(BNF_ERR_CONFIG,
                        "data.roll: %d x %lld rows must be less than the images' height, which is %lld in '%s'",
                        BNF_AUGMENT_ROLLS, (long long)c->augment.roll, (long long)info->h, info->path);
    if (c->memory && info->encoded)
        return bnf_fail(BNF_ERR_CONFIG,
                        "data.store: memory holds decoded images, but '%s' has picture files: use data.store: file",
                        info->path);
    if (info->sparse && c->augment.resized_crop)
        return bnf_fail(BNF_ERR_CONFIG, "data.resized_crop does not work with '%s', which is stored as cells",
                        info->path);
    if (c->memory && c->augment.resized_crop)
        return bnf_fail(BNF_ERR_CONFIG,
                        "data.resized_crop does not work with data.store: memory; use data.store: file");
    BNF_ASSERT(c->leaf_lo >= 0 && c->leaf_lo <= c->leaf_hi && c->leaf_hi <= c->leaves);
    BNF_ASSERT(c->prefetch >= 0 && c->prefetch <= 1024);
    return BNF_OK;
}

bnf_status bnf_loader_sampler(const bnf_dataset *dataset, const bnf_loader_config *c, bnf_sampler **sampler)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(dataset);
    bool small = info->stored_bytes <= BNF_LOADER_WINDOW_BYTES;
    bnf_sampler_config s = c->sampler;
    int64_t *group = NULL;
    bnf_status status = BNF_OK;

    s.seed = c->seed;
    s.count = info->count;
    s.chunk_rows = info->chunk_rows;
    s.batch = s.batch > 0 ? s.batch : c->batch;
    if (s.kind == BNF_SAMPLER_SHUFFLE && s.window_rows == 0 && !small)
        s.window_rows = BNF_LOADER_WINDOW_ROWS;
    if (c->groups) {
        BNF_TRY(bnf_calloc((size_t)info->count, sizeof *group, "strata or clusters", &group));
        status = bnf_dataset_integers(dataset, c->groups, group);
        s.group = group;
    }
    if (status == BNF_OK)
        status = bnf_sampler_create(&s, sampler);
    bnf_free(group);
    return status;
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

static bnf_status make_team(bnf_loader *l)
{
    if (l->config.decode_threads < 1)
        l->config.decode_threads = 1;
    BNF_TRY(bnf_calloc((size_t)l->config.decode_threads, sizeof *l->makers, "work space to decode", &l->makers));
    for (int i = 0; i < l->config.decode_threads; i++)
        BNF_TRY(bnf_alloc((size_t)l->info.sample_bytes, "image", &l->makers[i].image));
    return bnf_team_create(l->config.decode_threads, &l->team);
}

/* Work space for reading. */
static bnf_status make_space(bnf_loader *l)
{
    size_t rows = (size_t)l->rows;
    BNF_TRY(bnf_calloc((size_t)l->config.batch, sizeof *l->drawn, "samples of a batch", &l->drawn));
    if (l->config.memory)
        return BNF_OK;
    BNF_TRY(bnf_calloc(rows, sizeof *l->wanted, "samples to read", &l->wanted));
    BNF_TRY(bnf_calloc(rows, sizeof *l->sorted, "samples to read", &l->sorted));
    return bnf_dataset_makes(l->dataset)
               ? make_team(l)
               : bnf_alloc(rows * (size_t)l->info.sample_bytes, "images as stored", &l->stored);
}

static bnf_status make_loader(bnf_loader *l, bnf_dataset *dataset)
{
    const bnf_loader_config *c = &l->config;
    int64_t leaf = c->batch / c->leaves;

    l->row_lo = c->leaf_lo * leaf;
    l->rows = (c->leaf_hi - c->leaf_lo) * leaf;
    if (!c->memory && l->info.stored_bytes <= c->hold_bytes)
        BNF_TRY(bnf_dataset_hold(dataset));
    BNF_TRY(bnf_loader_sampler(dataset, c, &l->sampler));
    BNF_TRY(bnf_transform_create(&l->info, &c->normalise, &l->transform));
    BNF_TRY(make_space(l));
    l->slot_count = c->prefetch + 1; /* one is in the caller's hands */
    BNF_TRY(bnf_calloc((size_t)l->slot_count, sizeof *l->slots, "batches", &l->slots));
    for (int i = 0; i < l->slot_count; i++)
        BNF_TRY(make_slot(l, &l->slots[i]));
    return BNF_OK;
}

/* Everything that takes no other rank. [out] loader set also after an error, if there is one to destroy. */
static bnf_status prepare_loader(bnf_dataset *dataset, const bnf_loader_config *config, bnf_loader **loader)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(dataset);
    bnf_loader *l;

    BNF_TRY(check_config(info, config));
    BNF_TRY(bnf_calloc(1, sizeof *l, "loader", &l));
    l->dataset = dataset;
    l->info = *info;
    l->config = *config;
    l->failed_step = INT64_MAX;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->filled, NULL);
    pthread_cond_init(&l->freed, NULL);
    *loader = l;
    bnf_status status = make_loader(l, dataset);
    l->config.groups = NULL; /* borrowed during creation only */
    l->config.sampler = (bnf_sampler_config){0};
    return status;
}

/* The part that takes all ranks. `local`: how this one has fared. */
static bnf_status share_loader(bnf_loader *l, const bnf_dataset *dataset, const bnf_loader_config *c, bnf_status local)
{
    int64_t leaf = c->leaves > 0 ? c->batch / c->leaves : 0;
    bnf_store_config store = {
        .rows = c->batch, .row_lo = c->leaf_lo * leaf, .row_hi = c->leaf_hi * leaf, .deliveries = c->prefetch + 1};
    bnf_store *made;
    BNF_TRY(bnf_store_create(c->comm, dataset, &store, local, &made));
    l->store = made;
    return BNF_OK;
}

bnf_status bnf_loader_create(bnf_dataset *dataset, const bnf_loader_config *config, bnf_loader **loader)
{
    bnf_loader *l = NULL;
    bnf_status status = prepare_loader(dataset, config, &l);

    if (config->memory)
        status = share_loader(l, dataset, config, status);
    if (status == BNF_OK && config->prefetch > 0)
        status = start_thread(l);
    if (config->memory && bnf_comm_size(config->comm) > 1)
        status = bnf_comm_agree(config->comm, status);
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
    bnf_team_destroy(l->team);
    for (int i = 0; l->makers && i < l->config.decode_threads; i++) {
        bnf_maker_release(&l->makers[i].maker);
        bnf_free(l->makers[i].image);
    }
    bnf_free(l->makers);
    bnf_raw_release(&l->raw);
    bnf_store_destroy(l->store);
    bnf_free(l->slots);
    bnf_free(l->drawn);
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
    return bnf_sampler_steps_per_epoch(l->sampler);
}

const bnf_transform *bnf_loader_transform(const bnf_loader *l)
{
    return l->transform;
}

/* Stops work between two steps and forgets what was read ahead. The mutex is held. */
static void restart(bnf_loader *l, int64_t step)
{
    l->failed_step = 0;
    while (l->busy)
        pthread_cond_wait(&l->filled, &l->mutex);
    bnf_status status = l->store ? bnf_store_drain(l->store) : BNF_OK;
    l->next_plan = l->next_post = l->next_arrive = l->next_fill = l->next_take = step;
    l->failed_step = INT64_MAX;
    l->status = BNF_OK;
    if (status != BNF_OK)
        note_failure(l, status, step);
}

void bnf_loader_seek(bnf_loader *l, int64_t step)
{
    BNF_ASSERT(step >= 0);
    pthread_mutex_lock(&l->mutex);
    l->taken = false;
    if (step != l->next_take || l->status != BNF_OK)
        restart(l, step);
    pthread_cond_broadcast(&l->freed);
    pthread_mutex_unlock(&l->mutex);
}

bnf_status bnf_loader_next(bnf_loader *l, const bnf_batch **batch)
{
    bnf_status status = BNF_OK;
    double started = bnf_clock_seconds();

    pthread_mutex_lock(&l->mutex);
    l->taken = false;
    pthread_cond_broadcast(&l->freed);
    if (l->store) {
        post_steps(l);
        receive_steps(l);
    }
    await(l, &l->next_fill, l->next_take);
    if (l->next_fill > l->next_take) {
        *batch = &l->slots[l->next_take % l->slot_count].batch;
        l->next_take++;
        l->taken = true;
        l->stats.batches++;
    } else {
        status = l->status;
    }
    l->stats.stall_seconds += bnf_clock_seconds() - started;
    pthread_mutex_unlock(&l->mutex);
    /* The message is stable: after a failure the thread rests until the next seek, which only this caller makes. */
    return status == BNF_OK ? BNF_OK : bnf_fail(status, "%s", l->message);
}

void bnf_loader_record(bnf_loader *l, bnf_spans *spans, int lane)
{
    pthread_mutex_lock(&l->mutex);
    l->spans = l->has_thread ? spans : NULL;
    l->lane = lane;
    pthread_mutex_unlock(&l->mutex);
}

void bnf_loader_get_stats(bnf_loader *l, bnf_loader_stats *stats)
{
    pthread_mutex_lock(&l->mutex);
    *stats = l->stats;
    pthread_mutex_unlock(&l->mutex);
    stats->sent_bytes = l->store ? bnf_store_sent(l->store) : 0;
}
