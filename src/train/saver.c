/* train/saver.c - checkpoints of a run under way. */
#include "train/saver.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "ckpt/folder.h"
#include "comm/agree.h"
#include "train/worker.h"

#include <stdio.h>
#include <string.h>

typedef enum phase { IDLE = 0, PARTS, COMMIT } phase;

/* An array that this rank writes. */
typedef struct item {
    int param, array; /* array -1: the effective weight */
    bnf_dtype dtype;
    int ndim;
    int64_t dim[BNF_CKPT_MAX_DIMS], bytes;
    char *copy; /* [bytes] in `staging` */
} item;

struct bnf_saver {
    bnf_state state;
    char *folder;
    const bnf_fence *fence;
    int rank, ranks, n_params;
    item *items;
    int n_items;
    char *staging;
    double *sums;         /* copy of state.sums */
    bnf_buf config, data; /* attributes, which never change */
    bnf_worker *worker;
    phase phase;
    int64_t step; /* of what is under way */
    double begun;
    bnf_ckpt_seal seal; /* of this rank's part; bytes 0: it owns nothing */
    int64_t *shared;    /* [2 ranks + n_params] lengths and checksums of the parts, checksums of params/NAME */
    bnf_saver_stats stats;
};

/* ---- what is written, and its copy ----------------------------------------------------------------------------- */

static bnf_status add_item(bnf_saver *v, int param, int array)
{
    const bnf_param_info *info = bnf_params_info(v->state.params, param);
    const bnf_desc *d = array < 0 ? &info->desc : bnf_param_raw_desc(info);
    item *it = &v->items[v->n_items];
    const char *name;
    int64_t count = bnf_desc_count(d);
    *it = (item){.param = param, .array = array, .dtype = d->dtype, .ndim = d->ndim};
    memcpy(it->dim, d->dim, (size_t)d->ndim * sizeof *it->dim);
    if (array >= 0)
        bnf_updater_array_info(v->state.updater, param, array, &name, &it->dtype, &count);
    if (count != bnf_desc_count(d)) {
        it->ndim = 1;
        it->dim[0] = count;
    }
    it->bytes = count * (int64_t)bnf_dtype_size(it->dtype);
    v->n_items++;
    return BNF_OK;
}

static bnf_status list_items(bnf_saver *v)
{
    size_t room = 1, total = 0;
    for (int i = 0; i < v->n_params; i++)
        room += 1 + (size_t)bnf_updater_arrays(v->state.updater, i);
    BNF_TRY(bnf_calloc(room, sizeof *v->items, "list of arrays in a checkpoint", &v->items));
    for (int i = 0; i < v->n_params; i++) {
        if (bnf_updater_owner(v->state.updater, i) != v->rank)
            continue;
        BNF_TRY(add_item(v, i, -1));
        for (int a = bnf_state_first_array(v->state.params, i); a < bnf_updater_arrays(v->state.updater, i); a++)
            BNF_TRY(add_item(v, i, a));
    }
    for (int k = 0; k < v->n_items; k++)
        total += ((size_t)v->items[k].bytes + BNF_ALIGN - 1) / BNF_ALIGN * BNF_ALIGN;
    BNF_TRY(bnf_alloc(total, "copy for checkpoints", &v->staging));
    memset(v->staging, 0, total); /* now, and not in the first checkpoint, the pages are fetched */
    char *at = v->staging;
    for (int k = 0; k < v->n_items; k++) {
        v->items[k].copy = at;
        at += ((size_t)v->items[k].bytes + BNF_ALIGN - 1) / BNF_ALIGN * BNF_ALIGN;
    }
    return BNF_OK;
}

static void *copy_of(bnf_saver *v, int param, int array)
{
    for (int k = 0; k < v->n_items; k++)
        if (v->items[k].param == param && v->items[k].array == array)
            return v->items[k].copy;
    return NULL; /* another rank's */
}

/* What all ranks own together comes to rank 0. */
static bnf_status gather_items(bnf_saver *v)
{
    bnf_updater *updater = v->state.updater;
    for (int i = 0; i < v->n_params; i++)
        for (int a = bnf_state_first_array(v->state.params, i);
             bnf_updater_shared(updater, i) && a < bnf_updater_arrays(updater, i); a++)
            BNF_TRY(bnf_updater_gather(updater, i, a, copy_of(v, i, a)));
    return BNF_OK;
}

static bnf_status copy_items(bnf_saver *v)
{
    for (int k = 0; k < v->n_items; k++) {
        const item *it = &v->items[k];
        if (it->array >= 0 && bnf_updater_shared(v->state.updater, it->param))
            continue;
        const void *from = it->array < 0 ? bnf_params_value(v->state.params, it->param)
                                         : bnf_updater_own(v->state.updater, it->param, it->array);
        memcpy(it->copy, from, (size_t)it->bytes);
    }
    memcpy(v->sums, v->state.sums, (size_t)v->state.n_sums * sizeof *v->sums);
    return gather_items(v);
}

