#ifndef QASINO_ADAPTERS_HTTP_NEGOTIATION_H_
#define QASINO_ADAPTERS_HTTP_NEGOTIATION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "adapters/legacy/result_writer.h"

// What a request's headers ask of its answer. The caller bounds the headers' length; a list
// of them is given as one, joined by commas. What makes no sense in them is passed over.
namespace qasino::http {

// The format that the parameter `format` names (json, text, html, csv, ndjson, in any case);
// where there is none, or an empty one, the one that Accept prefers. Of Accept only text/csv
// and application/x-ndjson (application/ndjson) change anything, and only when they are
// named, with a quality that application/json and the wildcards do not pass; the original
// always answered JSON, to browsers as well. INVALID_ARGUMENT: `format` names another.
absl::StatusOr<legacy::Format> ChooseFormat(std::optional<std::string_view> format,
                                            std::string_view accept);

// Whether Accept-Encoding takes gzip, and does not like identity better.
bool AcceptsGzip(std::string_view accept_encoding);

// The weak ETag of an answer, quotes and all: W/"<generation>-<revision>-<hash>". The hash
// has a half for the store and one for the statement and its format.
std::string MakeEtag(std::string_view store_id, int64_t generation, int64_t revision,
                     std::string_view sql, legacy::Format format);

// An answer that a client still has.
//
//   if (seen = Seen(…)) → QueryRequest.unless_snapshot = {generation, revision}, store_id
//   left empty; when the header then says unchanged and IsOf(its store):
//   304. Unchanged, but of another store: run it again without unless_snapshot.
struct SeenAnswer {
  int64_t generation = 0;
  int64_t revision = 0;
  uint64_t store_hash = 0;

  bool IsOf(std::string_view store_id) const;
};

// Of the ETags in If-None-Match the newest that MakeEtag made for this statement and format,
// of whatever store. `*` is none: nothing is known before the statement is run. Only the
// first 64 are looked at.
std::optional<SeenAnswer> Seen(std::string_view if_none_match, std::string_view sql,
                               legacy::Format format);

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_NEGOTIATION_H_
