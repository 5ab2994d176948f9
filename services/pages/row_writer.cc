#include "services/pages/row_writer.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <variant>

namespace qasino::pages {
namespace {

// A number written as a text: 20 digits, or 15 with a sign, a dot and an exponent.
constexpr size_t kMostFormatted = 32;

// What is kept between publishes.
constexpr size_t kMostKept = size_t{1} << 20;

void PutFormatted(RecordCursor& at, int64_t value) {
  std::array<char, kMostFormatted> text;
  sqlite3_snprintf(text.size(), text.data(), "%lld", static_cast<sqlite3_int64>(value));
  PutText(at, text.data());
}

void PutFormatted(RecordCursor& at, double value) {
  if (value != value) return PutNull(at);
  std::array<char, kMostFormatted> text;
  sqlite3_snprintf(text.size(), text.data(), "%!.15g", value);
  PutText(at, text.data());
}

int64_t RowsOf(const v1::Column& column) {
  if (!column.kinds().empty()) return static_cast<int64_t>(column.kinds().size());
  return column.integers_size() + column.reals_size() + column.texts_size() + column.blobs_size();
}

struct Sizes {
  size_t most = 0;
  int64_t sum = 0;
};

Sizes SizesOf(const google::protobuf::RepeatedPtrField<std::string>& values) {
  Sizes sizes;
  const std::string* const* value = values.data();
  for (int i = 0; i < values.size(); ++i) {
    const size_t size = value[i]->size();
    sizes.most = std::max(sizes.most, size);
    sizes.sum += static_cast<int64_t>(size);
  }
  return sizes;
}

template <typename Vector>
void DropIfLarge(Vector& vector) {
  if (vector.capacity() * sizeof(vector[0]) > kMostKept) vector = Vector();
}

}  // namespace

absl::Status RowWriter::Begin(const v1::Table& published, std::span<const Target> targets) {
  rows_ = RowsOf(published.columns(0));
  most_header_ = 0;
  most_body_ = 0;
  number_bytes_ = 0;
  text_bytes_ = 0;
  columns_.clear();
  numbers_.clear();
  DropIfLarge(numbers_);
  DropIfLarge(row_);
  order_.resize(targets.size());
  for (size_t i = 0; i < targets.size(); ++i) order_[i] = static_cast<int>(i);
  const auto before = [&](int a, int b) { return targets[a].place < targets[b].place; };
  // Publishers mostly agree about the order.
  if (!std::is_sorted(order_.begin(), order_.end(), before)) {
    std::sort(order_.begin(), order_.end(), before);
  }
  int place = 0;
  for (const int i : order_) {
    const Target& target = targets[i];
    if (target.place > place) {
      columns_.push_back({.make = Make::kNulls, .nulls = target.place - place});
      most_header_ += static_cast<size_t>(target.place - place);
    }
    place = target.place + 1;
    if (absl::Status status = AddColumn(published.columns(i), target); !status.ok()) return status;
  }
  // The header's length and what Append writes are in front.
  const size_t front = TablePages::kRoomInFront + kMostVarint;
  const size_t size = front + most_header_ + most_body_ + sizeof(uint64_t);
  if (row_.size() < size) row_.resize(size);
  header_ = row_.data() + front;
  return absl::OkStatus();
}

absl::Status RowWriter::AddColumn(const v1::Column& column, const Target& target) {
  Cells cells = {
      .make = Make::kAny,
      .type = static_cast<uint8_t>(target.type),
      .kind = static_cast<uint8_t>(column.type()),
      .kinds = column.kinds().empty() ? nullptr : column.kinds().data(),
      .integers = column.integers().data(),
      .reals = column.reals().data(),
      .texts = column.texts().data(),
      .blobs = column.blobs().data(),
  };
  const bool has_numbers = column.integers_size() > 0 || column.reals_size() > 0;
  size_t most = 0;
  size_t header = 1;
  if (has_numbers) {
    most = target.type == v1::TEXT ? kMostFormatted : sizeof(int64_t);
    number_bytes_ += most;
  }
  for (const auto* const values : {&column.texts(), &column.blobs()}) {
    if (values->empty()) continue;
    const Sizes sizes = SizesOf(*values);
    most = std::max(most, sizes.most);
    header = std::max(header, VarintSize(TextType(sizes.most)));
    text_bytes_ += sizes.sum;
  }
  if (!column.texts().empty() && (target.type == v1::INTEGER || target.type == v1::REAL)) {
    const absl::Status status = FindNumbers(column, target.type == v1::REAL, cells);
    if (!status.ok()) return status;
    // Few digits may make a large number.
    most = std::max(most, sizeof(int64_t));
    number_bytes_ += sizeof(int64_t);
  }
  if (cells.kinds == nullptr) {
    switch (column.type()) {
      case v1::INTEGER:
        if (target.type == v1::REAL) cells.make = Make::kIntegerInReal;
        if (target.type == v1::INTEGER || target.type == v1::BLOB) cells.make = Make::kInteger;
        break;
      case v1::REAL:
        if (target.type == v1::INTEGER) cells.make = Make::kRealInInteger;
        if (target.type == v1::REAL) cells.make = Make::kRealInReal;
        if (target.type == v1::BLOB) cells.make = Make::kReal;
        break;
      case v1::TEXT:
        if (cells.next_number == cells.end_numbers) cells.make = Make::kText;
        break;
      default:
        cells.make = Make::kBlob;
        break;
    }
  }
  most_header_ += header;
  most_body_ += most;
  columns_.push_back(cells);
  return absl::OkStatus();
}

absl::Status RowWriter::FindNumbers(const v1::Column& column, bool is_real_column, Cells& cells) {
  cells.next_number = static_cast<uint32_t>(numbers_.size());
  for (int i = 0; i < column.texts_size(); ++i) {
    const absl::StatusOr<NumberTexts::Number> found =
        number_texts_.Find(column.texts(i), is_real_column);
    if (!found.ok()) return found.status();
    if (std::holds_alternative<std::monostate>(*found)) continue;
    Number& number = numbers_.emplace_back();
    number.text = static_cast<uint32_t>(i);
    number.is_integer = std::holds_alternative<int64_t>(*found);
    if (number.is_integer) {
      number.integer = std::get<int64_t>(*found);
    } else {
      number.real = std::get<double>(*found);
    }
  }
  cells.end_numbers = static_cast<uint32_t>(numbers_.size());
  return absl::OkStatus();
}

int64_t RowWriter::MostPages() const {
  // Beside its record a row has its size, its rowid, a pointer to it and one to its overflow.
  constexpr int64_t kOfCell = 24;
  const int64_t bytes =
      rows_ * (static_cast<int64_t>(most_header_ + number_bytes_) + kOfCell) + text_bytes_;
  // Two leaves that follow one another have more than one page's bytes together, and a row with
  // an overflow may leave another quarter of a page, and half of one, unused.
  constexpr int64_t kLeastOfTwo = 4'000;
  return 5 * bytes / (2 * kLeastOfTwo) + 2;
}

void RowWriter::Rewind() { next_ = columns_; }

RowWriter::Measured RowWriter::Measure(const TablePages& table, size_t limit) {
  Rewind();
  TablePages::Counter counter(table);
  Measured measured;
  for (; measured.row < rows_; ++measured.row) {
    const Encoded row = EncodeRow(measured.row);
    if (row.size > limit) break;
    counter.Append(row.size);
  }
  measured.pages = counter.pages();
  return measured;
}

void RowWriter::AppendTo(PageSpace& space, TablePages& table) {
  Rewind();
  for (int64_t i = 0; i < rows_; ++i) {
    const Encoded row = EncodeRow(i);
    table.Append(space, row.begin, row.size);
  }
}

inline RowWriter::Encoded RowWriter::EncodeRow(int64_t row) {
  uint8_t* const body = header_ + most_header_;
  // Its address goes nowhere, so that it stays in registers while bytes are written.
  RecordCursor at = {.header = header_, .body = body};
  Cells* const end = next_.data() + next_.size();
  for (Cells* cells = next_.data(); cells != end; ++cells) {
    switch (cells->make) {
      case Make::kInteger:
        PutInteger(at, cells->integers[row]);
        break;
      case Make::kIntegerInReal:
        PutRealColumn(at, cells->integers[row]);
        break;
      case Make::kRealInInteger:
        PutIntegerColumn(at, cells->reals[row]);
        break;
      case Make::kRealInReal:
        PutRealColumn(at, cells->reals[row]);
        break;
      case Make::kReal:
        PutReal(at, cells->reals[row]);
        break;
      case Make::kText:
        PutText(at, *cells->texts[row]);
        break;
      case Make::kBlob:
        PutBlob(at, *cells->blobs[row]);
        break;
      case Make::kNulls:
        std::memset(at.header, 0, static_cast<size_t>(cells->nulls));
        at.header += cells->nulls;
        break;
      case Make::kAny:
        at = EncodeAny(*cells, at);
        break;
    }
  }
  // The header goes right before the body, where it mostly is.
  const auto types = static_cast<size_t>(at.header - header_);
  uint8_t* begin = header_;
  if (types != most_header_) {
    begin = body - types;
    std::memmove(begin, header_, types);
  }
  begin = PrependVarint(begin, HeaderSize(types));
  return {.begin = begin, .size = static_cast<size_t>(at.body - begin)};
}

RecordCursor RowWriter::EncodeAny(Cells& cells, RecordCursor at) {
  const int kind = cells.kinds == nullptr ? cells.kind : *cells.kinds++;
  switch (kind) {
    case v1::INTEGER: {
      const int64_t value = *cells.integers++;
      if (cells.type == v1::TEXT) {
        PutFormatted(at, value);
      } else if (cells.type == v1::REAL) {
        PutRealColumn(at, value);
      } else {
        PutInteger(at, value);
      }
      return at;
    }
    case v1::REAL: {
      const double value = *cells.reals++;
      if (cells.type == v1::TEXT) {
        PutFormatted(at, value);
      } else if (cells.type == v1::INTEGER) {
        PutIntegerColumn(at, value);
      } else if (cells.type == v1::REAL) {
        PutRealColumn(at, value);
      } else {
        PutReal(at, value);
      }
      return at;
    }
    case v1::TEXT:
      EncodeText(cells, at);
      return at;
    case v1::BLOB:
      PutBlob(at, **cells.blobs++);
      return at;
    default:
      PutNull(at);
      return at;
  }
}

void RowWriter::EncodeText(Cells& cells, RecordCursor& at) {
  const std::string& text = **cells.texts++;
  const uint32_t place = cells.text++;
  if (cells.next_number == cells.end_numbers || numbers_[cells.next_number].text != place) {
    return PutText(at, text);
  }
  const Number& number = numbers_[cells.next_number++];
  const bool in_real = cells.type == v1::REAL;
  if (number.is_integer) {
    return in_real ? PutRealColumn(at, number.integer) : PutInteger(at, number.integer);
  }
  return in_real ? PutRealColumn(at, number.real) : PutIntegerColumn(at, number.real);
}

}  // namespace qasino::pages
