#ifndef QASINO_TESTING_FUZZ_LIBFUZZER_H_
#define QASINO_TESTING_FUZZ_LIBFUZZER_H_

#include <cstddef>
#include <cstdint>

// The parts of libFuzzer's interface that mutators use. Only a fuzz target's program has them,
// not its replay.

// Changes `size` bytes in place, to at most `max_size`; their new number.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// A target's own way to change an input, where changing bytes alone would seldom make another
// valid one. `seed` is the only source of chance.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed);

#endif  // QASINO_TESTING_FUZZ_LIBFUZZER_H_
