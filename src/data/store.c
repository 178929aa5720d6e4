#include "data/store.h"

#include "base/assert.h"
#include "base/available.h"
#include "base/mem.h"
#include "comm/agree.h"

#include <string.h>

#define READ_BYTES ((int64_t)64 << 20) /* images read at a time */
#define TAG 0                          /* messages of two ranks match by their order */

__extension__ typedef __int128 wide; /* samples times ranks */

/* Neighbours in a shard that go to neighbouring rows: one message. */
struct transfer {
    int peer;
    bool send;
    int64_t index, row, count; /* index in the set; row of the receiver's */
};

struct delivery {
    int64_t *index;             /* [own rows] samples of this rank's rows */
    uint8_t *arrived;           /* [own rows] images of other ranks' shards */
    struct transfer *transfers; /* [rows] */
    bnf_comm_request *requests; /* [rows] */
    int64_t drawn;              /* samples of the whole step */
    int64_t count, done;        /* transfers planned, completed from the front */
    bool posted;
};

struct bnf_store {
    bnf_comm *comm; /* own; NULL: one process */
    int rank, ranks;
    int64_t samples, sample_bytes;
    int64_t lo, hi;      /* own shard */
    int64_t *row_offset; /* [ranks + 1] rows of rank r: [row_offset[r], row_offset[r+1]) */
    uint8_t *shard;      /* [hi - lo] images */
    struct delivery *deliveries;
    int n_deliveries;
    int64_t sent;
    bool broken; /* a message failed: others may never come */
};

/* ---- Shards ---- */

static int64_t shard_start(const bnf_store *s, int rank)
{
    return (int64_t)((wide)s->samples * rank / s->ranks);
}

static int owner_of(const bnf_store *s, int64_t index)
{
    int r = (int)((wide)index * s->ranks / s->samples); /* right, or one too low */
    while (r + 1 < s->ranks && shard_start(s, r + 1) <= index)
        r++;
    while (shard_start(s, r) > index)
        r--;
    return r;
}

