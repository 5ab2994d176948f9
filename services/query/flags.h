#ifndef QASINO_SERVICES_QUERY_FLAGS_H_
#define QASINO_SERVICES_QUERY_FLAGS_H_

#include "services/query/query_part.h"
#include "services/server/command_line.h"

namespace qasino::query {

// The flags that the query part has in every process that runs it. Where it runs alone
// there is also --store.
void AddFlags(server::CommandLine& line, QueryOptions* options, int* port);

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_FLAGS_H_
