/* Schedules: every owner gets every leaf exactly once, in time; halving is halving, and moves as little as possible. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "comm/schedule.h"

/* All ranks of a schedule, played through. */
typedef struct game {
    bnf_routes *routes;
    bnf_rank_moves **of;
    int32_t *site;           /* [nodes][ranks] where the value of a node for an owner is; -1 nowhere */
    int32_t *ready;          /* [nodes][ranks] the first round that may send it */
    int32_t *moved;          /* [nodes][ranks] round in which it moves to its parent's site, -1: not at all */
    int64_t parts, messages; /* in all sends */
} game;

static int64_t at(const game *g, int32_t node, int32_t owner)
{
    return (int64_t)node * g->routes->ranks + owner;
}

static void open_game(game *g, int ranks, int32_t leaves, bool spread, bnf_flow_algorithm algorithm)
{
    *g = (game){0};
    assert_int_equal(bnf_routes_create(ranks, leaves, spread, algorithm, &g->routes), BNF_OK);
    assert_int_equal(bnf_calloc((size_t)ranks, sizeof *g->of, "a game", &g->of), BNF_OK);
    for (int r = 0; r < ranks; r++)
        assert_int_equal(bnf_routes_of_rank(g->routes, r, &g->of[r]), BNF_OK);
    const size_t cells = (size_t)(g->routes->n_nodes * ranks);
    assert_int_equal(bnf_calloc(cells, sizeof *g->site, "a game", &g->site), BNF_OK);
    assert_int_equal(bnf_calloc(cells, sizeof *g->ready, "a game", &g->ready), BNF_OK);
    assert_int_equal(bnf_calloc(cells, sizeof *g->moved, "a game", &g->moved), BNF_OK);
    memset(g->site, -1, cells * sizeof *g->site);
    memset(g->moved, -1, cells * sizeof *g->moved);
}

static void close_game(game *g)
{
    for (int r = 0; r < g->routes->ranks; r++)
        bnf_rank_moves_destroy(g->of[r]);
    bnf_routes_destroy(g->routes);
    bnf_free(g->of);
    bnf_free(g->site);
    bnf_free(g->ready);
    bnf_free(g->moved);
}

/* Each rank's receives are the other ranks' sends, part by part, and each pair talks once a round. */
static void check_both_ends(game *g)
{
    int64_t received = 0;
    for (int r = 0; r < g->routes->ranks; r++) {
        const bnf_rank_moves *mine = g->of[r];
        for (int64_t i = 0; i < mine->n_sends; i++) {
            g->parts += mine->sends[i].count;
            assert_true(mine->sends[i].from == r && mine->sends[i].to != r);
            assert_in_range(mine->sends[i].round, 0, g->routes->rounds - 1);
        }
        g->messages += mine->n_sends;
        for (int64_t i = 0; i < mine->n_recvs; i++) {
            const bnf_move *in = &mine->recvs[i];
            const bnf_rank_moves *other = g->of[in->from];
            int found = 0;
            received += in->count;
            for (int64_t k = 0; k < other->n_sends; k++) {
                const bnf_move *out = &other->sends[k];
                if (out->to != r || out->round != in->round)
                    continue;
                found++;
                assert_int_equal(out->count, in->count);
                assert_memory_equal(other->parts + out->first, mine->parts + in->first,
                                    (size_t)in->count * sizeof *mine->parts);
            }
            assert_int_equal(found, 1);
        }
    }
    assert_int_equal(received, g->parts);
}

/* Where sums are made, and which values move when. */
static void lay_out(game *g)
{
    const bnf_routes *routes = g->routes;
    for (int32_t v = 0; v < routes->n_nodes; v++)
        for (int32_t o = 0; o < routes->ranks && routes->nodes[v].left < 0; o++)
            g->site[at(g, v, o)] = routes->nodes[v].rank_lo;
    for (int r = 0; r < routes->ranks; r++) {
        for (int64_t i = 0; i < g->of[r]->n_sums; i++) {
            const bnf_route_part part = g->of[r]->sums[i];
            assert_int_equal(g->site[at(g, part.node, part.owner)], -1);
            g->site[at(g, part.node, part.owner)] = r;
        }
    }
    for (int r = 0; r < routes->ranks; r++)
        for (int64_t i = 0; i < g->of[r]->n_sends; i++) {
            const bnf_move *m = &g->of[r]->sends[i];
            for (int64_t k = m->first; k < m->first + m->count; k++) {
                const int64_t cell = at(g, g->of[r]->parts[k].node, g->of[r]->parts[k].owner);
                assert_int_equal(g->site[cell], r);
                assert_int_equal(g->moved[cell], -1);
                g->moved[cell] = m->round;
            }
        }
}

