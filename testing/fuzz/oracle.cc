#include "testing/fuzz/oracle.h"

#include <google/protobuf/stubs/logging.h>

#include <cstdio>
#include <cstdlib>

#include "qasino/v1/ingest.pb.h"

namespace qasino::fuzz {
namespace {

// Messages quote at most a few names, each cut short.
constexpr size_t kLongestMessage = 4096;

}  // namespace

void Require(bool holds, const std::string& sentence) {
  if (holds) return;
  std::fprintf(stderr, "RULE BROKEN: %s\n", sentence.c_str());
  std::abort();
}

void RequireOk(const absl::Status& status, const std::string& doing) {
  if (!status.ok()) Require(false, doing + ": " + status.ToString());
}

void RequireGoodMessage(const absl::Status& error) {
  const std::string message(error.message());
  Require(!message.empty(), "an error says what is wrong");
  Require(message.size() <= kLongestMessage, "an error's message is short: " + message);
  // protobuf would tell of it too.
  const google::protobuf::LogSilencer silence;
  v1::PublishResult result;
  result.set_message(message);
  Require(result.ParseFromString(result.SerializeAsString()),
          "an error's message is valid UTF-8: " + message);
}

}  // namespace qasino::fuzz
