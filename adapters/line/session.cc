#include "adapters/line/session.h"

#include <fmt/format.h>
#include <poll.h>
#include <prometheus/gauge.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "adapters/legacy/errors.h"
#include "adapters/legacy/result_writer.h"
#include "qasino/v1/query.pb.h"

namespace qasino::line {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr size_t kReadBytes = 16 << 10;
// How long a client that is hung up on may take to see that.
constexpr absl::Duration kFarewell = absl::Seconds(1);

// Telnet's lines end in CRLF.
std::string WithCrLf(std::string lines) {
  const auto count = static_cast<size_t>(std::count(lines.begin(), lines.end(), '\n'));
  // From the end on, so that no byte is overwritten before it was moved.
  size_t from = lines.size();
  lines.resize(lines.size() + count);
  size_t to = lines.size();
  while (from < to) {
    const char byte = lines[--from];
    lines[--to] = byte;
    if (byte == '\n') lines[--to] = '\r';
  }
  return lines;
}

// Whether nothing can be sent any more; a client that only does not send is no such one.
bool IsReset(int socket) {
  pollfd state = {.fd = socket, .events = 0, .revents = 0};
  return poll(&state, 1, 0) > 0 && (state.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

}  // namespace

Session::Session(Socket socket, const SessionContext& context)
    : context_(context),
      socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      reader_(static_cast<size_t>(context.options.max_statement_bytes)),
      input_share_(context.budget),
      output_share_(context.budget) {}

asio::awaitable<void> Session::Run() {
  std::string input;
  std::string_view rest;
  while (!ending_) {
    std::optional<LineEvent> event = reader_.Next(&rest);
    if (event) {
      const bool go_on = co_await Handle(*std::move(event), rest);
      if (!go_on) co_return;
      continue;
    }
    // What waits holds no more than it must.
    input = std::string();
    if (!input_share_.Resize(static_cast<int64_t>(reader_.held()))) {
      co_await Tell(
          absl::ResourceExhaustedError("too many statements are unfinished; try again later"));
      co_await HangUp();
      co_return;
    }
    const bool more = co_await Receive(&input);
    if (!more) co_return;
    rest = input;
  }
  // Drained: the client may have sent on.
  co_await HangUp();
}

asio::awaitable<void> Session::Refuse() {
  const bool told = co_await Tell(absl::ResourceExhaustedError("too many connections"));
  if (told) co_await HangUp();
}

void Session::Close() {
  StopWatching();
  StopClock();
  error_code ignored;
  socket_.close(ignored);
}

void Session::Drain() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->ending_ = true;
    error_code ignored;
    if (self->receiving_) self->socket_.cancel(ignored);
  });
}

void Session::Abort() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->ending_ = true;
    if (const auto query = self->running_.lock()) query->Cancel();
    self->timer_.cancel();
    error_code ignored;
    self->socket_.close(ignored);
  });
}

asio::awaitable<bool> Session::Receive(std::string* input) {
  if (end_of_input_) co_return false;
  receiving_ = true;
  StartClock(context_.options.idle_timeout);
  // Only then is a buffer needed.
  const auto [error] = co_await socket_.async_wait(Socket::wait_read, kAwait);
  StopClock();
  receiving_ = false;
  if (error || clock_ran_out_ || ending_) co_return false;
  co_return ReadSome(input);
}

bool Session::ReadSome(std::string* input) {
  static thread_local std::array<char, kReadBytes> buffer;
  error_code error;
  const size_t size = socket_.read_some(asio::buffer(buffer), error);
  if (error == asio::error::would_block) return true;
  if (error) {
    end_of_input_ = true;
    return false;
  }
  input->assign(buffer.data(), size);
  return true;
}

asio::awaitable<bool> Session::Handle(LineEvent event, std::string_view rest) {
  switch (event.kind) {
    case LineEvent::Kind::kStatement:
      co_return co_await Answer(std::move(event.statement));
    case LineEvent::Kind::kNotUtf8:
      co_return co_await Tell(absl::InvalidArgumentError("the statement is not UTF-8"));
    case LineEvent::Kind::kTooLong:
      co_return co_await Tell(absl::ResourceExhaustedError(
          fmt::format("the statement is longer than {} bytes (--max-statement-size)",
                      context_.options.max_statement_bytes)));
    case LineEvent::Kind::kTimingMark:
      co_return co_await Send(std::string(kTimingMarkAnswer));
    case LineEvent::Kind::kGoodbye:
      break;
  }
  // Telnet asks for a timing mark behind Ctrl-C, and shows nothing before it has it.
  std::string last;
  while (reader_.Next(&rest)) last += kTimingMarkAnswer;
  last += "Bye!\r\n";
  const bool sent = co_await Send(std::move(last));
  if (sent) co_await HangUp();
  co_return false;
}