/* Children before parents: each value is where its parent is made, or moves there, once, and not before it exists. */
static void check_sums(game *g)
{
    const bnf_routes *routes = g->routes;
    int64_t moves = 0;
    for (int32_t v = 0; v < routes->n_nodes; v++) {
        const bnf_route_node *node = &routes->nodes[v];
        for (int32_t o = 0; o < routes->ranks; o++) {
            const int32_t child[2] = {node->left, node->right};
            assert_true(g->site[at(g, v, o)] >= 0);
            for (int side = 0; side < 2 && node->left >= 0; side++) {
                const int64_t from = at(g, child[side], o);
                int32_t ready = g->ready[from];
                if (g->site[from] != g->site[at(g, v, o)]) {
                    assert_true(g->moved[from] >= ready);
                    ready = g->moved[from] + 1;
                    moves++;
                }
                if (ready > g->ready[at(g, v, o)])
                    g->ready[at(g, v, o)] = ready;
            }
        }
    }
    assert_int_equal(moves, g->parts);
    const int32_t root = (int32_t)routes->n_nodes - 1;
    assert_true(routes->nodes[root].leaves.lo == 0 && routes->nodes[root].leaves.hi == routes->leaves);
    for (int32_t o = 0; o < routes->ranks; o++)
        assert_int_equal(g->site[at(g, root, o)], o);
}

/* The parts of a rank's range are where its covers say. */
static void check_covers(const game *g)
{
    const bnf_routes *routes = g->routes;
    for (int r = 0; r < routes->ranks; r++) {
        bnf_tree_node cover[BNF_TREE_MAX_COVER];
        int32_t lo, hi;
        bnf_tree_range(routes->leaves, routes->ranks, r, &lo, &hi);
        const int n = bnf_tree_cover(routes->leaves, lo, hi, cover);
        int found = 0;
        for (int32_t v = 0; v < routes->n_nodes; v++)
            if (routes->nodes[v].left < 0 && routes->nodes[v].rank_lo == r) {
                assert_in_range(routes->nodes[v].cover, 0, n - 1);
                assert_memory_equal(&routes->nodes[v].leaves, &cover[routes->nodes[v].cover], sizeof *cover);
                found++;
            }
        assert_int_equal(found, n);
    }
}

static int64_t play_sum(int ranks, int32_t leaves, bnf_flow_algorithm algorithm)
{
    game g;
    open_game(&g, ranks, leaves, false, algorithm);
    check_both_ends(&g);
    lay_out(&g);
    check_sums(&g);
    if (ranks <= 64)
        check_covers(&g);
    const int64_t parts = g.parts;
    close_game(&g);
    return parts;
}

/* has[rank][owner]: in which round it came; every rank gets everything once. */
static void play_spread(int ranks, bnf_flow_algorithm algorithm)
{
    game g;
    int32_t *has;
    open_game(&g, ranks, 0, true, algorithm);
    check_both_ends(&g);
    assert_int_equal(bnf_calloc((size_t)ranks * (size_t)ranks, sizeof *has, "a game", &has), BNF_OK);
    for (int64_t i = 0; i < (int64_t)ranks * ranks; i++)
        has[i] = i / ranks == i % ranks ? -1 : INT32_MAX;
    for (int r = 0; r < ranks; r++)
        for (int64_t i = 0; i < g.of[r]->n_recvs; i++)
            for (int64_t k = 0; k < g.of[r]->recvs[i].count; k++) {
                int32_t *cell = &has[(int64_t)r * ranks + g.of[r]->parts[g.of[r]->recvs[i].first + k].owner];
                assert_int_equal(*cell, INT32_MAX);
                *cell = g.of[r]->recvs[i].round;
            }
    for (int r = 0; r < ranks; r++)
        for (int64_t i = 0; i < g.of[r]->n_sends; i++)
            for (int64_t k = 0; k < g.of[r]->sends[i].count; k++)
                assert_true(has[(int64_t)r * ranks + g.of[r]->parts[g.of[r]->sends[i].first + k].owner] <
                            g.of[r]->sends[i].round);
    assert_int_equal(g.parts, (int64_t)ranks * (ranks - 1));
    bnf_free(has);
    close_game(&g);
}

static const bnf_flow_algorithm algorithms[] = {BNF_FLOW_DIRECT, BNF_FLOW_HALVING};

static void test_sums(void **unused)
{
    (void)unused;
    for (int a = 0; a < 2; a++) {
        for (int ranks = 1; ranks <= 20; ranks++)
            for (int32_t leaves = ranks; leaves <= 70; leaves += 1 + leaves / 5)
                play_sum(ranks, leaves, algorithms[a]);
        play_sum(48, 192, algorithms[a]);
        play_sum(100, 1000, algorithms[a]);
    }
    play_sum(500, 4096, BNF_FLOW_HALVING);
    play_sum(1024, 1024, BNF_FLOW_HALVING);
    play_sum(128, 300, BNF_FLOW_DIRECT);
}

