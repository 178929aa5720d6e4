/* cli/cmd_submit.c - banff submit CONFIG: a training run as a SLURM job. No MPI: it runs where jobs are submitted. */
#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/recipes.h"
#include "cli/submit.h"

#include "base/fs.h"
#include "base/mem.h"
#include "train/job.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char about[] =
    "Writes a job script for SLURM into the run folder of CONFIG, hands it to sbatch, and prints the job's number. "
    "The\n"
    "job saves before its time limit, queues itself again and goes on; after a lost node, too. With --array one task\n"
    "trains with each line of FILE (key=value ...) in a folder of its own in the run folder, and a second job "
    "collects\n"
    "their results when all have ended well.\n";

#define MAX_TASKS 100000

/* Everything that is asked, and the paths that were made from it. */
typedef struct request {
    bnf_arg_list set, option, files;
    const char *time, *partition, *array, *name, *out;
    int64_t nodes, ranks, threads, save_before, at_once;
    bool dry_run, help;
    char program[PATH_MAX], workdir[PATH_MAX], config[PATH_MAX];
    bnf_job *job;
    bnf_buf tasks;                                /* lines of --array that count */
    bnf_buf task_file, collect_file, script_file; /* paths */
    int64_t n_tasks;
} request;

static bnf_status parse(int argc, char **argv, request *r)
{
    const bnf_arg args[] = {
        {"nodes", "N", "hosts (default 1)", BNF_ARG_INT, &r->nodes},
        {"ranks-per-node", "R", "MPI ranks on each (default 1)", BNF_ARG_INT, &r->ranks},
        {"threads", "T", "threads of each rank (default 1)", BNF_ARG_INT, &r->threads},
        {"time", "LIMIT", "time limit of one start, as for sbatch (default 01:00:00)", BNF_ARG_STR, &r->time},
        {"save-before", "SECONDS", "save and stop so long before the limit (default 120)", BNF_ARG_INT,
         &r->save_before},
        {"partition", "P", "where to run", BNF_ARG_STR, &r->partition},
        {"name", "NAME", "of the job (default: that of the run folder)", BNF_ARG_STR, &r->name},
        {"option", "--KEY=VALUE", "another option of sbatch, e.g. --option=--account=abc; may be repeated",
         BNF_ARG_LIST, &r->option},
        {"set", "KEY=VALUE", "override a key of the configuration; may be repeated", BNF_ARG_LIST, &r->set},
        {"array", "FILE", "one task for each line: settings key=value ...; # begins a comment line", BNF_ARG_STR,
         &r->array},
        {"at-once", "N", "tasks of the array that run at the same time (default: all)", BNF_ARG_INT, &r->at_once},
        {"out", "FILE", "write the script there instead of RUN/job.sbatch", BNF_ARG_STR, &r->out},
        {"dry-run", NULL, "print the script; write and submit nothing", BNF_ARG_FLAG, &r->dry_run},
        {"help", NULL, "print this", BNF_ARG_FLAG, &r->help},
    };
    const int n = (int)(sizeof args / sizeof args[0]);
    BNF_TRY(bnf_args_parse(args, n, argc, argv, &r->files));
    if (r->help)
        bnf_args_help(stdout, "submit CONFIG [options]", about, args, n);
    else if (r->files.count != 1)
        return bnf_fail(BNF_ERR_CONFIG, "give one configuration file (banff submit --help)");
    return BNF_OK;
}

static bnf_status positive(const char *option, int64_t value, int64_t most)
{
    if (value < 1 || value > most)
        return bnf_fail(BNF_ERR_CONFIG, "--%s %lld: it must be from 1 to %lld", option, (long long)value,
                        (long long)most);
    return BNF_OK;
}

/* What would only fail, or wait for nothing, hours later in the queue. */
static bnf_status check(const request *r)
{
    int64_t seconds;
    BNF_TRY(positive("nodes", r->nodes, 65536));
    BNF_TRY(positive("ranks-per-node", r->ranks, 4096));
    BNF_TRY(positive("threads", r->threads, 4096));
    BNF_TRY(positive("save-before", r->save_before, 86400));
    BNF_TRY(bnf_submit_seconds(r->time, &seconds));
    if (r->at_once < 0 || (r->at_once > 0 && !r->array))
        return bnf_fail(BNF_ERR_CONFIG, "--at-once needs --array and a number of 1 or more");
    if (seconds < 2 * r->save_before)
        return bnf_fail(BNF_ERR_CONFIG,
                        "--time %s is less than twice --save-before (%lld s): a start would hardly come to train",
                        r->time, (long long)r->save_before);
    if (r->nodes * r->ranks > r->job->data.leaves)
        return bnf_fail(BNF_ERR_CONFIG,
                        "%lld nodes of %lld ranks are more than data.leaves (%lld): a rank needs a leaf to compute",
                        (long long)r->nodes, (long long)r->ranks, (long long)r->job->data.leaves);
    return BNF_OK;
}

