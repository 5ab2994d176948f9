#include "adapters/http/session.h"

#include <fmt/format.h>
#include <poll.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "adapters/http/answer.h"
#include "adapters/http/exchange.h"
#include "adapters/http/url.h"
#include "adapters/legacy/errors.h"
#include "adapters/legacy/result_writer.h"
#include "clients/cpp/absl_text.h"
#include "services/server/log.h"

namespace qasino::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using beast::http::field;
using boost::system::error_code;
using client::Absl;

constexpr uint32_t kHeaderBytes = 16 << 10;
// A body that nobody wants is read so far, to keep the connection.
constexpr uint64_t kPassedOverBytes = 64 << 10;
// The slowest that a body may come.
constexpr int64_t kLeastBytesPerSecond = 64 << 10;
constexpr std::chrono::seconds kHandshakeTimeout{10};
// How long a client may take to hang up that is still sending when it is refused.
constexpr std::chrono::seconds kLingerTimeout{5};

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

// A body that goes to a BodyReader as it is parsed.
struct StreamedBody {
  struct value_type {
    // Null: it is passed over.
    BodyReader* reader = nullptr;
  };

  class reader {
   public:
    template <bool kRequest, class Fields>
    reader(beast::http::header<kRequest, Fields>&, value_type& body) : body_(body) {}

    void init(const boost::optional<uint64_t>&, error_code& error) { error = {}; }

    template <class Buffers>
    size_t put(const Buffers& buffers, error_code& error) {
      error = {};
      size_t bytes = 0;
      for (const asio::const_buffer buffer : beast::buffers_range_ref(buffers)) {
        if (body_.reader != nullptr) {
          body_.reader->Write({static_cast<const char*>(buffer.data()), buffer.size()});
        }
        bytes += buffer.size();
      }
      return bytes;
    }

