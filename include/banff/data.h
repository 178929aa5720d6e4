/* banff/data.h - labelled image sets: importing, generating, opening, checking.
 *
 * A set is one HDF5 file:
 *
 *   /                attributes  format_version, source, checksum; mean[C], std[C] of the training images, in [0,1];
 *                                images_per_event, if images that follow each other are of one event
 *   /train           attributes  classes (list of names), checksum
 *   /train/images    [N,H,W,C]   u8 (0..255), or f32 in units of its own
 *   /train/labels    [N]         i32, 0 <= label < number of classes
 *   /test            the same; optional
 *
 * An encoded set holds its pictures as the files they were (JPEG, mostly) and decodes them when they are read. In place
 * of images it has
 *
 *   /                attribute   channels (1 or 3)
 *   /train/bytes     [B]         u8   the files one behind another
 *   /train/offsets   [N+1]       i64  where each begins; the last is B
 *   /train/extents   [N,2]       i32  rows and columns
 *   /train/sums      [N]         i64  XXH3-64 of each file; optional
 *
 * A sparse set holds of every image the cells that are not zero, as detector images have few. In place of images it has
 *
 *   /train           attribute   shape (H, W, C)
 *   /train/offsets   [N+1]       i64  image i has the entries offsets[i] <= k < offsets[i+1]; the last is E
 *   /train/cells     [E]         i32  (y W + x) C + c, ascending within an image
 *   /train/values    [E]         u8 or f32, the type of the images
 *
 * A file made elsewhere (h5py, say) needs only the two datasets: the attributes are optional to read. */
#ifndef BANFF_DATA_H
#define BANFF_DATA_H

#include <banff/base.h>
#include <banff/comm.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BNF_DATA_FORMAT_VERSION 3 /* the newest: sparse sets; encoded ones are of version 2, decoded ones of 1 */
#define BNF_DATA_MAX_CHANNELS 64

/* The parts of a set. */
typedef enum bnf_split { BNF_TRAIN = 0, BNF_TEST, BNF_SPLIT_COUNT } bnf_split;

/* "train" or "test". */
const char *bnf_split_name(bnf_split split);

/* ---- Open sets ---- */

/* One split of a set, open to read. Labels are held in memory, images are read on demand or held too. */
typedef struct bnf_dataset bnf_dataset;

/* What a split holds. All pointers are borrowed from the dataset. */
typedef struct bnf_dataset_info {
    const char *path;
    const char *name;         /* "train" */
    const char *source;       /* where it came from; "" if the file does not say */
    const char *checksum;     /* 16 hex digits of the whole set; "" if the file does not say */
    bnf_dtype dtype;          /* of the images: BNF_U8 or BNF_F32 */
    bool encoded;             /* stored as picture files */
    bool sparse;              /* stored as the cells that are not zero; read as all */
    int64_t entries;          /* of a sparse set: cells that are stored */
    int64_t count, h, w, c;   /* images[count, h, w, c] as read; h = w = 0: of various sizes, see set_size */
    int64_t images_per_event; /* that stand one after the other and belong together; 1: each is by itself */
    int64_t sample_bytes;     /* of one image as read */
    int64_t stored_bytes;     /* of all images as stored, filters aside */
    int64_t chunk_rows;       /* images in one chunk of the file (on average, if sparse); 1 if it is not chunked */
    int64_t classes;          /* number of classes; without class names: the largest label + 1 */
    const char *const *class_names; /* [classes] */
    bool has_stats;                 /* the file gives mean and std */
    const double *mean, *std;       /* [c], of the training images; u8 images in units of 255 */
} bnf_dataset_info;

/* Opens a split. Not collective: every rank opens its own. Checks types, shapes, that labels and images match in
 * number and that every label is in range. [out] dataset owned, release with bnf_dataset_close. Errors: BNF_ERR_IO,
 * BNF_ERR_FORMAT (names file and dataset), BNF_ERR_MEMORY. */
