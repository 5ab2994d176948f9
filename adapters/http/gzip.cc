#include "adapters/http/gzip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <utility>

namespace qasino::http {
namespace {

constexpr int kLevel = 1;
constexpr int kMemoryLevel = 8;
// zlib's largest window, and its sign for gzip.
constexpr int kGzipWindow = 15 + 16;
constexpr size_t kBlockBytes = 64 << 10;
// zlib counts with unsigned int.
constexpr size_t kMostAtOnce = 1 << 30;

Bytef* InputOf(std::string_view text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

}  // namespace

struct GzipWriter::State {
  ~State() {
    if (is_open) deflateEnd(&stream);
  }

  // Has zlib take all of `text` and write out all that `flush` says.
  void Run(std::string_view text, int flush, std::string* out) {
    do {
      const std::string_view now = text.substr(0, kMostAtOnce);
      text.remove_prefix(now.size());
      stream.next_in = InputOf(now);
      stream.avail_in = static_cast<uInt>(now.size());
      do {
        stream.next_out = reinterpret_cast<Bytef*>(block.data());
        stream.avail_out = static_cast<uInt>(block.size());
        // Its only errors are those of a wrong use, and that there was nothing to do.
        deflate(&stream, text.empty() ? flush : Z_NO_FLUSH);
        out->append(block.data(), block.size() - stream.avail_out);
      } while (stream.avail_out == 0);
    } while (!text.empty());
  }

  bool is_open = false;
  z_stream stream{};
  std::array<char, 16 << 10> block;
};

GzipWriter::GzipWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
GzipWriter::~GzipWriter() = default;

absl::StatusOr<std::unique_ptr<GzipWriter>> GzipWriter::Create() {
  auto state = std::make_unique<State>();
  if (deflateInit2(&state->stream, kLevel, Z_DEFLATED, kGzipWindow, kMemoryLevel,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    return absl::ResourceExhaustedError("there is no memory to compress the answer");
  }
  state->is_open = true;
  return std::unique_ptr<GzipWriter>(new GzipWriter(std::move(state)));
}

void GzipWriter::Write(std::string_view part, std::string* out) {
  if (!part.empty()) state_->Run(part, Z_SYNC_FLUSH, out);
}

void GzipWriter::Finish(std::string* out) { state_->Run("", Z_FINISH, out); }

struct GzipReader::State {
  explicit State(uint64_t most) : most(most) {}
  ~State() {
    if (is_open) inflateEnd(&stream);
  }

  absl::Status Fault(std::string_view fault) const {
    return absl::InvalidArgumentError(fmt::format("the gzip body {}", fault));
  }

  // Reads on in what zlib was given, a block of output.
  absl::Status Step(Sink sink) {
    stream.next_out = reinterpret_cast<Bytef*>(block.data());
    stream.avail_out = static_cast<uInt>(block.size());
    if (at_end) {
      // Another stream may follow, and nothing else.
      inflateReset(&stream);
      at_end = false;
    }
    const int result = inflate(&stream, Z_NO_FLUSH);
    const std::string_view made(block.data(), block.size() - stream.avail_out);
    const std::string_view taken = made.substr(0, std::min<uint64_t>(made.size(), most - came));
    came += taken.size();
    if (!taken.empty() && !sink(taken)) return absl::CancelledError("no more is wanted");
    if (taken.size() < made.size()) {
      return absl::ResourceExhaustedError(
          fmt::format("the gzip body has more than {} bytes when decompressed", most));
    }
    switch (result) {
      case Z_STREAM_END:
        at_end = true;
        ++streams;
        return absl::OkStatus();
      case Z_OK:
      case Z_BUF_ERROR:
        return absl::OkStatus();
      case Z_MEM_ERROR:
        return absl::ResourceExhaustedError("there is no memory to decompress the body");
      default:
        return streams > 0 ? Fault("has something else behind its end")
                           : Fault(fmt::format("is damaged: {}",
                                               stream.msg == nullptr ? "no gzip" : stream.msg));
    }
  }

  const uint64_t most;
  bool is_open = false;
  // Behind a whole stream.
  bool at_end = false;
  uint64_t streams = 0;
  uint64_t came = 0;
  absl::Status status;
  z_stream stream{};
  std::array<char, kBlockBytes> block;
};

GzipReader::GzipReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
GzipReader::~GzipReader() = default;

absl::StatusOr<std::unique_ptr<GzipReader>> GzipReader::Create(uint64_t most) {
  auto state = std::make_unique<State>(most);
  if (inflateInit2(&state->stream, kGzipWindow) != Z_OK) {
    return absl::ResourceExhaustedError("there is no memory to decompress the body");
  }
  state->is_open = true;
  return std::unique_ptr<GzipReader>(new GzipReader(std::move(state)));
}

absl::Status GzipReader::Write(std::string_view piece, Sink sink) {
  State& state = *state_;
  while (state.status.ok() && !piece.empty()) {
    const std::string_view now = piece.substr(0, kMostAtOnce);
    piece.remove_prefix(now.size());
    state.stream.next_in = InputOf(now);
    state.stream.avail_in = static_cast<uInt>(now.size());
    // A full block may have left output behind in zlib.
    while (state.status.ok() &&
           (state.stream.avail_in > 0 || (!state.at_end && state.stream.avail_out == 0))) {
      state.status = state.Step(sink);
    }
  }
  return state.status;
}

absl::Status GzipReader::Finish() const {
  if (!state_->status.ok()) return state_->status;
  if (!state_->at_end) return state_->Fault("ends too early");
  return absl::OkStatus();
}

}  // namespace qasino::http
