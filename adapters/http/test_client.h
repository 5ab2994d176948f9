#ifndef QASINO_ADAPTERS_HTTP_TEST_CLIENT_H_
#define QASINO_ADAPTERS_HTTP_TEST_CLIENT_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace qasino::http {

// What came for one request.
struct Reply {
  // 0: the connection ended before an answer.
  int status = 0;
  // Names in lower case.
  std::map<std::string, std::string> headers;
  std::string body;
  // The body came to its end.
  bool whole = false;
};

// For tests: one end of a connection to a server of 127.0.0.1. What does not come within 30 s
// counts as the end of the connection.
class TestClient {
 public:
  // With the authorities in `tls_ca` it speaks TLS.
  explicit TestClient(int port, const std::string& tls_ca = "");
  ~TestClient();
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  // Whether the server, TLS too, is there.
  bool connected() const;

  // Sends it all; false: the connection has ended.
  bool Send(std::string_view text);
  // Ends sending, and goes on reading.
  void EndSending();
  // Ends the connection so that the server sees it at once.
  void Reset();

  // Reads the next answer. `head`: it has no body, whatever its headers say.
  Reply Read(bool head = false);
  // Send and Read.
  Reply Ask(std::string_view text);
  // Reads until the end of the connection.
  std::string ReadAll();
  // Nothing more comes.
  bool AtEnd();

 private:
  struct State;

  // Reads some more; false: the end.
  bool Fill();
  // Takes up to and with `end` off what is read; false: the connection ended first.
  bool TakeUntil(std::string_view end, std::string* text);
  bool Take(size_t bytes, std::string* text);

  const std::unique_ptr<State> state_;
};

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_TEST_CLIENT_H_
