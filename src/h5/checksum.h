/* h5/checksum.h - XXH3-64 of bytes: what files of this library use to notice damage.
 *
 * Not cryptographic: it finds faults of disks and networks, not a forger. The value does not depend on the machine. */
#ifndef BNF_H5_CHECKSUM_H
#define BNF_H5_CHECKSUM_H

#include <banff/base.h>

#define BNF_CHECKSUM_HEX 17 /* characters of the text form: 16 hex digits and the final zero */

/* Checksum of `bytes` bytes (0 is legal, data may then be NULL). Thread-safe. */
uint64_t bnf_checksum(const void *data, size_t bytes);

/* Writes the 16 lower-case hex digits (the most significant first) and a zero to `text`, and returns `text`. */
const char *bnf_checksum_format(uint64_t sum, char text[BNF_CHECKSUM_HEX]);

/* [out] sum of exactly 16 lower-case hex digits. Errors: BNF_ERR_FORMAT; `text` is named in the message. */
bnf_status bnf_checksum_parse(const char *text, uint64_t *sum);

/* The checksum of data that arrives in pieces; cutting the data elsewhere does not change it. */
typedef struct bnf_checksum_stream bnf_checksum_stream;

/* [out] stream owned, release with bnf_checksum_stream_destroy. Errors: BNF_ERR_MEMORY. */
bnf_status bnf_checksum_stream_create(bnf_checksum_stream **stream);
void bnf_checksum_stream_add(bnf_checksum_stream *stream, const void *data, size_t bytes);
/* Checksum of everything added up to now; adding may go on. */
uint64_t bnf_checksum_stream_value(const bnf_checksum_stream *stream);
void bnf_checksum_stream_destroy(bnf_checksum_stream *stream); /* NULL is legal */

#endif
