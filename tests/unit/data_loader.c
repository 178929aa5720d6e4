/* Batches: what is in them, tails, leaves, seeking, prefetching, augmentation, errors of the thread. */
#include "unit/data_support.h"

#include "base/mem.h"
#include "data/loader.h"
#include "h5/dataset.h"

#include <math.h>

enum { N = 100, H = 9, W = 8, PIXELS = H * W };

static char folder[256], path[300];
static bnf_dataset *set;

/* Image i has its index in the first pixel, so that a batch shows what it holds. */
static int setup(void **state)
{
    (void)state;
    unsigned char data[16 + N * PIXELS];
    char labels[300], images[300];
    bnf_import_summary s;

    make_folder(folder);
    snprintf(path, sizeof path, "%s/set.h5", folder);
    snprintf(images, sizeof images, "%s/i", folder);
    snprintf(labels, sizeof labels, "%s/l", folder);
    write_idx_images(images, false, 0, N, H, W);
    write_idx_labels(labels, false, 0, N, 10);
    size_t size;
    unsigned char *file = read_back(images, &size);
    memcpy(data, file, size);
    free(file);
    for (int i = 0; i < N; i++)
        data[16 + i * PIXELS] = (unsigned char)i;
    write_file(images, data, sizeof data);
    bnf_import_idx_options o = {.train_images = images, .train_labels = labels};
    assert_ok(bnf_import_idx(NULL, &o, &(bnf_import_output){.path = path, .chunk_bytes = 7 * PIXELS}, &s));
    assert_ok(bnf_dataset_open(path, BNF_TRAIN, &set));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bnf_dataset_close(set);
    remove_tree(folder);
    return 0;
}

static bnf_loader_config plain(int64_t batch)
{
    return (bnf_loader_config){.seed = 11,
                               .batch = batch,
                               .leaves = 4,
                               .leaf_lo = 0,
                               .leaf_hi = 4,
                               .normalise = {.mode = BNF_NORMALISE_UNIT},
                               .prefetch = 3};
}

static bnf_loader *make(const bnf_loader_config *config)
{
    bnf_loader *l;
    assert_ok(bnf_loader_create(set, config, &l));
    return l;
}

/* Every row holds the sample that `index` says, and padding is padding. */
static void check_rows(const bnf_batch *b)
{
    for (int64_t i = 0; i < b->rows; i++) {
        const float *x = b->x + i * PIXELS;
        if (b->index[i] < 0) {
            assert_true(b->weight[i] == 0.0f && b->labels[i] == 0);
            for (int k = 0; k < PIXELS; k++)
                assert_true(x[k] == 0.0f);
            continue;
        }
        assert_true(b->weight[i] == 1.0f);
        assert_int_equal(b->labels[i], b->index[i] % 10);
        assert_true(x[0] == (float)(b->index[i] / 255.0));
        for (int k = 1; k < PIXELS; k++)
            assert_true(x[k] == (float)(test_pixel(b->index[i], k / W, k % W, 0) / 255.0));
    }
}

static void test_every_epoch_has_every_sample(void **state)
{
    (void)state;
    static const int64_t batches[] = {4, 12, 20, 100, 128, 400};
    for (size_t k = 0; k < sizeof batches / sizeof batches[0]; k++) {
        bnf_loader_config config = plain(batches[k]);
        config.prefetch = (int)k % 3;
        bnf_loader *l = make(&config);
        int64_t steps = bnf_loader_steps_per_epoch(l);
        assert_int_equal(steps, (N + batches[k] - 1) / batches[k]);
        for (int64_t epoch = 0; epoch < 3; epoch++) {
            int seen[N] = {0};
            int64_t valid = 0;
            for (int64_t s = 0; s < steps; s++) {
                const bnf_batch *b;
                assert_ok(bnf_loader_next(l, &b));
                assert_int_equal(b->step, epoch * steps + s);
                assert_int_equal(b->epoch, epoch);
                assert_int_equal(b->first_sample, b->step * batches[k]);
                assert_int_equal(b->rows, batches[k]);
                check_rows(b);
                int64_t here = 0;
                for (int64_t i = 0; i < b->rows; i++)
                    if (b->index[i] >= 0) {
                        seen[b->index[i]]++;
                        here++;
                    }
                assert_int_equal(here, b->valid);
                valid += b->valid;
            }
            assert_int_equal(valid, N);
            for (int i = 0; i < N; i++)
                assert_int_equal(seen[i], 1);
        }
        bnf_loader_destroy(l);
    }
}

