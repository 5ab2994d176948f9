#ifndef QASINO_ADAPTERS_HTTP_GZIP_H_
#define QASINO_ADAPTERS_HTTP_GZIP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace qasino::http {

// Makes one gzip stream (RFC 1952), part by part, at zlib's quickest level. Each part can be
// read by the client as soon as it has arrived. Memory: about 270 KB until the end of this
// object.
//
//   Write for each part; Finish once
//
// Not thread-safe.
class GzipWriter {
 public:
  // RESOURCE_EXHAUSTED: no memory.
  static absl::StatusOr<std::unique_ptr<GzipWriter>> Create();
  ~GzipWriter();
  GzipWriter(const GzipWriter&) = delete;
  GzipWriter& operator=(const GzipWriter&) = delete;

  // Both put what they make behind what `out` has.
  void Write(std::string_view part, std::string* out);
  void Finish(std::string* out);

 private:
  struct State;
  explicit GzipWriter(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

// Reads what gzip made, of one stream or several after each other, piece by piece as it
// arrives. Memory: about 110 KB until the end of this object, however much comes out.
//
//   Write for each piece, until it fails; Finish after the last
//
// Not thread-safe.
class GzipReader {
 public:
  // Gets the next of what comes out, up to 64 KB at a time. False: nothing more is wanted.
  using Sink = absl::FunctionRef<bool(std::string_view)>;

  // At most `most` bytes come out. RESOURCE_EXHAUSTED: no memory.
  static absl::StatusOr<std::unique_ptr<GzipReader>> Create(uint64_t most);
  ~GzipReader();
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  // INVALID_ARGUMENT: not gzip, damaged, or something else behind its end.
  // RESOURCE_EXHAUSTED: more than `most` bytes would come out; `most` of them did.
  // CANCELLED: `sink` answered false. An error stays.
  absl::Status Write(std::string_view piece, Sink sink);

  // OK when what was written is whole. Else the error that Write told, or INVALID_ARGUMENT:
  // it ends too early, or nothing came at all.
  absl::Status Finish() const;

 private:
  struct State;
  explicit GzipReader(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_GZIP_H_