asio::awaitable<bool> Session::Answer(std::string sql) {
  std::shared_ptr<client::AsyncQuery> query;
  {
    v1::QueryRequest request;
    request.set_sql(sql);
    query = context_.upstream.Query(request);
  }
  running_ = query;
  const std::unique_ptr<legacy::ResultWriter> writer =
      legacy::MakeResultWriter(legacy::Format::kText, context_.options.identity, sql);
  WatchForReset(query);
  absl::Status status;
  bool begun = false;
  bool sent = true;
  while (true) {
    const v1::QueryResponse* part = co_await ReadPart(*query);
    std::string text;
    bool whole = false;
    if (part != nullptr) {
      begun = true;
      whole = part->has_summary();
      writer->Part(*part, &text);
    } else {
      status = query->status();
      whole = true;
      if (!status.ok() && begun) writer->Fail(status, &text);
    }
    if (status.ok() && !output_share_.Resize(static_cast<int64_t>(text.size()))) {
      query->Cancel();
      status = absl::ResourceExhaustedError("too many answers are unread; try again later");
      whole = true;
      text.clear();
      if (begun) writer->Fail(status, &text);
    }
    if (!status.ok() && !begun) {
      text = legacy::TellQueryError(status, sql).text_message + "\n";
    }
    sent = co_await SendLines(std::move(text));
    output_share_.Resize(0);
    if (!sent) {
      query->Cancel();
      status = absl::CancelledError("the client is gone");
    }
    if (whole || !sent) break;
  }
  StopWatching();
  context_.metrics.CountStatement(status.code());
  co_return sent;
}

asio::awaitable<const v1::QueryResponse*> Session::ReadPart(client::AsyncQuery& query) {
  const auto begin = [&query](auto handler) {
    // The handler is of this session's strand, the callback of a thread of gRPC.
    query.Read([handler = std::move(handler)](const v1::QueryResponse* part) mutable {
      const auto executor = asio::get_associated_executor(handler);
      asio::post(executor,
                 [handler = std::move(handler), part]() mutable { std::move(handler)(part); });
    });
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>,
                                          void(const v1::QueryResponse*)>(begin,
                                                                          asio::use_awaitable);
}

asio::awaitable<bool> Session::Tell(absl::Status error) {
  context_.metrics.CountStatement(error.code());
  co_return co_await SendLines(fmt::format("SQL error: {}\n", std::string(error.message())));
}

asio::awaitable<bool> Session::SendLines(std::string text) {
  co_return co_await Send(WithCrLf(std::move(text)));
}

asio::awaitable<bool> Session::Send(std::string bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    error_code error;
    sent += socket_.write_some(asio::buffer(bytes.data() + sent, bytes.size() - sent), error);
    if (error == asio::error::would_block) {
      StartClock(context_.options.write_timeout);
      const auto [failed] = co_await socket_.async_wait(Socket::wait_write, kAwait);
      StopClock();
      if (failed || clock_ran_out_) co_return false;
    } else if (error) {
      co_return false;
    }
  }
  co_return true;
}

asio::awaitable<void> Session::HangUp() {
  error_code error;
  socket_.shutdown(Socket::shutdown_send, error);
  StartClock(kFarewell);
  while (!error && !end_of_input_ && !clock_ran_out_) {
    const auto [failed] = co_await socket_.async_wait(Socket::wait_read, kAwait);
    std::string passed_over;
    if (failed || !ReadSome(&passed_over)) break;
  }
  StopClock();
}

void Session::StartClock(absl::Duration limit) {
  timer_.expires_after(absl::ToChronoNanoseconds(limit));
  timer_.async_wait([self = shared_from_this(), clock = ++clock_](const error_code& error) {
    if (error || clock != self->clock_) return;
    self->clock_ran_out_ = true;
    error_code ignored;
    self->socket_.cancel(ignored);
  });
}

void Session::StopClock() {
  ++clock_;
  timer_.cancel();
}

void Session::WatchForReset(const std::shared_ptr<client::AsyncQuery>& query) {
  socket_.async_wait(Socket::wait_error, [self = shared_from_this(), watch = ++watch_,
                                          running = std::weak_ptr(query)](const error_code& error) {
    if (error || watch != self->watch_) return;
    // Urgent bytes, as telnet sends them with Ctrl-C, end the wait as well.
    if (!IsReset(self->socket_.native_handle())) return;
    if (const auto query = running.lock()) query->Cancel();
  });
}

void Session::StopWatching() {
  ++watch_;
  error_code ignored;
  socket_.cancel(ignored);
}

}  // namespace qasino::line
