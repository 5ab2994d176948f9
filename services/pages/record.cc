#include "services/pages/record.h"

#include <algorithm>
#include <cstring>

#include "services/pages/encoding.h"

namespace qasino::pages {
namespace {

void GrowTo(std::vector<uint8_t>& bytes, size_t size) {
  if (bytes.size() < size) bytes.resize(std::max(size, 2 * bytes.size()));
}

}  // namespace

template <typename PutCell>
void Record::Add(size_t bytes, PutCell put) {
  GrowTo(header_, header_size_ + kMostVarint);
  GrowTo(body_, body_size_ + bytes + sizeof(uint64_t));
  RecordCursor at = {.header = header_.data() + header_size_, .body = body_.data() + body_size_};
  put(at);
  header_size_ = static_cast<size_t>(at.header - header_.data());
  body_size_ = static_cast<size_t>(at.body - body_.data());
}

void Record::AddInteger(int64_t value) {
  Add(0, [value](RecordCursor& at) { PutInteger(at, value); });
}

void Record::AddRealColumn(double value) {
  Add(0, [value](RecordCursor& at) { PutRealColumn(at, value); });
}

void Record::AddText(std::string_view text) {
  Add(text.size(), [text](RecordCursor& at) { PutText(at, text); });
}

size_t Record::size() const { return HeaderSize(header_size_) + body_size_; }

void Record::AppendTo(PageSpace& space, TablePages& table) {
  const size_t header = HeaderSize(header_size_);
  GrowTo(bytes_, TablePages::kRoomInFront + header + body_size_);
  uint8_t* const begin = bytes_.data() + TablePages::kRoomInFront;
  uint8_t* const types = PutVarint(begin, header);
  std::memcpy(types, header_.data(), header_size_);
  if (body_size_ > 0) std::memcpy(types + header_size_, body_.data(), body_size_);
  table.Append(space, begin, header + body_size_);
  header_size_ = 0;
  body_size_ = 0;
}

}  // namespace qasino::pages