    void finish(error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

using Parser = beast::http::request_parser<StreamedBody>;

enum class Filled { kYes, kEnded, kTooSlow, kNoRoom };

class Session final : public Worker::Client, public Exchange {
 public:
  Session(Worker& worker, const Service& service, std::unique_ptr<Transport> transport, bool tls,
          absl::AnyInvocable<void()> ended)
      : worker_(worker),
        service_(service),
        tls_(tls),
        transport_(std::move(transport)),
        ended_(std::move(ended)) {
    worker_.Add(*this);
  }

  ~Session() {
    ReleaseBody();
    ended_();
  }

  Task<void> Run();

  // Worker::Client
  void Look(Clock::time_point now) override;
  void Drain() override;
  void Abort() override;

  // Exchange
  const Request& request() const override { return request_; }
  Executor executor() override { return worker_.context().get_executor(); }
  void SetOperation(Operation operation) override { operation_ = operation; }
  Task<absl::Status> ReadBody(BodySink& sink) override;
  std::string& body() override { return buffers_->body; }
  Task<bool> Send(const Response& response) override;
  Task<bool> Begin(const Response& response) override;
  Task<bool> SendPart() override;
  Task<bool> End() override;
  Task<void> Abandon() override;
  void SetRunning(std::shared_ptr<client::AsyncQuery> query) override;

 private:
  // What the connection waits for.
  enum class State { kIdle, kReceiving, kSending, kRunning };

  // For a whole request; false: the connection ends.
  Task<bool> ServeOne();
  Task<void> RefuseHead(error_code error);
  void TakeHead();
  // Reads more behind what is unread.
  Task<Filled> Fill();
  Task<absl::Status> ReadRest(BodyReader& reader);
  // Counts what is kept of the body until the answer is there; false: with all others it is
  // too much.
  bool HoldBody(size_t bytes);
  void ReleaseBody();
  // Before the head of an answer: reads what little is left of the body, or sees to it that
  // the connection ends.
  Task<void> Finish();
  Task<bool> Write(std::string_view first, std::string_view second);
  // Ends the connection so that the client sees all that was sent.
  Task<void> Close();

  std::string_view unread() const { return {buffers_->input.get() + begin_, end_ - begin_}; }
  template <typename Duration>
  void SetDeadline(State state, Duration timeout) {
    state_ = state;
    too_slow_ = false;
    deadline_ = worker_.now() + Worker::kInterval + timeout;
  }
  void SetNoDeadline() {
    state_ = State::kRunning;
    deadline_ = Clock::time_point::max();
  }

  Worker& worker_;
  const Service& service_;
  const bool tls_;
  const std::unique_ptr<Transport> transport_;
  absl::AnyInvocable<void()> ended_;

  State state_ = State::kIdle;
  Clock::time_point deadline_ = Clock::time_point::max();
  // The deadline passed while something was received. What is there to be read without
  // waiting is never cancelled: it is asked before each read, too.
  bool too_slow_ = false;

  // None while the connection is idle.
  std::unique_ptr<Buffers> buffers_;
  size_t begin_ = 0;
  size_t end_ = 0;

  // Of one request.
  std::optional<Parser> parser_;
  Request request_;
  Operation operation_ = Operation::kOther;
  bool keep_ = false;
  bool answered_ = false;
  bool expects_continue_ = false;
  bool expects_other_ = false;
  // None: it comes in chunks, or there is none.
  std::optional<uint64_t> body_length_;
  uint64_t body_bytes_ = 0;
  // Of it, what Service::bodies_bytes has.
  int64_t held_bytes_ = 0;
  std::shared_ptr<client::AsyncQuery> running_;

  // What was sent shall arrive, though the client is still sending.
  bool linger_ = false;
  // The client can see from the end that the answer is not whole.
  bool abandoned_ = false;
};

Task<void> Session::Run() {
  SetDeadline(State::kReceiving, kHandshakeTimeout);
  if (co_await transport_->Handshake()) co_return;
  bool more = true;
  while (more) {
    if (buffers_ == nullptr) {
      if (worker_.draining()) break;
      SetDeadline(State::kIdle, service_.idle_timeout);
      if (co_await transport_->WaitReadable()) break;
      buffers_ = worker_.TakeBuffers();
      begin_ = end_ = 0;
    }
    more = co_await ServeOne();
    parser_.reset();
    if (begin_ == end_) worker_.ReturnBuffers(std::move(buffers_));
  }
  co_await Close();
}

Task<bool> Session::ServeOne() {
  parser_.emplace();
  parser_->header_limit(kHeaderBytes);
  parser_->body_limit(boost::none);
  operation_ = Operation::kOther;
  keep_ = answered_ = expects_continue_ = expects_other_ = false;
  body_bytes_ = 0;
  SetDeadline(State::kReceiving, service_.receive_timeout);

  bool begun = false;
  while (true) {
    // Blank lines before a request are passed over, as RFC 9112 has it.
    while (!begun && begin_ != end_ && (unread()[0] == '\r' || unread()[0] == '\n')) ++begin_;
    if (begin_ != end_) {
      begun = true;
      error_code error;
      begin_ += parser_->put(asio::const_buffer(unread().data(), unread().size()), error);
      if (parser_->is_header_done()) break;
      if (error && error != beast::http::error::need_more) {
        co_await RefuseHead(error);
        co_return false;
      }
    }
    const Filled filled = co_await Fill();
    if (filled == Filled::kYes) continue;
    if (filled == Filled::kNoRoom) {
      co_await RefuseHead(beast::http::error::header_limit);
    } else if (filled == Filled::kTooSlow && begun) {
      co_await RefuseHead(beast::http::error::end_of_stream);
    }
    co_return false;
  }

  // Beast passes over a coding that it does not know, and takes Content-Length for the body's
  // end, or none: a proxy in front that has another opinion lets a second request through.
  const auto& head = parser_->get();
  if (head.count(field::transfer_encoding) != 0 && (!parser_->chunked() || head.version() < 11)) {
    co_await RefuseHead(beast::http::error::bad_transfer_encoding);
    co_return false;
  }
  TakeHead();
  co_await Answer(*this, service_);
  SetRunning(nullptr);
  co_return keep_&& answered_;
}

void Session::TakeHead() {
  const auto& head = parser_->get();
  switch (head.method()) {
    case beast::http::verb::get:
      request_.method = Method::kGet;
      break;
    case beast::http::verb::head:
      request_.method = Method::kHead;
      break;
    case beast::http::verb::post:
      request_.method = Method::kPost;
      break;
    case beast::http::verb::options:
      request_.method = Method::kOptions;
      break;
    default:
      request_.method = Method::kOther;
      break;
  }
  request_.http11 = head.version() >= 11;
  const Target target = SplitTarget(View(head.target()));
  request_.path = target.path;
  request_.query = target.query;
  request_.accept = View(head[field::accept]);
  request_.accept_encoding = View(head[field::accept_encoding]);
  request_.authorization = View(head[field::authorization]);
  request_.if_none_match = View(head[field::if_none_match]);
  request_.needs_user = service_.users != nullptr && (tls_ || service_.require_auth);
  const std::string_view expect = View(head[field::expect]);
  if (!expect.empty() && request_.http11) {
    expects_continue_ = absl::EqualsIgnoreCase(Absl(expect), "100-continue");
    expects_other_ = !expects_continue_;
  }
  keep_ = parser_->keep_alive();
  body_length_ = std::nullopt;
  if (const auto length = parser_->content_length()) body_length_ = *length;
}

Task<void> Session::RefuseHead(error_code error) {
  Response response;
  response.status = 400;
  std::string message = fmt::format("the request is not HTTP: {}", error.message());
  if (error == beast::http::error::header_limit) {
    response.status = 431;
    message = fmt::format("the request's head is longer than {} bytes", kHeaderBytes);
  } else if (error == beast::http::error::end_of_stream) {
    response.status = 408;
    message = "the request did not arrive in time";
  } else if (error == beast::http::error::bad_version) {
    response.status = 505;
  }
  response.content_type = legacy::ContentType(legacy::Format::kJson);
  log::Debug("http", "request refused", {{"status", response.status}, {"error", message}});
  request_ = Request();
  linger_ = true;
  buffers_->body = legacy::ErrorBody(service_.identity, message);
  co_await Send(response);
}

Task<Filled> Session::Fill() {
  if (too_slow_) co_return Filled::kTooSlow;
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ == Buffers::kInputBytes) {
    if (begin_ == 0) co_return Filled::kNoRoom;
    std::memmove(buffers_->input.get(), buffers_->input.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  const asio::mutable_buffer room(buffers_->input.get() + end_, Buffers::kInputBytes - end_);
  const Transport::Result result = co_await transport_->ReadSome(room);
  if (std::get<0>(result)) co_return too_slow_ ? Filled::kTooSlow : Filled::kEnded;
  end_ += std::get<1>(result);
  service_.metrics->Received(std::get<1>(result));
  co_return Filled::kYes;
}

Task<absl::Status> Session::ReadBody(BodySink& sink) {
  bool gzip = false;
  const std::string_view encoding = View(parser_->get()[field::content_encoding]);
  if (absl::EqualsIgnoreCase(Absl(encoding), "gzip") ||
      absl::EqualsIgnoreCase(Absl(encoding), "x-gzip")) {
    gzip = true;
  } else if (!encoding.empty() && !absl::EqualsIgnoreCase(Absl(encoding), "identity")) {
    co_return absl::UnimplementedError("Content-Encoding: only gzip and identity are understood");
  }
  if (expects_other_) {
    co_return absl::FailedPreconditionError("Expect: only 100-continue is understood");
  }
  if (body_length_ && *body_length_ > service_.max_body_bytes) {
    co_return absl::ResourceExhaustedError(
        fmt::format("the body of {} bytes is longer than the limit of {} bytes", *body_length_,
                    service_.max_body_bytes));
  }
  BodyReader reader(&sink, gzip, service_.max_body_bytes);
  parser_->get().body().reader = &reader;
  const absl::Status status = co_await ReadRest(reader);
  parser_->get().body().reader = nullptr;
  if (!status.ok()) co_return status;
  co_return reader.Finish();
}

Task<absl::Status> Session::ReadRest(BodyReader& reader) {
  if (!parser_->is_done() && expects_continue_ && begin_ == end_) {
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!co_await Write(kContinue, {})) co_return absl::CancelledError();
  }
  expects_continue_ = false;
  SetDeadline(State::kReceiving, service_.receive_timeout);
  while (!parser_->is_done()) {
    if (begin_ != end_) {
      error_code error;
      const size_t taken =
          parser_->put(asio::const_buffer(unread().data(), unread().size()), error);
      begin_ += taken;
      body_bytes_ += taken;
      if (error && error != beast::http::error::need_more) {
        co_return absl::InvalidArgumentError(
            fmt::format("the request's body is not HTTP: {}", error.message()));
      }
      if (!reader.status().ok()) co_return reader.status();
      if (!HoldBody(reader.held())) {
        co_return absl::UnavailableError("too many bodies of requests arrive at the same time");
      }
      // Of chunks the frame counts as well.
      if (body_bytes_ > 2 * service_.max_body_bytes + kPassedOverBytes) {
        co_return absl::ResourceExhaustedError(
            fmt::format("the body is longer than the limit of {} bytes", service_.max_body_bytes));
      }
      deadline_ += std::chrono::nanoseconds(1'000'000'000 / kLeastBytesPerSecond *
                                            static_cast<int64_t>(taken));
      if (parser_->is_done() || (!error && begin_ != end_)) continue;
    }
    switch (co_await Fill()) {
      case Filled::kYes:
        break;
      case Filled::kEnded:
        co_return absl::CancelledError();
      case Filled::kTooSlow:
        co_return absl::DeadlineExceededError("the request's body did not arrive in time");
      case Filled::kNoRoom:
        co_return absl::InvalidArgumentError("a chunk's head in the request's body is too long");
    }
  }
  co_return absl::OkStatus();
}

bool Session::HoldBody(size_t bytes) {
  const int64_t more = static_cast<int64_t>(bytes) - held_bytes_;
  held_bytes_ += more;
  return service_.bodies_bytes.fetch_add(more, std::memory_order_relaxed) + more <=
         service_.max_bodies_bytes;
}

void Session::ReleaseBody() {
  if (held_bytes_ == 0) return;
  service_.bodies_bytes.fetch_sub(held_bytes_, std::memory_order_relaxed);
  held_bytes_ = 0;
}

Task<void> Session::Finish() {
  if (!parser_ || !parser_->is_header_done() || parser_->is_done()) co_return;
  if (!expects_continue_ && !linger_ && !too_slow_ && keep_ && body_length_ &&
      *body_length_ - body_bytes_ <= kPassedOverBytes) {
    DiscardSink sink;
    BodyReader reader(&sink, false, kPassedOverBytes);
    parser_->get().body().reader = &reader;
    const absl::Status status = co_await ReadRest(reader);
    parser_->get().body().reader = nullptr;
    if (status.ok()) co_return;
  }
  keep_ = false;
  linger_ = true;
}

Task<bool> Session::Send(const Response& response) {
  co_await Finish();
  ReleaseBody();
  if (worker_.draining()) keep_ = false;
  std::string& head = buffers_->head;
  std::string& body = buffers_->body;
  head.clear();
  const Framing framing = {.length = body.size(), .http11 = request_.http11, .keep_alive = keep_};
  AppendHead(response, framing, &head);
  service_.metrics->Answered(operation_, response.status);
  answered_ = co_await Write(head, request_.method == Method::kHead ? std::string_view() : body);
  body.clear();
  co_return answered_;
}

Task<bool> Session::Begin(const Response& response) {
  co_await Finish();
  ReleaseBody();
  if (worker_.draining() || !request_.http11) keep_ = false;
  std::string& head = buffers_->head;
  head.clear();
  const Framing framing = {.length = std::nullopt, .http11 = request_.http11, .keep_alive = keep_};
  AppendHead(response, framing, &head);
  service_.metrics->Answered(operation_, response.status);
  if (request_.method == Method::kHead) {
    buffers_->body.clear();
    answered_ = co_await Write(head, {});
    co_return answered_;
  }
  co_return co_await SendPart();
}

Task<bool> Session::SendPart() {
  std::string& head = buffers_->head;
  std::string& body = buffers_->body;
  if (body.empty() && head.empty()) co_return true;
  if (request_.http11 && !body.empty()) {
    head += ChunkHead(body.size());
    body += "\r\n";
  }
  const bool written = co_await Write(head, body);
  head.clear();
  body.clear();
  co_return written;
}

Task<bool> Session::End() {
  std::string& body = buffers_->body;
  std::string& head = buffers_->head;
  if (request_.http11) {
    if (!body.empty()) {
      head += ChunkHead(body.size());
      body += "\r\n";
    }
    body += "0\r\n\r\n";
  }
  answered_ = co_await Write(head, body);
  head.clear();
  body.clear();
  co_return answered_;
}

Task<void> Session::Abandon() {
  keep_ = false;
  abandoned_ = true;
  co_await SendPart();
}

Task<bool> Session::Write(std::string_view first, std::string_view second) {
  while (!first.empty() || !second.empty()) {
    SetDeadline(State::kSending, service_.write_timeout);
    const Transport::Result result = co_await transport_->WriteSome(first, second);
    if (std::get<0>(result)) {
      keep_ = false;
      abandoned_ = true;
      co_return false;
    }
    const size_t bytes = std::get<1>(result);
    service_.metrics->Sent(bytes);
    const size_t of_first = std::min(bytes, first.size());
    first.remove_prefix(of_first);
    second.remove_prefix(bytes - of_first);
  }
  SetNoDeadline();
  co_return true;
}

void Session::SetRunning(std::shared_ptr<client::AsyncQuery> query) {
  running_ = std::move(query);
  SetNoDeadline();
}

Task<void> Session::Close() {
  SetDeadline(State::kSending, kLingerTimeout);
  // Without TLS's farewell a client takes no answer for whole that ends with the connection.
  if (abandoned_) {
    transport_->Close();
    co_return;
  }
  co_await transport_->EndWriting();
  if (!linger_ || worker_.draining()) co_return;
  // A socket that is closed with bytes unread takes back what was sent.
  if (buffers_ == nullptr) buffers_ = worker_.TakeBuffers();
  SetDeadline(State::kReceiving, kLingerTimeout);
  while (!too_slow_) {
    const asio::mutable_buffer room(buffers_->input.get(), Buffers::kInputBytes);
    const Transport::Result result = co_await transport_->ReadSome(room);
    if (std::get<0>(result)) co_return;
  }
}

void Session::Look(Clock::time_point now) {
  if (state_ == State::kRunning && running_ != nullptr) {
    const short events = transport_->Poll(POLLRDHUP);
    if ((events & (POLLERR | POLLHUP)) != 0) {
      running_->Cancel();
    } else if ((events & POLLRDHUP) != 0 && deadline_ == Clock::time_point::max()) {
      deadline_ = now + service_.half_closed_timeout;
    }
  }
  if (now < deadline_) return;
  if (state_ == State::kRunning) {
    deadline_ = Clock::time_point::max();
    if (running_ != nullptr) running_->Cancel();
    return;
  }
  // Again each time, until it has an effect: what has just ended cannot be cancelled.
  too_slow_ = state_ == State::kReceiving;
  transport_->Cancel();
}

void Session::Drain() {
  if (state_ == State::kIdle) transport_->Cancel();
}

void Session::Abort() {
  if (running_ != nullptr) running_->Cancel();
  if (state_ != State::kRunning) transport_->Close();
}

Task<void> RunSession(std::unique_ptr<Session> session) { co_await session->Run(); }

}  // namespace

void Serve(Worker& worker, const Service& service, std::unique_ptr<Transport> transport, bool tls,
           absl::AnyInvocable<void()> ended) {
  auto session =
      std::make_unique<Session>(worker, service, std::move(transport), tls, std::move(ended));
  asio::co_spawn(worker.context(), RunSession(std::move(session)), [](std::exception_ptr fault) {
    if (fault == nullptr) return;
    try {
      std::rethrow_exception(fault);
    } catch (const std::exception& error) {
      log::Error("http", "connection ended by a fault", {{"error", error.what()}});
    }
  });
}

}  // namespace qasino::http
