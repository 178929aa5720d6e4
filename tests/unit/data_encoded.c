/* Encoded sets: the same pixels as a decoded set's, pictures of various sizes, batches, damage, imports that go on. */
#include "unit/data_support.h"

#include "base/mem.h"
#include "data/loader.h"
#include "h5/dataset.h"

enum { N = 24, H = 40, W = 40, C = 3, BYTES = H * W * C };

static char folder[256], set[300], out[300], parts[320];

static int setup(void **state)
{
    (void)state;
    make_folder(folder);
    snprintf(out, sizeof out, "%s/out.h5", folder);
    snprintf(parts, sizeof parts, "%s.parts", out);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

/* A picture that depends on its number; c = 4 is CMYK. */
static void add_jpeg(const char *name, int64_t sample, int64_t h, int64_t w, int64_t c)
{
    unsigned char *pixels = malloc((size_t)(h * w * c));
    assert_non_null(pixels);
    smooth_pixels(h, w, c, pixels);
    for (int64_t i = 0; i < h * w * c; i++)
        pixels[i] = (unsigned char)(pixels[i] + sample * 13 + (i % 7) * (sample % 5));
    write_jpeg(in(set, name), h, w, c, pixels);
    free(pixels);
}

/* N pictures in two classes, every sixth grey, one a PNG. size 0: of various sizes. */
static void make_set(const char *name, int64_t size)
{
    snprintf(set, sizeof set, "%s/%s", folder, name);
    assert_ok(bnf_fs_make_folders(in(set, "n01440764")));
    assert_ok(bnf_fs_make_folders(in(set, "n02102040")));
    for (int64_t i = 0; i < N; i++) {
        char file[64];
        snprintf(file, sizeof file, "%s/%02d.%s", i < N / 2 ? "n01440764" : "n02102040", (int)i,
                 i == 5 ? "png" : "JPEG");
        int64_t h = size > 0 ? size : 20 + 7 * i, w = size > 0 ? size : 150 - 5 * i;
        if (i == 5) {
            unsigned char *pixels = malloc((size_t)(h * w * 3));
            assert_non_null(pixels);
            smooth_pixels(h, w, 3, pixels);
            write_png(in(set, file), h, w, 3, pixels);
            free(pixels);
        } else {
            add_jpeg(file, i, h, w, i % 6 == 1 ? 1 : 3);
        }
    }
}

static bnf_status import_to(const char *path, bool encoded, bool resume, bnf_import_summary *s)
{
    bnf_import_folder_options o = {
        .train = set, .test_fraction = 0, .encoded = encoded, .resume = resume, .part_rows = encoded ? 5 : 0};
    return bnf_import_folder(NULL, &o, &(bnf_import_output){.path = path}, s);
}

static bnf_dataset *open_set(const char *path, int64_t size, double eval_crop)
{
    bnf_dataset *ds;
    assert_ok(bnf_dataset_open(path, BNF_TRAIN, &ds));
    assert_ok(bnf_dataset_set_size(ds, size, eval_crop));
    return ds;
}

/* ---- Reading ---- */

static void assert_same_images(const bnf_dataset *a, const bnf_dataset *b)
{
    static unsigned char images[2][N * BYTES];
    assert_int_equal(bnf_dataset_get_info(a)->sample_bytes, BYTES);
    assert_ok(bnf_dataset_read_rows(a, 0, N, images[0]));
    assert_ok(bnf_dataset_read_rows(b, 0, N, images[1]));
    assert_memory_equal(images[0], images[1], sizeof images[0]);
    assert_memory_equal(bnf_dataset_labels(a), bnf_dataset_labels(b), N * sizeof(int32_t));
}

/* Where nothing is scaled, the pixels are those of the decoded set; also brought to the size that they have. */
static void test_same_as_decoded(void **state)
{
    (void)state;
    bnf_import_summary s[2];
    char decoded[320];
    snprintf(decoded, sizeof decoded, "%s/decoded.h5", folder);
    make_set("same", H);
    assert_ok(import_to(decoded, false, false, &s[0]));
    assert_ok(import_to(out, true, false, &s[1]));
    assert_false(bnf_fs_exists(parts));
    assert_true(s[1].h == 0 && s[1].w == 0 && s[1].c == C && s[1].count[BNF_TRAIN] == N && s[1].bytes > N * 100);
    bnf_dataset *d = open_set(decoded, 0, 1), *e = open_set(out, 0, 1), *same = open_set(out, H, 1);
    const bnf_dataset_info *di = bnf_dataset_get_info(d), *ei = bnf_dataset_get_info(e);
    assert_true(ei->encoded && !di->encoded && ei->h == H && ei->w == W && ei->c == C &&
                ei->stored_bytes == s[1].bytes);
    assert_string_equal(ei->class_names[0], "n01440764");
    assert_string_equal(ei->checksum, s[1].checksum);
    for (int c = 0; c < C; c++)
        assert_true(di->mean[c] == ei->mean[c] && di->std[c] == ei->std[c]);
    assert_same_images(d, e);
    assert_same_images(d, same);
    assert_ok(bnf_dataset_verify(e, NULL));
    assert_ok(bnf_dataset_hold(e));
    assert_same_images(d, e);
    assert_ok(bnf_dataset_verify(e, NULL));
    bnf_dataset_close(d);
    bnf_dataset_close(e);
    bnf_dataset_close(same);
    unlink(decoded);
    unlink(out);
}

static void test_various_sizes(void **state)
{
    (void)state;
    bnf_import_summary s;
    bnf_dataset *ds;
    unsigned char image[32 * 32 * 3];
    int64_t grey = 1;

    make_set("various", 0);
    add_jpeg("n02102040/zz.JPEG", 3, 50, 60, 4);
    assert_ok(import_to(out, true, false, &s));
    assert_ok(bnf_dataset_open(out, BNF_TRAIN, &ds));
    assert_true(bnf_dataset_get_info(ds)->h == 0 && bnf_dataset_get_info(ds)->count == N + 1);
    assert_fails(bnf_dataset_read(ds, 1, &grey, image), BNF_ERR_CONFIG, "differ in size");
    assert_fails(bnf_dataset_set_size(ds, 0, 1), BNF_ERR_CONFIG, "data.size");
    bnf_loader_config config = {.batch = 4, .leaves = 1, .leaf_hi = 1, .normalise = {.mode = BNF_NORMALISE_UNIT}};
    bnf_loader *loader;
    assert_fails(bnf_loader_create(ds, &config, &loader), BNF_ERR_CONFIG, "data.size");
    assert_ok(bnf_dataset_set_size(ds, 32, 0.875));
    assert_ok(bnf_dataset_read(ds, 1, &grey, image));
    for (int i = 0; i < 32 * 32; i++)
        assert_true(image[3 * i] == image[3 * i + 1] && image[3 * i] == image[3 * i + 2]);
    assert_ok(bnf_dataset_read(ds, 1, &(int64_t){N}, image));
    bnf_dataset_close(ds);
    assert_fails(
        bnf_dataset_repack(NULL, out, in(folder, "re.h5"), &(bnf_repack_options){.deflate = -1}, (char[17]){0}),
        BNF_ERR_UNSUPPORTED, out);
    unlink(out);
}

/* ---- Batches ---- */

static bnf_loader_config cropping(int threads, int prefetch)
{
    return (bnf_loader_config){
        .seed = 5,
        .batch = 8,
        .leaves = 4,
        .leaf_hi = 4,
        .normalise = {.mode = BNF_NORMALISE_STATS},
        .prefetch = prefetch,
        .decode_threads = threads,
        .augment = {.flip = true, .resized_crop = true, .crop_scale = {0.08, 1}, .crop_ratio = {0.75, 4.0 / 3}}};
}

static void assert_same_batches(bnf_dataset *a, const bnf_loader_config *ca, bnf_dataset *b,
                                const bnf_loader_config *cb)
{
    bnf_loader *l[2];
    assert_ok(bnf_loader_create(a, ca, &l[0]));
    assert_ok(bnf_loader_create(b, cb, &l[1]));
    for (int step = 0; step < 7; step++) { /* two epochs and a bit */
        const bnf_batch *x, *y;
        assert_ok(bnf_loader_next(l[0], &x));
        assert_ok(bnf_loader_next(l[1], &y));
        size_t pixels = (size_t)(bnf_dataset_get_info(a)->sample_bytes);
        assert_memory_equal(x->index, y->index, 8 * sizeof(int64_t));
        assert_memory_equal(x->x, y->x, 8 * pixels * sizeof(float));
    }
    bnf_loader_destroy(l[0]);
    bnf_loader_destroy(l[1]);
}

/* Threads change nothing; a decoded set's images are cropped as the same pictures are where these are not scaled down
 * while decoding. */
static void test_batches(void **state)
{
    (void)state;
    bnf_import_summary s;
    char decoded[320];
    snprintf(decoded, sizeof decoded, "%s/decoded.h5", folder);
    snprintf(set, sizeof set, "%s/same", folder);
    assert_ok(import_to(decoded, false, false, &s));
    assert_ok(import_to(out, true, false, &s));
    bnf_dataset *d = open_set(decoded, 36, 0.875), *e = open_set(out, 36, 0.875), *held = open_set(out, 36, 0.875);
    bnf_loader_config one = cropping(1, 0), three = cropping(3, 2), memory = cropping(2, 1);
    memory.hold_bytes = 1 << 20;
    assert_same_batches(e, &one, e, &three);
    assert_same_batches(e, &one, d, &three);
    assert_same_batches(e, &one, held, &memory);
    one.augment = three.augment = (bnf_augment){.pad_crop = 2}; /* of what evaluation sees */
    assert_same_batches(e, &one, d, &three);
    memory.memory = true;
    bnf_loader *loader;
    assert_fails(bnf_loader_create(d, &memory, &loader), BNF_ERR_CONFIG, "data.resized_crop");
    memory.augment = one.augment;
    assert_same_batches(d, &one, d, &memory); /* scaled when it is read into memory */
    assert_fails(bnf_loader_create(e, &memory, &loader), BNF_ERR_CONFIG, "data.store");
    bnf_dataset_close(d);
    bnf_dataset_close(e);
    bnf_dataset_close(held);
    unlink(decoded);
    unlink(out);
}

/* ---- Failing allocations ---- */

/* Everything from the file to the first batch. */
static bnf_status first_batch(void)
{
    bnf_loader_config config = cropping(2, 0);
    bnf_dataset *ds = NULL;
    bnf_loader *loader = NULL;
    const bnf_batch *batch;

    bnf_status status = bnf_dataset_open(out, BNF_TRAIN, &ds);
    if (status == BNF_OK)
        status = bnf_dataset_set_size(ds, 20, 0.875);
    if (status == BNF_OK)
        status = bnf_loader_create(ds, &config, &loader);
    if (status == BNF_OK)
        status = bnf_loader_next(loader, &batch);
    bnf_loader_destroy(loader);
    bnf_dataset_close(ds);
    return status;
}

static bnf_status import_again(void)
{
    bnf_import_summary s;
    assert_ok(bnf_fs_remove(out));
    assert_ok(bnf_fs_remove(parts));
    return import_to(out, true, false, &s);
}

/* Every so many-th allocation fails once: an error, and nothing is kept. */
static void fail_each(bnf_status (*run)(void), int least, int stride)
{
    int failures = 0;
    for (int64_t n = 1;; n += stride) {
        int64_t live = bnf_mem_live_blocks();
        bnf_error_clear();
        bnf_mem_fail_at(n);
        bnf_status status = run();
        bnf_mem_fail_at(0);
        assert_int_equal(bnf_mem_live_blocks(), live);
        if (status == BNF_OK)
            break;
        assert_int_equal(status, BNF_ERR_MEMORY);
        failures++;
    }
    assert_true(failures >= least);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    snprintf(set, sizeof set, "%s/same", folder);
    fail_each(import_again, 4, 37);
    fail_each(first_batch, 15, 2);
    unlink(out);
}

/* ---- Damage ---- */

static int64_t offset_of(const char *name)
{
    bnf_h5_file *file;
    bnf_h5_dataset *d;
    bnf_h5_dataset_info info;
    assert_ok(bnf_h5_file_open(out, &file));
    assert_ok(bnf_h5_dataset_open(file, name, &d));
    assert_ok(bnf_h5_dataset_describe(d, &info));
    assert_ok(bnf_h5_dataset_close(d));
    assert_ok(bnf_h5_file_close(file));
    assert_true(info.offset > 0);
    return info.offset;
}

static void flip_byte(int64_t offset)
{
    FILE *f = fopen(out, "r+b");
    assert_non_null(f);
    fseek(f, offset, SEEK_SET);
    int c = fgetc(f);
    fseek(f, offset, SEEK_SET);
    fputc(c ^ 0x10, f);
    fclose(f);
}

static void test_damage(void **state)
{
    (void)state;
    enum { BAD = 7 };
    bnf_import_summary s;
    unsigned char image[BYTES];
    bnf_dataset *ds;

    snprintf(set, sizeof set, "%s/same", folder);
    assert_ok(import_to(out, true, false, &s));
    int64_t begin[N + 1], offsets = offset_of("/train/offsets");
    FILE *f = fopen(out, "rb");
    assert_non_null(f);
    fseek(f, offsets, SEEK_SET);
    assert_int_equal(fread(begin, sizeof begin, 1, f), 1);
    fclose(f);
    flip_byte(offset_of("/train/bytes") + begin[BAD + 1] - 20); /* inside of the entropy-coded part of picture 7 */
    ds = open_set(out, 0, 1);
    assert_ok(bnf_dataset_read(ds, 1, &(int64_t){BAD - 1}, image));
    assert_fails(bnf_dataset_read(ds, 1, &(int64_t){BAD}, image), BNF_ERR_FORMAT, "picture 7 ");
    assert_fails(bnf_dataset_verify(ds, NULL), BNF_ERR_FORMAT, out);
    bnf_loader_config config = cropping(2, 2);
    config.augment = (bnf_augment){0};
    bnf_loader *loader;
    const bnf_batch *batch;
    bnf_status status = BNF_OK;
    assert_ok(bnf_loader_create(ds, &config, &loader));
    for (int i = 0; i < 3 && status == BNF_OK; i++)
        status = bnf_loader_next(loader, &batch);
    assert_int_equal(status, BNF_ERR_FORMAT);
    assert_non_null(strstr(bnf_error_message(), out));
    assert_non_null(strstr(bnf_error_message(), "picture 7 "));
    bnf_loader_destroy(loader);
    bnf_dataset_close(ds);
    flip_byte(offsets + 8 * 3 + 6); /* the place of picture 3 */
    assert_fails(bnf_dataset_open(out, BNF_TRAIN, &ds), BNF_ERR_FORMAT, "/train/offsets");
    unlink(out);
}

/* ---- Importing in parts ---- */

static void test_import_goes_on(void **state)
{
    (void)state;
    bnf_import_summary whole, s;
    struct stat before, after;
    size_t size;

    snprintf(set, sizeof set, "%s/same", folder);
    assert_ok(import_to(out, true, false, &whole));
    unlink(out);
    unsigned char *sound = read_back(in(set, "n02102040/17.JPEG"), &size); /* of the fourth part */
    cut_file(in(set, "n02102040/17.JPEG"), 30);
    assert_fails(import_to(out, true, false, &s), BNF_ERR_FORMAT, "n02102040/17.JPEG");
    assert_false(bnf_fs_exists(out));
    assert_false(bnf_fs_exists(in(folder, "out.h5.tmp")));
    assert_fails(import_to(out, true, false, &s), BNF_ERR_CONFIG, "--resume");
    assert_fails(import_to(out, true, true, &s), BNF_ERR_FORMAT, "n02102040/17.JPEG");
    assert_int_equal(stat(in(parts, "train-00000002.h5"), &before), 0);
    assert_false(bnf_fs_exists(in(parts, "train-00000003.h5")));
    write_file(in(set, "n02102040/17.JPEG"), sound, size);
    free(sound);

    char kept[300];
    snprintf(kept, sizeof kept, "%s", set); /* another import does not take these parts */
    make_set("other", H);
    assert_fails(import_to(out, true, true, &s), BNF_ERR_CONFIG, "of other pictures");
    snprintf(set, sizeof set, "%s", kept);
    assert_int_equal(stat(in(parts, "train-00000002.h5"), &after), 0);
    assert_true(before.st_ino == after.st_ino && before.st_mtime == after.st_mtime);
    for (int k = 0; k < 2; k++) { /* a part that is damaged in its middle, or cut off */
        const char *part = in(parts, "train-00000001.h5");
        unsigned char *content = read_back(part, &size);
        unsigned char kept_byte = content[size / 2];
        content[size / 2] ^= 0x20;
        write_file(part, content, k == 0 ? size : size / 2);
        assert_fails(import_to(out, true, true, &s), BNF_ERR_FORMAT, part);
        assert_false(bnf_fs_exists(out));
        content[size / 2] = kept_byte;
        write_file(part, content, size);
        free(content);
    }
    assert_ok(import_to(out, true, true, &s));
    assert_string_equal(s.checksum, whole.checksum);
    assert_false(bnf_fs_exists(parts));
    unlink(out);
    assert_ok(import_to(out, true, true, &s)); /* nothing to go on from: begins */
    assert_string_equal(s.checksum, whole.checksum);
    unlink(out);
}

static void test_options(void **state)
{
    (void)state;
    bnf_import_summary s;
    snprintf(set, sizeof set, "%s/same", folder);
    bnf_import_folder_options o = {.train = set, .encoded = true, .height = 8, .width = 8};
    assert_fails(bnf_import_folder(NULL, &o, &(bnf_import_output){.path = out}, &s), BNF_ERR_ARG, "size");
    o.height = o.width = 0;
    assert_fails(bnf_import_folder(NULL, &o, &(bnf_import_output){.path = out, .deflate = 3}, &s), BNF_ERR_ARG,
                 "packed");
    assert_false(bnf_fs_exists(parts));
    assert_fails(bnf_import_folder(NULL, &o, &(bnf_import_output){.path = in(folder, "none/out.h5")}, &s), BNF_ERR_IO,
                 "none");
    assert_false(bnf_fs_exists(in(folder, "none")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_decoded), cmocka_unit_test(test_various_sizes),
        cmocka_unit_test(test_batches),         cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_damage),          cmocka_unit_test(test_import_goes_on),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
