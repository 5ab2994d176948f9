#ifndef QASINO_SERVICES_INGEST_FLAGS_H_
#define QASINO_SERVICES_INGEST_FLAGS_H_

#include "services/ingest/ingest_part.h"
#include "services/server/command_line.h"

namespace qasino::ingest {

// Adds the flags that the ingest part has in every process that runs it; their defaults
// are what the options say now. --identity is not among them: in a process of several
// parts it is everybody's.
void AddFlags(server::CommandLine& line, IngestOptions& options);

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_FLAGS_H_
