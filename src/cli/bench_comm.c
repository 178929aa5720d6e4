/* cli/bench_comm.c - banff bench comm: sums over ranks by flows beside MPI_Allreduce, in turn within one run. */
#include "cli/args.h"
#include "cli/bench_comm.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "comm/flow.h"
#include "comm/host.h"
#include "comm/measure.h"

#include <stdio.h>
#include <stdlib.h>

static const char about[] =
    "Times an allreduce of f32 as a sum to owners and a spread from them, which is what a training step does, beside\n"
    "MPI_Allreduce. The ways take turns, so that load on the machine hits all alike: `of MPI` is the median over turns "
    "of\n"
    "their time divided by MPI's. Run it under mpirun.\n";

/* The last one is MPI's. */
enum { DIRECT, HALVING, MPI, WAYS };
static const char *const names[WAYS] = {"direct", "halving", "MPI_Allreduce"};

typedef struct bench {
    const bnf_comm *comm;
    int ranks, rank;
    int64_t least, most, turns, leaves, chunk;
    double bandwidth; /* bytes per second, 0: not known */
    bool bf16;
    float *values, *sum; /* [most / 4] */
    int64_t *offset;     /* [ranks + 1] */
    double *seconds;     /* [WAYS][turns of this size] */
    bnf_flow *reduce[MPI], *spread[MPI];
    bnf_buf json;
} bench;

static bnf_status open_flows(bench *b, int64_t n)
{
    const void *partials[BNF_TREE_MAX_COVER];
    for (int k = 0; k < BNF_TREE_MAX_COVER; k++)
        partials[k] = b->values;
    for (int r = 0; r <= b->ranks; r++)
        b->offset[r] = n * r / b->ranks;
    for (int w = 0; w < MPI; w++) {
        const bnf_flow_config config = {
            .algorithm = w == DIRECT ? BNF_FLOW_DIRECT : BNF_FLOW_HALVING, .bf16 = b->bf16, .chunk_bytes = b->chunk};
        BNF_TRY(bnf_flow_reduce_create(b->comm, &config, (int32_t)b->leaves, BNF_F32, partials, n, b->offset,
                                       b->sum + b->offset[b->rank], &b->reduce[w]));
        BNF_TRY(bnf_flow_spread_create(b->comm, &config, BNF_F32, b->offset, b->sum, &b->spread[w]));
    }
    return BNF_OK;
}

static void close_flows(bench *b)
{
    for (int w = 0; w < MPI; w++) {
        bnf_flow_destroy(b->reduce[w]);
        bnf_flow_destroy(b->spread[w]);
        b->reduce[w] = b->spread[w] = NULL;
    }
}

/* Every node of a cover has the same small whole numbers, so that a sum is exact in any order; in bfloat16 up to
 * 256. */
static bnf_status check(const bench *b, int way, int64_t n, double nodes)
{
    if (b->bf16 && 3 * nodes > 256)
        return BNF_OK;
    for (int64_t i = 0; i < n; i++) {
        const double expected = (double)(i % 3 + 1) * (way == MPI ? b->ranks : nodes);
        if ((double)b->sum[i] != expected)
            return bnf_fail(BNF_ERR_NUMERIC, "%s: element %lld of %lld is %g, not %g", names[way], (long long)i,
                            (long long)n, (double)b->sum[i], expected);
    }
    return BNF_OK;
}