bnf_status bnf_dataset_open(const char *path, bnf_split split, bnf_dataset **dataset);
void bnf_dataset_close(bnf_dataset *dataset); /* NULL is legal */

/* [out] has  whether the file has that split at all. Errors: BNF_ERR_IO, BNF_ERR_FORMAT if it cannot be opened. */
bnf_status bnf_dataset_has(const char *path, bnf_split split, bool *has);

/* Borrowed, valid until the dataset is closed. */
const bnf_dataset_info *bnf_dataset_get_info(const bnf_dataset *dataset);

/* From now on images are read as squares of side `size`: the centred square of side eval_crop (0 < eval_crop <= 1)
 * times the shorter side, scaled as data/resize.h says. size 0: as stored, which is an error where sizes differ. Call
 * it before anything is read; not thread-safe. Errors: BNF_ERR_CONFIG, BNF_ERR_UNSUPPORTED (f32 images),
 * BNF_ERR_ARG. */
bnf_status bnf_dataset_set_size(bnf_dataset *dataset, int64_t size, double eval_crop);

/* labels[count], borrowed. */
const int32_t *bnf_dataset_labels(const bnf_dataset *dataset);

/* Reads the images index[0] <= index[1] <= ... to images[count, h, w, c] of the set's type. Thread-safe.
 * Errors: BNF_ERR_ARG (not sorted or out of range), BNF_ERR_IO and BNF_ERR_FORMAT (names file and dataset),
 * BNF_ERR_NUMERIC (an f32 image holds NaN or infinity: the message names file and image). */
bnf_status bnf_dataset_read(const bnf_dataset *dataset, int64_t count, const int64_t *index, void *images);

/* The same for the images first, ..., first + count - 1. */
bnf_status bnf_dataset_read_rows(const bnf_dataset *dataset, int64_t first, int64_t count, void *images);

/* An integer per sample: "label", or a data set [count] of i32, i64 or u8 that lies beside the images ("/train/NAME").
 * [out] values[count]. Errors: BNF_ERR_FORMAT (names file and data set). */
bnf_status bnf_dataset_integers(const bnf_dataset *dataset, const char *name, int64_t *values);

/* Reads all images into memory, from where bnf_dataset_read takes them from now on. Fine to call again. Not
 * thread-safe. Errors: as bnf_dataset_read, and BNF_ERR_MEMORY. */
bnf_status bnf_dataset_hold(bnf_dataset *dataset);

/* [out] sum  of images and labels in sample order; does not depend on the number of ranks, chunks or compression.
 * Collective over comm (each rank reads its part); every rank returns the same success or failure. */
bnf_status bnf_dataset_checksum(const bnf_dataset *dataset, const bnf_comm *comm, uint64_t *sum);

/* Ok if the checksum that the file states for this split is that of its content; BNF_ERR_FORMAT if not or if it
 * states none. Collective over comm. */
bnf_status bnf_dataset_verify(const bnf_dataset *dataset, const bnf_comm *comm);

/* ---- Repacking ---- */

typedef struct bnf_repack_options {
    int64_t chunk_rows; /* images in a chunk; 0: as in the input */
    int deflate;        /* zlib level 1 to 9, 0 off, -1 as in the input. Without chunks, 64 KiB are taken */
    bool shuffle;       /* bring the training samples into a random order, drawn by seed */
    uint64_t seed;
} bnf_repack_options;

/* Writes a set anew: all data sets and attributes, those with a row per sample in the new order. Collective over comm;
 * the same bytes for any number of ranks. The input's stated checksums are compared with what was read; those of the
 * result are stated in it. `out` may not exist; it appears when it is complete. [out] checksum of the whole set. Every
 * rank returns the same status. Errors: BNF_ERR_CONFIG (`out` exists), BNF_ERR_FORMAT (the input is damaged, or holds
 * elements of a type that is not known here: nothing is left out silently), BNF_ERR_IO, BNF_ERR_MEMORY. */
