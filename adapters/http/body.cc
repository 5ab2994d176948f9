#include "adapters/http/body.h"

#include <fmt/format.h>

#include <utility>

namespace qasino::http {

bool StringSink::Write(std::string_view piece) {
  text_.append(piece);
  return true;
}

BodyReader::BodyReader(BodySink* sink, bool gzip, size_t most) : sink_(sink), most_(most) {
  if (!gzip) return;
  auto made = GzipReader::Create(most);
  if (made.ok()) {
    gzip_ = *std::move(made);
  } else {
    status_ = made.status();
  }
}

void BodyReader::Write(std::string_view piece) {
  if (!status_.ok()) return;
  bytes_ += piece.size();
  if (bytes_ > most_) {
    status_ = absl::ResourceExhaustedError(
        fmt::format("the body is longer than the limit of {} bytes", most_));
    return;
  }
  if (!gzip_) {
    HandOn(piece);
    return;
  }
  status_ = gzip_->Write(piece, [this](std::string_view unpacked) {
    HandOn(unpacked);
    return true;
  });
}

void BodyReader::HandOn(std::string_view piece) {
  if (!wanted_) return;
  handed_on_ += piece.size();
  wanted_ = sink_->Write(piece);
}

absl::Status BodyReader::Finish() {
  if (status_.ok() && gzip_) status_ = gzip_->Finish();
  return status_;
}

}  // namespace qasino::http
