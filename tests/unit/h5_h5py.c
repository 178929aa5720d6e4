/* Data files and checkpoints open in h5py as a Python user expects: numpy types, attributes as str. Needs python3
 * with h5py (or BNF_TEST_PYTHON, a Python that has it); without it the test is skipped and says so. */
#include "unit/ckpt_support.h"

#include "h5/attr.h"
#include "h5/dataset.h"

static const char *python;

/* Runs a script; its exit status. */
static int run(const char *script)
{
    char path[320], command[1000];
    snprintf(path, sizeof path, "%s/check.py", folder);
    spit(path, (const unsigned char *)script, strlen(script));
    snprintf(command, sizeof command, "'%s' '%s' '%s'", python, path, folder);
    return system(command);
}

static void skip_without_h5py(void)
{
    if (system("command -v python3 > /dev/null") != 0 && !getenv("BNF_TEST_PYTHON")) {
        print_message("skipped: there is no python3\n");
        skip();
    }
    python = getenv("BNF_TEST_PYTHON") ? getenv("BNF_TEST_PYTHON") : "python3";
    char command[600];
    snprintf(command, sizeof command, "'%s' -c 'import h5py' 2> /dev/null", python);
    if (system(command) != 0) {
        print_message("skipped: %s cannot import h5py\n", python);
        skip();
    }
}

static void data_file(void **state)
{
    (void)state;
    skip_without_h5py();
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    char path[300];
    unsigned char image[4 * 3 * 2];
    int64_t label[4] = {1, 0, 1, 1}, chunk[4] = {1, 3, 2, 1};
    bnf_h5_storage storage = {chunk, 4, true, true};
    for (int i = 0; i < 24; i++)
        image[i] = (unsigned char)i;
    snprintf(path, sizeof path, "%s/data.h5", folder);
    assert_ok(bnf_h5_file_create(path, &file));
    assert_ok(bnf_h5_dataset_create(file, "/train/images", BNF_U8, 4, (int64_t[]){4, 3, 2, 1}, &storage, &x));
    assert_ok(bnf_h5_dataset_write(x, BNF_U8, image));
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_dataset_create(file, "/train/labels", BNF_I64, 1, (int64_t[]){4}, NULL, &x));
    assert_ok(bnf_h5_dataset_write(x, BNF_I64, label));
    assert_ok(bnf_h5_dataset_close(x));
    assert_ok(bnf_h5_attr_set_strs(file, "/", "classes", 2, (const char *[]){"T-shirt/top", "K\xc3\xa4se"}));
    assert_ok(bnf_h5_attr_set_str(file, "/", "source", "made up"));
    assert_ok(bnf_h5_attr_set_reals(file, "/train/images", "mean", 1, (double[]){0.5}));
    assert_ok(bnf_h5_attr_set_int(file, "/train", "samples", 4));
    assert_ok(bnf_h5_file_close(file));
    assert_int_equal(run("import sys, h5py, numpy\n"
                         "f = h5py.File(sys.argv[1] + '/data.h5', 'r')\n"
                         "x, y = f['train/images'], f['train/labels']\n"
                         "assert x.shape == (4, 3, 2, 1) and x.dtype == 'u1' and x.chunks == (1, 3, 2, 1)\n"
                         "assert x.compression == 'gzip' and x.shuffle and x.fletcher32\n"
                         "assert (x[:].ravel() == numpy.arange(24)).all()\n"
                         "assert y.dtype == 'i8' and list(y) == [1, 0, 1, 1]\n"
                         "assert list(f.attrs['classes']) == ['T-shirt/top', 'K\\u00e4se']\n"
                         "assert type(f.attrs['source']) is str and f.attrs['source'] == 'made up'\n"
                         "assert x.attrs['mean'][0] == 0.5 and f['train'].attrs['samples'] == 4\n"),
                     0);
}

