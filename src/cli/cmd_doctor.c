/* cli/cmd_doctor.c - banff doctor: looks at hosts, launcher and file system before a training does. */
#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/doctor.h"
#include "cli/recipes.h"

#include "base/fs.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "train/job.h"
#include "train/limit.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char about[] = "Start it as the training will be started (mpirun or srun, the same options): it tells "
                            "where ranks and threads may run, "
                            "what\n"
                            "MPI, HDF5 and the file system can do, and warns, with the remedy as a command. CONFIG "
                            "adds its run folder, its data "
                            "file\n"
                            "and its leaves. Exit code 1 if something will fail, else 0.\n";

#define ALL_SECONDS 120

static void too_long(int number)
{
    static const char text[] =
        "banff doctor: no end within 120 s: ranks do not reach each other, or a file system hangs\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)number;
    (void)written;
    _exit(1);
}

/* What a configuration asks of the machine. Each rank looks for the data itself. */
static bnf_status look_at_job(const bnf_comm *world, const bnf_job *job, bnf_doctor_findings *to)
{
    int ranks = bnf_comm_size(world);
    int64_t missing = access(job->data.file, R_OK) == 0 ? ranks : bnf_comm_rank(world);
    int64_t workers = job->run.threads;
    const char *env = getenv("OMP_NUM_THREADS");
    BNF_TRY(bnf_comm_allreduce_i64(world, BNF_COMM_MIN, &missing, 1));
    if (missing < ranks)
        bnf_doctor_add(to, true,
                       "data.file on a file system that all hosts share; banff import or banff synth makes it",
                       "rank %lld cannot read the data '%s'", (long long)missing, job->data.file);
    workers = (workers > 0 ? workers : env && atoi(env) > 0 ? atoi(env) : 1) * ranks;
    if (ranks > job->data.leaves)
        bnf_doctor_add(to, true, "fewer ranks, or more data.leaves (other bits)", "%d ranks, but data.leaves is %lld",
                       ranks, (long long)job->data.leaves);
    else if (workers > job->data.leaves)
        bnf_doctor_add(to, false, "fewer ranks or threads, or more data.leaves (other bits)",
                       "%lld threads on all ranks, but data.leaves is %lld: some have nothing to do",
                       (long long)workers, (long long)job->data.leaves);
    return BNF_OK;
}

static bnf_status examine(const bnf_comm *world, const char *folder, const bnf_job *job, bool json)
{
    static bnf_doctor_findings findings;
    static bnf_doctor_facts mine;
    bnf_doctor_facts *all;
    int ranks = bnf_comm_size(world);
    bool first = bnf_comm_rank(world) == 0;
    bnf_doctor_host(&mine);
    if (first)
        mine.slurm_left = bnf_limit_slurm();
    BNF_TRY(bnf_doctor_clocks(world, &mine));
    if (folder)
        BNF_TRY(bnf_doctor_folder(world, folder, &mine.disk));
    BNF_TRY(bnf_comm_agree(world, bnf_calloc((size_t)ranks, sizeof *all, "facts", &all)));
    bnf_status s = bnf_comm_allgather(world, &mine, sizeof mine, all);
    if (s == BNF_OK) {
        bnf_doctor_judge(all, ranks, &findings);
        if (folder)
            bnf_doctor_judge_folder(all, ranks, &findings);
    }
    if (s == BNF_OK && job)
        s = look_at_job(world, job, &findings);
    if (s == BNF_OK && first && json) {
        bnf_buf text = {0};
        s = bnf_doctor_json(all, ranks, folder, &findings, &text);
        if (s == BNF_OK)
            printf("%s\n", bnf_buf_text(&text));
        bnf_buf_release(&text);
    } else if (s == BNF_OK && first) {
        bnf_doctor_print(all, ranks, folder, &findings);
    }
    bnf_free(all);
    s = bnf_comm_agree(world, s);
    if (s == BNF_OK && findings.failures > 0)
        s = bnf_fail(BNF_ERR_UNSUPPORTED, "%d finding%s will make a training fail: %s", findings.failures,
                     findings.failures == 1 ? "" : "s", findings.item[0].text);
    return s;
}

bnf_status bnf_cmd_doctor(const bnf_comm *world, int argc, char **argv)
{
    const char *folder = NULL;
    bnf_arg_list files = {0}, set = {0};
    bool json = false, help = false;
    const bnf_arg args[] = {
        {"folder", "DIR", "try out this folder (created if missing): speed, fsync, rename, locks, shared by all",
         BNF_ARG_STR, &folder},
        {"set", "KEY=VALUE", "override a key of CONFIG; may be repeated", BNF_ARG_LIST, &set},
        {"json", NULL, "print JSON", BNF_ARG_FLAG, &json},
        {"help", NULL, "print this", BNF_ARG_FLAG, &help},
    };
    const int n = (int)(sizeof args / sizeof args[0]);
    bnf_job *job = NULL;
    BNF_TRY(bnf_args_parse(args, n, argc, argv, &files));
    if (help) {
        if (bnf_comm_rank(world) == 0)
            bnf_args_help(stdout, "doctor [CONFIG] [options]", about, args, n);
        return BNF_OK;
    }
    if (files.count > 1 || (files.count == 0 && set.count > 0))
        return bnf_fail(BNF_ERR_CONFIG, "give one configuration at most, and --set only with one");
    signal(SIGALRM, too_long);
    signal(SIGXFSZ, SIG_IGN); /* a limit on files shall be an error that can be told */
    alarm(ALL_SECONDS);
    if (files.count == 1)
        BNF_TRY(bnf_job_load(world, bnf_recipes, files.item[0], set.item, (int)set.count, &job));
    bnf_status s = examine(world, folder ? folder : job ? job->run.folder : NULL, job, json);
    bnf_job_destroy(job);
    alarm(0);
    return s;
}
