/* HDF5 files of detector images as an experiment writes them: 16-bit floats, compressed. Written by HDF5 itself, since
 * src/h5 reads such numbers and never writes them. */
#ifndef TESTS_UNIT_DETECTOR_FILES_H
#define TESTS_UNIT_DETECTOR_FILES_H

#include <hdf5.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* A value that a half holds exactly, of cell `at` of image i of detector d: zero but for one cell in about 30. */
static inline float detector_cell(int64_t i, int64_t at, int64_t d)
{
    uint32_t mixed = (uint32_t)(i * 7919 + at * 104729 + d * 31337 + 17) * 2654435761u;
    return (mixed >> 18) % 31 ? 0 : (float)(mixed % 2048 + 1) / 4;
}

/* The type of NumPy's float16, to be released. */
static inline hid_t detector_half(void)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    if (H5Tset_fields(type, 15, 10, 5, 0, 10) < 0 || H5Tset_size(type, 2) < 0 || H5Tset_ebias(type, 15) < 0)
        return H5I_INVALID_HID;
    return type;
}

/* Adds an array of given bits of halves, in chunks of two images. Zero on success. */
static inline int detector_add(hid_t file, const char *name, int64_t n, int64_t eta, int64_t phi, const uint16_t *bits)
{
    const hsize_t dim[] = {(hsize_t)n, (hsize_t)eta, (hsize_t)phi};
    const hsize_t chunk[] = {n < 2 ? 1 : 2, dim[1], dim[2]};
    hid_t type = detector_half(), space = H5Screate_simple(3, dim, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
    int failed = H5Pset_chunk(list, 3, chunk) < 0 || H5Pset_deflate(list, 4) < 0;
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    failed |= set < 0 || H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bits) < 0;
    failed |= H5Dclose(set) < 0 || H5Pclose(list) < 0 || H5Sclose(space) < 0 || H5Tclose(type) < 0;
    return failed;
}

/* A half of a value that it holds exactly, positive and normal, or 0. */
static inline uint16_t detector_bits(float value)
{
    int exponent;
    float fraction = frexpf(value, &exponent);
    return value > 0 ? (uint16_t)((exponent + 14) << 10 | ((int)(fraction * 2048) & 1023)) : 0;
}

/* Images [first, first + n) of detector_cell for the detectors 0, 1, ... of these names. `bad` of them: a cell of the
 * last image of the last is infinite. Zero on success. */
static inline int detector_write(const char *path, int64_t first, int64_t n, int64_t eta, int64_t phi, int names,
                                 const char *const *name, bool bad)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    uint16_t *bits = malloc((size_t)(n * eta * phi) * sizeof *bits);
    int failed = file < 0 || !bits;
    for (int d = 0; !failed && d < names; d++) {
        for (int64_t k = 0; k < n * eta * phi; k++)
            bits[k] = detector_bits(detector_cell(first + k / (eta * phi), k % (eta * phi), d));
        if (bad && d == names - 1)
            bits[n * eta * phi - 2] = 0x7c00;
        failed |= detector_add(file, name[d], n, eta, phi, bits);
    }
    free(bits);
    return failed | (H5Fclose(file) < 0);
}

#endif