static void test_drop_tail(void **state)
{
    (void)state;
    bnf_loader_config config = plain(24);
    config.sampler.drop_tail = true;
    bnf_loader *l = make(&config);
    assert_int_equal(bnf_loader_steps_per_epoch(l), 4);
    for (int s = 0; s < 9; s++) {
        const bnf_batch *b;
        assert_ok(bnf_loader_next(l, &b));
        assert_int_equal(b->valid, 24);
        assert_int_equal(b->epoch, s / 4);
        check_rows(b);
    }
    bnf_loader_destroy(l);
    config.batch = 104;
    assert_fails(bnf_loader_create(set, &config, &l), BNF_ERR_CONFIG, "104");
}

/* A copy of what a batch holds. */
struct copy {
    float x[64 * PIXELS];
    int64_t index[64];
};

static void take(bnf_loader *l, struct copy *copy)
{
    const bnf_batch *b;
    assert_ok(bnf_loader_next(l, &b));
    assert_true(b->rows <= 64);
    memcpy(copy->x, b->x, (size_t)(b->rows * PIXELS) * sizeof(float));
    memcpy(copy->index, b->index, (size_t)b->rows * sizeof(int64_t));
}

/* Any step, in any order, with or without thread, held in memory or read from the file: the same batch. */
static void test_seek(void **state)
{
    (void)state;
    enum { STEPS = 12 };
    static struct copy reference[STEPS], found;
    bnf_loader_config config = plain(32);
    config.augment = (bnf_augment){.flip = true, .pad_crop = 2};
    config.prefetch = 0;
    memset(reference, 0, sizeof reference);
    bnf_loader *l = make(&config);
    for (int s = 0; s < STEPS; s++)
        take(l, &reference[s]);
    bnf_loader_destroy(l);
    for (int variant = 0; variant < 4; variant++) {
        config.prefetch = variant;
        config.hold_bytes = variant >= 2 ? BNF_LOADER_HOLD_DEFAULT : 0;
        l = make(&config);
        static const int jumps[] = {7, 7, 0, 11, 3, 3, 10};
        for (size_t k = 0; k < sizeof jumps / sizeof jumps[0]; k++) {
            bnf_loader_seek(l, jumps[k]);
            for (int s = jumps[k]; s < STEPS && s < jumps[k] + 3; s++) {
                memset(&found, 0, sizeof found);
                take(l, &found);
                assert_memory_equal(&found, &reference[s], sizeof found);
            }
        }
        bnf_loader_destroy(l);
    }
}

/* The parts of the ranks, one behind the other, are the batch of one rank; parts without leaves or samples are
 * legal. */
static void test_leaves(void **state)
{
    (void)state;
    static struct copy whole, part;
    bnf_loader_config config = plain(48);
    config.augment.flip = true;
    bnf_loader *all = make(&config);
    static const int64_t cuts[] = {0, 1, 1, 3, 4};
    bnf_loader *parts[4];
    for (int r = 0; r < 4; r++) {
        config.leaf_lo = cuts[r];
        config.leaf_hi = cuts[r + 1];
        config.prefetch = r;
        parts[r] = make(&config);
    }
    for (int step = 0; step < 7; step++) {
        take(all, &whole);
        for (int r = 0; r < 4; r++) {
            const bnf_batch *b;
            assert_ok(bnf_loader_next(parts[r], &b));
            assert_int_equal(b->rows, (cuts[r + 1] - cuts[r]) * 12);
            assert_int_equal(b->first_position, cuts[r] * 12);
            assert_int_equal(b->first_sample, step * 48 + cuts[r] * 12);
            assert_int_equal(b->valid, step % 3 == 2 ? 4 : 48);
            for (int64_t i = 0; i < b->rows; i++) {
                assert_int_equal(b->index[i], whole.index[b->first_position + i]);
                assert_memory_equal(b->x + i * PIXELS, whole.x + (b->first_position + i) * PIXELS,
                                    PIXELS * sizeof(float));
            }
            (void)part;
        }
    }
    for (int r = 0; r < 4; r++)
        bnf_loader_destroy(parts[r]);
    bnf_loader_destroy(all);
}

