/* train/restart.c - when going on makes sense. */
#include "train/restart.h"

#include "base/fs.h"

#include <stdlib.h>
#include <string.h>

static const char *meaning(int code)
{
    static const struct {
        int code;
        const char *text;
    } known[] = {
        {0, "done"},
        {1, "failed"},
        {2, "the configuration or the command line is wrong"},
        {75, "saved and stopped"},
        {76, "a rank was late"},
        {78, "a newer job has the run folder"},
        {126, "the command cannot be run"},
        {127, "the command was not found"},
        {134, "a rank was aborted"},
        {135, "a rank was killed by SIGBUS"},
        {137, "a rank was killed"},
        {139, "a rank was killed by SIGSEGV"},
        {143, "a rank was terminated"},
        {205, "a host was lost"},
        {255, "a host or its launcher was lost"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].code == code)
            return known[i].text;
    return code > 128 ? "ended by a signal or by its launcher" : "failed";
}

/* Why a code alone rules out another start; NULL if it does not. */
static const char * final(const bnf_restart_rules *rules, const bnf_restart_end *end)
{
    switch (end->code) {
    case 0:
        return "nothing is left to do";
    case 2:
    case 126:
    case 127:
        return "the same again would fail again";
    case 78:
        return "it is the other job's now";
    case 75:
        return rules->through_signals ? NULL : "it was asked to (--through-signals goes on)";
    default:
        return end->asked ? "it was asked to stop" : NULL;
    }
}

bnf_restart_verdict bnf_restart_decide(const bnf_restart_rules *rules, const bnf_restart_end *end)
{
    bnf_restart_verdict v = {.ranks = end->ranks, .why = meaning(end->code), .but = final(rules, end)};
    bool can_shrink = !end->began && rules->min_ranks > 0 && end->ranks > rules->min_ranks;
    if (v.but)
        return v;
    if (end->code == 75 && end->asked)
        v.but = "this supervisor was asked to stop, too";
    else if (end->restarts >= rules->max_restarts)
        v.but = "the restarts are used up (--max-restarts)";
    else if (end->idle >= rules->max_idle && !can_shrink)
        v.but = "there was no new checkpoint in several starts in a row (--max-idle)";
    else if (end->code == 1 && !end->moved && !can_shrink)
        v.but = "there was no new checkpoint: the same again would fail again";
    if (v.but)
        return v;
    v.again = true;
    if (can_shrink) {
        int64_t less = end->ranks / 8 > 1 ? end->ranks / 8 : 1;
        v.ranks = end->ranks - less > rules->min_ranks ? end->ranks - less : rules->min_ranks;
        v.why = "it did not begin";
    }
    return v;
}

/* ckpt-<12 digits>.h5, maybe with a generation before the dot; not a part, not a temporary file. */
static int64_t step_of(const char *name)
{
    static const char front[] = "ckpt-", back[] = ".h5";
    size_t n = strlen(name), digits = strspn(name + (n < 5 ? n : 5), "0123456789");
    if (n < 5 + 12 + 3 || strncmp(name, front, 5) != 0 || digits != 12 || strcmp(name + n - 3, back) != 0 ||
        strstr(name, ".part-"))
        return -1;
    return strtoll(name + 5, NULL, 10);
}

int64_t bnf_restart_newest(const char *run_folder)
{
    bnf_buf path = {0};
    bnf_fs_names names = {0};
    int64_t newest = -1;
    if (bnf_fs_join(&path, run_folder, "checkpoints") == BNF_OK && bnf_fs_is_folder(bnf_buf_text(&path)) &&
        bnf_fs_list(bnf_buf_text(&path), &names) == BNF_OK)
        for (int64_t i = 0; i < names.count; i++)
            newest = step_of(names.name[i]) > newest ? step_of(names.name[i]) : newest;
    bnf_error_clear(); /* a folder that cannot be read has none */
    bnf_fs_names_release(&names);
    bnf_buf_release(&path);
    return newest;
}
