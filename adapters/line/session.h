#ifndef QASINO_ADAPTERS_LINE_SESSION_H_
#define QASINO_ADAPTERS_LINE_SESSION_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "adapters/line/byte_budget.h"
#include "adapters/line/line_part.h"
#include "adapters/line/line_reader.h"
#include "adapters/line/metrics.h"
#include "adapters/upstream/upstream.h"
#include "clients/cpp/async_query.h"

namespace qasino::line {

// What the sessions of a part have in common; all of it outlives them.
struct SessionContext {
  const LineOptions& options;
  adapters::Upstream& upstream;
  Metrics& metrics;
  ByteBudget& budget;
};

// The conversation with one client.
//
// Everything runs on the socket's executor, which is a strand; only Drain and Abort may be
// called from elsewhere. Held by what runs: it ends with Run or Refuse.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(boost::asio::ip::tcp::socket socket, const SessionContext& context);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Answers statements until the client leaves, or is hung up on.
  boost::asio::awaitable<void> Run();

  // Tells the client that there are too many, and hangs up.
  boost::asio::awaitable<void> Refuse();

  // Where it runs.
  boost::asio::any_io_executor executor() { return socket_.get_executor(); }

  // Closes the socket. After Run or Refuse, on the executor.
  void Close();

  // Ends Run when the statement that runs is answered; at once when none runs.
  void Drain();
  // Ends Run, whatever it does.
  void Abort();

 private:
  using Socket = boost::asio::ip::tcp::socket;

  // Waits for bytes and takes them. False: there will be none any more, or none is heeded.
  boost::asio::awaitable<bool> Receive(std::string* input);
  // Takes what has come.
  bool ReadSome(std::string* input);
  // Does what the client asked for. False: hang up.
  boost::asio::awaitable<bool> Handle(LineEvent event, std::string_view rest);
  // Runs a statement and sends its answer. False: hang up.
  boost::asio::awaitable<bool> Answer(std::string sql);
  // The next part of an answer.
  static boost::asio::awaitable<const v1::QueryResponse*> ReadPart(client::AsyncQuery& query);
  // Sends an error of this adapter's own in the place of an answer.
  boost::asio::awaitable<bool> Tell(absl::Status error);
  // Sends `text`, with CRLF for each LF.
  boost::asio::awaitable<bool> SendLines(std::string text);
  boost::asio::awaitable<bool> Send(std::string bytes);
  // Sends the end of the output, and waits for that of the input for a moment: a socket that
  // is closed with input unread takes back what was sent last.
  boost::asio::awaitable<void> HangUp();

  // Breaks off, by a cancel of the socket, what is still waited for after `limit`.
  void StartClock(absl::Duration limit);
  void StopClock();

  // Stops `query` when the client's connection is reset.
  void WatchForReset(const std::shared_ptr<client::AsyncQuery>& query);
  void StopWatching();

  const SessionContext context_;
  Socket socket_;
  boost::asio::steady_timer timer_;
  LineReader reader_;
  ByteBudget::Share input_share_;
  ByteBudget::Share output_share_;
  // What a timer, or a watch, that was stopped too late is told by.
  uint64_t clock_ = 0;
  uint64_t watch_ = 0;
  bool clock_ran_out_ = false;
  bool receiving_ = false;
  bool end_of_input_ = false;
  bool ending_ = false;  // Drain or Abort
  std::weak_ptr<client::AsyncQuery> running_;
};

}  // namespace qasino::line

#endif  // QASINO_ADAPTERS_LINE_SESSION_H_
