#ifndef QASINO_ADAPTERS_LINE_LINE_PART_H_
#define QASINO_ADAPTERS_LINE_LINE_PART_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "adapters/upstream/upstream.h"
#include "services/server/part.h"
#include "services/server/process.h"

namespace prometheus {
class Registry;
}

namespace qasino::line {

struct LineOptions {
  // An IP address.
  std::string listen = "127.0.0.1";
  // --line-port: 0 takes a free one. -1 is for programs that have other doors too: they
  // make no LinePart then.
  int port = 15000;
  // --line-idle-timeout: a client that sends nothing for so long, while no statement of it
  // runs, is hung up on.
  absl::Duration idle_timeout = absl::Minutes(10);
  // A client that takes nothing of its answer for so long is hung up on.
  absl::Duration write_timeout = absl::Seconds(60);
  // --max-statement-size: a longer statement is answered by an error.
  int64_t max_statement_bytes = 128 << 10;
  // --max-line-connections: further ones are told so, and closed.
  int64_t max_connections = 20'000;
  // Unfinished statements and unread answers of all clients together. A client that would
  // need more is told so instead; one with an unfinished statement is hung up on, too.
  int64_t max_buffered_bytes = int64_t{512} << 20;
  // The server's.
  std::string identity;
  adapters::UpstreamOptions upstream{.publishes = false};
};

// The adapter of the line protocol: SQL typed into telnet, answered as text. See
// line_reader.h for what a client may send.
//
// Each client's statements are answered one after the other; while one runs, what the client
// sends waits in its socket. An answer is read from the query service only as fast as the
// client takes it. A statement is stopped when its client is known to be gone: its
// connection was reset, or cannot be written to. A client that only will not send any more
// (`printf 'select 1;' | nc`) gets all answers first; from the outside, one that was closed
// looks the same until something is written to it.
//
// An idle client costs its socket and less than 4 KiB, and no thread. Two threads serve all.
class LinePart : public server::Part {
 public:
  // Opens the door and serves. Fails when an option is wrong or the port cannot be had.
  static absl::StatusOr<std::unique_ptr<LinePart>> Create(const LineOptions& options,
                                                          prometheus::Registry& metrics);
  // As Drain, at once.
  ~LinePart() override;

  // The port that is open: {"line", "telnet", …}.
  std::vector<server::Process::Door> doors() const;

  std::string_view name() const override { return "line"; }
  // OK while statements can be answered.
  absl::Status Ready() const override;
  // Takes no more clients, hangs up on idle ones, and on the others when the statement that
  // runs is answered, or at the deadline; then lets go of the services.
  void Drain(absl::Time deadline) override;

 private:
  class State;
  explicit LinePart(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

}  // namespace qasino::line

#endif  // QASINO_ADAPTERS_LINE_LINE_PART_H_
