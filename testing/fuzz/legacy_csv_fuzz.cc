#include <cstdint>
#include <string>
#include <string_view>

#include "adapters/legacy/csv_message.h"
#include "testing/fuzz/oracle.h"
#include "testing/fuzz/publish_oracle.h"

// The bytes are the CSV of add_csv_table_data.
//
//   - What is to be published is whole and within the limits, or there is a good message.
//   - CRLF for LF outside of quotes changes nothing.
namespace qasino::fuzz {
namespace {

// So narrow that they are met.
constexpr legacy::MessageLimits kNarrow = {.max_bytes = 1024, .max_columns = 3, .max_cells = 12};

absl::StatusOr<v1::PublishRequest> Try(std::string_view text, const legacy::MessageLimits& limits) {
  absl::StatusOr<v1::PublishRequest> request = legacy::ParseCsvMessage(text, limits);
  if (request.ok()) {
    RequireGoodPublish(*request, limits);
    Require(text.size() <= limits.max_bytes, "the limit of bytes holds");
  } else {
    RequireGoodMessage(request.status());
    Require(
        absl::IsInvalidArgument(request.status()) || absl::IsResourceExhausted(request.status()),
        "an error has a code of the contract: " + request.status().ToString());
  }
  return request;
}

void TryAll(const std::string& text) {
  const absl::StatusOr<v1::PublishRequest> request = Try(text, {});
  (void)Try(text, kNarrow);
  if (text.find_first_of("\"\r") != std::string::npos) return;
  std::string other;
  for (const char byte : text) other += byte == '\n' ? std::string("\r\n") : std::string(1, byte);
  const absl::StatusOr<v1::PublishRequest> same = Try(other, {});
  Require(same.status() == request.status(),
          "CRLF gives the same error as LF: " + same.status().ToString() + ", " +
              request.status().ToString());
  if (same.ok()) {
    Require(same->SerializeAsString() == request->SerializeAsString(),
            "CRLF gives the same table as LF");
  }
}

}  // namespace
}  // namespace qasino::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  qasino::fuzz::TryAll(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
