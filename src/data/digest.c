#include "data/digest.h"

#include "h5/checksum.h"

uint64_t bnf_digest_samples(const void *images, int64_t sample_bytes, const int32_t *labels, int64_t first,
                            int64_t count)
{
    const uint8_t *p = images;
    uint64_t sum = 0;

    for (int64_t i = 0; i < count; i++) {
        uint64_t record[3] = {bnf_checksum(p + i * sample_bytes, (size_t)sample_bytes), (uint64_t)(first + i),
                              (uint64_t)(int64_t)labels[i]};
        sum += bnf_checksum(record, sizeof record);
    }
    return sum;
}

bnf_status bnf_digest_reduce(const bnf_comm *comm, uint64_t *sum)
{
    /* In halves: signed sums of 32-bit values over ranks cannot overflow, and the carry comes back in the shift. */
    int64_t half[2] = {(int64_t)(*sum >> 32), (int64_t)(*sum & UINT32_MAX)};
    BNF_TRY(bnf_comm_allreduce_i64(comm, BNF_COMM_SUM, half, 2));
    *sum = ((uint64_t)half[0] << 32) + (uint64_t)half[1];
    return BNF_OK;
}

uint64_t bnf_digest_set(const uint64_t sum[BNF_SPLIT_COUNT], const int64_t count[BNF_SPLIT_COUNT], int64_t h, int64_t w,
                        int64_t c)
{
    uint64_t record[] = {
        sum[BNF_TRAIN], sum[BNF_TEST], (uint64_t)count[BNF_TRAIN], (uint64_t)count[BNF_TEST], (uint64_t)h,
        (uint64_t)w,    (uint64_t)c};
    return bnf_checksum(record, sizeof record);
}
