#include "adapters/legacy/row_writer.h"

#include <utility>

#include "clients/cpp/real_text.h"

namespace qasino::legacy {
namespace {

constexpr char kHex[] = "0123456789abcdef";

}  // namespace

void RowWriter::Part(const v1::QueryResponse& part, std::string* out) {
  Block block(out);
  if (part.has_header()) Begin(part.header(), &block);
  if (part.has_batch() && part.batch().rows() > 0) {
    const v1::RowBatch& batch = part.batch();
    Columns columns;
    columns.reserve(batch.columns_size());
    for (const v1::Column& column : batch.columns()) {
      // It was checked where it came in.
      absl::StatusOr<client::ColumnReader> reader =
          client::ColumnReader::Create(column, batch.rows());
      if (!reader.ok()) return;
      columns.push_back(*std::move(reader));
    }
    Rows(columns, batch.rows(), &block);
  }
  if (part.has_summary()) End(part.summary(), &block);
}

void RowWriter::Fail(const absl::Status& status, std::string* out) {
  Block block(out);
  EndByError(status, &block);
}

void PutReal(double value, Block* block) {
  block->Use(client::PutRealText(value, block->Room(client::kMostRealText)));
}

size_t PutHex(std::string_view bytes, Block* block) {
  block->Put("X'");
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    char* const to = block->Room(2);
    to[0] = kHex[byte >> 4];
    to[1] = kHex[byte & 15];
    block->Use(to + 2);
  }
  block->Put('\'');
  return 3 + 2 * bytes.size();
}

std::string HexText(std::string_view bytes) {
  std::string text;
  Block block(&text);
  PutHex(bytes, &block);
  block.Flush();
  return text;
}

std::string CodeName(const absl::Status& status) { return absl::StatusCodeToString(status.code()); }

}  // namespace qasino::legacy
