#include "adapters/http/transport.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <utility>

namespace qasino::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr auto kTuple = asio::as_tuple(kAwait);

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(Socket socket) : socket_(std::move(socket)) {}

  Task<error_code> Handshake() override { co_return error_code(); }

  Task<error_code> WaitReadable() override {
    error_code error;
    co_await socket_.async_wait(Socket::wait_read, asio::redirect_error(kAwait, error));
    co_return error;
  }

  Task<Result> ReadSome(asio::mutable_buffer buffer) override {
    return socket_.async_read_some(buffer, kTuple);
  }

  Task<Result> WriteSome(std::string_view first, std::string_view second) override {
    const std::array<asio::const_buffer, 2> buffers = {
        asio::const_buffer(first.data(), first.size()),
        asio::const_buffer(second.data(), second.size())};
    return socket_.async_write_some(buffers, kTuple);
  }

  Task<void> EndWriting() override {
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
    co_return;
  }

 protected:
  Socket& socket() override { return socket_; }

 private:
  Socket socket_;
};

class TlsTransport final : public Transport {
 public:
  TlsTransport(Socket socket, std::shared_ptr<asio::ssl::context> context)
      : context_(std::move(context)), stream_(std::move(socket), *context_) {}

  Task<error_code> Handshake() override {
    error_code error;
    co_await stream_.async_handshake(asio::ssl::stream_base::server,
                                     asio::redirect_error(kAwait, error));
    co_return error;
  }

  // That the socket is readable says nothing of what is behind TLS; a byte does.
  Task<error_code> WaitReadable() override {
    if (held_ != 0) co_return error_code();
    error_code error;
    held_ = co_await stream_.async_read_some(asio::buffer(&byte_, 1),
                                             asio::redirect_error(kAwait, error));
    co_return error;
  }

  Task<Result> ReadSome(asio::mutable_buffer buffer) override {
    if (held_ == 0 || buffer.size() == 0) return stream_.async_read_some(buffer, kTuple);
    return TakeHeld(buffer);
  }

  Task<Result> WriteSome(std::string_view first, std::string_view second) override {
    const std::string_view next = first.empty() ? second : first;
    return stream_.async_write_some(asio::const_buffer(next.data(), next.size()), kTuple);
  }

  Task<void> EndWriting() override {
    error_code ignored;
    co_await stream_.async_shutdown(asio::redirect_error(kAwait, ignored));
    socket().shutdown(Socket::shutdown_send, ignored);
  }

 protected:
  Socket& socket() override { return stream_.next_layer(); }

 private:
  Task<Result> TakeHeld(asio::mutable_buffer buffer) {
    *static_cast<char*>(buffer.data()) = byte_;
    held_ = 0;
    co_return Result(error_code(), 1);
  }

  const std::shared_ptr<asio::ssl::context> context_;
  asio::ssl::stream<Socket> stream_;
  char byte_ = 0;
  size_t held_ = 0;
};

}  // namespace

void Transport::Cancel() {
  error_code ignored;
  socket().cancel(ignored);
}

void Transport::Close() {
  error_code ignored;
  socket().close(ignored);
}

short Transport::Poll(short events) {
  pollfd state = {.fd = socket().native_handle(), .events = events, .revents = 0};
  return poll(&state, 1, 0) > 0 ? state.revents : 0;
}

std::unique_ptr<Transport> MakePlainTransport(Socket socket) {
  return std::make_unique<PlainTransport>(std::move(socket));
}

std::unique_ptr<Transport> MakeTlsTransport(Socket socket,
                                            std::shared_ptr<asio::ssl::context> context) {
  return std::make_unique<TlsTransport>(std::move(socket), std::move(context));
}

}  // namespace qasino::http