static bnf_status find_paths(request *r)
{
    ssize_t length = readlink("/proc/self/exe", r->program, sizeof r->program - 1);
    if (length < 0)
        return bnf_fail(BNF_ERR_IO, "cannot find this program's own path: %s", strerror(errno));
    r->program[length] = '\0';
    if (!getcwd(r->workdir, sizeof r->workdir))
        return bnf_fail(BNF_ERR_IO, "cannot tell the current folder: %s", strerror(errno));
    if (!realpath(r->files.item[0], r->config))
        return bnf_fail(BNF_ERR_IO, "cannot open '%s': %s", r->files.item[0], strerror(errno));
    const char *folder = r->job->run.folder;
    BNF_TRY(bnf_fs_join(&r->task_file, folder, "tasks.txt"));
    BNF_TRY(bnf_fs_join(&r->collect_file, folder, "collect.sbatch"));
    return r->out ? bnf_buf_puts(&r->script_file, r->out) : bnf_fs_join(&r->script_file, folder, "job.sbatch");
}

/* A line of --array, tried on the configuration. The script splits it at blanks and keeps together what is in quotes;
 * here only lines without quotes can be tried. */
static bnf_status check_task(const request *r, char *line, int64_t number)
{
    bnf_arg_list set = r->set;
    char *rest = NULL;
    bnf_job *job;
    if (strpbrk(line, "\"'\\"))
        return BNF_OK;
    for (char *word = strtok_r(line, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
        if (set.count == BNF_ARGS_MAX_ITEMS)
            return bnf_fail(BNF_ERR_CONFIG, "%s: task %lld has more than %d settings", r->array, (long long)number,
                            BNF_ARGS_MAX_ITEMS);
        set.item[set.count++] = word;
    }
    bnf_status s = bnf_job_load(NULL, bnf_recipes, r->files.item[0], set.item, (int)set.count, &job);
    if (s != BNF_OK)
        return bnf_fail_context(s, "%s: task %lld", r->array, (long long)number);
    bnf_job_destroy(job);
    return BNF_OK;
}

static bnf_status read_tasks(request *r)
{
    bnf_buf all = {0};
    bnf_status s = bnf_fs_read(r->array, &all);
    char *rest = NULL;
    for (char *line = s == BNF_OK && all.size ? strtok_r(all.data, "\n", &rest) : NULL; line && s == BNF_OK;
         line = strtok_r(NULL, "\n", &rest)) {
        line += strspn(line, " \t\r");
        if (*line == '\0' || *line == '#')
            continue;
        line[strcspn(line, "\r")] = '\0';
        s = bnf_buf_printf(&r->tasks, "%s\n", line);
        if (s == BNF_OK)
            s = check_task(r, line, ++r->n_tasks);
    }
    bnf_buf_release(&all);
    BNF_TRY(s);
    if (r->n_tasks < 1 || r->n_tasks > MAX_TASKS)
        return bnf_fail(BNF_ERR_CONFIG, "--array %s has %lld lines with settings; 1 to %d can be submitted", r->array,
                        (long long)r->n_tasks, MAX_TASKS);
    return BNF_OK;
}

/* Runs sbatch and reads the job's number from its only line, "NUMBER" or "NUMBER;CLUSTER". What it complains of goes to
 * stderr. */
static bnf_status run_sbatch(const char *script, const char *dependency, char *id, size_t size)
{
    char *argv[5] = {"sbatch", "--parsable"};
    int n = 2, ends[2], code;
    pid_t child;
    if (dependency)
        argv[n++] = (char *)dependency;
    argv[n] = (char *)script;
    if (pipe(ends) != 0)
        return bnf_fail(BNF_ERR_IO, "cannot start sbatch: %s", strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    int failed = posix_spawnp(&child, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    size_t got = 0;
    for (ssize_t more = 1; !failed && more > 0 && got + 1 < size; got += more > 0 ? (size_t)more : 0)
        more = read(ends[0], id + got, size - 1 - got);
    id[got] = '\0';
    close(ends[0]);
    if (failed)
        return bnf_fail(BNF_ERR_IO, "cannot run sbatch: %s (is SLURM on this host? --dry-run prints the script)",
                        strerror(failed));
    if (waitpid(child, &code, 0) < 0 || code != 0)
        return bnf_fail(BNF_ERR_IO, "sbatch refused %s", script);
    id[strspn(id, "0123456789")] = '\0';
    return id[0] ? BNF_OK : bnf_fail(BNF_ERR_IO, "sbatch took %s but printed no number", script);
}

static bnf_status write_text(const bnf_buf *path, const bnf_buf *text)
{
    return bnf_fs_write_atomic(bnf_buf_text(path), bnf_buf_text(text), text->size);
}

static bnf_status submit(const request *r, const bnf_buf *script, const bnf_buf *collect)
{
    char id[64], second[64], dependency[96];
    BNF_TRY(bnf_fs_make_folders(r->job->run.folder)); /* sbatch writes its log there, and makes no folder */
    BNF_TRY(write_text(&r->script_file, script));
    if (r->array) {
        BNF_TRY(write_text(&r->task_file, &r->tasks));
        BNF_TRY(write_text(&r->collect_file, collect));
    }
    BNF_TRY(run_sbatch(bnf_buf_text(&r->script_file), NULL, id, sizeof id));
    printf("job %s: %s\n", id, bnf_buf_text(&r->script_file));
    if (!r->array)
        return BNF_OK;
    fflush(stdout);
    snprintf(dependency, sizeof dependency, "--dependency=afterok:%s", id);
    BNF_TRY(run_sbatch(bnf_buf_text(&r->collect_file), dependency, second, sizeof second));
    printf("job %s: collects its %lld tasks in %s/results.csv\n", second, (long long)r->n_tasks, r->job->run.folder);
    return BNF_OK;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static bnf_status write_or_print(request *r)
{
    bnf_buf script = {0}, collect = {0};
    bnf_submit what = {.program = r->program,
                       .config = r->config,
                       .folder = r->job->run.folder,
                       .workdir = r->workdir,
                       .name = r->name ? r->name : last_part(r->job->run.folder),
                       .time = r->time,
                       .partition = r->partition,
                       .nodes = r->nodes,
                       .ranks = r->ranks,
                       .threads = r->threads,
                       .save_before = r->save_before,
                       .tasks = r->n_tasks,
                       .at_once = r->at_once,
                       .task_file = bnf_buf_text(&r->task_file),
                       .set = &r->set,
                       .option = &r->option};
    bnf_status s = bnf_submit_script(&what, &script);
    if (s == BNF_OK && r->array)
        s = bnf_submit_collect_script(&what, &collect);
    if (s == BNF_OK && r->dry_run)
        fputs(bnf_buf_text(&script), stdout);
    else if (s == BNF_OK)
        s = submit(r, &script, &collect);
    bnf_buf_release(&script);
    bnf_buf_release(&collect);
    return s;
}

static bnf_status run(int argc, char **argv)
{
    request r = {.nodes = 1, .ranks = 1, .threads = 1, .save_before = 120, .time = "01:00:00"};
    BNF_TRY(parse(argc, argv, &r));
    if (r.help)
        return BNF_OK;
    BNF_TRY(bnf_job_load(NULL, bnf_recipes, r.files.item[0], r.set.item, (int)r.set.count, &r.job));
    bnf_status s = check(&r);
    if (s == BNF_OK)
        s = find_paths(&r);
    if (s == BNF_OK && r.array)
        s = read_tasks(&r);
    if (s == BNF_OK)
        s = write_or_print(&r);
    bnf_buf_release(&r.tasks);
    bnf_buf_release(&r.task_file);
    bnf_buf_release(&r.collect_file);
    bnf_buf_release(&r.script_file);
    bnf_job_destroy(r.job);
    return s;
}

int bnf_cmd_submit(int argc, char **argv)
{
    bnf_status s = run(argc, argv);
    if (s != BNF_OK)
        fprintf(stderr, "banff submit: %s\n", bnf_error_message());
    return bnf_cmd_exit_code(s);
}