static void test_normalisation(void **state)
{
    (void)state;
    const bnf_batch *b;
    const bnf_dataset_info *info = bnf_dataset_get_info(set);
    bnf_loader_config config = plain(20);
    config.normalise.mode = BNF_NORMALISE_STATS;
    bnf_loader *l = make(&config);
    double sum = 0, squares = 0;
    for (int s = 0; s < 5; s++) {
        assert_ok(bnf_loader_next(l, &b));
        for (int64_t i = 0; i < 20 * PIXELS; i++) {
            sum += b->x[i];
            squares += (double)b->x[i] * b->x[i];
        }
    }
    assert_true(fabs(sum / (N * PIXELS)) < 1e-6);
    assert_true(fabs(squares / (N * PIXELS) - 1.0) < 1e-6);
    assert_true(fabs(bnf_transform_scale(bnf_loader_transform(l))[0] - 1 / (255 * info->std[0])) < 1e-12);
    bnf_loader_destroy(l);
    config.normalise = (bnf_normalise){.mode = BNF_NORMALISE_AFFINE, .scale = 2.0, .shift = -1.0};
    config.sampler.kind = BNF_SAMPLER_SEQUENTIAL;
    l = make(&config);
    assert_ok(bnf_loader_next(l, &b));
    for (int64_t i = 0; i < 20; i++) {
        assert_int_equal(b->index[i], i);
        assert_true(fabsf(b->x[i * PIXELS] - ((float)i * 2 / 255 - 1)) < 1e-6f);
    }
    bnf_loader_destroy(l);
}

/* Which shift and flip of the stored image gives x? Returns how many candidates do. */
static int find_move(const float *x, int64_t index, int64_t pad, bool flips, bnf_image_move *found)
{
    int matches = 0;
    for (int64_t dy = -pad; dy <= pad; dy++)
        for (int64_t dx = -pad; dx <= pad; dx++)
            for (int flip = 0; flip <= flips; flip++) {
                bool same = true;
                for (int64_t y = 0; y < H && same; y++)
                    for (int64_t c = 0; c < W && same; c++) {
                        int64_t sy = y + dy, sx = (flip ? W - 1 - c : c) + dx;
                        int v = sy < 0 || sy >= H || sx < 0 || sx >= W ? 0 : test_pixel(index, sy, sx, 0);
                        if (sy == 0 && sx == 0)
                            v = (int)index;
                        same = x[y * W + c] == (float)(v / 255.0);
                    }
                if (same) {
                    *found = (bnf_image_move){.flip = flip, .dy = dy, .dx = dx};
                    matches++;
                }
            }
    return matches;
}

static void test_augmentation(void **state)
{
    (void)state;
    bnf_loader_config config = plain(100);
    config.augment = (bnf_augment){.flip = true, .pad_crop = 2};
    bnf_loader *l = make(&config);
    int flips = 0, shifts[2][5] = {{0}}, changed = 0;
    static bnf_image_move first[N];

    for (int epoch = 0; epoch < 4; epoch++) {
        const bnf_batch *b;
        assert_ok(bnf_loader_next(l, &b));
        for (int64_t i = 0; i < 100; i++) {
            bnf_image_move m = {0};
            assert_int_equal(find_move(b->x + i * PIXELS, b->index[i], 2, true, &m), 1);
            flips += m.flip;
            shifts[0][m.dy + 2]++;
            shifts[1][m.dx + 2]++;
            if (epoch == 0)
                first[b->index[i]] = m;
            else if (epoch == 1)
                changed += memcmp(&first[b->index[i]], &m, sizeof m) != 0;
        }
    }
    assert_in_range(flips, 150, 250); /* 5 standard deviations of 400 fair coins */
    for (int axis = 0; axis < 2; axis++)
        for (int k = 0; k < 5; k++)
            assert_in_range(shifts[axis][k], 40, 120); /* 80 expected, standard deviation 8 */
    assert_true(changed > 80);
    bnf_loader_destroy(l);
    config.augment.pad_crop = W;
    assert_fails(bnf_loader_create(set, &config, &l), BNF_ERR_CONFIG, "pad and crop");
    config.augment = (bnf_augment){.roll = (H + BNF_AUGMENT_ROLLS - 1) / BNF_AUGMENT_ROLLS};
    assert_fails(bnf_loader_create(set, &config, &l), BNF_ERR_CONFIG, "data.roll");
}

static void test_no_allocation_per_step(void **state)
{
    (void)state;
    const bnf_batch *b;
    bnf_loader_config config = plain(16);
    config.augment = (bnf_augment){.flip = true, .pad_crop = 1};
    bnf_loader *l = make(&config);
    bnf_loader_stats stats;
    assert_ok(bnf_loader_next(l, &b));
    int64_t before = bnf_mem_total_allocations();
    for (int s = 0; s < 50; s++)
        assert_ok(bnf_loader_next(l, &b));
    assert_int_equal(bnf_mem_total_allocations(), before);
    bnf_loader_get_stats(l, &stats);
    assert_int_equal(stats.batches, 51);
    assert_true(stats.read_seconds > 0 && stats.stall_seconds >= 0);
    bnf_loader_destroy(l);
}