static void name_of(const bnf_saver *v, const item *it, char *name, size_t size)
{
    bnf_state_array_name(v->state.params, v->state.updater, it->param, it->array, name, size);
}

/* ---- in the thread --------------------------------------------------------------------------------------------- */

static int64_t *checksums(bnf_saver *v)
{
    return v->shared + (size_t)2 * (size_t)v->ranks;
}

static bnf_status add_items(bnf_saver *v, bnf_ckpt_writer *writer)
{
    char name[192];
    for (int k = 0; k < v->n_items; k++) {
        const item *it = &v->items[k];
        uint64_t sum = 0;
        name_of(v, it, name, sizeof name);
        BNF_TRY(bnf_ckpt_writer_add(writer, name, it->dtype, it->ndim, it->dim, it->copy));
        if (it->array < 0 && bnf_ckpt_writer_checksum(writer, name, &sum))
            checksums(v)[it->param] = (int64_t)sum;
    }
    return BNF_OK;
}

/* What is there once: in the checkpoint itself. */
static bnf_status add_common(bnf_saver *v, bnf_ckpt_writer *writer)
{
    char hash[17];
    bnf_state_hash_checksums(checksums(v), v->n_params, hash);
    BNF_TRY(bnf_ckpt_writer_attr_str(writer, "config", bnf_buf_text(&v->config)));
    BNF_TRY(bnf_ckpt_writer_attr_str(writer, "data", bnf_buf_text(&v->data)));
    BNF_TRY(bnf_ckpt_writer_attr_str(writer, "weights", hash));
    BNF_TRY(bnf_ckpt_writer_attr_str(writer, "banff", BNF_VERSION_STRING));
    return bnf_ckpt_writer_add(writer, "sums", BNF_F64, 1, &v->state.n_sums, v->sums);
}

static bnf_status open_writer(bnf_saver *v, int part, bnf_ckpt_writer **writer)
{
    return bnf_ckpt_writer_open_at(
        &(bnf_ckpt_target){.folder = v->folder, .step = v->step, .part = part, .fence = v->fence}, writer);
}

static bnf_status write_part(void *self)
{
    bnf_saver *v = self;
    bnf_ckpt_writer *writer;
    bool alone = v->ranks == 1;
    memset(v->shared, 0, ((size_t)2 * (size_t)v->ranks + (size_t)v->n_params) * sizeof *v->shared);
    v->seal = (bnf_ckpt_seal){0};
    if (!alone && v->n_items == 0)
        return BNF_OK;
    BNF_TRY(open_writer(v, alone ? BNF_CKPT_WHOLE : v->rank, &writer));
    bnf_status s = add_items(v, writer);
    if (s == BNF_OK && alone)
        s = add_common(v, writer);
    if (s != BNF_OK) {
        bnf_ckpt_writer_abort(writer);
        return s;
    }
    BNF_TRY(bnf_ckpt_writer_commit_part(writer, &v->seal));
    return alone ? bnf_ckpt_prune(v->folder, v->state.job->run.keep, v->fence) : BNF_OK;
}

static bnf_status write_whole(void *self)
{
    bnf_saver *v = self;
    bnf_ckpt_writer *writer;
    BNF_TRY(open_writer(v, BNF_CKPT_WHOLE, &writer));
    bnf_status s = add_common(v, writer);
    for (int r = 0; r < v->ranks && s == BNF_OK; r++) {
        bnf_ckpt_seal seal = {v->shared[2 * r], (uint64_t)v->shared[2 * r + 1]};
        if (seal.bytes > 0)
            s = bnf_ckpt_writer_refer(writer, r, &seal);
    }
    if (s == BNF_OK)
        s = bnf_ckpt_writer_commit(writer);
    else
        bnf_ckpt_writer_abort(writer);
    if (s != BNF_OK) { /* parts without a checkpoint are no use */
        char why[1024];
        snprintf(why, sizeof why, "%s", bnf_error_message());
        bnf_error_clear();
        bnf_ckpt_clean(v->folder, bnf_fence_generation(v->fence), v->fence);
        return bnf_fail(s, "%s", why);
    }
    return bnf_ckpt_prune(v->folder, v->state.job->run.keep, v->fence);
}

/* ---- in the main thread ---------------------------------------------------------------------------------------- */

static void remove_own_part(bnf_saver *v)
{
    char *path;
    const bnf_ckpt_name name = {v->step, bnf_fence_generation(v->fence), v->rank, false};
    if (v->ranks == 1 || v->seal.bytes == 0)
        return;
    if (bnf_ckpt_name_path(v->folder, &name, &path) == BNF_OK) {
        (void)bnf_fs_remove(path);
        bnf_free(path);
    }
}

