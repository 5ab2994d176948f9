#ifndef QASINO_ADAPTERS_LEGACY_ROW_WRITER_H_
#define QASINO_ADAPTERS_LEGACY_ROW_WRITER_H_

#include <charconv>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "adapters/legacy/block.h"
#include "adapters/legacy/result_writer.h"
#include "clients/cpp/cells.h"
#include "qasino/v1/query.pb.h"

namespace qasino::legacy {

// A ResultWriter of answers that are a head, rows and a foot: what the formats differ in is
// left to them. Not thread-safe.
class RowWriter : public ResultWriter {
 public:
  void Part(const v1::QueryResponse& part, std::string* out) final;
  void Fail(const absl::Status& status, std::string* out) final;

 protected:
  // Each column of a batch, at its first cell.
  using Columns = std::vector<client::ColumnReader>;

  virtual void Begin(const v1::QueryHeader& header, Block* block) = 0;
  virtual void Rows(Columns& columns, uint64_t rows, Block* block) = 0;
  virtual void End(const v1::QuerySummary& summary, Block* block) = 0;
  // After Begin, in the place of End.
  virtual void EndByError(const absl::Status& status, Block* block) = 0;
};

inline void PutInteger(int64_t value, Block* block) {
  constexpr size_t kMost = 20;
  char* const to = block->Room(kMost);
  block->Use(std::to_chars(to, to + kMost, value).ptr);
}

// As SQLite writes it.
void PutReal(double value, Block* block);

// X'00ff'. Returns the size.
size_t PutHex(std::string_view bytes, Block* block);
std::string HexText(std::string_view bytes);

// How an error is written in a line: "RESOURCE_EXHAUSTED".
std::string CodeName(const absl::Status& status);

// The writers of result_writer.h.
std::unique_ptr<ResultWriter> MakeJsonResult(std::string_view identity, std::string_view sql);
std::unique_ptr<ResultWriter> MakeTextResult(std::string_view sql);
std::unique_ptr<ResultWriter> MakeHtmlResult(std::string_view sql);
std::unique_ptr<ResultWriter> MakeCsvResult();
std::unique_ptr<ResultWriter> MakeNdjsonResult();
std::unique_ptr<ResultWriter> MakeTableListResult();

}  // namespace qasino::legacy

#endif  // QASINO_ADAPTERS_LEGACY_ROW_WRITER_H_
