#include "adapters/line/flags.h"

#include <cstdint>

#include "absl/time/time.h"

namespace qasino::line {

void AddFlags(server::CommandLine& line, LineOptions& options) {
  line.AddOptionalPort("--line-port", &options.port,
                       "Port of the line protocol, for telnet; 0: a free one, off: none");
  line.AddDuration("--line-idle-timeout", &options.idle_timeout, absl::Seconds(1),
                   absl::Hours(24 * 7), "A telnet client that is silent for so long is hung up on");
  line.AddInteger("--max-line-connections", &options.max_connections, 1, 1'000'000,
                  "More telnet clients at once are refused");
  line.AddBytes("--max-statement-size", &options.max_statement_bytes, 64, 16 << 20,
                "A longer statement by telnet is answered by an error");
}

}  // namespace qasino::line
