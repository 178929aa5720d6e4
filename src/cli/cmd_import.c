/* banff import idx|cifar|folder|npz|h5: other people's files into one HDF5 file. */
#include "base/fs.h"
#include "cli/cmd.h"
#include "cli/output.h"

#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

/* Options that all importers have. */
struct common {
    bnf_import_output output;
    int64_t deflate, chunk_kib;
    bool help, quiet;
};
/* clang-format off */
#define COMMON_ARGS(c)                                                                                            \
    {"out", "FILE", "the HDF5 file to write (needed)", BNF_ARG_STR, &(c).output.path},                            \
    {"deflate", "N", "compress with zlib level 1 to 9 (default 0: not)", BNF_ARG_INT, &(c).deflate},              \
    {"chunk-kib", "N", "aimed size of a chunk (default 64); it holds whole images", BNF_ARG_INT, &(c).chunk_kib}, \
    {"quiet", NULL, "print no summary", BNF_ARG_FLAG, &(c).quiet},                                                \
    {"help", NULL, "print this", BNF_ARG_FLAG, &(c).help}
/* clang-format on */

static bnf_status finish_common(struct common *c)
{
    BNF_TRY(bnf_output_check(&c->output, c->deflate));
    if (c->chunk_kib < 0 || c->chunk_kib > 1 << 20)
        return bnf_fail(BNF_ERR_CONFIG, "--chunk-kib %lld: it must be 0 to 1048576", (long long)c->chunk_kib);
    c->output.chunk_bytes = c->chunk_kib * 1024;
    return BNF_OK;
}

