/* data/transform.h - from a stored image to the network's input: augmentation and normalisation. */
#ifndef BNF_DATA_TRANSFORM_H
#define BNF_DATA_TRANSFORM_H

#include "data/image.h"

#include <banff/data.h>

/* What "unit" means below: a u8 image's values divided by 255, an f32 image's values as they are. */
typedef enum bnf_normalise_mode {
    BNF_NORMALISE_STATS = 0, /* (unit - mean[c]) / std[c] with the set's own statistics */
    BNF_NORMALISE_UNIT,      /* unit */
    BNF_NORMALISE_AFFINE,    /* unit * scale + shift */
    BNF_NORMALISE_MODE_COUNT
} bnf_normalise_mode;

typedef struct bnf_normalise {
    bnf_normalise_mode mode;
    double scale, shift; /* for BNF_NORMALISE_AFFINE */
} bnf_normalise;

/* Random changes of training images. All zeros: none. */
typedef struct bnf_augment {
    bool flip;         /* mirror left and right with probability 1/2 */
    int64_t pad_crop;  /* pixels: shift by -pad_crop..pad_crop in y and x; what moves in is black (0 as stored) */
    bool resized_crop; /* scale a random part of the picture, by the two ranges, to the input's size */
    double crop_scale[2], crop_ratio[2]; /* of the picture's area; columns / rows */
    int64_t roll; /* rows. With equal chance one of: nothing; mirrored left and right; rows rolled up by roll x {1..7},
                     drawn uniformly; rolled down; mirrored and rolled up; mirrored and rolled down. Not together with
                     the others; BNF_AUGMENT_ROLLS x roll is less than the image's height */
} bnf_augment;

#define BNF_AUGMENT_ROLLS 7

/* How to move one image. */
typedef struct bnf_image_move {
    bool flip;
    int64_t dy, dx; /* target pixel (y, x) takes source pixel (y + dy, x + dx), mirrored in x afterwards if flip */
    int64_t roll;   /* rows, more than -h and less than h: takes row (y + roll) modulo h; dy and dx are 0 then */
} bnf_image_move;

/* The draw for one sample: a pure function of (seed, epoch, index of the sample in its set). */
bnf_image_move bnf_augment_draw(const bnf_augment *augment, uint64_t seed, int64_t epoch, int64_t index);

/* The part of a picture of h x w pixels that resized_crop scales, as PyTorch's RandomResizedCrop draws it: area uniform
 * in crop_scale, log of the ratio uniform, place uniform among those inside; after ten draws that do not fit the
 * centred part of the nearest ratio. A pure function of its arguments. */
bnf_image_box bnf_augment_crop(const bnf_augment *augment, uint64_t seed, int64_t epoch, int64_t index, int64_t h,
                               int64_t w);

typedef struct bnf_transform bnf_transform;

/* [out] transform owned, release with bnf_transform_destroy. It keeps no pointer to `info`. Errors: BNF_ERR_CONFIG
 * (statistics asked for that the file does not have, or a constant channel, whose std is 0), BNF_ERR_MEMORY. */
bnf_status bnf_transform_create(const bnf_dataset_info *info, const bnf_normalise *normalise,
                                bnf_transform **transform);
void bnf_transform_destroy(bnf_transform *transform); /* NULL is legal */

/* Normalises one stored image[h, w, c] (u8 or f32 by the set's type) into x[h, w, c] f32, moved as `move` says. */
void bnf_transform_apply(const bnf_transform *transform, const void *image, const bnf_image_move *move, float *x);

/* The affine map from stored values to network inputs, per channel: x = stored * scale[c] + shift[c]. Borrowed. What a
 * report needs to show an input as a picture, and a certificate to state a radius in stored units. */
const double *bnf_transform_scale(const bnf_transform *transform);
const double *bnf_transform_shift(const bnf_transform *transform);

#endif
