#ifndef QASINO_ADAPTERS_LINE_FLAGS_H_
#define QASINO_ADAPTERS_LINE_FLAGS_H_

#include "adapters/line/line_part.h"
#include "services/server/command_line.h"

namespace qasino::line {

// Adds the flags that the line adapter has in every process that runs it; their defaults
// are what the options say now. Not among them are --listen and --identity, which are
// everybody's, and where the services are. `options` outlives the parsing.
void AddFlags(server::CommandLine& line, LineOptions& options);

}  // namespace qasino::line

#endif  // QASINO_ADAPTERS_LINE_FLAGS_H_