static bnf_status one_turn(bench *b, int way, int64_t n, double *seconds)
{
    BNF_TRY(bnf_comm_barrier(b->comm));
    const double start = bnf_clock_seconds();
    if (way == MPI) {
        BNF_TRY(bnf_comm_allreduce_f32_mpi(b->comm, b->values, n, b->sum));
    } else {
        BNF_TRY(bnf_flow_start(b->reduce[way]));
        BNF_TRY(bnf_flow_wait(b->reduce[way]));
        BNF_TRY(bnf_flow_start(b->spread[way]));
        BNF_TRY(bnf_flow_wait(b->spread[way]));
    }
    *seconds = bnf_clock_seconds() - start;
    return bnf_comm_allreduce_f64(b->comm, BNF_COMM_MAX, seconds, 1);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int64_t n)
{
    qsort(v, (size_t)n, sizeof *v, ascending);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* One line of the table and of the file. seconds[0 ... turns) are sorted. */
static void print_way(bench *b, int way, int64_t bytes, int64_t turns, double ratio)
{
    const double seconds = median(b->seconds + way * turns, turns);
    const double wire = b->bf16 && way != MPI ? 0.75 : 1; /* the sum's way takes half */
    const double floor = 2.0 * (b->ranks - 1) / b->ranks * (double)bytes * wire / b->bandwidth;
    int64_t sent[4] = {0};
    if (way != MPI) {
        bnf_flow_traffic(b->reduce[way], &sent[0], &sent[1]);
        bnf_flow_traffic(b->spread[way], &sent[2], &sent[3]);
    }
    printf("%10lld  %-14s %12.6f %9.3f %8.3f", (long long)bytes, names[way], seconds, (double)bytes / seconds / 1e9,
           ratio);
    if (b->bandwidth > 0)
        printf(" %12.6f", floor);
    printf("\n");
    bnf_json json = bnf_json_start(&b->json, 0);
    bnf_json_begin_object(&json, NULL);
    bnf_json_int(&json, "bytes", bytes);
    bnf_json_string(&json, "way", names[way]);
    bnf_json_int(&json, "ranks", b->ranks);
    bnf_json_int(&json, "leaves", b->leaves);
    bnf_json_bool(&json, "bf16", b->bf16 && way != MPI);
    bnf_json_int(&json, "turns", turns);
    bnf_json_real(&json, "seconds", seconds);
    bnf_json_real(&json, "gb_per_second", (double)bytes / seconds / 1e9);
    bnf_json_real(&json, "of_mpi", ratio);
    if (b->bandwidth > 0)
        bnf_json_real(&json, "floor_seconds", floor);
    if (way != MPI) {
        bnf_json_int(&json, "bytes_sent", sent[0] + sent[2]);
        bnf_json_int(&json, "messages_sent", sent[1] + sent[3]);
    }
    bnf_json_end_object(&json);
    bnf_buf_putc(&b->json, '\n');
}

static void print_size(bench *b, int64_t bytes, int64_t turns)
{
    double ratio[WAYS];
    double *of_mpi = b->seconds + WAYS * turns;
    for (int w = 0; w < WAYS; w++) {
        for (int64_t t = 0; t < turns; t++)
            of_mpi[t] = b->seconds[w * turns + t] / b->seconds[MPI * turns + t];
        ratio[w] = median(of_mpi, turns);
    }
    for (int w = 0; w < WAYS; w++)
        print_way(b, w, bytes, turns, ratio[w]);
}

static int64_t turns_of(const bench *b, int64_t bytes)
{
    const int64_t turns = b->turns > 0 ? b->turns : (INT64_C(1) << 31) / bytes;
    return b->turns > 0 || (turns >= 7 && turns <= 101) ? turns : turns < 7 ? 7 : 101;
}

static bnf_status measure_size(bench *b, int64_t bytes)
{
    const int64_t n = bytes / 4, turns = turns_of(b, bytes);
    bnf_tree_node cover[BNF_TREE_MAX_COVER];
    int32_t lo, hi;
    bnf_tree_range((int32_t)b->leaves, b->ranks, b->rank, &lo, &hi);
    int64_t nodes = bnf_tree_cover((int32_t)b->leaves, lo, hi, cover);
    BNF_TRY(bnf_comm_allreduce_i64(b->comm, BNF_COMM_SUM, &nodes, 1));
    BNF_TRY(open_flows(b, n));
    for (int64_t t = -1; t < turns; t++)
        for (int i = 0; i < WAYS; i++) {
            const int way = (int)((i + t + 1) % WAYS);
            double seconds;
            BNF_TRY(one_turn(b, way, n, &seconds));
            if (t >= 0)
                b->seconds[way * turns + t] = seconds;
            else
                BNF_TRY(bnf_comm_agree(b->comm, check(b, way, n, (double)nodes)));
        }
    if (b->rank == 0)
        print_size(b, bytes, turns);
    close_flows(b);
    return BNF_OK;
}

static bnf_status prepare(bench *b)
{
    const int64_t n = b->most / 4;
    BNF_TRY(bnf_alloc((size_t)n * sizeof(float), "values to sum up", &b->values));
    BNF_TRY(bnf_alloc((size_t)n * sizeof(float), "a sum", &b->sum));
    BNF_TRY(bnf_calloc((size_t)b->ranks + 1, sizeof *b->offset, "owners", &b->offset));
    BNF_TRY(
        bnf_calloc((size_t)((WAYS + 1) * (b->turns > 101 ? b->turns : 101)), sizeof *b->seconds, "times", &b->seconds));
    for (int64_t i = 0; i < n; i++) {
        b->values[i] = (float)(i % 3 + 1);
        b->sum[i] = 0;
    }
    return BNF_OK;
}

static bnf_status measure(bench *b)
{
    if (b->rank == 0) {
        printf("%d ranks, %d on this host; %s\n", b->ranks, bnf_comm_host_size(b->comm), bnf_comm_library());
        printf("%10s  %-14s %12s %9s %8s%s\n", "bytes", "way", "seconds", "GB/s", "of MPI",
               b->bandwidth > 0 ? "        floor" : "");
    }
    for (int64_t bytes = b->least; bytes <= b->most; bytes *= 4)
        BNF_TRY(measure_size(b, bytes));
    return BNF_OK;
}

static bnf_status check_options(const bench *b)
{
    if (b->least < 4 || b->least > b->most || b->most > INT64_C(1) << 32 || b->turns < 0 || b->chunk < 0)
        return bnf_fail(BNF_ERR_CONFIG, "4 <= --from <= --to <= 4294967296, and no number may be negative");
    if (b->leaves < b->ranks || b->leaves > INT32_MAX)
        return bnf_fail(BNF_ERR_CONFIG, "--leaves %lld: at least one per rank, %d", (long long)b->leaves, b->ranks);
    if (!(b->bandwidth >= 0))
        return bnf_fail(BNF_ERR_CONFIG, "--bandwidth: bytes per second, above 0");
    return BNF_OK;
}

bnf_status bnf_bench_comm(const bnf_comm *world, int argc, char **argv)
{
    bool help = false, by_host = false;
    const char *file = NULL;
    bench b = {.least = 1024, .most = INT64_C(1) << 28, .leaves = bnf_comm_size(world)};
    bnf_comm *ordered = NULL;
    const bnf_arg args[] = {{"from", "BYTES", "smallest payload (1024)", BNF_ARG_INT, &b.least},
                            {"to", "BYTES", "largest payload, in steps of 4 (268435456)", BNF_ARG_INT, &b.most},
                            {"turns", "N", "how often each is timed (by size, 7 to 101)", BNF_ARG_INT, &b.turns},
                            {"leaves", "N", "leaves of the tree (one per rank)", BNF_ARG_INT, &b.leaves},
                            {"chunk", "BYTES", "how finely flows are cut (by algorithm)", BNF_ARG_INT, &b.chunk},
                            {"bf16", NULL, "partial sums travel as bfloat16", BNF_ARG_FLAG, &b.bf16},
                            {"by-host", NULL, "order the ranks by host first", BNF_ARG_FLAG, &by_host},
                            {"bandwidth", "BYTES/S",
                             "of a rank's link: also print the floor 2(n-1)/n * bytes / bandwidth", BNF_ARG_REAL,
                             &b.bandwidth},
                            {"json", "FILE", "also write JSON lines", BNF_ARG_STR, &file},
                            {"help", NULL, "print this", BNF_ARG_FLAG, &help}};
    const int n_args = (int)(sizeof args / sizeof *args);
    BNF_TRY(bnf_args_parse(args, n_args, argc, argv, NULL));
    if (help && bnf_comm_rank(world) == 0)
        bnf_args_help(stdout, "bench comm [options]", about, args, n_args);
    if (help)
        return BNF_OK;
    if (by_host)
        BNF_TRY(bnf_comm_by_host(world, &ordered));
    b.comm = by_host ? ordered : world;
    b.ranks = bnf_comm_size(b.comm);
    b.rank = bnf_comm_rank(b.comm);
    bnf_status s = check_options(&b);
    if (s == BNF_OK)
        s = bnf_comm_agree(b.comm, prepare(&b));
    if (s == BNF_OK)
        s = measure(&b);
    if (s == BNF_OK && file != NULL && b.rank == 0)
        s = bnf_fs_write_atomic(file, bnf_buf_text(&b.json), b.json.size);
    s = bnf_comm_agree(b.comm, s);
    if (s == BNF_OK)
        close_flows(&b);
    bnf_buf_release(&b.json);
    bnf_free(b.values);
    bnf_free(b.sum);
    bnf_free(b.offset);
    bnf_free(b.seconds);
    bnf_comm_destroy(ordered);
    return s;
}