static int rank_of_row(const bnf_store *s, int64_t row)
{
    int lo = 0, hi = s->ranks - 1; /* the last rank that starts at or below; empty ranges end where they start */
    while (lo < hi) {
        int mid = lo + (hi - lo + 1) / 2;
        if (s->row_offset[mid] <= row)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo;
}

static bnf_status read_shard(bnf_store *s, const bnf_dataset *dataset)
{
    int64_t rows = READ_BYTES / s->sample_bytes > 0 ? READ_BYTES / s->sample_bytes : 1;
    for (int64_t first = s->lo; first < s->hi; first += rows) {
        int64_t n = first + rows < s->hi ? rows : s->hi - first;
        BNF_TRY(bnf_dataset_read_rows(dataset, first, n, s->shard + (first - s->lo) * s->sample_bytes));
    }
    return BNF_OK;
}

/* ---- Creation ---- */

/* Compares what the ranks of each host need with what the host has. Collective. */
static bnf_status check_memory(const bnf_store *s, const bnf_dataset_info *info, const bnf_store_config *c)
{
    bnf_comm *host = NULL;
    int64_t shard = (s->hi - s->lo) * s->sample_bytes, messages = (c->row_hi - c->row_lo) * s->sample_bytes;
    int64_t need = shard + c->deliveries * messages, available = bnf_available_bytes();

    bnf_status status = bnf_comm_agree(s->comm, bnf_comm_split_host(s->comm, &host));
    if (status != BNF_OK) {
        bnf_comm_destroy(host);
        return status;
    }
    int ranks = bnf_comm_size(host);
    status = bnf_comm_allreduce_i64(host, BNF_COMM_SUM, &need, 1);
    if (status == BNF_OK)
        status = bnf_comm_allreduce_i64(host, BNF_COMM_MIN, &available, 1);
    bnf_comm_destroy(host);
    if (status == BNF_OK && need > available)
        status = bnf_fail(BNF_ERR_MEMORY,
                          "'%s': to hold /%s in memory, the %d rank(s) on host %s need %lld bytes, and %lld are "
                          "available: use more hosts, or data.store: file",
                          info->path, info->name, ranks, bnf_comm_host(), (long long)need, (long long)available);
    return bnf_comm_agree(s->comm, status);
}

static bnf_status share_rows(bnf_store *s, const bnf_store_config *c)
{
    BNF_TRY(bnf_comm_allgather(s->comm, &c->row_lo, sizeof c->row_lo, s->row_offset));
    s->row_offset[s->ranks] = c->rows;
    BNF_ASSERT(s->row_offset[0] == 0 && s->row_offset[s->rank + 1] == c->row_hi);
    return BNF_OK;
}

static bnf_status make_delivery(const bnf_store *s, const bnf_store_config *c, struct delivery *d)
{
    size_t own = (size_t)(c->row_hi - c->row_lo), all = (size_t)c->rows;
    BNF_TRY(bnf_calloc(own, sizeof *d->index, "samples of a batch", &d->index));
    BNF_TRY(bnf_alloc(own * (size_t)s->sample_bytes, "images of a batch", &d->arrived));
    BNF_TRY(bnf_calloc(s->comm ? all : 0, sizeof *d->transfers, "messages of a batch", &d->transfers));
    return bnf_calloc(s->comm ? all : 0, sizeof *d->requests, "messages of a batch", &d->requests);
}

static bnf_status make_buffers(bnf_store *s, const bnf_store_config *c)
{
    BNF_TRY(bnf_alloc((size_t)((s->hi - s->lo) * s->sample_bytes), "shard of a set", &s->shard));
    BNF_TRY(bnf_calloc((size_t)c->deliveries, sizeof *s->deliveries, "messages", &s->deliveries));
    s->n_deliveries = c->deliveries;
    for (int i = 0; i < c->deliveries; i++)
        BNF_TRY(make_delivery(s, c, &s->deliveries[i]));
    return BNF_OK;
}

/* Collective, with the communicator made. */
static bnf_status fill_store(bnf_store *s, const bnf_dataset *dataset, const bnf_store_config *c)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(dataset);

    s->rank = bnf_comm_rank(s->comm);
    s->ranks = bnf_comm_size(s->comm);
    s->samples = info->count;
    s->sample_bytes = info->sample_bytes;
    s->lo = shard_start(s, s->rank);
    s->hi = shard_start(s, s->rank + 1);
    bnf_status status = bnf_calloc((size_t)s->ranks + 1, sizeof *s->row_offset, "ranks", &s->row_offset);
    BNF_TRY(bnf_comm_agree(s->comm, status));
    BNF_TRY(share_rows(s, c));
    BNF_TRY(check_memory(s, info, c));
    BNF_TRY(bnf_comm_agree(s->comm, make_buffers(s, c)));
    return bnf_comm_agree(s->comm, read_shard(s, dataset));
}

bnf_status bnf_store_create(const bnf_comm *comm, const bnf_dataset *dataset, const bnf_store_config *config,
                            bnf_status local, bnf_store **store)
{
    bnf_store *s = NULL;

    if (local == BNF_OK)
        local = bnf_calloc(1, sizeof *s, "data store", &s);
    bnf_status status = bnf_comm_agree(comm, local);
    if (status == BNF_OK)
        status = bnf_comm_agree(comm, bnf_comm_dup(bnf_comm_size(comm) > 1 ? comm : NULL, &s->comm));
    if (status == BNF_OK)
        status = fill_store(s, dataset, config);
    if (status == BNF_OK)
        *store = s;
    else
        bnf_store_destroy(s);
    return status;
}

void bnf_store_destroy(bnf_store *s)
{
    if (!s)
        return;
    /* After a failed message, what is under way may still write to its buffers: they are left to it. */
    bool intact = bnf_store_drain(s) == BNF_OK;
    for (int i = 0; intact && i < s->n_deliveries; i++) {
        bnf_free(s->deliveries[i].index);
        bnf_free(s->deliveries[i].arrived);
        bnf_free(s->deliveries[i].transfers);
        bnf_free(s->deliveries[i].requests);
    }
    if (intact) {
        bnf_free(s->deliveries);
        bnf_free(s->shard);
        bnf_comm_destroy(s->comm);
    }
    bnf_free(s->row_offset);
    bnf_free(s);
}

/* ---- One step ---- */

/* Adds row `row` of the batch, a sample of `from`, to what goes to `to`; joins it to the last transfer if it can. */
static void add_transfer(struct delivery *d, const bnf_store *s, int from, int to, int64_t index, int64_t row)
{
    struct transfer *last = d->count ? &d->transfers[d->count - 1] : NULL;
    bool send = from == s->rank;
    int peer = send ? to : from;

    if (last && last->send == send && last->peer == peer && last->index + last->count == index &&
        last->row + last->count == row)
        last->count++;
    else
        d->transfers[d->count++] = (struct transfer){peer, send, index, row, 1};
}

