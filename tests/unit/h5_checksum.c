/* XXH3-64: known values of the published algorithm, the streaming form against the one-shot form, the text form. */
#include "unit/h5_support.h"

#include "h5/checksum.h"

static void known_values(void **state)
{
    (void)state;
    /* The empty input and "a" with seed 0, as the reference implementation's `xxhsum -H3` prints them. */
    assert_int_equal(bnf_checksum(NULL, 0), 0x2d06800538d394c2u);
    assert_int_equal(bnf_checksum("a", 1), 0xe6c632b61e964e1fu);
}

static void pieces_do_not_matter(void **state)
{
    (void)state;
    enum { BYTES = 5000 };
    unsigned char data[BYTES];
    uint32_t seed = 7;
    for (int i = 0; i < BYTES; i++)
        data[i] = (unsigned char)next_random(&seed);
    for (int trial = 0; trial < 50; trial++) {
        bnf_checksum_stream *stream;
        assert_ok(bnf_checksum_stream_create(&stream));
        for (size_t at = 0, piece; at < BYTES; at += piece) {
            piece = next_random(&seed) % 700;
            piece = piece < BYTES - at ? piece : BYTES - at;
            bnf_checksum_stream_add(stream, data + at, piece);
            assert_int_equal(bnf_checksum_stream_value(stream), bnf_checksum(data, at + piece));
        }
        bnf_checksum_stream_destroy(stream);
    }
}

static void every_bit_matters(void **state)
{
    (void)state;
    unsigned char data[300] = {0};
    uint64_t clean = bnf_checksum(data, sizeof data);
    for (size_t bit = 0; bit < 8 * sizeof data; bit++) {
        data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_int_not_equal(bnf_checksum(data, sizeof data), clean);
        data[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
}

static void text_form(void **state)
{
    (void)state;
    char text[BNF_CHECKSUM_HEX];
    uint64_t back;
    assert_string_equal(bnf_checksum_format(0x00ab00000000000fu, text), "00ab00000000000f");
    assert_ok(bnf_checksum_parse(text, &back));
    assert_int_equal(back, 0x00ab00000000000fu);
    assert_fails(bnf_checksum_parse("00ab00000000000", &back), BNF_ERR_FORMAT, "00ab");
    assert_fails(bnf_checksum_parse("00ab00000000000g", &back), BNF_ERR_FORMAT, "000g");
    assert_fails(bnf_checksum_parse("00AB00000000000f", &back), BNF_ERR_FORMAT, "00AB");
    assert_fails(bnf_checksum_parse("", &back), BNF_ERR_FORMAT, "''");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(pieces_do_not_matter),
        cmocka_unit_test(every_bit_matters),
        cmocka_unit_test(text_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
