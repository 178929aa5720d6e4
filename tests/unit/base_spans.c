/* Recorded spans: order, room, and the marks of a thread as spans. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/pulse.h"
#include "base/spans.h"

static void test_room(void **unused)
{
    (void)unused;
    bnf_spans *s;
    int64_t n;
    assert_int_equal(bnf_spans_create(2, &s), BNF_OK);
    assert_int_equal(bnf_spans_book(s, 3, 2), BNF_OK);
    assert_true(bnf_spans_now(NULL) == 0 && bnf_spans_now(s) == 0);
    bnf_spans_end(s, 0, BNF_SPAN_OP, 1, 2, 0); /* began while it was off */
    bnf_spans_switch(s, true);
    assert_true(bnf_spans_now(s) > 0);
    const int64_t before = bnf_mem_total_allocations();
    for (int i = 0; i < 5; i++)
        bnf_spans_end(s, 0, i % 2 ? BNF_SPAN_ADD : BNF_SPAN_OP, i, 10 + i, bnf_spans_now(s));
    assert_int_equal(bnf_spans_dropped(s), 2);
    for (int i = 0; i < 3; i++) /* the spare room is for others */
        bnf_spans_end(s, 0, BNF_SPAN_WAIT, i, -1, bnf_spans_now(s));
    assert_int_equal(bnf_spans_dropped(s), 3);
    assert_int_equal(bnf_mem_total_allocations(), before);
    const bnf_span *span = bnf_spans_get(s, 0, &n);
    assert_int_equal(n, 5);
    for (int i = 0; i < 3; i++)
        assert_true(span[i].id == i && span[i].leaf == 10 + i && span[i].end >= span[i].begin);
    assert_true(span[3].kind == BNF_SPAN_WAIT && span[4].id == 1);
    bnf_spans_get(s, 1, &n);
    assert_int_equal(n, 0);
    bnf_spans_destroy(s);
    bnf_spans_destroy(NULL);
}

static void test_memory(void **unused)
{
    (void)unused;
    bnf_spans *s;
    for (int i = 1; i <= 2; i++) {
        bnf_mem_fail_at(i);
        assert_int_equal(bnf_spans_create(2, &s), BNF_ERR_MEMORY);
    }
    bnf_mem_fail_at(0);
    assert_int_equal(bnf_spans_create(2, &s), BNF_OK);
    bnf_mem_fail_at(2);
    assert_int_equal(bnf_spans_book(s, 3, 2), BNF_ERR_MEMORY);
    bnf_mem_fail_at(0);
    bnf_spans_destroy(s);
    bnf_error_clear();
    assert_int_equal(bnf_mem_live_blocks(), 0);
}

/* A wait within another one counts once; phases lie in steps; what came before the first LOAD is left out. */
static void test_pulse(void **unused)
{
    (void)unused;
    static const struct {
        bnf_span_kind kind;
        int id;
    } expect[] = {{BNF_SPAN_LOAD, 4}, {BNF_SPAN_WAIT, -1}, {BNF_SPAN_COMPUTE, 4}, {BNF_SPAN_BETWEEN, 4},
                  {BNF_SPAN_STEP, 4}, {BNF_SPAN_LOAD, 5},  {BNF_SPAN_UPDATE, 5},  {BNF_SPAN_STEP, 5}};
    bnf_spans *s;
    int64_t n;
    assert_int_equal(bnf_spans_create(1, &s), BNF_OK);
    assert_int_equal(bnf_spans_book(s, 100, 0), BNF_OK);
    bnf_spans_switch(s, true);
    bnf_pulse_wait(true); /* nobody records yet */
    bnf_pulse_spans(s, 0);
    bnf_pulse_wait(false);
    bnf_pulse(BNF_PHASE_END, 4);
    bnf_pulse(BNF_PHASE_LOAD, 4);
    bnf_pulse_phase(BNF_PHASE_COMPUTE);
    bnf_pulse_wait(true);
    bnf_pulse_wait(true);
    bnf_pulse_wait(false);
    bnf_pulse_wait(false);
    bnf_pulse(BNF_PHASE_END, 5); /* of step 4, as the trainer counts */
    bnf_pulse(BNF_PHASE_LOAD, 5);
    bnf_pulse_phase(BNF_PHASE_UPDATE);
    bnf_pulse_spans(NULL, 0);
    bnf_pulse(BNF_PHASE_LOAD, 6);
    const bnf_span *span = bnf_spans_get(s, 0, &n);
    assert_int_equal(n, 8);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(span[i].kind, expect[i].kind);
        assert_int_equal(span[i].id, expect[i].id);
    }
    assert_true(span[1].begin >= span[2].begin && span[1].end <= span[2].end);
    assert_true(span[0].begin == span[4].begin && span[3].end == span[4].end && span[4].end == span[7].begin);
    bnf_spans_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_pulse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
