#ifndef QASINO_SERVICES_QUERY_FLAGS_H_
#define QASINO_SERVICES_QUERY_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/query/ingest_peer.h"
#include "services/query/query_part.h"
#include "services/server/command_line.h"

namespace qasino::query {

// Adds the flags that the query part has in every process that runs it; their defaults
// are what the options say now. --identity is not among them: in a process of several
// parts it is everybody's.
void AddFlags(server::CommandLine& line, QueryOptions& options);

// Where the ingest processes are that are asked for the running generation.
struct IngestFlags {
  // host:port,host:port
  std::string addresses;
  // PEM file with the authorities to trust for them; empty: plain text.
  std::string tls_ca;
};

// Adds --ingest and --ingest-tls-ca, whose defaults are what `flags` says now.
void AddIngestFlags(server::CommandLine& line, IngestFlags& flags, const char* help);

// A channel to each. INVALID_ARGUMENT when an address is none, or there are more than 64, each
// of which would take a thread while it is asked.
absl::StatusOr<std::vector<IngestPeer>> MakeIngestPeers(const IngestFlags& flags);

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_FLAGS_H_
