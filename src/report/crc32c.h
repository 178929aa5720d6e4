/* report/crc32c.h - the checksum of TFRecord frames. */
#ifndef BNF_REPORT_CRC32C_H
#define BNF_REPORT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli, reflected polynomial 0x82F63B78, start and final xor 0xFFFFFFFF) of bytes[n].
 * Known answer: "123456789" gives 0xE3069283. Table-driven: event files are small. Thread-safe. */
uint32_t bnf_crc32c(const void *bytes, size_t n);

/* The masked form that TFRecord stores: rotated right by 15 bits plus 0xA282EAD8. */
uint32_t bnf_crc32c_masked(const void *bytes, size_t n);

#endif
