#include "train/data_config.h"

static const char *const normalise_names[] = {"stats", "unit", "affine", NULL};
static const char *const store_names[] = {"file", "memory", NULL};
static const char *const sampler_names[] = {"shuffle", "sequential", "replacement", "without_replacement",
                                            "poisson", "stratified", "cluster",     NULL};
static const char *const allocation_names[] = {"proportional", "fixed", "neyman", NULL};
static const char *const rounding_names[] = {"randomised", "deterministic", NULL};

static const bnf_cfg_key data_keys[] = {
    {"file", BNF_CFG_STRING, offsetof(bnf_data_settings, file), NULL,
     "HDF5 data set, from banff import or banff synth"},
    {"store", BNF_CFG_ENUM, offsetof(bnf_data_settings, store), "file",
     "file: every rank reads what it needs; memory: each rank holds its share, read once, and ranks exchange samples",
     .choices = store_names, .free = true},
    {"batch", BNF_CFG_INT, offsetof(bnf_data_settings, batch), "128", "samples in the global batch, over all ranks",
     .min = 1, .max = 1e9},
    {"leaves", BNF_CFG_INT, offsetof(bnf_data_settings, leaves), "16",
     "equal parts that a batch is computed in; ranks and threads share them out, so at least ranks x threads", .min = 1,
     .max = 65536},
    {"normalise", BNF_CFG_ENUM, offsetof(bnf_data_settings, normalise), "unit",
     "stats: (pixel/255 - mean)/std; unit: pixel/255; affine: pixel/255 * scale + shift", .choices = normalise_names},
    {"scale", BNF_CFG_REAL, offsetof(bnf_data_settings, scale), "1", "for normalise: affine", .min = -1e6, .max = 1e6},
    {"shift", BNF_CFG_REAL, offsetof(bnf_data_settings, shift), "0", "for normalise: affine", .min = -1e6, .max = 1e6},
    {"sampler", BNF_CFG_ENUM, offsetof(bnf_data_settings, sampler), "shuffle",
     "which samples a step takes: by epoch shuffle or sequential; the others draw anew in every step",
     .choices = sampler_names},
    {"shuffle", BNF_CFG_BOOL, offsetof(bnf_data_settings, shuffle), "true",
     "another order in every epoch; false is another name for sampler: sequential"},
    {"window", BNF_CFG_INT, offsetof(bnf_data_settings, window), "0",
     "samples that the shuffle mixes at a time; 0: by the size of the set", .min = 0, .max = 1e12},
    {"drop_tail", BNF_CFG_BOOL, offsetof(bnf_data_settings, drop_tail), "false",
     "leave out what is behind the last full batch of an epoch"},
    {"rate", BNF_CFG_REAL, offsetof(bnf_data_settings, rate), "0",
     "poisson, stratified proportionally: share of the samples that a step takes; 0: batch / samples", .min = 0,
     .max = 1},
    {"capacity", BNF_CFG_INT, offsetof(bnf_data_settings, capacity), "0",
     "samplers whose batches vary in size: rows that a batch has room for, a multiple of leaves; 0: so many that no "
     "step (poisson: none in 1e12) needs more",
     .min = 0, .max = 1e9},
    {"strata", BNF_CFG_STRING, offsetof(bnf_data_settings, strata), "label",
     "stratified: label, or a data set of integers beside the images"},
    {"allocation", BNF_CFG_ENUM, offsetof(bnf_data_settings, allocation), "proportional",
     "stratified: samples of a stratum are proportional to its size, fixed (sizes), or neyman (size x deviation)",
     .choices = allocation_names},
    {"rounding", BNF_CFG_ENUM, offsetof(bnf_data_settings, rounding), "randomised",
     "stratified: what becomes of a size's fraction; randomised makes all inclusion probabilities exact",
     .choices = rounding_names},
    {"sizes", BNF_CFG_INT_LIST, offsetof(bnf_data_settings, sizes), "[]",
     "stratified, fixed: samples of each stratum, in ascending order of the strata's values", .min = 0, .max = 1e9},
    {"deviations", BNF_CFG_REAL_LIST, offsetof(bnf_data_settings, deviations), "[]",
     "stratified, neyman: standard deviation of each stratum, in the same order", .min = 0, .max = 1e300},
    {"clusters", BNF_CFG_STRING, offsetof(bnf_data_settings, clusters), "",
     "cluster: label, or a data set of integers that says which samples belong together; empty: see cluster_rows"},
    {"cluster_rows", BNF_CFG_INT, offsetof(bnf_data_settings, cluster_rows), "0",
     "cluster: so many neighbours in the file belong together", .min = 0, .max = 1e12},
    {"draw_clusters", BNF_CFG_INT, offsetof(bnf_data_settings, draw_clusters), "0",
     "cluster: clusters of a step; 0: so many that they hold batch samples on average", .min = 0, .max = 1e9},
    {"size", BNF_CFG_INT, offsetof(bnf_data_settings, size), "0",
     "side of the square input that images are brought to; 0: as stored. Needed where pictures differ in size",
     .min = 0, .max = 4096},
    {"resized_crop", BNF_CFG_BOOL, offsetof(bnf_data_settings, resized_crop), "false",
     "augmentation: a random part of the picture is scaled to size (else training sees what evaluation sees)"},
    {"crop_scale", BNF_CFG_REAL_LIST, offsetof(bnf_data_settings, crop_scale), "[0.08, 1]",
     "resized_crop: the part's share of the area, least and most", .min = 1e-6, .max = 1},
    {"crop_ratio", BNF_CFG_REAL_LIST, offsetof(bnf_data_settings, crop_ratio), "[0.75, 1.3333]",
     "resized_crop: the part's width / height, least and most", .min = 1e-3, .max = 1e3},
    {"eval_crop", BNF_CFG_REAL, offsetof(bnf_data_settings, eval_crop), "0.875",
     "with size: evaluation sees the centred square of this part of the shorter side", .min = 0.01, .max = 1},
    {"decode_threads", BNF_CFG_INT, offsetof(bnf_data_settings, decode_threads), "0",
     "threads of a rank that decode and scale pictures; 0: as many as compute", .min = 0, .max = 256, .free = true},
    {"flip", BNF_CFG_BOOL, offsetof(bnf_data_settings, flip), "false", "augmentation: mirror left and right at random"},
    {"pad_crop", BNF_CFG_INT, offsetof(bnf_data_settings, pad_crop), "0", "augmentation: shift by up to so many pixels",
     .min = 0, .max = 1024},
    {"roll", BNF_CFG_INT, offsetof(bnf_data_settings, roll), "0",
     "augmentation: one of six with equal chance: nothing, mirrored left and right, rows rolled up or down by roll x "
     "{1..7}, mirrored and rolled up or down; 0: none; not with flip, pad_crop or resized_crop",
     .min = 0, .max = 1024},
    {"prefetch", BNF_CFG_INT, offsetof(bnf_data_settings, prefetch), "2", "batches read ahead by a thread; 0: none",
     .min = 0, .max = 64, .free = true},
};

