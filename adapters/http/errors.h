#ifndef QASINO_ADAPTERS_HTTP_ERRORS_H_
#define QASINO_ADAPTERS_HTTP_ERRORS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "adapters/http/exchange.h"
#include "adapters/http/service.h"
#include "adapters/legacy/errors.h"

namespace qasino::http {

// Sends the legacy's JSON error.
Task<bool> SendError(Exchange& exchange, const Service& service, int status, std::string message);

// The same for who asked for text: the text alone, without a newline.
Task<bool> SendTextError(Exchange& exchange, int status, std::string message);

// Sends what the services' error is told as, as JSON or text.
Task<bool> SendTold(Exchange& exchange, const Service& service, legacy::Told told, bool text);

// Sends why the request's body could not be read, an error of Exchange::ReadBody.
Task<bool> SendBodyError(Exchange& exchange, const Service& service, absl::Status status);

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_ERRORS_H_
