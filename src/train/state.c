/* train/state.c - a run's state in a checkpoint. */
#include "train/state.h"

#include "base/log.h"
#include "base/mem.h"
#include "ckpt/checkpoint.h"
#include "comm/agree.h"
#include "h5/checksum.h"

#include <stdio.h>
#include <string.h>

static bnf_status add_array(bnf_updater *updater, bnf_ckpt_writer *writer, const bnf_param_info *info, int param,
                            int array, void *buffer)
{
    const char *what;
    bnf_dtype dtype;
    int64_t count;
    char name[192];
    bnf_updater_array_info(updater, param, array, &what, &dtype, &count);
    BNF_TRY(bnf_updater_gather(updater, param, array, buffer));
    if (!writer)
        return BNF_OK;
    snprintf(name, sizeof name, "owner/%s/%s", info->name, what);
    bool shaped = count == bnf_desc_count(&info->desc);
    return bnf_ckpt_writer_add(writer, name, dtype, shaped ? info->desc.ndim : 1, shaped ? info->desc.dim : &count,
                               buffer);
}

/* Everything of one parameter; `writer` on rank 0 only. The first array (raw) is left out where it is the effective
 * weight. After a failure the gathers go on, or the other ranks would wait. */
static bnf_status add_param(bnf_params *params, bnf_updater *updater, bnf_ckpt_writer *writer, int i, void *buffer)
{
    const bnf_param_info *info = bnf_params_info(params, i);
    char name[192];
    snprintf(name, sizeof name, "params/%s", info->name);
    bnf_status first = BNF_OK;
    if (writer)
        first = bnf_ckpt_writer_add(writer, name, info->desc.dtype, info->desc.ndim, info->desc.dim,
                                    bnf_params_value(params, i));
    for (int a = info->reparam.make ? 0 : 1; a < bnf_updater_arrays(updater, i); a++) {
        bnf_status s = add_array(updater, first == BNF_OK ? writer : NULL, info, i, a, buffer);
        first = first == BNF_OK ? s : first;
    }
    return first;
}

static size_t largest_array(bnf_params *params, const bnf_updater *updater)
{
    size_t most = 0;
    for (int i = 0; i < bnf_params_count(params); i++)
        for (int a = 0; a < bnf_updater_arrays(updater, i); a++) {
            const char *what;
            bnf_dtype dtype;
            int64_t count;
            bnf_updater_array_info(updater, i, a, &what, &dtype, &count);
            if ((size_t)count * bnf_dtype_size(dtype) > most)
                most = (size_t)count * bnf_dtype_size(dtype);
        }
    return most;
}

/* One line that tells two data sets apart. */
static bnf_status describe_data(const bnf_dataset_info *d, bnf_buf *text)
{
    bnf_buf_printf(text, "%lld %s images of %lld x %lld x %lld, %lld classes", (long long)d->count,
                   bnf_dtype_name(d->dtype), (long long)d->h, (long long)d->w, (long long)d->c, (long long)d->classes);
    if (d->checksum[0])
        bnf_buf_printf(text, ", checksum %s", d->checksum);
    return text->status;
}

static bnf_status add_attributes(const bnf_state *state, bnf_ckpt_writer *writer)
{
    bnf_buf config = {0}, data = {0};
    char hash[17];
    bnf_status s = bnf_job_dump(state->job, true, &config);
    bnf_state_hash(state->params, hash);
    if (s == BNF_OK)
        s = describe_data(state->data, &data);
    if (s == BNF_OK)
        s = bnf_ckpt_writer_attr_str(writer, "config", bnf_buf_text(&config));
    if (s == BNF_OK)
        s = bnf_ckpt_writer_attr_str(writer, "data", bnf_buf_text(&data));
    if (s == BNF_OK)
        s = bnf_ckpt_writer_attr_str(writer, "weights", hash);
    if (s == BNF_OK)
        s = bnf_ckpt_writer_attr_str(writer, "banff", BNF_VERSION_STRING);
    if (s == BNF_OK)
        s = bnf_ckpt_writer_add(writer, "sums", BNF_F64, 1, &state->n_sums, state->sums);
    bnf_buf_release(&config);
    bnf_buf_release(&data);
    return s;
}