bnf_cfg_section bnf_data_section(bnf_data_settings *settings)
{
    return (bnf_cfg_section){"data", "what is read and how", BNF_CFG_KEYS(data_keys), settings};
}

/* Whether the sampler's batches may have other sizes than `batch`. */
static bool varies(const bnf_data_settings *d)
{
    return d->sampler == BNF_SAMPLER_POISSON || d->sampler == BNF_SAMPLER_STRATIFIED ||
           d->sampler == BNF_SAMPLER_CLUSTER;
}

static bool is_range(bnf_cfg_reals r)
{
    return r.count == 2 && r.value[0] <= r.value[1];
}

static bnf_status check_crop(const bnf_data_settings *d)
{
    if (!is_range(d->crop_scale) || !is_range(d->crop_ratio))
        return bnf_fail(BNF_ERR_CONFIG, "data.%s must be a list of two numbers, the least and the most",
                        is_range(d->crop_scale) ? "crop_ratio" : "crop_scale");
    if (d->resized_crop && d->size == 0)
        return bnf_fail(BNF_ERR_CONFIG, "data.resized_crop needs data.size, the side that crops are scaled to");
    if (d->size > 0 && d->store == BNF_DATA_MEMORY && d->resized_crop)
        return bnf_fail(BNF_ERR_CONFIG,
                        "data.resized_crop does not work with data.store: memory; use data.store: file");
    return BNF_OK;
}

static bnf_status check_roll(const bnf_data_settings *d)
{
    const char *other = d->flip ? "flip" : d->pad_crop > 0 ? "pad_crop" : d->resized_crop ? "resized_crop" : NULL;
    if (d->roll > 0 && other)
        return bnf_fail(BNF_ERR_CONFIG, "data.roll and data.%s do not go together: roll mirrors by itself", other);
    return BNF_OK;
}

bnf_status bnf_data_open(const bnf_data_settings *d, bnf_split split, bnf_dataset **dataset)
{
    BNF_TRY(bnf_dataset_open(d->file, split, dataset));
    bnf_status status = bnf_dataset_set_size(*dataset, d->size, d->eval_crop);
    if (status == BNF_OK)
        return BNF_OK;
    bnf_dataset_close(*dataset);
    *dataset = NULL;
    return status;
}