void bnf_store_plan(bnf_store *s, int delivery, const int64_t *index, int64_t n)
{
    struct delivery *d = &s->deliveries[delivery];
    int64_t lo = s->row_offset[s->rank], hi = s->row_offset[s->rank + 1];

    BNF_ASSERT(!d->posted && n <= s->row_offset[s->ranks]);
    d->count = d->done = 0;
    d->drawn = n;
    for (int64_t row = lo; row < hi && row < n; row++)
        d->index[row - lo] = index[row];
    if (!s->comm)
        return;
    /* Both sides see the rows in the same order and cut them alike: a run's rows are neighbours, of one receiver. */
    for (int64_t row = 0; row < n; row++) {
        bool mine = row >= lo && row < hi, here = index[row] >= s->lo && index[row] < s->hi;
        if (mine == here)
            continue; /* of others, or already where it is needed */
        int from = here ? s->rank : owner_of(s, index[row]), to = mine ? s->rank : rank_of_row(s, row);
        add_transfer(d, s, from, to, index[row], row);
    }
}

static bnf_status post_one(bnf_store *s, struct delivery *d, int64_t k)
{
    const struct transfer *t = &d->transfers[k];
    int64_t bytes = t->count * s->sample_bytes;
    if (!t->send)
        return bnf_comm_irecv(s->comm, t->peer, TAG, d->arrived + (t->row - s->row_offset[s->rank]) * s->sample_bytes,
                              bytes, &d->requests[k]);
    s->sent += bytes;
    return bnf_comm_isend(s->comm, t->peer, TAG, s->shard + (t->index - s->lo) * s->sample_bytes, bytes,
                          &d->requests[k]);
}

/* Receives first: what comes early then finds its place. */
bnf_status bnf_store_post(bnf_store *s, int delivery)
{
    struct delivery *d = &s->deliveries[delivery];
    bnf_status status = BNF_OK;

    for (int64_t k = 0; k < d->count; k++)
        d->requests[k].active = false;
    d->posted = true;
    for (int sends = 0; sends < 2; sends++)
        for (int64_t k = 0; k < d->count && status == BNF_OK; k++)
            if (d->transfers[k].send == sends)
                status = post_one(s, d, k);
    s->broken |= status != BNF_OK;
    return status;
}

bnf_status bnf_store_test(bnf_store *s, int delivery, bool *done)
{
    struct delivery *d = &s->deliveries[delivery];
    bnf_status status = BNF_OK;
    bool one = true;

    while (d->done < d->count && status == BNF_OK && one) {
        status = bnf_comm_test(&d->requests[d->done], &one);
        d->done += status == BNF_OK && one;
    }
    s->broken |= status != BNF_OK;
    *done = d->done == d->count;
    if (*done)
        d->posted = false;
    return status;
}

bnf_status bnf_store_wait(bnf_store *s, int delivery)
{
    struct delivery *d = &s->deliveries[delivery];
    bnf_status status = bnf_comm_wait_all(d->requests + d->done, d->count - d->done);

    s->broken |= status != BNF_OK;
    d->done = d->count;
    d->posted = false;
    return status;
}

bnf_status bnf_store_drain(bnf_store *s)
{
    for (int i = 0; i < s->n_deliveries; i++)
        if (s->deliveries[i].posted && !s->broken)
            (void)bnf_store_wait(s, i); /* `broken` keeps the failure */
    return s->broken ? bnf_fail(BNF_ERR_COMM, "the exchange of samples has failed before") : BNF_OK;
}

const int64_t *bnf_store_samples(const bnf_store *s, int delivery, int64_t *n)
{
    *n = s->deliveries[delivery].drawn;
    return s->deliveries[delivery].index;
}

const void *bnf_store_image(const bnf_store *s, int delivery, int64_t row)
{
    const struct delivery *d = &s->deliveries[delivery];
    int64_t index = d->index[row];
    if (index >= s->lo && index < s->hi)
        return s->shard + (index - s->lo) * s->sample_bytes;
    return d->arrived + row * s->sample_bytes;
}

int64_t bnf_store_sent(const bnf_store *s)
{
    return s->sent;
}