static void test_spreads(void **unused)
{
    (void)unused;
    for (int ranks = 1; ranks <= 20; ranks++)
        for (int a = 0; a < 2; a++)
            play_spread(ranks, algorithms[a]);
    play_spread(48, BNF_FLOW_HALVING);
    play_spread(1024, BNF_FLOW_HALVING);
    play_spread(128, BNF_FLOW_DIRECT);
}

/* 2^k ranks: in round d the partner is rank xor 2^d, and half of what is left moves. */
static void test_halving(void **unused)
{
    (void)unused;
    for (int rounds = 1; rounds <= 6; rounds++) {
        const int ranks = 1 << rounds;
        for (int spread = 0; spread < 2; spread++) {
            game g;
            open_game(&g, ranks, 4 * ranks, spread == 1, BNF_FLOW_HALVING);
            for (int r = 0; r < ranks; r++) {
                assert_int_equal(g.of[r]->n_sends, rounds);
                assert_int_equal(g.of[r]->n_recvs, rounds);
                for (int i = 0; i < rounds; i++) {
                    const int d = spread == 1 ? rounds - 1 - i : i;
                    const bnf_move *m = &g.of[r]->sends[i];
                    assert_int_equal(m->round, i);
                    assert_int_equal(m->to, r ^ 1 << d);
                    assert_int_equal(m->count, ranks >> (d + 1));
                    for (int64_t k = 0; k < m->count; k++) {
                        const int32_t owner = g.of[r]->parts[m->first + k].owner, low = (2 << d) - 1;
                        assert_int_equal(owner & low, (spread == 1 ? r : m->to) & low);
                    }
                }
            }
            close_game(&g);
        }
    }
}

/* The least number of values that must move so that [lo, hi) is known on `label`, over all choices below. */
static int least(int32_t leaves, int ranks, int32_t lo, int32_t hi, int label)
{
    int32_t a, b;
    for (int r = 0; r < ranks; r++) {
        bnf_tree_range(leaves, ranks, r, &a, &b);
        if (a <= lo && hi <= b)
            return r == label ? 0 : 1000000;
    }
    int32_t power = 1;
    int total = 0;
    while (2 * power < hi - lo)
        power *= 2;
    for (int side = 0; side < 2; side++) {
        int best = 1000000;
        for (int other = 0; other < ranks; other++) {
            const int cost = least(leaves, ranks, side == 0 ? lo : lo + power, side == 0 ? lo + power : hi, other);
            best = cost + (other != label) < best ? cost + (other != label) : best;
        }
        total += best;
    }
    return total;
}

/* Small trees: no choice of ranks moves less; no schedule moves more than the direct one. */
static void test_least(void **unused)
{
    (void)unused;
    for (int ranks = 2; ranks <= 4; ranks++)
        for (int32_t leaves = ranks; leaves <= (ranks < 4 ? 17 : 9); leaves++) {
            int64_t expected = 0;
            for (int owner = 0; owner < ranks; owner++)
                expected += least(leaves, ranks, 0, leaves, owner);
            assert_int_equal(play_sum(ranks, leaves, BNF_FLOW_HALVING), expected);
            assert_true(play_sum(ranks, leaves, BNF_FLOW_DIRECT) >= expected);
        }
}

/* Elements of messages add up to what parts say, and a choice is a choice. */
static void test_small_things(void **unused)
{
    (void)unused;
    const int64_t offset[] = {0, 10, 10, 17, 20};
    game g;
    open_game(&g, 4, 4, false, BNF_FLOW_HALVING);
    assert_int_equal(bnf_move_elements(g.of[0], &g.of[0]->sends[0], offset), 0 + 3);  /* owners 1 and 3 */
    assert_int_equal(bnf_move_elements(g.of[1], &g.of[1]->sends[0], offset), 10 + 7); /* owners 0 and 2 */
    close_game(&g);
    assert_int_equal(bnf_routes_choose(BNF_FLOW_DIRECT, 4096, 4096, 1 << 30), BNF_FLOW_DIRECT);
    assert_int_equal(bnf_routes_choose(BNF_FLOW_AUTO, 4096, 4096, 1 << 30), BNF_FLOW_HALVING);
    assert_int_equal(bnf_routes_choose(BNF_FLOW_AUTO, 2, 16, 1 << 30), BNF_FLOW_DIRECT);
    assert_int_equal(bnf_routes_choose(BNF_FLOW_AUTO, 3, 16, 1 << 30), BNF_FLOW_HALVING);
    assert_int_equal(bnf_routes_choose(BNF_FLOW_AUTO, 3, 12, 1 << 30), BNF_FLOW_DIRECT);
    for (int ranks = 1; ranks <= 4096; ranks *= 2)
        for (int a = 0; a < 2; a++)
            assert_in_range(bnf_flow_chunk_bytes(algorithms[a], ranks), 1 << 17, 1 << 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),  cmocka_unit_test(test_spreads),      cmocka_unit_test(test_halving),
        cmocka_unit_test(test_least), cmocka_unit_test(test_small_things),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + (int)bnf_mem_live_blocks() != 0;
}
