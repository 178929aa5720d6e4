/* Fashion-MNIST as Debian packages it (dataset-fashion-mnist), imported by all ranks. Skipped where it is not
 * installed. */
#include "unit/data_support.h"

#include "data/loader.h"
#include "on_ranks.h"

#include <math.h>

#define PACKAGE "/usr/share/datasets/fashion-mnist"

static const bnf_comm *world;
static int rank;

static void test_fashion_mnist(void **state)
{
    (void)state;
    char folder[256], path[300];
    bnf_import_summary s;
    bnf_dataset *ds;
    const char *names[] = {"T-shirt", "Trouser", "Pullover", "Dress", "Coat",
                           "Sandal",  "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
    bnf_import_idx_options o = {.train_images = PACKAGE "/train-images-idx3-ubyte.gz",
                                .train_labels = PACKAGE "/train-labels-idx1-ubyte.gz",
                                .test_images = PACKAGE "/t10k-images-idx3-ubyte.gz",
                                .test_labels = PACKAGE "/t10k-labels-idx1-ubyte.gz",
                                .name_count = 10,
                                .names = names};

    if (!bnf_fs_exists(o.train_images)) {
        if (rank == 0)
            print_message("skipped: %s is not there (Debian package dataset-fashion-mnist)\n", o.train_images);
        skip();
    }
    if (rank == 0)
        make_folder(folder);
    assert_ok(bnf_comm_bcast(world, 0, folder, sizeof folder));
    snprintf(path, sizeof path, "%s/fashion.h5", folder);
    assert_ok(bnf_import_idx(world, &o, &(bnf_import_output){.path = path}, &s));
    assert_true(s.count[BNF_TRAIN] == 60000 && s.count[BNF_TEST] == 10000);
    assert_true(s.h == 28 && s.w == 28 && s.c == 1 && s.classes == 10);
    for (int split = 0; split < BNF_SPLIT_COUNT; split++) {
        int64_t per_class[10] = {0};
        assert_ok(bnf_dataset_open(path, (bnf_split)split, &ds));
        assert_string_equal(bnf_dataset_get_info(ds)->checksum, s.checksum);
        assert_string_equal(bnf_dataset_get_info(ds)->class_names[9], "Ankle boot");
        /* What is commonly published for this set: mean 0.2860, standard deviation 0.3530. */
        assert_true(fabs(bnf_dataset_get_info(ds)->mean[0] - 0.2860) < 1e-4);
        assert_true(fabs(bnf_dataset_get_info(ds)->std[0] - 0.3530) < 1e-4);
        for (int64_t i = 0; i < s.count[split]; i++)
            per_class[bnf_dataset_labels(ds)[i]]++;
        for (int k = 0; k < 10; k++)
            assert_int_equal(per_class[k], s.count[split] / 10);
        assert_ok(bnf_dataset_verify(ds, world));
        bnf_dataset_close(ds);
    }
    assert_ok(bnf_comm_barrier(world));
    if (rank == 0)
        remove_tree(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fashion_mnist)};
    return ON_RANKS(BNF_THREAD_MULTIPLE, &world, &rank, NULL, tests, NULL, NULL);
}
