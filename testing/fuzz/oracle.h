#ifndef QASINO_TESTING_FUZZ_ORACLE_H_
#define QASINO_TESTING_FUZZ_ORACLE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"

// What a fuzz target judges by: a rule that does not hold ends the process, which libFuzzer and
// a replay both take for a finding.
//
// A target is a file with LLVMFuzzerTestOneInput, which is given any bytes, must answer 0, and
// keeps nothing from one input to the next but what is the same for all.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace qasino::fuzz {

// Ends the process with the sentence when the rule does not hold.
void Require(bool holds, const std::string& sentence);

// The same for something that must have worked.
void RequireOk(const absl::Status& status, const std::string& doing);

// What the message of an error must be, whatever the input was: there, short and valid UTF-8,
// since it travels as text.
void RequireGoodMessage(const absl::Status& error);

}  // namespace qasino::fuzz

#endif  // QASINO_TESTING_FUZZ_ORACLE_H_
