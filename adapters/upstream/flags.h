#ifndef QASINO_ADAPTERS_UPSTREAM_FLAGS_H_
#define QASINO_ADAPTERS_UPSTREAM_FLAGS_H_

#include <string>

#include "adapters/upstream/upstream.h"
#include "services/server/command_line.h"

namespace qasino::adapters {

// The flags of an adapter that runs as a process of its own:
//
//   --ingest, --ingest-tls-ca, --query, --query-tls-ca, --query-timeout,
//   --publish-timeout
//
// whose defaults are what `options` says now; those for ingest only where
// options.publishes. A --…-tls-ca turns TLS on. `options` outlives the parsing and is
// complete after it.
void AddFlags(server::CommandLine& line, UpstreamOptions& options);

}  // namespace qasino::adapters

#endif  // QASINO_ADAPTERS_UPSTREAM_FLAGS_H_
