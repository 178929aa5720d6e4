#include "cli/inspect_reading.h"

#include "comm/agree.h"
#include "data/loader.h"
#include "data/probe.h"

#include <stdio.h>

#define INPUT_SIDE 224   /* that decoding is measured for */
#define SMALL_READ 4096  /* bytes: a chunk should not be smaller */
#define MUCH_FETCHED 4.0 /* times the image: worth a warning */
#define LITTLE_SAVED 0.9 /* stored / plain: compression that is not worth its time */
#define IN_RUNS 0.9      /* share of neighbours with the same label */

void bnf_print_bytes(double bytes)
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int k = 0;
    while (bytes >= 1024.0 && k < 4) {
        bytes /= 1024.0;
        k++;
    }
    printf(k == 0 ? "%.0f %s" : "%.1f %s", bytes, unit[k]);
}

/* What an epoch of shuffled reading costs. */
static void print_pattern(const bnf_dataset_info *info, double fetched)
{
    int64_t bytes = info->count * info->sample_bytes;

    printf("  reading      ");
    if (bytes <= BNF_LOADER_HOLD_DEFAULT) {
        bnf_print_bytes((double)bytes);
        printf(" once: held in memory by default\n");
        return;
    }
    printf("shuffled %s; ", bytes <= BNF_LOADER_WINDOW_BYTES ? "as a whole" : "in windows");
    bnf_print_bytes(fetched);
    printf(" fetched for an image of ");
    bnf_print_bytes((double)info->sample_bytes);
    printf(" (x %.1f)\n", fetched / (double)info->sample_bytes);
}

/* Measures; [out] speed  images per second of the slowest rank, 0 if nothing was measured. Collective. */
static bnf_status measure(const bnf_comm *world, const bnf_dataset_info *info, double seconds, double *speed,
                          bnf_read_probe *probe)
{
    bnf_dataset *fresh = NULL;
    bnf_split split = info->name[1] == 'r' ? BNF_TRAIN : BNF_TEST; /* "train" */
    bnf_status status = bnf_comm_agree(world, bnf_dataset_open(info->path, split, &fresh));

    if (status == BNF_OK) /* ranks read other images at the same time, as they do in training */
        status = bnf_comm_agree(world, bnf_dataset_probe(fresh, 1 + (uint64_t)bnf_comm_rank(world), seconds, probe));
    bnf_dataset_close(fresh);
    BNF_TRY(status);
    *speed = probe->seconds > 0 ? (double)probe->images / probe->seconds : 0;
    return bnf_comm_allreduce_f64(world, BNF_COMM_MIN, speed, 1);
}

static void print_speed(const bnf_dataset_info *info, int ranks, double speed, const bnf_read_probe *p)
{
    printf("  speed        %.0f images/s a rank, %d reading at a time; tried on %lld images", speed, ranks,
           (long long)p->images);
    if (p->bytes_read >= 0 && p->images > 0)
        printf(", x %.1f fetched", (double)p->bytes_read / ((double)p->images * (double)info->sample_bytes));
    printf(" (what the system has cached is read faster)\n");
}

/* Whether classes lie one behind the other: neighbours share labels far more often than chance would have it. */
static bool labels_in_runs(const bnf_dataset *ds)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(ds);
    const int32_t *labels = bnf_dataset_labels(ds);
    int64_t same = 0;
    for (int64_t i = 1; i < info->count; i++)
        same += labels[i] == labels[i - 1];
    return info->classes > 1 && info->count > 4 * info->classes && (double)same > IN_RUNS * (double)info->count;
}

