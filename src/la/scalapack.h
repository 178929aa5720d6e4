/* la/scalapack.h - private to src/la: prototypes of the BLACS and ScaLAPACK routines in use (Fortran interface; the
 * libraries come without headers). Trailing size_t: hidden lengths of character arguments. A descriptor is {1, context,
 * rows, cols, row block, column block, first process row, first process column, leading dimension of the local part}.
 * */
#ifndef BNF_LA_SCALAPACK_H
#define BNF_LA_SCALAPACK_H

#include <stddef.h>

#define BNF_DESCRIPTOR_LENGTH 9
#define BNF_BLACS_REPEATABLE 15 /* blacs_set: combine in a fixed order instead of the order of arrival */

int sys2blacs_handle_(const int *mpi_handle);
void free_blacs_system_handle_(const int *handle);
void blacs_gridinit_(int *context, const char *order, const int *process_rows, const int *process_cols,
                     size_t order_len);
void blacs_gridinfo_(const int *context, int *process_rows, int *process_cols, int *my_row, int *my_col);
void blacs_set_(const int *context, const int *what, const int *value);
void blacs_gridexit_(const int *context);

void pdgemm_(const char *transa, const char *transb, const int *m, const int *n, const int *k, const double *alpha,
             const double *a, const int *ia, const int *ja, const int *desca, const double *b, const int *ib,
             const int *jb, const int *descb, const double *beta, double *c, const int *ic, const int *jc,
             const int *descc, size_t transa_len, size_t transb_len);
void pdpotrf_(const char *uplo, const int *n, double *a, const int *ia, const int *ja, const int *desca, int *info,
              size_t uplo_len);
void pdgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a, const int *ia, const int *ja,
              const int *desca, double *s, double *u, const int *iu, const int *ju, const int *descu, double *vt,
              const int *ivt, const int *jvt, const int *descvt, double *work, const int *lwork, int *info,
              size_t jobu_len, size_t jobvt_len);

#endif