/* Cuts "a,b,c" of an option in place. */
static bnf_status split_names(const char *option, char *text, bnf_arg_list *names)
{
    char *save = NULL;
    for (char *p = strtok_r(text, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
        if (names->count == BNF_ARGS_MAX_ITEMS)
            return bnf_fail(BNF_ERR_CONFIG, "--%s: more than %d names", option, BNF_ARGS_MAX_ITEMS);
        names->item[names->count++] = p;
    }
    return BNF_OK;
}

static bnf_status import_idx(const bnf_comm *world, int argc, char **argv)
{
    struct common c = {0};
    bnf_import_idx_options o = {0};
    bnf_import_summary summary;
    bnf_arg_list names = {0};
    char *names_text = NULL;
    const bnf_arg args[] = {
        {"train-images", "FILE", "IDX file of images, plain or gzip (needed)", BNF_ARG_STR, &o.train_images},
        {"train-labels", "FILE", "IDX file of their labels (needed)", BNF_ARG_STR, &o.train_labels},
        {"test-images", "FILE", "images of the test part", BNF_ARG_STR, &o.test_images},
        {"test-labels", "FILE", "labels of the test part", BNF_ARG_STR, &o.test_labels},
        {"classes", "N", "number of classes (default: largest training label + 1)", BNF_ARG_INT, &o.classes},
        {"names", "A,B,...", "names of the classes (default: their numbers)", BNF_ARG_STR, &names_text},
        COMMON_ARGS(c),
    };

    BNF_TRY(bnf_args_parse(args, COUNT(args), argc, argv, NULL));
    if (c.help)
        return bnf_output_help(world, "import idx --train-images FILE --train-labels FILE --out FILE [options]",
                               "Imports IDX files (MNIST and its kin).", args, COUNT(args));
    BNF_TRY(finish_common(&c));
    if (names_text)
        BNF_TRY(split_names("names", names_text, &names));
    o.name_count = names.count;
    o.names = names.item;
    BNF_TRY(bnf_import_idx(world, &o, &c.output, &summary));
    if (!c.quiet)
        bnf_output_print(world, c.output.path, &summary);
    return BNF_OK;
}

/* The files that a CIFAR archive unpacks to. */
struct cifar_layout {
    int variant;
    const char *train[5], *test, *names, *coarse_names;
};
static const struct cifar_layout cifar_layouts[] = {
    {10,
     {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
     "test_batch.bin",
     "batches.meta.txt",
     NULL},
    {100, {"train.bin"}, "test.bin", "fine_label_names.txt", "coarse_label_names.txt"},
};

struct cifar_paths {
    bnf_buf train[5], test, names;
    const char *train_list[5], *test_list[1];
};

/* Recognises an unpacked archive by its first training file and fills in the options. */
static bnf_status find_cifar(const char *folder, struct cifar_paths *paths, bnf_import_cifar_options *o)
{
    for (int k = 0; k < COUNT(cifar_layouts); k++) {
        const struct cifar_layout *l = &cifar_layouts[k];
        BNF_TRY(bnf_fs_join(&paths->train[0], folder, l->train[0]));
        if (!bnf_fs_exists(bnf_buf_text(&paths->train[0])))
            continue;
        const char *names = o->coarse ? l->coarse_names : l->names;
        o->variant = l->variant;
        for (int i = 0; i < 5 && l->train[i]; i++) {
            BNF_TRY(bnf_fs_join(&paths->train[i], folder, l->train[i]));
            paths->train_list[i] = bnf_buf_text(&paths->train[i]);
            o->file_count[BNF_TRAIN] = i + 1;
        }
        BNF_TRY(bnf_fs_join(&paths->test, folder, l->test));
        paths->test_list[0] = bnf_buf_text(&paths->test);
        o->file_count[BNF_TEST] = 1;
        if (names && !o->names_file) {
            BNF_TRY(bnf_fs_join(&paths->names, folder, names));
            o->names_file = bnf_fs_exists(bnf_buf_text(&paths->names)) ? bnf_buf_text(&paths->names) : NULL;
        }
        o->files[BNF_TRAIN] = paths->train_list;
        o->files[BNF_TEST] = paths->test_list;
        return BNF_OK;
    }
    return bnf_fail(BNF_ERR_FORMAT, "'%s' holds neither data_batch_1.bin (CIFAR-10) nor train.bin (CIFAR-100)", folder);
}

static void release_cifar(struct cifar_paths *paths)
{
    for (int i = 0; i < 5; i++)
        bnf_buf_release(&paths->train[i]);
    bnf_buf_release(&paths->test);
    bnf_buf_release(&paths->names);
}

static bnf_status import_cifar(const bnf_comm *world, int argc, char **argv)
{
    struct common c = {0};
    bnf_import_cifar_options o = {.variant = 10};
    bnf_import_summary summary;
    bnf_arg_list folder = {0}, train = {0}, test = {0};
    struct cifar_paths paths = {0};
    int64_t variant = 10;
    const bnf_arg args[] = {
        {"train", "FILE", "binary training file; may be repeated, instead of DIR", BNF_ARG_LIST, &train},
        {"test", "FILE", "binary test file; may be repeated", BNF_ARG_LIST, &test},
        {"variant", "10|100", "which CIFAR the files of --train are (default 10)", BNF_ARG_INT, &variant},
        {"coarse", NULL, "CIFAR-100: the 20 coarse labels", BNF_ARG_FLAG, &o.coarse},
        {"names-file", "FILE", "class names, one a line", BNF_ARG_STR, &o.names_file},
        COMMON_ARGS(c),
    };

    BNF_TRY(bnf_args_parse(args, COUNT(args), argc, argv, &folder));
    if (c.help)
        return bnf_output_help(world, "import cifar (DIR | --train FILE...) --out FILE [options]",
                               "Imports CIFAR-10 or CIFAR-100 in binary form. DIR is an unpacked archive.", args,
                               COUNT(args));
    BNF_TRY(finish_common(&c));
    if (folder.count > 1 || (folder.count == 1) == (train.count > 0))
        return bnf_fail(BNF_ERR_CONFIG, "give one folder, or files by --train");
    if (variant != 10 && variant != 100)
        return bnf_fail(BNF_ERR_CONFIG, "--variant %lld: it must be 10 or 100", (long long)variant);
    o.variant = (int)variant;
    o.files[BNF_TRAIN] = train.item;
    o.files[BNF_TEST] = test.item;
    o.file_count[BNF_TRAIN] = train.count;
    o.file_count[BNF_TEST] = test.count;
    bnf_status status = folder.count == 1 ? find_cifar(folder.item[0], &paths, &o) : BNF_OK;
    if (status == BNF_OK)
        status = bnf_import_cifar(world, &o, &c.output, &summary);
    release_cifar(&paths);
    BNF_TRY(status);
    if (!c.quiet)
        bnf_output_print(world, c.output.path, &summary);
    return BNF_OK;
}

static bnf_status import_folder(const bnf_comm *world, int argc, char **argv)
{
    static const char *const store_words[] = {"decoded", "jpeg"};
    static const char *const resize_words[] = {"crop", "stretch"};
    static const char *const channel_words[] = {"auto", "grey", "rgb"};
    static const int channel_values[] = {0, 1, 3};
    struct common c = {0};
    bnf_import_folder_options o = {0};
    bnf_import_summary summary;
    bnf_arg_list folder = {0};
    const char *size = NULL, *resize = "crop", *channels = "auto", *store = "decoded";
    int choice;
    const bnf_arg args[] = {
        {"train", "DIR", "folder with a subfolder of pictures per class (or give DIR alone)", BNF_ARG_STR, &o.train},
        {"test", "DIR", "the same for the test part", BNF_ARG_STR, &o.test},
        {"test-fraction", "F", "without --test: put this part (0 to 1) into the test split", BNF_ARG_REAL,
         &o.test_fraction},
        {"size", "HxW", "size of all images (default: as they are, if all are the same)", BNF_ARG_STR, &size},
        {"resize", "crop|stretch", "how to get there: centred part, or whole picture (default crop)", BNF_ARG_STR,
         &resize},
        {"channels", "grey|rgb|auto", "auto: grey if all pictures are (default auto)", BNF_ARG_STR, &channels},
        {"store", "decoded|jpeg", "jpeg: keep the pictures as the files they are, of any size (default decoded)",
         BNF_ARG_STR, &store},
        {"resume", NULL, "jpeg: go on from what an interrupted import has done, if anything", BNF_ARG_FLAG, &o.resume},
        {"part", "N", "jpeg: pictures between two points where it can go on (default 256)", BNF_ARG_INT, &o.part_rows},
        COMMON_ARGS(c),
    };

    BNF_TRY(bnf_args_parse(args, COUNT(args), argc, argv, &folder));
    if (c.help)
        return bnf_output_help(world, "import folder DIR --out FILE [options]",
                               "Imports pictures (JPEG, PNG, PGM, PPM). Each subfolder of DIR is a class.", args,
                               COUNT(args));
    BNF_TRY(finish_common(&c));
    if (folder.count > 1 || (folder.count == 1) == (o.train != NULL))
        return bnf_fail(BNF_ERR_CONFIG, "give one folder of training pictures, as DIR or by --train");
    if (folder.count == 1)
        o.train = folder.item[0];
    if (size)
        BNF_TRY(bnf_args_size("size", size, &o.height, &o.width));
    BNF_TRY(bnf_args_choice("resize", resize, resize_words, COUNT(resize_words), &choice));
    o.resize = choice == 0 ? BNF_RESIZE_CROP : BNF_RESIZE_STRETCH;
    BNF_TRY(bnf_args_choice("channels", channels, channel_words, COUNT(channel_words), &choice));
    o.channels = channel_values[choice];
    BNF_TRY(bnf_args_choice("store", store, store_words, COUNT(store_words), &choice));
    o.encoded = choice == 1;
    if (!o.encoded && (o.resume || o.part_rows))
        return bnf_fail(BNF_ERR_CONFIG, "--resume and --part are for --store jpeg");
    if (o.encoded && (size || c.deflate || c.chunk_kib))
        return bnf_fail(BNF_ERR_CONFIG, "--store jpeg keeps files as they are: leave --size, --deflate and --chunk-kib "
                                        "out (the size is chosen in training, by data.size)");
    BNF_TRY(bnf_import_folder(world, &o, &c.output, &summary));
    if (!c.quiet)
        bnf_output_print(world, c.output.path, &summary);
    return BNF_OK;
}

/* Options of importers of files that hold many images each. */
struct files {
    bnf_arg_list test, class_files[BNF_SPLIT_COUNT];
    const char *classes[BNF_SPLIT_COUNT][BNF_ARGS_MAX_ITEMS], *paths[BNF_SPLIT_COUNT][BNF_ARGS_MAX_ITEMS];
    bnf_buf text[BNF_SPLIT_COUNT]; /* the classes' names */
    const char *store, *threshold;
};
/* clang-format off */
#define CLASS_FILE_ARGS(f)                                                                                          \
    {"train-class", "NAME=FILE", "training images that are all of one class; may be repeated, in place of labels",  \
     BNF_ARG_LIST, &(f).class_files[BNF_TRAIN]},                                                                    \
    {"test-class", "NAME=FILE", "the same for the test part", BNF_ARG_LIST, &(f).class_files[BNF_TEST]},            \
    {"threshold", "X", "make masks: 255 where the value is above X, else 0", BNF_ARG_STR, &(f).threshold},          \
    {"store", "FORM", "sparse (h5's default): only cells that are not zero; dense (npz's): all", BNF_ARG_STR,        \
     &(f).store}
/* clang-format on */

/* Cuts every "NAME=FILE" of a part. */
static bnf_status cut_classes(struct files *f, int split, bnf_import_files *files)
{
    const bnf_arg_list *list = &f->class_files[split];
    bnf_buf *text = &f->text[split];
    size_t at = 0;

    for (int64_t i = 0; i < list->count; i++) {
        const char *equal = strchr(list->item[i], '=');
        if (!equal || equal == list->item[i] || !equal[1])
            return bnf_fail(BNF_ERR_CONFIG, "--%s-class %s: it must be NAME=FILE", bnf_split_name((bnf_split)split),
                            list->item[i]);
        bnf_buf_append(text, list->item[i], (size_t)(equal - list->item[i]));
        BNF_TRY(bnf_buf_append(text, "", 1));
        f->paths[split][i] = equal + 1;
    }
    for (int64_t i = 0; i < list->count; i++) {
        f->classes[split][i] = text->data + at;
        at += strlen(text->data + at) + 1;
    }
    if (list->count > 0)
        *files = (bnf_import_files){list->count, f->paths[split], f->classes[split]};
    return BNF_OK;
}

/* What the options say of files, form and masks. train: files with labels; may be NULL. */
static bnf_status finish_files(struct files *f, const bnf_arg_list *train, bnf_import_files files[BNF_SPLIT_COUNT],
                               bnf_import_output *output, bool *mask, double *threshold)
{
    static const char *const forms[] = {"sparse", "dense"};
    int form;

    if (train && train->count + f->test.count > 0 && f->class_files[BNF_TRAIN].count + f->class_files[BNF_TEST].count)
        return bnf_fail(BNF_ERR_CONFIG, "files that hold labels and --train-class or --test-class exclude each other");
    if (train) {
        files[BNF_TRAIN] = (bnf_import_files){train->count, train->item, NULL};
        files[BNF_TEST] = (bnf_import_files){f->test.count, f->test.item, NULL};
    }
    for (int split = 0; split < BNF_SPLIT_COUNT; split++)
        BNF_TRY(cut_classes(f, split, &files[split]));
    if (files[BNF_TRAIN].count == 0)
        return bnf_fail(BNF_ERR_CONFIG, train ? "give a file of training images, or --train-class NAME=FILE"
                                              : "give training images by --train-class NAME=FILE");
    BNF_TRY(bnf_args_choice("store", f->store, forms, COUNT(forms), &form));
    output->sparse = form == 0;
    *mask = f->threshold;
    if (*mask && !bnf_parse_real(f->threshold, threshold))
        return bnf_fail(BNF_ERR_CONFIG, "--threshold %s: it must be a number", f->threshold);
    return BNF_OK;
}

static void release_files(struct files *f)
{
    for (int split = 0; split < BNF_SPLIT_COUNT; split++)
        bnf_buf_release(&f->text[split]);
}

static bnf_status import_npz(const bnf_comm *world, int argc, char **argv)
{
    struct common c = {0};
    struct files f = {.store = "dense"};
    bnf_import_npz_options o = {.channel = -1};
    bnf_import_summary summary;
    bnf_arg_list train = {0}, names = {0};
    char *names_text = NULL;
    const bnf_arg args[] = {
        {"test", "FILE", "a file of the test part; may be repeated", BNF_ARG_LIST, &f.test},
        {"test-fraction", "F", "without test files: put this part (0 to 1) into the test split", BNF_ARG_REAL,
         &o.test_fraction},
        {"images", "NAME", "the array of images, u8, f16 or f32, [n,h,w] or [n,h,w,c] (default images)", BNF_ARG_STR,
         &o.images},
        {"labels", "NAME", "the array of labels, integers or whole numbers, [n] (default labels)", BNF_ARG_STR,
         &o.labels},
        {"classes", "N", "number of classes (default: largest training label + 1)", BNF_ARG_INT, &o.classes},
        {"names", "A,B,...", "names of the classes (default: their numbers)", BNF_ARG_STR, &names_text},
        {"channel", "N", "keep this channel alone (default: all; with --threshold: 0)", BNF_ARG_INT, &o.channel},
        CLASS_FILE_ARGS(f),
        COMMON_ARGS(c),
    };

    BNF_TRY(bnf_args_parse(args, COUNT(args), argc, argv, &train));
    if (c.help)
        return bnf_output_help(world, "import npz (FILE... | --train-class NAME=FILE...) --out FILE [options]",
                               "Imports arrays of images and labels that numpy.savez or numpy.savez_compressed wrote. "
                               "FILE is a file,\na folder of .npz files or a pattern ('data/qcd_*.npz').",
                               args, COUNT(args));
    BNF_TRY(finish_common(&c));
    if (names_text)
        BNF_TRY(split_names("names", names_text, &names));
    o.name_count = names.count;
    o.names = names.item;
    o.one_channel = o.channel != -1;
    o.channel = o.one_channel ? o.channel : 0;
    bnf_status status = finish_files(&f, &train, o.files, &c.output, &o.mask, &o.threshold);
    if (status == BNF_OK)
        status = bnf_import_npz(world, &o, &c.output, &summary);
    release_files(&f);
    BNF_TRY(status);
    if (!c.quiet)
        bnf_output_print(world, c.output.path, &summary);
    return BNF_OK;
}

static bnf_status import_h5(const bnf_comm *world, int argc, char **argv)
{
    struct common c = {0};
    struct files f = {.store = "sparse"};
    bnf_import_h5_options o = {0};
    bnf_import_summary summary;
    bnf_arg_list channels = {0};
    char usual[] = "ImageTrk_PUcorr,ImageECAL,ImageHCAL", *channels_text = usual;
    const bnf_arg args[] = {
        {"channels", "A,B,...", "the arrays that become channels (default ImageTrk_PUcorr,ImageECAL,ImageHCAL)",
         BNF_ARG_STR, &channels_text},
        {"full", NULL, "all cells, [eta, phi], instead of sums over 5 x 5 cells, [phi, eta]", BNF_ARG_FLAG, &o.full},
        {"test-fraction", "F", "without test files: put this part (0 to 1) into the test split", BNF_ARG_REAL,
         &o.test_fraction},
        CLASS_FILE_ARGS(f),
        COMMON_ARGS(c),
    };

    BNF_TRY(bnf_args_parse(args, COUNT(args), argc, argv, NULL));
    if (c.help)
        return bnf_output_help(
            world, "import h5 --train-class NAME=FILE... --out FILE [options]",
            "Imports detector images: HDF5 files with an array [n, eta, phi] of f16 or f32 for every "
            "detector.\nFILE is a file, a folder of .h5 files or a pattern ('data/qcd_*.h5').",
            args, COUNT(args));
    BNF_TRY(finish_common(&c));
    BNF_TRY(split_names("channels", channels_text, &channels));
    o.channel_count = channels.count;
    o.channels = channels.item;
    bnf_status status = finish_files(&f, NULL, o.files, &c.output, &o.mask, &o.threshold);
    if (status == BNF_OK)
        status = bnf_import_h5(world, &o, &c.output, &summary);
    release_files(&f);
    BNF_TRY(status);
    if (!c.quiet)
        bnf_output_print(world, c.output.path, &summary);
    return BNF_OK;
}

/* A new importer: one function and one line here. */
static const struct bnf_cmd importers[] = {
    {"idx", "IDX files (MNIST and its kin), plain or gzip", import_idx},
    {"cifar", "CIFAR-10 and CIFAR-100 in binary form", import_cifar},
    {"folder", "folders of JPEG, PNG, PGM or PPM pictures, one per class", import_folder},
    {"npz", "arrays of images and labels that NumPy wrote", import_npz},
    {"h5", "HDF5 files of detector images", import_h5},
};

bnf_status bnf_cmd_import(const bnf_comm *world, int argc, char **argv)
{
    for (int i = 0; argc > 1 && i < COUNT(importers); i++)
        if (strcmp(argv[1], importers[i].name) == 0)
            return importers[i].fn(world, argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "--help") != 0)
        return bnf_fail(BNF_ERR_CONFIG, "import: '%s' is none of idx, cifar, folder, npz, h5", argv[1]);
    if (argc < 2)
        return bnf_fail(BNF_ERR_CONFIG, "import: say what: idx, cifar, folder, npz or h5 (--help tells more)");
    if (bnf_comm_rank(world) == 0) {
        printf("usage: banff import KIND [options]   (--help after KIND lists its options)\n\n"
               "Imports labelled images into one HDF5 file; all ranks work in parallel.\n\nkinds:\n");
        for (int i = 0; i < COUNT(importers); i++)
            printf("  %-10s %s\n", importers[i].name, importers[i].summary);
    }
    return BNF_OK;
}
