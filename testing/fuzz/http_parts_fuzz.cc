#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "adapters/http/basic_auth.h"
#include "adapters/http/gzip.h"
#include "adapters/http/negotiation.h"
#include "adapters/http/url.h"
#include "clients/cpp/utf8.h"
#include "testing/fuzz/oracle.h"

// The first byte, a digit, chooses which part of a request the others are: 0 its target, 1 a header
// about the answer, 2 its Authorization, 3 a body that gzip made; 4 an answer, to be compressed.
//
//   - What is read is as its header says; what is not has a good message.
//   - gzip's limit holds, it matters not in which pieces a body comes, and what the writer
//     makes the reader reads.
//   - An ETag is seen again wherever it stands in a header that is a list.
namespace qasino::fuzz {
namespace {

constexpr uint64_t kMostBytes = 100'000;

void TryTarget(std::string_view bytes) {
  const http::Target target = http::SplitTarget(bytes);
  Require(!target.path.empty(), "a target has a path");
  const absl::StatusOr<http::Parameters> parameters = http::Parameters::Parse(target.query);
  if (!parameters.ok()) return RequireGoodMessage(parameters.status());
  for (const char* name : {"op", "sql", "format"}) {
    const std::optional<std::string_view> value = parameters->Find(name);
    Require(!value || (client::IsUtf8(*value) && value->find('\0') == value->npos),
            "a parameter is text");
  }
}

void TryHeader(std::string_view bytes) {
  Require(http::ChooseFormat(std::nullopt, bytes).ok(), "every Accept has an answer");
  http::AcceptsGzip(bytes);
  const absl::StatusOr<legacy::Format> named = http::ChooseFormat(bytes, "");
  // That the name is text, the URL's parser sees to.
  if (!named.ok() && client::IsUtf8(bytes)) RequireGoodMessage(named.status());
  const std::string etag = http::MakeEtag("store", 30, 1, bytes, legacy::Format::kJson);
  http::Seen(bytes, "select 1", legacy::Format::kJson);
  const std::optional<http::SeenAnswer> seen =
      http::Seen(etag + "," + std::string(bytes), bytes, legacy::Format::kJson);
  Require(seen && seen->generation >= 30 && seen->revision >= 0, "an ETag is seen again");
  Require(seen->generation > 30 || seen->revision > 1 || seen->IsOf("store"),
          "an ETag tells its store");
}

void TryAuthorization(std::string_view bytes) {
  const absl::StatusOr<http::Credentials> credentials = http::ParseBasicAuth(bytes);
  if (!credentials.ok()) return RequireGoodMessage(credentials.status());
  Require(credentials->user.find(':') == std::string::npos, "a user has no colon");
}

struct Unzipped {
  absl::Status status;
  std::string text;
};

Unzipped Unzip(std::string_view bytes, size_t piece) {
  absl::StatusOr<std::unique_ptr<http::GzipReader>> reader = http::GzipReader::Create(kMostBytes);
  RequireOk(reader.status(), "make a reader");
  Unzipped made;
  while (!bytes.empty() && made.status.ok()) {
    const std::string_view next = bytes.substr(0, piece);
    bytes.remove_prefix(next.size());
    made.status = (*reader)->Write(next, [&made](std::string_view text) {
      made.text += text;
      return true;
    });
  }
  if (made.status.ok()) made.status = (*reader)->Finish();
  return made;
}

void TryGzip(std::string_view bytes) {
  const Unzipped whole = Unzip(bytes, std::max<size_t>(bytes.size(), 1));
  const Unzipped pieces = Unzip(bytes, 1);
  Require(whole.text.size() <= kMostBytes, "the limit of what comes out holds");
  Require(whole.status.code() == pieces.status.code(), "pieces end as the whole does");
  if (whole.status.ok()) {
    Require(whole.text == pieces.text, "pieces are read as the whole is");
  } else {
    RequireGoodMessage(whole.status);
  }
}

void TryPacking(std::string_view bytes) {
  absl::StatusOr<std::unique_ptr<http::GzipWriter>> writer = http::GzipWriter::Create();
  RequireOk(writer.status(), "make a writer");
  bytes = bytes.substr(0, kMostBytes);
  std::string packed;
  (*writer)->Write(bytes.substr(0, bytes.size() / 2), &packed);
  (*writer)->Write(bytes.substr(bytes.size() / 2), &packed);
  (*writer)->Finish(&packed);
  const Unzipped made = Unzip(packed, packed.size());
  RequireOk(made.status, "read what was written");
  Require(made.text == bytes, "what was written is read");
}

}  // namespace
}  // namespace qasino::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case '0':
      qasino::fuzz::TryTarget(rest);
      break;
    case '1':
      qasino::fuzz::TryHeader(rest);
      break;
    case '2':
      qasino::fuzz::TryAuthorization(rest);
      break;
    case '3':
      qasino::fuzz::TryGzip(rest);
      break;
    case '4':
      qasino::fuzz::TryPacking(rest);
      break;
    default:
      break;
  }
  return 0;
}
