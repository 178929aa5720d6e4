/* data/probe.h - how fast a set can be read, by trying it. */
#ifndef BNF_DATA_PROBE_H
#define BNF_DATA_PROBE_H

#include <banff/data.h>

typedef struct bnf_read_probe {
    int64_t images;
    double seconds;     /* that reading and converting them took, on one thread */
    int64_t bytes_read; /* by this process meanwhile, as the operating system counts; -1: it does not say */
} bnf_read_probe;

/* Reads shuffled batches of a set as training does (data/loader.h), without holding it in memory, for about `seconds`
 * or one epoch. Not collective. `dataset` is opened for this alone. Errors: those of the loader. */
bnf_status bnf_dataset_probe(bnf_dataset *dataset, uint64_t seed, double seconds, bnf_read_probe *probe);

typedef struct bnf_decode_probe {
    int64_t images;
    /* Processor time of one thread for all of them: to read them, to bring random crops to an input, and for the
     * decoder alone, to decode them whole. */
    double read_seconds, make_seconds, decode_seconds;
} bnf_decode_probe;

/* Takes random pictures of an encoded set for about `seconds`: reads each, makes a random resized crop (by the default
 * ranges) of the set's size (bnf_dataset_set_size) and decodes it whole. Not collective. Errors: those of reading. */
bnf_status bnf_dataset_probe_decoding(const bnf_dataset *dataset, uint64_t seed, double seconds,
                                      bnf_decode_probe *probe);

/* Bytes that are fetched from the file for one image of a shuffled batch, by the way the images are stored: the whole
 * chunk where it is unpacked or goes through the cache of chunks, else the image. stored: bytes that all images take in
 * the file. */
double bnf_dataset_fetched(const bnf_dataset_info *info, int64_t chunk_rows, bool filters, int64_t stored);

#endif
