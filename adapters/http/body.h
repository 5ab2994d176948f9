#ifndef QASINO_ADAPTERS_HTTP_BODY_H_
#define QASINO_ADAPTERS_HTTP_BODY_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "adapters/http/gzip.h"

namespace qasino::http {

// Where a request's body goes, piece by piece.
class BodySink {
 public:
  virtual ~BodySink() = default;
  // False: the rest is of no use to it, and is passed over.
  virtual bool Write(std::string_view piece) = 0;
  // What it has made of what was written takes so much more memory, about.
  virtual size_t held_bytes() const { return 0; }
};

// Keeps the body.
class StringSink final : public BodySink {
 public:
  bool Write(std::string_view piece) override;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// Passes it over.
class DiscardSink final : public BodySink {
 public:
  bool Write(std::string_view) override { return false; }
};

// What stands between the bytes of the connection and the sink: the limit, and gzip.
class BodyReader {
 public:
  // At most `most` bytes, both as they arrive and unpacked. `sink` outlives it.
  BodyReader(BodySink* sink, bool gzip, size_t most);

  // The next bytes of the body, without the framing of chunks. After an error more is
  // passed over.
  void Write(std::string_view piece);

  // RESOURCE_EXHAUSTED: longer than the limit. INVALID_ARGUMENT: not gzip. Else OK.
  const absl::Status& status() const { return status_; }

  // What the sink was given so far.
  size_t handed_on() const { return handed_on_; }
  // What the body takes so far: that, and what the sink has made of it.
  size_t held() const { return handed_on_ + sink_->held_bytes(); }

  // After the last piece: as status(), and INVALID_ARGUMENT when the gzip is not whole.
  absl::Status Finish();

 private:
  void HandOn(std::string_view piece);

  BodySink* const sink_;
  const size_t most_;
  std::unique_ptr<GzipReader> gzip_;
  size_t bytes_ = 0;
  size_t handed_on_ = 0;
  // The sink wants more.
  bool wanted_ = true;
  absl::Status status_;
};

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_BODY_H_
