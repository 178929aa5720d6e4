#define XXH_STATIC_LINKING_ONLY /* the size of the state, so that it is allocated like everything else */
#include <xxhash.h>

#include "base/assert.h"
#include "base/mem.h"
#include "h5/checksum.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct bnf_checksum_stream {
    XXH3_state_t state;
};

uint64_t bnf_checksum(const void *data, size_t bytes)
{
    BNF_ASSERT(data || !bytes);
    return XXH3_64bits(data ? data : "", bytes);
}

const char *bnf_checksum_format(uint64_t sum, char text[BNF_CHECKSUM_HEX])
{
    snprintf(text, BNF_CHECKSUM_HEX, "%016" PRIx64, sum);
    return text;
}

bnf_status bnf_checksum_parse(const char *text, uint64_t *sum)
{
    uint64_t value = 0;
    size_t length = strlen(text);
    bool good = length == BNF_CHECKSUM_HEX - 1;
    for (size_t i = 0; good && i < length; i++) {
        const char *digits = "0123456789abcdef";
        const char *digit = strchr(digits, text[i]);
        good = digit != NULL;
        if (good)
            value = value << 4 | (uint64_t)(digit - digits);
    }
    if (!good)
        return bnf_fail(BNF_ERR_FORMAT, "'%.40s' is not a checksum of 16 hex digits", text);
    *sum = value;
    return BNF_OK;
}

bnf_status bnf_checksum_stream_create(bnf_checksum_stream **stream)
{
    BNF_TRY(bnf_calloc(1, sizeof **stream, "checksum state", stream));
    XXH3_64bits_reset(&(*stream)->state);
    return BNF_OK;
}

void bnf_checksum_stream_add(bnf_checksum_stream *stream, const void *data, size_t bytes)
{
    BNF_ASSERT(data || !bytes);
    if (bytes)
        XXH3_64bits_update(&stream->state, data, bytes);
}

uint64_t bnf_checksum_stream_value(const bnf_checksum_stream *stream)
{
    return XXH3_64bits_digest(&stream->state);
}

void bnf_checksum_stream_destroy(bnf_checksum_stream *stream)
{
    bnf_free(stream);
}
