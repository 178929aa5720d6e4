/* Weights from .npz and safetensors files: what was written comes back, whatever is cut off or changed is refused, and
 * a file for another network is refused by name. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "train/arrays.h"
#include "train/npz.h"
#include "unit/npz_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[] = "/tmp/bnf-test-arrays-XXXXXX";
static char path[128];

static int open_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? snprintf(path, sizeof path, "%s/w", folder) < 0 : -1;
}

static int close_folder(void **state)
{
    (void)state;
    return bnf_fs_remove(folder) == BNF_OK ? 0 : -1;
}

/* Two parameters and a state; the second's name and first extent as given. */
static bnf_params *store(const char *name, int64_t rows, uint64_t seed)
{
    bnf_params *params;
    int index;
    assert_int_equal(bnf_params_create(BNF_F32, &params), BNF_OK);
    for (int i = 0; i < 3; i++) {
        bnf_param_info info = {.name = i == 0   ? "conv1.weight"
                                       : i == 1 ? name
                                                : "norm1.mean",
                               .desc = i == 0   ? bnf_desc_4d(BNF_F32, 4, 3, 1, 2)
                                       : i == 1 ? bnf_desc_2d(BNF_F32, rows, 3)
                                                : bnf_desc_1d(BNF_F32, 5),
                               .trainable = i < 2,
                               .init = {BNF_INIT_UNIFORM, -1, 1}};
        assert_int_equal(bnf_params_add(params, &info, &index), BNF_OK);
    }
    assert_int_equal(bnf_params_init(params, seed), BNF_OK);
    return params;
}

static bool equal(bnf_params *a, bnf_params *b)
{
    bool same = true;
    for (int i = 0; i < 3; i++)
        same = same && memcmp(bnf_params_value(a, i), bnf_params_value(b, i),
                              bnf_desc_bytes(&bnf_params_info(a, i)->desc)) == 0;
    return same;
}

static bnf_status write_store(bnf_params *params, int format)
{
    return format ? bnf_safetensors_write_params(params, false, path) : bnf_npz_write_params(params, false, path);
}

static void round_trip(void **state)
{
    (void)state;
    for (int format = 0; format < 3; format++) { /* .npz, safetensors, compressed .npz */
        bnf_params *a = store("h\"ead.\xc3\xa9", 2, 1), *b = store("h\"ead.\xc3\xa9", 2, 2);
        assert_false(equal(a, b));
        assert_int_equal(write_store(a, format == 1), BNF_OK);
        if (format == 2)
            npz_deflate(path);
        assert_int_equal(bnf_params_read(b, path), BNF_OK);
        assert_true(equal(a, b));
        bnf_params_destroy(a);
        bnf_params_destroy(b);
    }
}

static bnf_status never(const void *config, const bnf_desc *desc, bnf_reparam *made)
{
    (void)config, (void)desc, (void)made;
    return BNF_ERR_UNSUPPORTED;
}

/* A raw weight of another shape than the effective one: files hold the one that is asked for, start weights are raw. */
static void raw_shapes(void **state)
{
    (void)state;
    for (int format = 0; format < 2; format++) {
        bnf_params *params;
        int index;
        assert_int_equal(bnf_params_create(BNF_F32, &params), BNF_OK);
        bnf_param_info info = {.name = "w",
                               .desc = bnf_desc_2d(BNF_F32, 3, 2),
                               .trainable = true,
                               .init = {BNF_INIT_UNIFORM, -1, 1},
                               .reparam = {.name = "none", .raw = bnf_desc_1d(BNF_F32, 4), .make = never}};
        assert_int_equal(bnf_params_add(params, &info, &index), BNF_OK);
        assert_int_equal(bnf_params_init(params, 3), BNF_OK);
        float *raw = bnf_params_raw(params, 0), *value = bnf_params_value(params, 0), was[4];
        memcpy(was, raw, sizeof was);
        for (int k = 0; k < 6; k++) {
            assert_true(value[k] == 0);
            value[k] = (float)k;
        }
        assert_true(was[0] != was[1]);
        assert_int_equal(format ? bnf_safetensors_write_params(params, true, path)
                                : bnf_npz_write_params(params, true, path),
                         BNF_OK);
        memset(raw, 0, sizeof was);
        assert_int_equal(bnf_params_read(params, path), BNF_OK);
        assert_memory_equal(raw, was, sizeof was);
        assert_true(value[5] == 5);
        assert_int_equal(write_store(params, format), BNF_OK);
        assert_int_equal(bnf_params_read(params, path), BNF_ERR_CONFIG);
        assert_non_null(strstr(bnf_error_message(), "'w' has the shape [3, 2], the network's raw weight is [4]"));
        assert_memory_equal(raw, was, sizeof was);
        bnf_error_clear();
        bnf_params_destroy(params);
    }
}