/* What was under way has ended on every rank: the next station. */
static bnf_status advance(bnf_saver *v)
{
    bnf_status s = bnf_comm_agree(v->state.comm, bnf_worker_result(v->worker));
    phase ended = v->phase;
    v->phase = IDLE;
    if (s != BNF_OK) {
        if (ended == PARTS)
            remove_own_part(v);
        return s;
    }
    if (ended == PARTS && v->ranks > 1) {
        v->shared[2 * v->rank] = v->seal.bytes;
        v->shared[2 * v->rank + 1] = (int64_t)v->seal.checksum;
        /* One rank's number plus zeros, so no sum can overflow. */
        BNF_TRY(bnf_comm_allreduce_i64(v->state.comm, BNF_COMM_SUM, v->shared, 2 * (int64_t)v->ranks + v->n_params));
        v->phase = COMMIT;
        if (v->rank == 0)
            bnf_worker_ask(v->worker, write_whole, v);
        return BNF_OK;
    }
    v->stats.saved = v->step;
    v->stats.count++;
    v->stats.seconds = bnf_clock_seconds() - v->begun;
    return BNF_OK;
}

static bnf_status finish(bnf_saver *v)
{
    while (v->phase != IDLE)
        BNF_TRY(advance(v)); /* which waits for the thread */
    return BNF_OK;
}

static bnf_status save(bnf_saver *v, int64_t step)
{
    BNF_TRY(finish(v));
    v->begun = bnf_clock_seconds();
    v->step = step;
    BNF_TRY(bnf_comm_agree(v->state.comm, copy_items(v)));
    v->phase = PARTS;
    bnf_worker_ask(v->worker, write_part, v);
    return v->state.job->run.checkpoint_background ? BNF_OK : finish(v);
}

static bnf_status poll(bnf_saver *v)
{
    int64_t busy = v->phase != IDLE && !bnf_worker_idle(v->worker);
    if (v->phase == IDLE)
        return BNF_OK;
    BNF_TRY(bnf_comm_allreduce_i64(v->state.comm, BNF_COMM_MAX, &busy, 1));
    return busy ? BNF_OK : advance(v);
}

bnf_status bnf_saver_save(bnf_saver *saver, int64_t step)
{
    double start = bnf_clock_seconds();
    bnf_status s = save(saver, step);
    saver->stats.held += bnf_clock_seconds() - start;
    return s;
}

bnf_status bnf_saver_poll(bnf_saver *saver)
{
    if (saver->phase == IDLE)
        return BNF_OK;
    double start = bnf_clock_seconds();
    bnf_status s = poll(saver);
    saver->stats.held += bnf_clock_seconds() - start;
    return s;
}

bnf_status bnf_saver_finish(bnf_saver *saver)
{
    double start = bnf_clock_seconds();
    bnf_status s = finish(saver);
    saver->stats.held += bnf_clock_seconds() - start;
    return s;
}

void bnf_saver_record(bnf_saver *saver, struct bnf_spans *spans, int lane)
{
    bnf_worker_record(saver->worker, spans, lane);
}

bnf_saver_stats bnf_saver_get_stats(const bnf_saver *saver)
{
    return saver->stats;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static bnf_status fill(bnf_saver *v, const char *folder)
{
    size_t shared = (size_t)2 * (size_t)v->ranks + (size_t)v->n_params;
    BNF_TRY(bnf_strdup(folder, &v->folder));
    BNF_TRY(list_items(v));
    BNF_TRY(bnf_calloc((size_t)v->state.n_sums + 1, sizeof *v->sums, "sums", &v->sums));
    BNF_TRY(bnf_calloc(shared, sizeof *v->shared, "checksums of parts", &v->shared));
    BNF_TRY(bnf_job_dump(v->state.job, true, &v->config));
    BNF_TRY(bnf_state_describe_data(v->state.data, &v->data));
    return bnf_worker_create(v->state.job->run.checkpoint_background, &v->worker);
}

bnf_status bnf_saver_create(const bnf_state *state, const char *folder, const bnf_fence *fence, bnf_saver **saver)
{
    bnf_saver *v = NULL;
    bnf_status s = bnf_calloc(1, sizeof *v, "saver of checkpoints", &v);
    if (s == BNF_OK) {
        v->state = *state;
        v->fence = fence;
        v->rank = bnf_comm_rank(state->comm);
        v->ranks = bnf_comm_size(state->comm);
        v->n_params = bnf_params_count(state->params);
        v->stats.saved = -1;
        s = fill(v, folder);
    }
    s = bnf_comm_agree(state->comm, s);
    if (s == BNF_OK)
        *saver = v;
    else
        bnf_saver_destroy(v);
    return s;
}

void bnf_saver_destroy(bnf_saver *saver)
{
    if (!saver)
        return;
    bnf_worker_destroy(saver->worker);
    bnf_buf_release(&saver->config);
    bnf_buf_release(&saver->data);
    bnf_free(saver->folder);
    bnf_free(saver->items);
    bnf_free(saver->staging);
    bnf_free(saver->sums);
    bnf_free(saver->shared);
    bnf_free(saver);
}
