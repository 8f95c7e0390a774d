/* What the C++ interface gives, for comparison. */
#ifndef REPRISE_TESTS_CAPI_CXX_H
#define REPRISE_TESTS_CAPI_CXX_H

#include "reprise/c.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A run of the C++ interface. */
typedef struct cxx_run {
    const char* folder;
    const char* prompt; /* NULL: none */
    int steps;
    uint64_t seed;
    const char* policy;            /* NULL: nothing is reused */
    const reprise_image* image;    /* NULL: none */
    const reprise_tensor* latents; /* NULL: the seed's */
} cxx_run;

/* Whether the run gives these pictures and latents, bit for bit. */
bool cxx_gives(const cxx_run* run, const reprise_result* result);

#ifdef __cplusplus
}
#endif

#endif
