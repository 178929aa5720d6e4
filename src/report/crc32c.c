/* CRC-32C, four bits at a time: a table of 16 entries needs no initialisation at run time. */
#include "report/crc32c.h"

/* Entry i is the remainder of the nibble i: eight shifts would give bytes, four give nibbles. */
static const uint32_t nibble_table[16] = {
    0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
    0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
};

uint32_t bnf_crc32c(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = (crc >> 4) ^ nibble_table[crc & 15u];
        crc = (crc >> 4) ^ nibble_table[crc & 15u];
    }
    return crc ^ 0xFFFFFFFFu;
}

uint32_t bnf_crc32c_masked(const void *bytes, size_t n)
{
    const uint32_t crc = bnf_crc32c(bytes, n);
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}
