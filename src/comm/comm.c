/* Communicators: life and properties. */
#include "comm/flow_impl.h"
#include "comm/impl.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

static bnf_comm *world, *self;
static bool running; /* between bnf_comm_init and bnf_comm_finalize */
static bool started; /* it was us who called MPI_Init */
static int granted = MPI_THREAD_MULTIPLE;

bnf_status bnf_comm_check(const bnf_comm *comm, int mpi_result, const char *what)
{
    if (mpi_result == MPI_SUCCESS)
        return BNF_OK;
    char text[MPI_MAX_ERROR_STRING] = "unknown error";
    int length;
    MPI_Error_string(mpi_result, text, &length);
    if (comm == NULL)
        return bnf_fail(BNF_ERR_COMM, "%s: %s", what, text);
    return bnf_fail(BNF_ERR_COMM, "%s on rank %d of %d: %s", what, comm->rank, comm->size, text);
}

/* Takes `mpi`: it is freed with the communicator, and here on error. */
static bnf_status comm_new(MPI_Comm mpi, bnf_comm **comm)
{
    bnf_comm *c = NULL;
    bnf_status s;
    *comm = NULL;
    BNF_TRY_GOTO(s, bnf_comm_check(NULL, MPI_Comm_set_errhandler(mpi, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler"),
                 fail);
    BNF_TRY_GOTO(s, bnf_calloc(1, sizeof *c, "a communicator", &c), fail);
    c->mpi = mpi;
    MPI_Comm_rank(mpi, &c->rank);
    MPI_Comm_size(mpi, &c->size);
    BNF_TRY_GOTO(s, bnf_calloc((size_t)c->size * 2, sizeof *c->counts, "a communicator", &c->counts), fail);
    BNF_TRY_GOTO(s, bnf_calloc((size_t)c->size * 2, sizeof *c->requests, "a communicator", &c->requests), fail);
    BNF_TRY_GOTO(s, bnf_calloc(1, sizeof *c->tree, "a communicator", &c->tree), fail);
    BNF_TRY_GOTO(s, bnf_calloc(1, sizeof *c->flows, "a communicator", &c->flows), fail);
    *comm = c;
    return BNF_OK;
fail:
    if (c != NULL) {
        bnf_tree_space_destroy(c->tree);
        bnf_free(c->requests);
        bnf_free(c->counts);
        bnf_free(c);
    }
    MPI_Comm_free(&mpi);
    return s;
}

void bnf_comm_destroy(bnf_comm *comm)
{
    if (comm == NULL)
        return;
    bnf_pulse_wait(true); /* the standard lets it wait for others */
    MPI_Comm_free(&comm->mpi);
    bnf_pulse_wait(false);
    bnf_tree_space_destroy(comm->tree);
    bnf_free(comm->flows);
    bnf_free(comm->requests);
    bnf_free(comm->counts);
    bnf_free(comm);
}

static bnf_status start_mpi(int level)
{
    int already;
    MPI_Initialized(&already);
    if (already) {
        MPI_Query_thread(&granted);
    } else {
        BNF_TRY(bnf_comm_check(NULL, MPI_Init_thread(NULL, NULL, level, &granted), "MPI_Init_thread"));
        started = true;
    }
    running = true;
    return BNF_OK;
}

bnf_status bnf_comm_init(bnf_thread_level level)
{
    return bnf_comm_init_wish(level, level);
}

bnf_status bnf_comm_init_wish(bnf_thread_level level, bnf_thread_level wish)
{
    static const int levels[] = {MPI_THREAD_SINGLE, MPI_THREAD_FUNNELED, MPI_THREAD_SERIALIZED, MPI_THREAD_MULTIPLE};
    BNF_ASSERT(!running && (unsigned)wish <= BNF_THREAD_MULTIPLE && level <= wish);
    bnf_status s = start_mpi(levels[wish]);
    if (s != BNF_OK)
        return s;
    MPI_Comm copy;
    if (granted < levels[level]) {
        s = bnf_fail(BNF_ERR_UNSUPPORTED, "this MPI library (%s) lets threads do less than asked: level %d, not %d",
                     bnf_comm_library(), granted, levels[level]);
        goto fail;
    }
    BNF_TRY_GOTO(s, bnf_comm_check(NULL, MPI_Comm_dup(MPI_COMM_WORLD, &copy), "MPI_Comm_dup"), fail);
    BNF_TRY_GOTO(s, comm_new(copy, &world), fail);
    BNF_TRY_GOTO(s, bnf_comm_check(NULL, MPI_Comm_dup(MPI_COMM_SELF, &copy), "MPI_Comm_dup"), fail);
    BNF_TRY_GOTO(s, comm_new(copy, &self), fail);
    BNF_TRY_GOTO(s, bnf_comm_ops_create(), fail);
    bnf_assert_set_rank(world->rank);
    return BNF_OK;
fail:
    bnf_comm_finalize();
    return s;
}

bnf_status bnf_comm_finalize(void)
{
    if (!running)
        return BNF_OK;
    bnf_comm_ops_free();
    bnf_comm_destroy(self);
    bnf_comm_destroy(world);
    self = world = NULL;
    running = false;
    bnf_assert_set_rank(-1);
    if (!started)
        return BNF_OK;
    started = false;
    return bnf_comm_check(NULL, MPI_Finalize(), "MPI_Finalize");
}

const bnf_comm *bnf_comm_world(void)
{
    return world;
}

const bnf_comm *bnf_comm_self(void)
{
    return self;
}

bnf_status bnf_comm_dup(const bnf_comm *comm, bnf_comm **copy)
{
    MPI_Comm mpi;
    int result;
    *copy = NULL;
    if (comm == NULL)
        return BNF_OK;
    BNF_COMM_WAITS(result, MPI_Comm_dup(comm->mpi, &mpi));
    BNF_TRY(bnf_comm_check(comm, result, "MPI_Comm_dup"));
    return comm_new(mpi, copy);
}

bnf_status bnf_comm_split(const bnf_comm *comm, int color, int key, bnf_comm **part)
{
    MPI_Comm mpi;
    int result;
    *part = NULL;
    if (comm == NULL)
        return BNF_OK;
    const int mpi_color = color >= 0 ? color : MPI_UNDEFINED;
    BNF_COMM_WAITS(result, MPI_Comm_split(comm->mpi, mpi_color, key, &mpi));
    BNF_TRY(bnf_comm_check(comm, result, "MPI_Comm_split"));
    return mpi == MPI_COMM_NULL ? BNF_OK : comm_new(mpi, part);
}

bnf_status bnf_comm_split_host(const bnf_comm *comm, bnf_comm **part)
{
    MPI_Comm mpi;
    int result;
    *part = NULL;
    if (comm == NULL)
        return BNF_OK;
    BNF_COMM_WAITS(result, MPI_Comm_split_type(comm->mpi, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &mpi));
    BNF_TRY(bnf_comm_check(comm, result, "MPI_Comm_split_type"));
    return comm_new(mpi, part);
}

_Noreturn void bnf_comm_abort(int exit_code)
{
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (running && !finalized)
        MPI_Abort(MPI_COMM_WORLD, exit_code);
    _Exit(exit_code);
}

int bnf_comm_rank(const bnf_comm *comm)
{
    return comm == NULL ? 0 : comm->rank;
}

int bnf_comm_size(const bnf_comm *comm)
{
    return comm == NULL ? 1 : comm->size;
}

static char host_name[256], library_name[MPI_MAX_LIBRARY_VERSION_STRING];

static void read_names(void)
{
    int length;
    if (gethostname(host_name, sizeof host_name - 1) != 0)
        strcpy(host_name, "unknown");
    MPI_Get_library_version(library_name, &length);
    library_name[strcspn(library_name, ",\n")] = '\0'; /* name and version stand before the build's details */
}

static void names_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_names);
}

const char *bnf_comm_host(void)
{
    names_once();
    return host_name;
}

const char *bnf_comm_library(void)
{
    names_once();
    return library_name;
}

bnf_thread_level bnf_comm_thread_level(void)
{
    switch (granted) {
    case MPI_THREAD_SINGLE:
        return BNF_THREAD_SINGLE;
    case MPI_THREAD_FUNNELED:
        return BNF_THREAD_FUNNELED;
    case MPI_THREAD_SERIALIZED:
        return BNF_THREAD_SERIALIZED;
    default:
        return BNF_THREAD_MULTIPLE;
    }
}

const void *bnf_comm_mpi(const bnf_comm *comm)
{
    return comm == NULL ? NULL : &comm->mpi;
}
