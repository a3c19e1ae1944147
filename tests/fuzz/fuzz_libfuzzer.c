/* Coverage-guided: fuzz_libfuzzer CORPUS_DIR, first filled by fuzz_corpus --write CORPUS_DIR. */
#include "fuzz_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
    fuzz_decode(p, len);
    return 0;
}