bnf_status bnf_data_check(const bnf_data_settings *d)
{
    if (d->batch % d->leaves)
        return bnf_fail(BNF_ERR_CONFIG, "data.batch (%lld) must be a multiple of data.leaves (%lld)",
                        (long long)d->batch, (long long)d->leaves);
    if (d->capacity % d->leaves)
        return bnf_fail(BNF_ERR_CONFIG, "data.capacity (%lld) must be a multiple of data.leaves (%lld)",
                        (long long)d->capacity, (long long)d->leaves);
    if (d->capacity > 0 && !varies(d))
        return bnf_fail(BNF_ERR_CONFIG, "data.capacity: all batches of the sampler %s have room for data.batch",
                        sampler_names[d->sampler]);
    BNF_TRY(check_crop(d));
    BNF_TRY(check_roll(d));
    if (d->clusters[0] && d->sampler != BNF_SAMPLER_CLUSTER)
        return bnf_fail(BNF_ERR_CONFIG, "data.clusters is given, but means nothing to the sampler %s",
                        sampler_names[d->sampler]);
    if (!d->shuffle && d->sampler != BNF_SAMPLER_SHUFFLE && d->sampler != BNF_SAMPLER_SEQUENTIAL)
        return bnf_fail(BNF_ERR_CONFIG,
                        "data.shuffle: false and data.sampler: %s contradict each other; leave "
                        "data.shuffle out",
                        sampler_names[d->sampler]);
    return BNF_OK;
}

static bnf_normalise normalise_of(const bnf_data_settings *d)
{
    return (bnf_normalise){(bnf_normalise_mode)d->normalise, d->scale, d->shift};
}

bnf_status bnf_data_pixels(const bnf_data_settings *d, const bnf_dataset_info *data, double *scale, double *shift)
{
    bnf_transform *t;
    bnf_normalise n = normalise_of(d);
    BNF_TRY(bnf_transform_create(data, &n, &t));
    for (int64_t c = 0; c < data->c; c++) {
        scale[c] = bnf_transform_scale(t)[c] * (data->dtype == BNF_U8 ? 255 : 1);
        shift[c] = bnf_transform_shift(t)[c];
    }
    bnf_transform_destroy(t);
    return BNF_OK;
}

bnf_loader_config bnf_data_loader_config(const bnf_data_settings *d, uint64_t seed)
{
    bool strata = d->sampler == BNF_SAMPLER_STRATIFIED, clusters = d->sampler == BNF_SAMPLER_CLUSTER;
    return (bnf_loader_config){.seed = seed,
                               .batch = d->batch,
                               .leaves = d->leaves,
                               .prefetch = (int)d->prefetch,
                               .hold_bytes = BNF_LOADER_HOLD_DEFAULT,
                               .normalise = normalise_of(d),
                               .augment = {.flip = d->flip,
                                           .pad_crop = d->pad_crop,
                                           .roll = d->roll,
                                           .resized_crop = d->resized_crop,
                                           .crop_scale = {d->crop_scale.value[0], d->crop_scale.value[1]},
                                           .crop_ratio = {d->crop_ratio.value[0], d->crop_ratio.value[1]}},
                               .decode_threads = (int)d->decode_threads,
                               .memory = d->store == BNF_DATA_MEMORY,
                               .groups = strata                       ? d->strata
                                         : clusters && d->clusters[0] ? d->clusters
                                                                      : NULL,
                               .sampler = {.kind = d->shuffle ? (bnf_sampler_kind)d->sampler : BNF_SAMPLER_SEQUENTIAL,
                                           .batch = d->batch,
                                           .window_rows = d->window,
                                           .drop_tail = d->drop_tail,
                                           .rate = d->rate,
                                           .allocation = (bnf_allocation)d->allocation,
                                           .rounding = (bnf_rounding)d->rounding,
                                           .n_sizes = d->sizes.count,
                                           .sizes = d->sizes.value,
                                           .n_deviations = d->deviations.count,
                                           .deviations = d->deviations.value,
                                           .cluster_rows = d->cluster_rows,
                                           .clusters = d->draw_clusters}};
}

static bnf_status fit(const bnf_data_settings *d, const bnf_sampler *sampler, int64_t *rows)
{
    const double never = 1e-12, rarely = 1e-6; /* per step */
    int64_t need = bnf_sampler_room(sampler, never), leaves = d->leaves;

    need = (need + leaves - 1) / leaves * leaves;
    *rows = d->capacity > 0 ? d->capacity : need > 0 ? need : leaves;
    if (*rows < bnf_sampler_room(sampler, rarely))
        return bnf_fail(BNF_ERR_CONFIG,
                        "data.capacity (%lld) is too small: batches have %.1f samples on average, and %lld rows are "
                        "enough for all of them",
                        (long long)d->capacity, bnf_sampler_mean(sampler), (long long)need);
    return BNF_OK;
}

bnf_status bnf_data_rows(const bnf_data_settings *d, uint64_t seed, const bnf_dataset *dataset, int64_t *rows)
{
    bnf_loader_config config = bnf_data_loader_config(d, seed);
    bnf_sampler *sampler;

    *rows = d->batch;
    if (!varies(d))
        return BNF_OK;
    BNF_TRY(bnf_loader_sampler(dataset, &config, &sampler));
    bnf_status status = fit(d, sampler, rows);
    bnf_sampler_destroy(sampler);
    return status;
}