bnf_status bnf_dataset_repack(const bnf_comm *comm, const char *in, const char *out, const bnf_repack_options *options,
                              char checksum[17]);

/* ---- Importing ----
 *
 * All functions are collective over comm: every rank decodes a part of the samples and all write together.
 * Content and checksum of the result do not depend on the number of ranks. The file is written under a temporary
 * name beside `path` and renamed at the end: after a failure `path` is what it was before (or, if only making the
 * new name durable failed, the complete new file). Every rank returns the same status; a rank without an error of
 * its own has the message of one that had. Errors: BNF_ERR_FORMAT, BNF_ERR_IO (the message names the file),
 * BNF_ERR_ARG, BNF_ERR_MEMORY. */

typedef struct bnf_import_output {
    const char *path;
    int64_t chunk_bytes; /* aimed size of a chunk; 0: 64 KiB. A chunk holds whole images, one at the least */
    int deflate;         /* zlib level 0 (off) to 9 */
    bool sparse;         /* store cells that are not zero, in chunks of whole cells; every sample is read twice */
} bnf_import_output;

typedef struct bnf_import_summary {
    int64_t count[BNF_SPLIT_COUNT];
    int64_t h, w, c, classes; /* h = w = 0: pictures of various sizes */
    int64_t bytes;            /* of an encoded set's files together; else 0 */
    int64_t ignored_files;    /* files in class folders that are no pictures by their names */
    char checksum[17];
} bnf_import_summary;

/* IDX files (MNIST and its kin), plain or gzip. */
typedef struct bnf_import_idx_options {
    const char *train_images, *train_labels;
    const char *test_images, *test_labels; /* NULL: no test split */
    int64_t classes;                       /* 0: largest training label + 1, or the number of names */
    int64_t name_count;                    /* class names; 0: "0", "1", ... */
    const char *const *names;
} bnf_import_idx_options;
bnf_status bnf_import_idx(const bnf_comm *comm, const bnf_import_idx_options *options, const bnf_import_output *output,
                          bnf_import_summary *summary);

/* CIFAR's binary files. */
typedef struct bnf_import_cifar_options {
    int64_t file_count[BNF_SPLIT_COUNT]; /* train >= 1, test >= 0 */
    const char *const *files[BNF_SPLIT_COUNT];
    int variant;            /* 10 or 100 */
    bool coarse;            /* CIFAR-100: the 20 coarse labels instead of the 100 fine ones */
    const char *names_file; /* one class name a line; NULL: "0", "1", ... */
} bnf_import_cifar_options;
bnf_status bnf_import_cifar(const bnf_comm *comm, const bnf_import_cifar_options *options,
                            const bnf_import_output *output, bnf_import_summary *summary);

typedef enum bnf_resize_mode {
    BNF_RESIZE_CROP = 0, /* keeps the aspect: the largest centred part of the target's aspect is scaled to it */
    BNF_RESIZE_STRETCH,  /* scales both sides on their own */
    BNF_RESIZE_MODE_COUNT
} bnf_resize_mode;

/* Folders of pictures: each subfolder is a class, named after it, in the order of the names' bytes; pictures may lie
 * deeper. JPEG, PNG, PGM, PPM. */
typedef struct bnf_import_folder_options {
    const char *train;
    const char *test;      /* NULL: no folder of its own; its classes must be among those of `train` */
    double test_fraction;  /* in [0,1): without `test`, this part of the pictures, chosen by a hash of class and name */
    int64_t height, width; /* 0: as the pictures are, which must then all have the same size */
    bnf_resize_mode resize;
    int channels; /* 1 grey, 3 colour, 0: grey if all pictures are */
    /* Keep the files' bytes instead of their pixels: an encoded set. Without height and width. Done parts are kept in
     * the folder PATH.parts until the set is complete, and `resume` goes on from them. */
    bool encoded, resume;
    int64_t part_rows; /* pictures of a part; 0: 256 */
} bnf_import_folder_options;
bnf_status bnf_import_folder(const bnf_comm *comm, const bnf_import_folder_options *options,
                             const bnf_import_output *output, bnf_import_summary *summary);