/* NaN in image 50 of a file in order: the batches before it come, then the error, again and again, until a seek. */
static void test_error_of_the_thread(void **state)
{
    (void)state;
    enum { SAMPLES = 80, SIZE = 4 };
    static float images[SAMPLES * SIZE];
    char bad[300];
    bnf_h5_file *file;
    bnf_h5_dataset *d;
    bnf_dataset *ds;

    snprintf(bad, sizeof bad, "%s/nan.h5", folder);
    images[50 * SIZE + 1] = NAN;
    assert_ok(bnf_h5_file_create(bad, &file));
    assert_ok(bnf_h5_dataset_create(file, "/train/images", BNF_F32, 4, (int64_t[]){SAMPLES, 2, 2, 1}, NULL, &d));
    assert_ok(bnf_h5_dataset_write(d, BNF_F32, images));
    assert_ok(bnf_h5_dataset_close(d));
    assert_ok(bnf_h5_dataset_create(file, "/train/labels", BNF_U8, 1, (int64_t[]){SAMPLES}, NULL, &d));
    assert_ok(bnf_h5_dataset_write(d, BNF_U8, (uint8_t[SAMPLES]){0}));
    assert_ok(bnf_h5_dataset_close(d));
    assert_ok(bnf_h5_file_close(file));
    assert_ok(bnf_dataset_open(bad, BNF_TRAIN, &ds));
    for (int prefetch = 0; prefetch <= 4; prefetch += 2) {
        const bnf_batch *b;
        bnf_loader *l;
        bnf_loader_config config = plain(16);
        config.sampler.kind = BNF_SAMPLER_SEQUENTIAL;
        config.prefetch = prefetch;
        assert_ok(bnf_loader_create(ds, &config, &l));
        for (int round = 0; round < 2; round++) {
            for (int s = 0; s < 3; s++)
                assert_ok(bnf_loader_next(l, &b));
            assert_fails(bnf_loader_next(l, &b), BNF_ERR_NUMERIC, "image 50");
            assert_non_null(strstr(bnf_error_message(), bad));
            assert_non_null(strstr(bnf_error_message(), "step 3"));
            assert_fails(bnf_loader_next(l, &b), BNF_ERR_NUMERIC, "image 50");
            bnf_loader_seek(l, 4);
            assert_ok(bnf_loader_next(l, &b));
            assert_int_equal(b->index[0], 64);
            bnf_loader_seek(l, 0);
        }
        bnf_loader_destroy(l);
        config.hold_bytes = BNF_LOADER_HOLD_DEFAULT;
        assert_fails(bnf_loader_create(ds, &config, &l), BNF_ERR_NUMERIC, "image 50");
        config.hold_bytes = 0;
        config.normalise.mode = BNF_NORMALISE_STATS;
        assert_fails(bnf_loader_create(ds, &config, &l), BNF_ERR_CONFIG, "mean and std");
    }
    bnf_dataset_close(ds);
}

static void test_bad_settings_and_memory(void **state)
{
    (void)state;
    bnf_loader *l;
    bnf_loader_config config = plain(10);
    int failures = 0;

    assert_fails(bnf_loader_create(set, &config, &l), BNF_ERR_CONFIG, "4 equal leaves");
    config.batch = 16;
    for (int64_t n = 1;; n++) {
        int64_t live = bnf_mem_live_blocks();
        bnf_error_clear();
        bnf_mem_fail_at(n);
        bnf_status status = bnf_loader_create(set, &config, &l);
        bnf_mem_fail_at(0);
        if (status == BNF_OK)
            break;
        assert_int_equal(status, BNF_ERR_MEMORY);
        assert_int_equal(bnf_mem_live_blocks(), live);
        failures++;
    }
    assert_true(failures > 8);
    bnf_loader_destroy(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_epoch_has_every_sample),
        cmocka_unit_test(test_drop_tail),
        cmocka_unit_test(test_bad_settings_and_memory),
        cmocka_unit_test(test_no_allocation_per_step),
        cmocka_unit_test(test_error_of_the_thread),
        cmocka_unit_test(test_normalisation),
        cmocka_unit_test(test_augmentation),
        cmocka_unit_test(test_leaves),
        cmocka_unit_test(test_seek), /* last: it reads the set into memory */
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
