/* la/lapack.h - private to src/la: prototypes of the LAPACK routines in use (Fortran interface, column-major). The
 * trailing size_t arguments are the hidden lengths of the character arguments in the Fortran calling convention. */
#ifndef BNF_LA_LAPACK_H
#define BNF_LA_LAPACK_H

#include <stddef.h>

void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
             const int *lwork, int *iwork, const int *liwork, int *info, size_t jobz_len, size_t uplo_len);
void dgesdd_(const char *jobz, const int *m, const int *n, double *a, const int *lda, double *s, double *u,
             const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork, int *iwork, int *info,
             size_t jobz_len);
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t uplo_len);

#endif