/* Files that hold many images each: one after the other they are a part of a set. A path is a file, a folder (all of
 * its files with the format's suffix) or a pattern (* ? [a-z]) of names in a folder, both in the order of the names'
 * bytes. */
typedef struct bnf_import_files {
    int64_t count;
    const char *const *paths;   /* [count] */
    const char *const *classes; /* [count] the class of all images of a path; NULL: the files hold labels */
} bnf_import_files;

/* NumPy's .npz archives (numpy.savez, numpy.savez_compressed) of an array of images, u8, f16 or f32, [n, h, w] or
 * [n, h, w, c], and unless a file is of one class an array of labels [n], i32, i64, u8, or whole numbers in f16, f32,
 * f64. Classes by name count in the order in which they are first named, those of training first. Images of floats make
 * a set of f32 images. A rank has one file in memory at a time. Errors name file and array. */
typedef struct bnf_import_npz_options {
    bnf_import_files files[BNF_SPLIT_COUNT]; /* training: at least one; classes for all or for none */
    double test_fraction;        /* in [0,1): without test files, this part of the images, chosen by their numbers */
    const char *images, *labels; /* the arrays' names; NULL: "images", "labels" */
    int64_t classes;             /* 0: largest label of the training files + 1, or the number of names */
    int64_t name_count;          /* class names; 0: "0", "1", ... */
    const char *const *names;
    bool one_channel; /* keep `channel` alone */
    int64_t channel;
    bool mask; /* u8 images of `channel`: 255 where its value is above the threshold */
    double threshold;
} bnf_import_npz_options;
bnf_status bnf_import_npz(const bnf_comm *comm, const bnf_import_npz_options *options, const bnf_import_output *output,
                          bnf_import_summary *summary);

/* HDF5 files of detector images: an array [n, eta, phi] of f16 or f32 for every detector, all of one class. Each
 * becomes a channel. Planes are transposed and summed over squares of 5 x 5 cells, whose padding with zeros is as even
 * as can be, an odd row below and an odd column at the right (286 x 360 -> 72 x 58), or kept as they are. A rank reads
 * its own images alone. Errors name file, array and image; NaN and infinity are errors. */
typedef struct bnf_import_h5_options {
    bnf_import_files files[BNF_SPLIT_COUNT]; /* with classes; training: at least one */
    double test_fraction;                    /* in [0,1), as for .npz archives */
    int64_t channel_count;
    const char *const *channels; /* [channel_count] the arrays' names */
    bool full;                   /* images [eta, phi, channels] of all cells instead of [phi / 5, eta / 5, channels] */
    bool mask;                   /* u8: 255 where the value is above the threshold; else f32 */
    double threshold;
} bnf_import_h5_options;
bnf_status bnf_import_h5(const bnf_comm *comm, const bnf_import_h5_options *options, const bnf_import_output *output,
                         bnf_import_summary *summary);

/* Generated pictures for tests and demonstrations: ten classes of shapes and gratings of random place, size,
 * contrast and noise. A pure function of the options. */
typedef struct bnf_synth_shapes_options {
    int64_t count[BNF_SPLIT_COUNT]; /* train >= 1, test >= 0 */
    int64_t height, width;          /* at least 8 */
    int64_t channels;               /* 1 or 3 */
    double noise;                   /* standard deviation in grey levels, 0..64 */
    uint64_t seed;
} bnf_synth_shapes_options;
bnf_status bnf_synth_shapes(const bnf_comm *comm, const bnf_synth_shapes_options *options,
                            const bnf_import_output *output, bnf_import_summary *summary);