static void assert_refused(bnf_params *params, bnf_status status, const char *word)
{
    bnf_params *before = store(bnf_params_info(params, 1)->name, bnf_params_info(params, 1)->desc.dim[0], 9);
    assert_int_equal(bnf_params_init(params, 9), BNF_OK);
    bnf_status got = bnf_params_read(params, path);
    if (got != status || !strstr(bnf_error_message(), word) || !strstr(bnf_error_message(), path))
        fail_msg("status %d, '%s', wanted %d and '%s'", got, bnf_error_message(), status, word);
    assert_true(equal(params, before));
    bnf_error_clear();
    bnf_params_destroy(before);
}

static void other_networks(void **state)
{
    (void)state;
    for (int format = 0; format < 2; format++) {
        bnf_params *a = store("head", 2, 1), *named = store("tail", 2, 2), *shaped = store("head", 4, 2);
        assert_int_equal(write_store(a, format), BNF_OK);
        assert_refused(named, BNF_ERR_CONFIG, "'tail'");
        assert_refused(shaped, BNF_ERR_CONFIG, "'head' has the shape [2, 3], the network's is [4, 3]");
        bnf_param_info more = {.name = "more", .desc = bnf_desc_1d(BNF_F32, 1)};
        int index;
        assert_int_equal(bnf_params_add(a, &more, &index), BNF_OK);
        assert_int_equal(write_store(a, format), BNF_OK);
        bnf_params *fewer = store("head", 2, 1);
        assert_refused(fewer, BNF_ERR_CONFIG, "no parameter 'more'");
        ((float *)bnf_params_value(a, 1))[2] = NAN;
        assert_int_equal(write_store(a, format), BNF_OK);
        assert_refused(fewer, BNF_ERR_CONFIG, "'head': element 2 is not finite");
        bnf_params_destroy(a);
        bnf_params_destroy(named);
        bnf_params_destroy(shaped);
        bnf_params_destroy(fewer);
    }
}

/* Without waiting for the disk. */
static void put_file(const char *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

/* Shorter files are refused; no changed byte does harm, and in an .npz most are found. */
static void damage(void **state)
{
    (void)state;
    for (int format = 0; format < 2; format++) {
        bnf_params *a = store("head", 2, 1), *b = store("head", 2, 2);
        bnf_buf content = {0};
        assert_int_equal(write_store(a, format), BNF_OK);
        assert_int_equal(bnf_fs_read(path, &content), BNF_OK);
        for (size_t n = 0; n < content.size; n += 1 + n / 64) {
            put_file(content.data, n);
            assert_int_not_equal(bnf_params_read(b, path), BNF_OK);
            assert_non_null(strstr(bnf_error_message(), path));
            bnf_error_clear();
        }
        int found = 0;
        for (size_t n = 0; n < content.size; n += 3) {
            content.data[n] ^= 0x55;
            put_file(content.data, content.size);
            found += bnf_params_read(b, path) != BNF_OK;
            bnf_error_clear();
            content.data[n] ^= 0x55;
        }
        assert_true(found > (int)content.size / (format ? 30 : 6));
        bnf_buf_release(&content);
        bnf_params_destroy(a);
        bnf_params_destroy(b);
    }
}

static void write_text(uint64_t header, const char *text)
{
    bnf_buf file = {0};
    for (int i = 0; i < 8; i++)
        bnf_buf_putc(&file, (char)(header >> (8 * i) & 0xff));
    bnf_buf_puts(&file, text);
    put_file(file.data, file.size);
    bnf_buf_release(&file);
}

static void hostile_headers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } bad[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1e300,1e300],\"data_offsets\":[0,4]}}", "'a'"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", "do not agree"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", "'a'"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "cut off"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", "damaged"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},}", "damaged"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}",
         "two arrays"},
        {"{\"a\\", "damaged"},
        {"{\"conv1.weight\":{\"dtype\":\"F16\",\"shape\":[4,3,1,2],\"data_offsets\":[0,0]}}", "type F16"},
        {"{\"__metadata__\":{\"format\":\"pt\"}}", "no array 'conv1.weight'"},
    };
    bnf_params *a = store("head", 2, 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text(strlen(bad[i].text), bad[i].text);
        assert_refused(a, i < 8 ? BNF_ERR_FORMAT : BNF_ERR_CONFIG, bad[i].word);
    }
    write_text(UINT64_MAX, bad[0].text);
    assert_refused(a, BNF_ERR_FORMAT, "cut off");
    bnf_params_destroy(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(raw_shapes),      cmocka_unit_test(other_networks),
        cmocka_unit_test(damage),     cmocka_unit_test(hostile_headers),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
