/* Importing folders of pictures: order, splits, sizes, colours, and every error with the name of the file. */
#include "unit/data_support.h"

#include "base/mem.h"

enum { H = 12, W = 10 };

static char folder[256], set[300], out[300];

static int setup(void **state)
{
    (void)state;
    make_folder(folder);
    snprintf(out, sizeof out, "%s/out.h5", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

static void assert_nothing_left(void)
{
    assert_false(bnf_fs_exists(out));
    assert_false(bnf_fs_exists(in(folder, "out.h5.tmp")));
}

static void start_set(const char *name, const char *const *classes)
{
    snprintf(set, sizeof set, "%s/%s", folder, name);
    for (; *classes; classes++)
        assert_ok(bnf_fs_make_folders(in(set, *classes)));
}

static void pixels_of(int64_t sample, int64_t c, unsigned char *pixels)
{
    for (int64_t y = 0; y < H; y++)
        for (int64_t x = 0; x < W; x++)
            for (int64_t k = 0; k < c; k++)
                *pixels++ = test_pixel(sample, y, x, k);
}

static void add_png(const char *name, int64_t sample, int64_t c)
{
    unsigned char pixels[H * W * 3];
    pixels_of(sample, c, pixels);
    write_png(in(set, name), H, W, c, pixels);
}

static bnf_status import_set(const bnf_import_folder_options *options, bnf_import_summary *summary)
{
    bnf_import_folder_options o = *options;
    if (!o.train)
        o.train = set;
    return bnf_import_folder(NULL, &o, &(bnf_import_output){.path = out}, summary);
}

static void read_one(bnf_split split, int64_t index, unsigned char *image, int32_t *label)
{
    bnf_dataset *ds;
    assert_ok(bnf_dataset_open(out, split, &ds));
    assert_ok(bnf_dataset_read(ds, 1, &index, image));
    *label = bnf_dataset_labels(ds)[index];
    bnf_dataset_close(ds);
}

/* Classes and pictures come in the order of their names' bytes; deeper folders count; other files are left out. */
static void test_order(void **state)
{
    (void)state;
    bnf_import_summary s;
    unsigned char image[H * W], expected[H * W];
    int32_t label;
    static const int64_t order[] = {5, 3, 4, 1, 2};
    static const int32_t labels[] = {0, 1, 1, 2, 2};

    start_set("order", (const char *[]){"b", "a/deep", "B", ".hidden", NULL});
    add_png("b/x1.png", 1, 1);
    add_png("b/x2.PNG", 2, 1);
    add_png("a/2.png", 3, 1);
    add_png("a/deep/1.png", 4, 1);
    pixels_of(5, 1, image);
    write_pgm(in(set, "B/only.pgm"), H, W, image);
    write_file(in(set, "b/notes.txt"), "x", 1);
    write_file(in(set, "README"), "x", 1);
    write_file(in(set, "b/.DS_Store"), "x", 1);
    assert_ok(import_set(&(bnf_import_folder_options){0}, &s));
    assert_true(s.count[BNF_TRAIN] == 5 && s.count[BNF_TEST] == 0 && s.classes == 3);
    assert_true(s.h == H && s.w == W && s.c == 1);
    assert_int_equal(s.ignored_files, 2);
    for (int64_t i = 0; i < 5; i++) {
        read_one(BNF_TRAIN, i, image, &label);
        pixels_of(order[i], 1, expected);
        assert_memory_equal(image, expected, sizeof expected);
        assert_int_equal(label, labels[i]);
    }
    bnf_dataset *ds;
    assert_ok(bnf_dataset_open(out, BNF_TRAIN, &ds));
    assert_string_equal(bnf_dataset_get_info(ds)->class_names[0], "B");
    assert_string_equal(bnf_dataset_get_info(ds)->class_names[2], "b");
    bnf_dataset_close(ds);
    unlink(out);
}

/* One colour picture makes the set colour; grey JPEG and PNG are converted; on request all become grey. */
static void test_mixed_colours(void **state)
{
    (void)state;
    bnf_import_summary s;
    unsigned char pixels[H * W * 3], image[H * W * 3];
    int32_t label;

    start_set("mixed", (const char *[]){"c", NULL});
    add_png("c/1.png", 1, 1);
    add_png("c/2.png", 2, 3);
    smooth_pixels(H, W, 1, pixels);
    write_jpeg(in(set, "c/3.jpg"), H, W, 1, pixels);
    assert_ok(import_set(&(bnf_import_folder_options){0}, &s));
    assert_int_equal(s.c, 3);
    read_one(BNF_TRAIN, 0, image, &label);
    for (int64_t i = 0; i < H * W * 3; i++)
        assert_int_equal(image[i], test_pixel(1, i / 3 / W, i / 3 % W, 0));
    read_one(BNF_TRAIN, 1, image, &label);
    pixels_of(2, 3, pixels);
    assert_memory_equal(image, pixels, sizeof pixels);
    read_one(BNF_TRAIN, 2, image, &label);
    for (int64_t i = 0; i < H * W; i++)
        assert_true(image[3 * i] == image[3 * i + 1] && image[3 * i] == image[3 * i + 2]);
    assert_ok(import_set(&(bnf_import_folder_options){.channels = 1}, &s));
    assert_int_equal(s.c, 1);
    unlink(out);
}

static void test_sizes(void **state)
{
    (void)state;
    bnf_import_summary s;
    unsigned char pixels[40 * 20], image[16 * 16];
    int32_t label;

    start_set("sizes", (const char *[]){"c", NULL});
    add_png("c/1.png", 1, 1);
    memset(pixels, 99, sizeof pixels);
    write_png(in(set, "c/2.png"), 40, 20, 1, pixels);
    assert_fails(import_set(&(bnf_import_folder_options){0}, &s), BNF_ERR_FORMAT, in(set, "c/2.png"));
    assert_nothing_left();
    for (int mode = 0; mode < BNF_RESIZE_MODE_COUNT; mode++) {
        assert_ok(
            import_set(&(bnf_import_folder_options){.height = 16, .width = 16, .resize = (bnf_resize_mode)mode}, &s));
        assert_true(s.h == 16 && s.w == 16);
        read_one(BNF_TRAIN, 1, image, &label);
        for (int i = 0; i < 256; i++)
            assert_int_equal(image[i], 99);
    }
    assert_fails(import_set(&(bnf_import_folder_options){.height = 16}, &s), BNF_ERR_ARG, "16");
    unlink(out);
}

static void test_splits(void **state)
{
    (void)state;
    bnf_import_summary s, again;
    char test[300];

    start_set("many", (const char *[]){"x", "y", NULL});
    for (int i = 0; i < 200; i++) {
        char name[40];
        snprintf(name, sizeof name, "%s/%03d.png", i % 2 ? "x" : "y", i);
        add_png(name, i, 1);
    }
    assert_ok(import_set(&(bnf_import_folder_options){.test_fraction = 0.25}, &s));
    assert_int_equal(s.count[BNF_TRAIN] + s.count[BNF_TEST], 200);
    assert_true(s.count[BNF_TEST] > 25 && s.count[BNF_TEST] < 80);
    assert_ok(import_set(&(bnf_import_folder_options){.test_fraction = 0.25}, &again));
    assert_string_equal(s.checksum, again.checksum);
    /* A larger fraction only adds to the test part: who is in it depends on names alone. */
    assert_ok(import_set(&(bnf_import_folder_options){.test_fraction = 0.5}, &again));
    assert_true(again.count[BNF_TEST] > s.count[BNF_TEST]);

    snprintf(test, sizeof test, "%s/own-test", folder);
    assert_ok(bnf_fs_make_folders(in(test, "y")));
    unsigned char pixels[H * W];
    pixels_of(7, 1, pixels);
    write_pgm(in(test, "y/1.pgm"), H, W, pixels);
    assert_ok(import_set(&(bnf_import_folder_options){.test = test}, &s));
    assert_true(s.count[BNF_TRAIN] == 200 && s.count[BNF_TEST] == 1 && s.classes == 2);
    unsigned char image[H * W];
    int32_t label;
    read_one(BNF_TEST, 0, image, &label);
    assert_int_equal(label, 1);
    assert_memory_equal(image, pixels, sizeof pixels);
    unlink(out);
    assert_ok(bnf_fs_make_folders(in(test, "z")));
    write_pgm(in(test, "z/1.pgm"), H, W, pixels);
    assert_fails(import_set(&(bnf_import_folder_options){.test = test}, &s), BNF_ERR_FORMAT, in(test, "z"));
    assert_fails(import_set(&(bnf_import_folder_options){.test = test, .test_fraction = 0.1}, &s), BNF_ERR_ARG,
                 "exclude");
    assert_nothing_left();
}

static void test_errors(void **state)
{
    (void)state;
    bnf_import_summary s;
    unsigned char pixels[H * W * 3];
    char jpeg[600], png[600];

    start_set("none", (const char *[]){NULL});
    assert_ok(bnf_fs_make_folders(set));
    assert_fails(import_set(&(bnf_import_folder_options){0}, &s), BNF_ERR_FORMAT, set);
    start_set("empty", (const char *[]){"full", "void", NULL});
    add_png("full/1.png", 1, 1);
    assert_fails(import_set(&(bnf_import_folder_options){0}, &s), BNF_ERR_FORMAT, in(set, "void"));
    assert_fails(import_set(&(bnf_import_folder_options){.train = "/no/such/folder"}, &s), BNF_ERR_IO,
                 "/no/such/folder");

    start_set("damaged", (const char *[]){"c", NULL});
    add_png("c/1.png", 1, 3);
    smooth_pixels(H, W, 3, pixels);
    snprintf(jpeg, sizeof jpeg, "%s", in(set, "c/2.jpg"));
    write_jpeg(jpeg, H, W, 3, pixels);
    assert_ok(import_set(&(bnf_import_folder_options){0}, &s));
    unlink(out);
    cut_file(jpeg, 60);
    assert_fails(import_set(&(bnf_import_folder_options){0}, &s), BNF_ERR_FORMAT, jpeg);
    write_file(jpeg, "\xff\xd8\xff\xe0 not a picture", 18);
    assert_fails(import_set(&(bnf_import_folder_options){0}, &s), BNF_ERR_FORMAT, jpeg);
    unlink(jpeg);
    add_png("c/3.png", 3, 3);
    snprintf(png, sizeof png, "%s", in(set, "c/3.png"));
    cut_file(png, 40);
    assert_fails(import_set(&(bnf_import_folder_options){0}, &s), BNF_ERR_FORMAT, png);
    assert_nothing_left();
}

static void test_out_of_memory(void **state)
{
    (void)state;
    bnf_import_summary s;
    int failures = 0;

    start_set("memory", (const char *[]){"c", NULL});
    add_png("c/1.png", 1, 1);
    add_png("c/2.png", 2, 3);
    for (int64_t n = 1;; n++) {
        int64_t live = bnf_mem_live_blocks();
        bnf_error_clear();
        bnf_mem_fail_at(n);
        bnf_status status = import_set(&(bnf_import_folder_options){.height = 5, .width = 7}, &s);
        bnf_mem_fail_at(0);
        assert_int_equal(bnf_mem_live_blocks(), live);
        if (status == BNF_OK)
            break;
        failures++;
    }
    assert_true(failures > 10);
    unlink(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),  cmocka_unit_test(test_mixed_colours), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_splits), cmocka_unit_test(test_errors),        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