/* Generated grey pictures of ten digits, about 7 pixels high, of random place, turn, slant, size and strength on a
 * canvas of noise. What tells them apart may be anywhere, so that it takes spatial filters to find it. A pure function
 * of the options. */
typedef struct bnf_synth_glyphs_options {
    int64_t count[BNF_SPLIT_COUNT]; /* train >= 1, test >= 0 */
    int64_t height, width;          /* at least 8 */
    double noise;                   /* standard deviation in grey levels, 0..64; glyphs are 73 to 110 above the rest */
    uint64_t seed;
} bnf_synth_glyphs_options;
bnf_status bnf_synth_glyphs(const bnf_comm *comm, const bnf_synth_glyphs_options *options,
                            const bnf_import_output *output, bnf_import_summary *summary);

/* Two classes whose Wasserstein-1 distance is known: grey f32 images that are zero (class 0: every other sample), or
 * zero but for a centred square of ones or of minus ones (class 1, in turn). Half of class 1 has each sign, so the
 * cheapest plan moves every image by the norm of a square: W1 = side. */
typedef struct bnf_synth_wasserstein_options {
    int64_t count[BNF_SPLIT_COUNT]; /* train >= 1, test >= 0 */
    int64_t size;                   /* of the images, 1..4096 */
    int64_t side;                   /* of the square, 1..size */
} bnf_synth_wasserstein_options;
bnf_status bnf_synth_wasserstein(const bnf_comm *comm, const bnf_synth_wasserstein_options *options,
                                 const bnf_import_output *output, bnf_import_summary *summary);

/* Points of the plane on two Koch snowflakes about the origin, as f32 images of one pixel with the channels x, y.
 * Class 0 ("outer", every other sample) has the first radius, class 1 ("inner") the second; a radius is that of the
 * circle through the corners of the triangle that the curve begins with. Points are drawn uniformly by arc length.
 * A pure function of the options. */
typedef struct bnf_synth_koch_options {
    int64_t count[BNF_SPLIT_COUNT]; /* train >= 1, test >= 0 */
    int64_t order;                  /* 0 (triangles) to 8 */
    double radius[2];               /* outer > inner > 0 */
    uint64_t seed;
} bnf_synth_koch_options;
bnf_status bnf_synth_koch(const bnf_comm *comm, const bnf_synth_koch_options *options, const bnf_import_output *output,
                          bnf_import_summary *summary);

/* Collider events as detector images: QCD (class 0), soft isotropic showers of a dark sector "suep125" ... "suep1000"
 * and semi-visible jets "svj44", "svj54" (data/showers.h). Masks of tracks, u8 [72, 58, 1] (phi x eta; 255: hit);
 * with `sectors` four of [36, 28, 1] for each event, of its label and one after the other: its rows 0..35, then 36..71,
 * of either the columns 1..28, then 29..56 (columns 0 and 57 are left out); or with `fine` the transverse energies of
 * tracks, ECAL and HCAL, f32 [286, 360, 3] (eta x phi). In a part QCD comes first, then the other classes in turn. An
 * event is a function of seed, part, class and its number in the class. */
typedef struct bnf_synth_showers_options {
    int64_t qcd[BNF_SPLIT_COUNT];         /* events; train >= 1, test >= 0 */
    int64_t each_signal[BNF_SPLIT_COUNT]; /* events of every other class */
    int64_t signal_count;                 /* other classes; 0: all */
    const char *const *signals;           /* [signal_count] their names */
    bool fine, sectors;                   /* not both */
    double active; /* fine: share of cells that are hit, for measurements of speed; 0: as the event has it */
    uint64_t seed;
} bnf_synth_showers_options;
bnf_status bnf_synth_showers(const bnf_comm *comm, const bnf_synth_showers_options *options,
                             const bnf_import_output *output, bnf_import_summary *summary);

#ifdef __cplusplus
}
#endif
#endif
