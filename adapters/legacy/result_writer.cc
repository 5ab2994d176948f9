#include "adapters/legacy/result_writer.h"

#include "adapters/legacy/json_text.h"
#include "adapters/legacy/row_writer.h"
#include "clients/cpp/display_text.h"

namespace qasino::legacy {

std::string_view ContentType(Format format) {
  switch (format) {
    case Format::kText:
      return "text/plain; charset=utf-8";
    case Format::kHtml:
      return "text/html; charset=utf-8";
    case Format::kCsv:
      return "text/csv; charset=utf-8";
    case Format::kNdjson:
      return "application/x-ndjson";
    case Format::kJson:
    case Format::kTableList:
      break;
  }
  return "application/json";
}

std::unique_ptr<ResultWriter> MakeResultWriter(Format format, std::string_view identity,
                                               std::string_view sql) {
  switch (format) {
    case Format::kText:
      return MakeTextResult(sql);
    case Format::kHtml:
      return MakeHtmlResult(sql);
    case Format::kCsv:
      return MakeCsvResult();
    case Format::kNdjson:
      return MakeNdjsonResult();
    case Format::kTableList:
      return MakeTableListResult();
    case Format::kJson:
      break;
  }
  return MakeJsonResult(identity, sql);
}

size_t DisplayWidth(std::string_view text) { return client::DisplayWidth(text); }

std::string TableListHead(std::string_view identity) {
  std::string head = R"({"response_op":"tables_list","identity":)";
  AppendJsonString(identity, &head);
  head += '}';
  return head;
}

std::string GoodbyeBody(std::string_view identity) {
  std::string body = R"({"identity":)";
  AppendJsonString(identity, &body);
  body += '}';
  return body;
}

}  // namespace qasino::legacy