static void checkpoint(void **state)
{
    (void)state;
    skip_without_h5py();
    assert_ok(write_checkpoint(8, false));
    assert_int_equal(run("import sys, h5py\n"
                         "f = h5py.File(sys.argv[1] + '/ckpt-000000000008.h5', 'r')\n"
                         "w = f['params/conv1.weight']\n"
                         "assert w.shape == (3, 3, 4, 5) and w.dtype == 'f4' and w[0, 0, 0, 0] == 3.0\n"
                         "assert f['optim/rate'][()] == 1.0 and f['empty'].shape == (0, 7)\n"
                         "assert f['optim/counts'][0, 0] == 8\n"
                         "assert f.attrs['seed'] == 42 and f.attrs['config'] == 'leaves: 16\\n'\n"
                         "assert len(w.attrs['xxh3_64']) == 16\n"),
                     0);
    assert_checkpoint(8, false); /* looking at it changed nothing */
}

/* What h5py writes by itself, in HDF5's oldest format and with its own kinds of strings, is read. */
static const char *const by_h5py = "import sys, h5py, numpy\n"
                                   "f = h5py.File(sys.argv[1] + '/py.h5', 'w')\n"
                                   "x = numpy.arange(6, dtype='>i4').reshape(2, 3)\n"
                                   "f.create_dataset('train/x', data=x, chunks=True)\n"
                                   "f.create_dataset('train/names', data=['a', 'b'])\n"
                                   "f.attrs['source'] = 'py'\n"
                                   "f.attrs['fixed'] = numpy.bytes_(b'fixed')\n"
                                   "f.attrs['classes'] = ['one', 'two', 'three']\n"
                                   "f.attrs['width'] = numpy.array([b'ab', b'abcd', b''])\n";

static void check_strings(bnf_h5_file *file, const char *name, int64_t count, const char *const *expected)
{
    bnf_h5_names names;
    assert_ok(bnf_h5_attr_get_strs(file, "/", name, &names));
    assert_int_equal(names.count, count);
    for (int64_t i = 0; i < count; i++)
        assert_string_equal(names.name[i], expected[i]);
    bnf_h5_names_destroy(&names);
}

static void check_foreign(const char *path)
{
    bnf_h5_file *file;
    bnf_h5_dataset *x;
    int32_t data[6];
    assert_ok(bnf_h5_file_open(path, &file));
    assert_ok(bnf_h5_dataset_open(file, "/train/x", &x));
    assert_ok(bnf_h5_dataset_expect(x, BNF_I32, 2, (int64_t[]){2, 3}));
    assert_ok(bnf_h5_dataset_read(x, BNF_I32, data)); /* big-endian in the file */
    for (int i = 0; i < 6; i++)
        assert_int_equal(data[i], i);
    assert_ok(bnf_h5_dataset_close(x));
    assert_fails(bnf_h5_dataset_open(file, "/train/names", &x), BNF_ERR_FORMAT, "/train/names");
    check_strings(file, "source", 1, (const char *[]){"py"});
    check_strings(file, "fixed", 1, (const char *[]){"fixed"});
    check_strings(file, "classes", 3, (const char *[]){"one", "two", "three"});
    check_strings(file, "width", 3, (const char *[]){"ab", "abcd", ""});
    assert_ok(bnf_h5_file_close(file));
}

static void written_by_h5py(void **state)
{
    (void)state;
    skip_without_h5py();
    char path[300];
    assert_int_equal(run(by_h5py), 0);
    snprintf(path, sizeof path, "%s/py.h5", folder);
    check_foreign(path);
}

/* The same, written by h5py 3.16 once. */
static void written_by_h5py_before(void **state)
{
    (void)state;
    check_foreign(BNF_SOURCE_DIR "/tests/unit/data/by_h5py.h5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(data_file, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(checkpoint, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(written_by_h5py, make_ckpt_folder, remove_ckpt_folder),
        cmocka_unit_test_setup_teardown(written_by_h5py_before, make_ckpt_folder, remove_ckpt_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
