/* comm/probe.c - settings of the MPI library, by its tool interface. */
#include "comm/probe.h"

#include <stdio.h>

#include "comm/impl.h"

/* Reads a variable as text; those that belong to an object, and other types, are left alone. */
static bool read_variable(int index, MPI_Datatype type, char *value, size_t size)
{
    MPI_T_cvar_handle handle;
    int count = 0, number = 0;
    char text[4096] = "";
    if (MPI_T_cvar_handle_alloc(index, NULL, &handle, &count) != MPI_SUCCESS)
        return false;
    bool good = true;
    if (type == MPI_CHAR && count < (int)sizeof text) {
        good = MPI_T_cvar_read(handle, text) == MPI_SUCCESS;
        text[sizeof text - 1] = '\0';
        snprintf(value, size, "%s", text);
    } else if (type == MPI_INT && count == 1) {
        good = MPI_T_cvar_read(handle, &number) == MPI_SUCCESS;
        snprintf(value, size, "%d", number);
    } else {
        good = false;
    }
    MPI_T_cvar_handle_free(&handle);
    return good;
}

bool bnf_comm_setting(const char *name, char *value, size_t size)
{
    int provided, index, length = 0, verbosity, bind, scope, described = 0;
    MPI_Datatype type = MPI_DATATYPE_NULL;
    MPI_T_enum names;
    char same[256] = "";
    value[0] = '\0';
    if (MPI_T_init_thread(MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return false;
    length = (int)sizeof same;
    bool good = MPI_T_cvar_get_index(name, &index) == MPI_SUCCESS &&
                MPI_T_cvar_get_info(index, same, &length, &verbosity, &type, &names, NULL, &described, &bind, &scope) ==
                    MPI_SUCCESS &&
                bind == MPI_T_BIND_NO_OBJECT && read_variable(index, type, value, size);
    MPI_T_finalize();
    return good;
}