/* The writer's part takes place on rank 0; a failure of it may not keep others from their part of the gathers. */
static bnf_status save_all(const bnf_state *state, bnf_ckpt_writer *writer, void *buffer)
{
    bnf_status first = BNF_OK;
    for (int i = 0; i < bnf_params_count(state->params); i++) {
        bnf_status s = add_param(state->params, state->updater, first == BNF_OK ? writer : NULL, i, buffer);
        first = first == BNF_OK ? s : first;
    }
    if (first == BNF_OK && writer)
        first = add_attributes(state, writer);
    if (first != BNF_OK || !writer) {
        bnf_ckpt_writer_abort(writer);
        return first;
    }
    return bnf_ckpt_writer_commit(writer);
}

bnf_status bnf_state_save(const bnf_state *state, const char *folder, int64_t step)
{
    bnf_ckpt_writer *writer = NULL;
    void *buffer = NULL;
    bnf_status s = bnf_alloc(largest_array(state->params, state->updater), "checkpoint", &buffer);
    bool first = bnf_comm_rank(state->comm) == 0;
    if (s == BNF_OK && first)
        s = bnf_ckpt_writer_open(folder, step, &writer);
    s = bnf_comm_agree(state->comm, s);
    if (s == BNF_OK) {
        s = save_all(state, writer, buffer);
        if (s == BNF_OK && first)
            s = bnf_ckpt_prune(folder, state->job->run.keep);
        s = bnf_comm_agree(state->comm, s);
    } else {
        bnf_ckpt_writer_abort(writer);
    }
    bnf_free(buffer);
    return s;
}

bnf_status bnf_state_find(const bnf_comm *comm, const char *folder, char **path)
{
    char *found = NULL;
    bnf_buf refused = {0};
    int64_t size = 0;
    bnf_status s = BNF_OK;
    *path = NULL;
    if (bnf_comm_rank(comm) == 0) {
        s = bnf_ckpt_find_newest(folder, &found, &refused);
        if (s == BNF_OK && refused.size > 0 && found)
            bnf_log_warning("refused checkpoints:\n%s", bnf_buf_text(&refused));
        else if (s == BNF_OK && refused.size > 0)
            s = bnf_fail(BNF_ERR_FORMAT, "no checkpoint in '%s' is sound:\n%s", folder, bnf_buf_text(&refused));
        size = found ? (int64_t)strlen(found) + 1 : 0;
    }
    bnf_buf_release(&refused);
    s = bnf_comm_agree(comm, s);
    if (s == BNF_OK)
        s = bnf_comm_bcast(comm, 0, &size, sizeof size);
    if (s == BNF_OK && size > 0 && !found)
        s = bnf_alloc((size_t)size, "path", &found);
    if (s == BNF_OK && size > 0)
        s = bnf_comm_bcast(comm, 0, found, size);
    if (s == BNF_OK)
        *path = found;
    else
        bnf_free(found);
    return s;
}

/* First line in which two texts differ. */
static void first_difference(const char *a, const char *b, int *na, int *nb, const char **la, const char **lb)
{
    while (*a && *b) {
        const char *ea = strchrnul(a, '\n'), *eb = strchrnul(b, '\n');
        if (ea - a != eb - b || memcmp(a, b, (size_t)(ea - a)) != 0)
            break;
        a = *ea ? ea + 1 : ea;
        b = *eb ? eb + 1 : eb;
    }
    *la = a;
    *lb = b;
    *na = (int)(strchrnul(a, '\n') - a);
    *nb = (int)(strchrnul(b, '\n') - b);
}

static bnf_status check_config(const bnf_job *job, bnf_ckpt_reader *reader, const char *path)
{
    bnf_buf now = {0};
    char *then = NULL;
    bnf_status s = bnf_job_dump(job, true, &now);
    if (s == BNF_OK)
        s = bnf_ckpt_reader_attr_str(reader, "config", &then);
    if (s == BNF_OK && strcmp(then, bnf_buf_text(&now)) != 0) {
        const char *a, *b;
        int na, nb;
        first_difference(then, bnf_buf_text(&now), &na, &nb, &a, &b);
        s = bnf_fail(BNF_ERR_CONFIG, "%s was written with another configuration: it has '%.*s', now it is '%.*s'", path,
                     na, a, nb, b);
    }
    bnf_buf_release(&now);
    bnf_free(then);
    return s;
}

static bnf_status check_data(const bnf_dataset_info *data, bnf_ckpt_reader *reader, const char *path)
{
    bnf_buf now = {0};
    char *then = NULL;
    bnf_status s = describe_data(data, &now);
    if (s == BNF_OK)
        s = bnf_ckpt_reader_attr_str(reader, "data", &then);
    if (s == BNF_OK && strcmp(then, bnf_buf_text(&now)) != 0)
        s = bnf_fail(BNF_ERR_CONFIG, "%s was written with other data: %s; now %s holds %s", path, then, data->path,
                     bnf_buf_text(&now));
    bnf_buf_release(&now);
    bnf_free(then);
    return s;
}

