#ifndef QASINO_ADAPTERS_HTTP_TRANSPORT_H_
#define QASINO_ADAPTERS_HTTP_TRANSPORT_H_

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <memory>
#include <string_view>
#include <tuple>

#include "adapters/http/async.h"

namespace qasino::http {

using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, Executor>;

// The bytes of a connection, with TLS or without. One operation at a time. An operation that
// Cancel ended says operation_aborted.
class Transport {
 public:
  using Result = std::tuple<boost::system::error_code, size_t>;

  virtual ~Transport() = default;

  // TLS's; first of all.
  virtual Task<boost::system::error_code> Handshake() = 0;

  // Until there is something to read, or the other side has ended. It takes no buffer.
  virtual Task<boost::system::error_code> WaitReadable() = 0;

  // eof: the other side has ended what it sends.
  virtual Task<Result> ReadSome(boost::asio::mutable_buffer buffer) = 0;

  // Writes of `first`, and `second` behind it, as much as goes at once; at least a byte,
  // unless both are empty.
  virtual Task<Result> WriteSome(std::string_view first, std::string_view second) = 0;

  // Tells the other side that nothing more comes.
  virtual Task<void> EndWriting() = 0;

  // Ends the operation that is under way.
  void Cancel();
  void Close();
  // What poll() says of the socket.
  short Poll(short events);

 protected:
  virtual Socket& socket() = 0;
};

std::unique_ptr<Transport> MakePlainTransport(Socket socket);
std::unique_ptr<Transport> MakeTlsTransport(Socket socket,
                                            std::shared_ptr<boost::asio::ssl::context> context);

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_TRANSPORT_H_
