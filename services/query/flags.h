#ifndef QASINO_SERVICES_QUERY_FLAGS_H_
#define QASINO_SERVICES_QUERY_FLAGS_H_

#include "services/query/query_part.h"
#include "services/server/command_line.h"

namespace qasino::query {

// Adds the flags that the query part has in every process that runs it; their defaults
// are what the options say now. --identity is not among them: in a process of several
// parts it is everybody's.
void AddFlags(server::CommandLine& line, QueryOptions& options);

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_FLAGS_H_