static bnf_status read_owner_array(bnf_params *params, bnf_updater *updater, bnf_ckpt_reader *reader, int i, int a,
                                   void *buffer)
{
    const bnf_param_info *info = bnf_params_info(params, i);
    const char *what;
    bnf_dtype dtype;
    int64_t count;
    char name[192];
    bnf_updater_array_info(updater, i, a, &what, &dtype, &count);
    snprintf(name, sizeof name, "owner/%s/%s", info->name, what);
    bool shaped = count == bnf_desc_count(&info->desc);
    BNF_TRY(bnf_ckpt_reader_read(reader, name, dtype, shaped ? info->desc.ndim : 1, shaped ? info->desc.dim : &count,
                                 buffer));
    return bnf_updater_put(updater, i, a, buffer);
}

static bnf_status read_params(bnf_params *params, bnf_ckpt_reader *reader)
{
    for (int i = 0; i < bnf_params_count(params); i++) {
        const bnf_param_info *info = bnf_params_info(params, i);
        char name[192];
        snprintf(name, sizeof name, "params/%s", info->name);
        BNF_TRY(bnf_ckpt_reader_read(reader, name, info->desc.dtype, info->desc.ndim, info->desc.dim,
                                     bnf_params_value(params, i)));
    }
    bnf_params_touch(params);
    return BNF_OK;
}

static bnf_status read_all(const bnf_state *state, bnf_ckpt_reader *reader, const char *path)
{
    bnf_params *params = state->params;
    bnf_updater *updater = state->updater;
    void *buffer;
    BNF_TRY(check_config(state->job, reader, path));
    BNF_TRY(check_data(state->data, reader, path));
    BNF_TRY(read_params(params, reader));
    BNF_TRY(bnf_ckpt_reader_read(reader, "sums", BNF_F64, 1, &state->n_sums, state->sums));
    BNF_TRY(bnf_alloc(largest_array(params, updater), "checkpoint", &buffer));
    bnf_status s = BNF_OK;
    for (int i = 0; i < bnf_params_count(params) && s == BNF_OK; i++)
        for (int a = bnf_params_info(params, i)->reparam.make ? 0 : 1;
             a < bnf_updater_arrays(updater, i) && s == BNF_OK; a++)
            s = read_owner_array(params, updater, reader, i, a, buffer);
    bnf_free(buffer);
    return s;
}

bnf_status bnf_state_resume(const bnf_state *state, const char *path, int64_t *step)
{
    bnf_ckpt_reader *reader = NULL;
    char stored[17] = "", now[17];
    bnf_status s = bnf_ckpt_reader_open(path, &reader);
    if (s == BNF_OK)
        s = read_all(state, reader, path);
    if (s == BNF_OK) {
        bnf_state_hash(state->params, stored);
        *step = bnf_ckpt_reader_step(reader);
    }
    bnf_ckpt_reader_close(reader);
    BNF_TRY(bnf_comm_agree(state->comm, s));
    BNF_TRY(bnf_updater_restore(state->updater));
    bnf_state_hash(state->params, now);
    if (strcmp(stored, now) != 0)
        s = bnf_fail(BNF_ERR_NUMERIC,
                     "%s: the weights computed here (%s) are not those stored (%s): another CPU type or build?", path,
                     now, stored);
    return bnf_comm_agree(state->comm, s);
}

bnf_status bnf_state_load_params(bnf_params *params, const char *path, int64_t *step)
{
    bnf_ckpt_reader *reader;
    BNF_TRY(bnf_ckpt_reader_open(path, &reader));
    bnf_status s = read_params(params, reader);
    *step = bnf_ckpt_reader_step(reader);
    bnf_ckpt_reader_close(reader);
    return s;
}

void bnf_state_hash(bnf_params *params, char *hash)
{
    uint64_t all = 0;
    for (int i = 0; i < bnf_params_count(params); i++) {
        uint64_t pair[2] = {
            all, bnf_checksum(bnf_params_value(params, i), bnf_desc_bytes(&bnf_params_info(params, i)->desc))};
        all = bnf_checksum(pair, sizeof pair);
    }
    snprintf(hash, 17, "%016llx", (unsigned long long)all);
}
