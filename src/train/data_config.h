/* train/data_config.h - the section `data` of a configuration: which samples a step takes, and from where. */
#ifndef BNF_TRAIN_DATA_CONFIG_H
#define BNF_TRAIN_DATA_CONFIG_H

#include "base/config.h"
#include "data/loader.h"

typedef enum bnf_data_store { BNF_DATA_FILE = 0, BNF_DATA_MEMORY } bnf_data_store;

typedef struct bnf_data_settings {
    char *file;
    int64_t batch, leaves;
    int normalise; /* bnf_normalise_mode */
    double scale, shift;
    bool shuffle, drop_tail, flip;
    int64_t pad_crop, roll, prefetch, window;
    int64_t size; /* side of the network's input; 0: as stored */
    bool resized_crop;
    bnf_cfg_reals crop_scale, crop_ratio;
    double eval_crop;
    int64_t decode_threads;
    int store;        /* bnf_data_store */
    int sampler;      /* bnf_sampler_kind */
    int64_t capacity; /* rows of the global batch; 0: as the sampler needs */
    double rate;
    char *strata, *clusters;
    int allocation, rounding; /* bnf_allocation, bnf_rounding */
    bnf_cfg_ints sizes;
    bnf_cfg_reals deviations;
    int64_t cluster_rows, draw_clusters;
} bnf_data_settings;

bnf_cfg_section bnf_data_section(bnf_data_settings *settings);

/* What can be said without looking at the data. Errors: BNF_ERR_CONFIG. */
bnf_status bnf_data_check(const bnf_data_settings *settings);

/* Opens a split of data.file, with images of data.size. Not collective. [out] dataset owned. Errors: those of
 * bnf_dataset_open and bnf_dataset_set_size. */
bnf_status bnf_data_open(const bnf_data_settings *settings, bnf_split split, bnf_dataset **dataset);

/* Everything of a loader's configuration that the section says, for training. Arrays are borrowed from `settings`. */
bnf_loader_config bnf_data_loader_config(const bnf_data_settings *settings, uint64_t seed);

/* What the network sees of a pixel: x = pixel * scale[c] + shift[c], where a pixel is a stored value / 255 of a u8 set,
 * so in [0,1], and of an f32 set the value itself. [out] scale, shift [data->c]. Errors: those of bnf_transform_create.
 */
bnf_status bnf_data_pixels(const bnf_data_settings *settings, const bnf_dataset_info *data, double *scale,
                           double *shift);

/* Rows of the global batch in training: the capacity, or what the sampler needs, as a multiple of the leaves. [out]
 * rows. Errors: BNF_ERR_CONFIG if a step would not fit into the capacity, or not surely enough; those of the sampler.
 * */
bnf_status bnf_data_rows(const bnf_data_settings *settings, uint64_t seed, const bnf_dataset *dataset, int64_t *rows);

#endif
