#ifndef QASINO_ADAPTERS_HTTP_FLAGS_H_
#define QASINO_ADAPTERS_HTTP_FLAGS_H_

#include "adapters/http/http_part.h"
#include "services/server/command_line.h"

namespace qasino::http {

// Adds the flags that the HTTP adapter has in every process that runs it; their defaults are
// what the options say now. `options` outlives the parsing.
void AddFlags(server::CommandLine& line, HttpOptions& options);

// After the parsing: takes from the process's own options what the flags leave open, which
// is the address, and the certificate where --https-cert and --https-key name none.
void TakeProcessOptions(const server::ProcessOptions& process, HttpOptions& options);

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_FLAGS_H_