static void print_advice(const bnf_dataset *ds, const bnf_h5_dataset_info *h5, double fetched)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(ds);
    double plain = (double)info->count * (double)info->sample_bytes;
    int64_t chunk = info->sample_bytes >= SMALL_READ ? 1 : SMALL_READ / info->sample_bytes;
    bool held = plain <= (double)BNF_LOADER_HOLD_DEFAULT;

    if (!info->checksum[0])
        printf("  warning      no checksum is stated, so damage may go unseen: banff repack %s OUT\n", info->path);
    if (held)
        return; /* read once, whatever it is like */
    if (fetched > MUCH_FETCHED * (double)(chunk * info->sample_bytes))
        printf("  warning      x %.1f more is fetched than used: banff repack %s OUT --chunk %lld, or data.store: "
               "memory\n",
               fetched / (double)info->sample_bytes, info->path, (long long)chunk);
    if (h5->deflate && (double)h5->stored_bytes > LITTLE_SAVED * plain)
        printf("  warning      compression saves %.0f %% only, and every image is unpacked: banff repack %s OUT "
               "--compress off\n",
               100 * (1 - (double)h5->stored_bytes / plain), info->path);
    if (plain > (double)BNF_LOADER_WINDOW_BYTES && labels_in_runs(ds))
        printf("  warning      classes lie one behind the other, and sets of this size are shuffled in windows, which "
               "then see few classes: banff repack %s OUT --shuffle-once 1, or data.window: %lld\n",
               info->path, (long long)info->count);
}

bnf_status bnf_inspect_reading(const bnf_comm *world, const bnf_dataset *ds, const bnf_h5_dataset_info *h5,
                               double seconds)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(ds);
    bool filters = h5->deflate || h5->shuffle || h5->fletcher32;
    double fetched = bnf_dataset_fetched(info, info->chunk_rows, filters, h5->stored_bytes), speed = 0;
    bnf_read_probe probe = {0};

    if (seconds > 0)
        BNF_TRY(measure(world, info, seconds, &speed, &probe));
    if (bnf_comm_rank(world) != 0)
        return BNF_OK;
    print_pattern(info, fetched);
    if (seconds > 0)
        print_speed(info, bnf_comm_size(world), speed, &probe);
    print_advice(ds, h5, fetched);
    return BNF_OK;
}

/* ---- Encoded sets ---- */

static bnf_status measure_decoding(const bnf_comm *world, const bnf_dataset_info *info, double seconds,
                                   bnf_decode_probe *probe)
{
    bnf_dataset *fresh = NULL;
    bnf_split split = info->name[1] == 'r' ? BNF_TRAIN : BNF_TEST; /* "train" */
    bnf_status status = bnf_dataset_open(info->path, split, &fresh);

    if (status == BNF_OK)
        status = bnf_dataset_set_size(fresh, INPUT_SIDE, 1.0);
    if (status == BNF_OK)
        status = bnf_dataset_probe_decoding(fresh, 1 + (uint64_t)bnf_comm_rank(world), seconds, probe);
    bnf_dataset_close(fresh);
    return bnf_comm_agree(world, status);
}

bnf_status bnf_inspect_pictures(const bnf_comm *world, const bnf_dataset *ds, double seconds)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(ds);
    bnf_decode_probe p = {0};

    if (seconds > 0)
        BNF_TRY(measure_decoding(world, info, seconds, &p));
    if (bnf_comm_rank(world) != 0)
        return BNF_OK;
    if (p.images > 0) {
        double n = (double)p.images, all = p.read_seconds + p.make_seconds;
        printf("  decoding     %.0f images/s a core: random crops to %d x %d, read and scaled; decoding whole pictures "
               "alone %.0f (x %.2f); tried on %lld\n",
               n / all, INPUT_SIDE, INPUT_SIDE, n / p.decode_seconds, p.decode_seconds / all, (long long)p.images);
    }
    if (!info->checksum[0])
        printf("  warning      no checksum is stated, so damage may go unseen\n");
    return BNF_OK;
}

bnf_status bnf_inspect_cells(const bnf_comm *world, const bnf_dataset *ds, double seconds)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(ds);
    double speed = 0;
    bnf_read_probe probe = {0};

    if (seconds > 0)
        BNF_TRY(measure(world, info, seconds, &speed, &probe));
    if (bnf_comm_rank(world) != 0)
        return BNF_OK;
    printf("  reading      ");
    if (info->stored_bytes <= BNF_LOADER_HOLD_DEFAULT)
        printf("once: the cells are held in memory by default\n");
    else
        printf("shuffled %s\n", info->stored_bytes <= BNF_LOADER_WINDOW_BYTES ? "as a whole" : "in windows");
    if (seconds > 0)
        print_speed(info, bnf_comm_size(world), speed, &probe);
    return BNF_OK;
}
