/* How files are read: a driver of our own under HDF5, on plain pread. HDF5's own one fills what lies behind the end
 * of a file with zeros, and HDF5 1.10 trusts the sizes in a global heap (where strings of variable length live, the
 * only metadata without a checksum): one changed byte there makes it read outside of its memory. This driver does
 * neither. */
#include "h5/impl.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct posix_file {
    H5FD_t base; /* first: HDF5 sees this part */
    int fd;
    haddr_t eoa; /* end of what HDF5 has laid out */
    haddr_t eof; /* end of the file */
    dev_t device;
    ino_t inode;
} posix_file;

static bool heaps_expected; /* under the room's lock */

void bnf_h5_expect_heaps(bool expected)
{
    heaps_expected = expected;
}

static bnf_status failure; /* under the room's lock; since the lock was taken */

bnf_status bnf_h5_take_driver_failure(void)
{
    bnf_status taken = failure;
    failure = BNF_OK;
    return taken;
}

/* Leaves status and description where bnf_h5_fail finds them. */
static herr_t refuse(bnf_status status, const char *reason)
{
    failure = status;
    H5Epush2(H5E_DEFAULT, __FILE__, __func__, __LINE__, H5E_ERR_CLS, H5E_IO, H5E_READERROR, "%s", reason);
    return -1;
}

static herr_t read_bytes(const posix_file *f, haddr_t at, size_t bytes, void *to)
{
    if (at > f->eof || bytes > f->eof - at)
        return refuse(BNF_ERR_FORMAT, "a part of the file is to lie behind its end");
    for (size_t done = 0; done < bytes;) {
        ssize_t got = pread(f->fd, (char *)to + done, bytes - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return refuse(BNF_ERR_IO, strerror(errno));
        if (got == 0)
            return refuse(BNF_ERR_FORMAT, "the file became shorter");
        done += (size_t)got;
    }
    return 0;
}

/* ---- global heaps ---------------------------------------------------------------------------------------------- */

enum { HEAP_HEADER = 16, OBJECT_HEADER = 16 };

static uint64_t little_endian(const unsigned char *bytes, int count)
{
    uint64_t value = 0;
    for (int i = count - 1; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

/* Whether the objects of a heap lie inside of it one behind the other, each number used once.
 *   heap[size]: "GCOL", version 1, 3 zeros, size in 8 bytes; then per object: number in 2 bytes, references in 2,
 *   4 zeros, size in 8 bytes, content padded to 8. Number 0 is free space, whose size includes its header; a rest
 *   shorter than a header is free, too. (HDF5 file format specification 3.0, III.E.) */
static bool is_sound_heap(const unsigned char *heap, uint64_t size, unsigned char seen[8192])
{
    for (uint64_t at = HEAP_HEADER; size - at >= OBJECT_HEADER;) {
        unsigned number = (unsigned)little_endian(heap + at, 2);
        uint64_t bytes = little_endian(heap + at + 8, 8), left = size - at;
        if (number == 0)
            return bytes == left;
        if (bytes > left - OBJECT_HEADER || seen[number / 8] & 1 << number % 8)
            return false;
        seen[number / 8] |= (unsigned char)(1 << number % 8);
        uint64_t whole = OBJECT_HEADER + (bytes + 7) / 8 * 8;
        if (whole > left)
            return false;
        at += whole;
    }
    return true;
}

/* Looks at the whole heap whose front is front[bytes], read from `at`. */
static herr_t check_heap(const posix_file *f, haddr_t at, size_t bytes, const unsigned char *front)
{
    if (bytes < HEAP_HEADER || memcmp(front, "GCOL\1", 5) != 0)
        return 0; /* the rest of a heap that was looked at before; or none, which HDF5 finds by itself */
    uint64_t size = little_endian(front + 8, 8);
    if (size < HEAP_HEADER || at > f->eof || size > f->eof - at)
        return refuse(BNF_ERR_FORMAT, "a heap of strings is damaged");
    unsigned char *heap, seen[8192] = {0};
    if (bnf_alloc((size_t)size, "heap of strings", &heap) != BNF_OK)
        return refuse(BNF_ERR_MEMORY, "out of memory");
    herr_t result = read_bytes(f, at, (size_t)size, heap);
    if (result == 0 && !is_sound_heap(heap, size, seen))
        result = refuse(BNF_ERR_FORMAT, "a heap of strings is damaged");
    bnf_free(heap);
    return result;
}

/* ---- what HDF5 calls ------------------------------------------------------------------------------------------- */

static H5FD_t *posix_open(const char *name, unsigned flags, hid_t access, haddr_t most)
{
    (void)flags;
    (void)access;
    (void)most;
    posix_file *f = NULL;
    struct stat info;
    if (bnf_calloc(1, sizeof *f, "HDF5 file", &f) != BNF_OK) {
        refuse(BNF_ERR_MEMORY, "out of memory");
        return NULL;
    }
    f->fd = open(name, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &info) != 0) {
        refuse(BNF_ERR_IO, strerror(errno));
        if (f->fd >= 0)
            close(f->fd);
        bnf_free(f);
        return NULL;
    }
    f->eof = (haddr_t)info.st_size;
    f->device = info.st_dev;
    f->inode = info.st_ino;
    return &f->base;
}

static herr_t posix_close(H5FD_t *file)
{
    close(((posix_file *)file)->fd); /* only read: nothing can be lost */
    bnf_free(file);
    return 0;
}

static int posix_cmp(const H5FD_t *a, const H5FD_t *b)
{
    const posix_file *x = (const posix_file *)a, *y = (const posix_file *)b;
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    return x->inode == y->inode ? 0 : x->inode < y->inode ? -1 : 1;
}

static herr_t posix_query(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    *flags = H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static haddr_t posix_get_eoa(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const posix_file *)file)->eoa;
}

static herr_t posix_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t eoa)
{
    (void)type;
    ((posix_file *)file)->eoa = eoa;
    return 0;
}

static haddr_t posix_get_eof(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const posix_file *)file)->eof;
}

/* HDF5 reads heaps as raw data: `type` does not tell them apart. While strings are read there is no other raw data. */
static herr_t posix_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t bytes, void *to)
{
    (void)transfer;
    const posix_file *f = (const posix_file *)file;
    if (read_bytes(f, at, bytes, to) != 0)
        return -1;
    return heaps_expected && type == H5FD_MEM_DRAW ? check_heap(f, at, bytes, to) : 0;
}

static herr_t posix_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t bytes, const void *from)
{
    (void)file;
    (void)type;
    (void)transfer;
    (void)at;
    (void)bytes;
    (void)from;
    return refuse(BNF_ERR_IO, "the file is open to be read only");
}

hid_t bnf_h5_posix_driver(void)
{
    static hid_t driver = H5I_INVALID_HID; /* under the room's lock */
    static const H5FD_class_t class = {
        .name = "banff_posix",
        .maxaddr = ((haddr_t)1 << (8 * sizeof(off_t) - 1)) - 1,
        .fc_degree = H5F_CLOSE_WEAK,
        .open = posix_open,
        .close = posix_close,
        .cmp = posix_cmp,
        .query = posix_query,
        .get_eoa = posix_get_eoa,
        .set_eoa = posix_set_eoa,
        .get_eof = posix_get_eof,
        .read = posix_read,
        .write = posix_write,
        .fl_map = H5FD_FLMAP_DICHOTOMY,
    };
    if (driver < 0)
        driver = H5FDregister(&class);
    return driver;
}
