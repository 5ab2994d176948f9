#ifndef QASINO_ADAPTERS_HTTP_URL_H_
#define QASINO_ADAPTERS_HTTP_URL_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace qasino::http {

// A request's target in its two halves, neither of them decoded.
struct Target {
  std::string_view path;
  // Behind the first `?`; empty when there is none.
  std::string_view query;
};

// "/request?op=query" or "http://host:15597/request?op=query". A fragment, which clients
// should not send, is dropped. The halves point into `target`.
Target SplitTarget(std::string_view target);

// The parameters of a query string, decoded:
//
//   op=query&sql=select%201%3B&format=text
//
// `+` is a blank, and %XX the byte that it stands for. A `%` without two hexadecimal digits
// behind it stands for itself, as the original has it: curl lines with `LIKE '%x%'` rely on
// it. A `;` that is not escaped separates as `&` does, so `sql=select 1;` is
// "select 1" and `sql=select 1;drop table t` is that as well: what has no `=` is no
// parameter. Of a name that comes again the first value counts.
class Parameters {
 public:
  // Counted with those that have no name or no value.
  static constexpr size_t kMaxParameters = 64;

  // The caller bounds the length of `query`. INVALID_ARGUMENT: more than kMaxParameters, or
  // a zero byte or invalid UTF-8 in the parameter that the message names.
  static absl::StatusOr<Parameters> Parse(std::string_view query);

  // The value, which may be empty; valid as long as this object. Names are case-sensitive.
  std::optional<std::string_view> Find(std::string_view name) const;

 private:
  std::vector<std::pair<std::string, std::string>> parameters_;
};

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_URL_H_
