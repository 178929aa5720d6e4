/* train/state.c - a run's state in a checkpoint. */
#include "train/state.h"

#include "base/log.h"
#include "base/mem.h"
#include "ckpt/checkpoint.h"
#include "comm/agree.h"
#include "h5/checksum.h"

#include <stdio.h>
#include <string.h>

int bnf_state_first_array(const bnf_params *params, int param)
{
    return bnf_params_info(params, param)->reparam.make ? 0 : 1;
}

void bnf_state_array_name(const bnf_params *params, const bnf_updater *updater, int param, int array, char *name,
                          size_t size)
{
    const char *what;
    bnf_dtype dtype;
    int64_t count;
    const bnf_param_info *info = bnf_params_info(params, param);
    if (array < 0) {
        snprintf(name, size, "params/%s", info->name);
        return;
    }
    bnf_updater_array_info(updater, param, array, &what, &dtype, &count);
    snprintf(name, size, "owner/%s/%s", info->name, what);
}

bnf_status bnf_state_describe_data(const bnf_dataset_info *d, bnf_buf *text)
{
    bnf_buf_printf(text, "%lld %s images of %lld x %lld x %lld, %lld classes", (long long)d->count,
                   bnf_dtype_name(d->dtype), (long long)d->h, (long long)d->w, (long long)d->c, (long long)d->classes);
    if (d->checksum[0])
        bnf_buf_printf(text, ", checksum %s", d->checksum);
    return text->status;
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
    bnf_status s = bnf_state_describe_data(data, &now);
    if (s == BNF_OK)
        s = bnf_ckpt_reader_attr_str(reader, "data", &then);
    if (s == BNF_OK && strcmp(then, bnf_buf_text(&now)) != 0)
        s = bnf_fail(BNF_ERR_CONFIG, "%s was written with other data: %s; now %s holds %s", path, then, data->path,
                     bnf_buf_text(&now));
    bnf_buf_release(&now);
    bnf_free(then);
    return s;
}

/* The array as the updater has it, if this rank owns it. */
static bnf_status read_owner_array(const bnf_state *state, bnf_ckpt_reader *reader, int i, int a, void *buffer)
{
    const bnf_param_info *info = bnf_params_info(state->params, i);
    const char *what;
    bnf_dtype dtype;
    int64_t count;
    char name[192];
    bnf_updater_array_info(state->updater, i, a, &what, &dtype, &count);
    bnf_state_array_name(state->params, state->updater, i, a, name, sizeof name);
    const bnf_desc *raw = bnf_param_raw_desc(info);
    bool shaped = count == bnf_desc_count(raw);
    BNF_TRY(bnf_ckpt_reader_read(reader, name, dtype, shaped ? raw->ndim : 1, shaped ? raw->dim : &count, buffer));
    return bnf_updater_put(state->updater, i, a, buffer);
}

static bnf_status read_param(bnf_params *params, bnf_ckpt_reader *reader, int i)
{
    const bnf_param_info *info = bnf_params_info(params, i);
    char name[192];
    snprintf(name, sizeof name, "params/%s", info->name);
    return bnf_ckpt_reader_read(reader, name, info->desc.dtype, info->desc.ndim, info->desc.dim,
                                bnf_params_value(params, i));
}

/* What this rank must have before owners compute and broadcast the rest: what it owns, and values that nobody
 * broadcasts. */
static bnf_status read_mine(const bnf_state *state, bnf_ckpt_reader *reader, int i, void *buffer)
{
    bool mine = bnf_updater_owner(state->updater, i) == bnf_comm_rank(state->comm) ||
                bnf_updater_shared(state->updater, i); /* every rank takes its slice */
    int first = bnf_state_first_array(state->params, i);
    if (!bnf_params_info(state->params, i)->trainable || (mine && first > 0))
        BNF_TRY(read_param(state->params, reader, i));
    for (int a = first; mine && a < bnf_updater_arrays(state->updater, i); a++)
        BNF_TRY(read_owner_array(state, reader, i, a, buffer));
    return BNF_OK;
}

static size_t largest_array(const bnf_params *params, const bnf_updater *updater)
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

static bnf_status read_all(const bnf_state *state, bnf_ckpt_reader *reader, const char *path, char *stored)
{
    void *buffer;
    char *hash = NULL;
    BNF_TRY(check_config(state->job, reader, path));
    BNF_TRY(check_data(state->data, reader, path));
    BNF_TRY(bnf_ckpt_reader_attr_str(reader, "weights", &hash));
    snprintf(stored, 17, "%s", hash);
    bnf_free(hash);
    BNF_TRY(bnf_ckpt_reader_read(reader, "sums", BNF_F64, 1, &state->n_sums, state->sums));
    BNF_TRY(bnf_alloc(largest_array(state->params, state->updater), "checkpoint", &buffer));
    bnf_status s = BNF_OK;
    for (int i = 0; i < bnf_params_count(state->params) && s == BNF_OK; i++)
        s = read_mine(state, reader, i, buffer);
    bnf_free(buffer);
    return s;
}

bnf_status bnf_state_resume(const bnf_state *state, const char *path, int64_t *step)
{
    bnf_ckpt_reader *reader = NULL;
    char stored[17] = "", now[17];
    /* One rank checks every byte, the others what they read. */
    bnf_status s = bnf_comm_rank(state->comm) == 0 ? bnf_ckpt_reader_open(path, &reader)
                                                   : bnf_ckpt_reader_open_lazy(path, &reader);
    if (s == BNF_OK)
        s = read_all(state, reader, path, stored);
    if (s == BNF_OK)
        *step = bnf_ckpt_reader_step(reader);
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
    bnf_status s = BNF_OK;
    for (int i = 0; i < bnf_params_count(params) && s == BNF_OK; i++)
        s = read_param(params, reader, i);
    bnf_params_touch(params);
    *step = bnf_ckpt_reader_step(reader);
    bnf_ckpt_reader_close(reader);
    return s;
}

/* Each parameter's checksum in turn; the hash so far is mixed in. */
static void mix(uint64_t *all, uint64_t checksum)
{
    uint64_t pair[2] = {*all, checksum};
    *all = bnf_checksum(pair, sizeof pair);
}

void bnf_state_hash(bnf_params *params, char *hash)
{
    uint64_t all = 0;
    for (int i = 0; i < bnf_params_count(params); i++)
        mix(&all, bnf_checksum(bnf_params_value(params, i), bnf_desc_bytes(&bnf_params_info(params, i)->desc)));
    snprintf(hash, 17, "%016llx", (unsigned long long)all);
}

void bnf_state_hash_raw(bnf_params *params, char *hash)
{
    uint64_t all = 0;
    for (int i = 0; i < bnf_params_count(params); i++)
        mix(&all,
            bnf_checksum(bnf_params_raw(params, i), bnf_desc_bytes(bnf_param_raw_desc(bnf_params_info(params, i)))));
    snprintf(hash, 17, "%016llx", (unsigned long long)all);
}

void bnf_state_hash_checksums(const int64_t *checksum, int n, char *hash)
{
    uint64_t all = 0;
    for (int i = 0; i < n; i++)
        mix(&all, (uint64_t)checksum[i]);
    snprintf(hash, 17, "%016llx", (unsigned long long)all);
}
