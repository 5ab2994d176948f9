#include "adapters/http/test_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/ascii.h"

namespace qasino::http {

struct TestClient::State {
  int fd = -1;
  SSL_CTX* context = nullptr;
  SSL* ssl = nullptr;
  bool connected = false;
  std::string unread;
};

TestClient::TestClient(int port, const std::string& tls_ca) : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit = {.tv_sec = 30, .tv_usec = 0};
  setsockopt(state.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(state.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  state.connected = connect(state.fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  if (!state.connected || tls_ca.empty()) return;
  state.context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_load_verify_file(state.context, tls_ca.c_str());
  SSL_CTX_set_verify(state.context, SSL_VERIFY_PEER, nullptr);
  state.ssl = SSL_new(state.context);
  SSL_set_fd(state.ssl, state.fd);
  state.connected = SSL_connect(state.ssl) == 1;
}

TestClient::~TestClient() {
  SSL_free(state_->ssl);
  SSL_CTX_free(state_->context);
  close(state_->fd);
}

bool TestClient::connected() const { return state_->connected; }

bool TestClient::Send(std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = state_->ssl != nullptr
                             ? SSL_write(state_->ssl, text.data(), static_cast<int>(text.size()))
                             : send(state_->fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void TestClient::EndSending() { shutdown(state_->fd, SHUT_WR); }

void TestClient::Reset() {
  const linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(state_->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(state_->fd);
  state_->fd = -1;
}

bool TestClient::Fill() {
  char buffer[16384];
  const ssize_t bytes = state_->ssl != nullptr ? SSL_read(state_->ssl, buffer, sizeof(buffer))
                                               : recv(state_->fd, buffer, sizeof(buffer), 0);
  if (bytes <= 0) return false;
  state_->unread.append(buffer, static_cast<size_t>(bytes));
  return true;
}

bool TestClient::TakeUntil(std::string_view end, std::string* text) {
  size_t at;
  while ((at = state_->unread.find(end)) == std::string::npos) {
    if (!Fill()) return false;
  }
  return Take(at + end.size(), text);
}

bool TestClient::Take(size_t bytes, std::string* text) {
  while (state_->unread.size() < bytes) {
    if (!Fill()) return false;
  }
  *text = state_->unread.substr(0, bytes);
  state_->unread.erase(0, bytes);
  return true;
}

Reply TestClient::Read(bool head) {
  Reply reply;
  std::string line;
  if (!TakeUntil("\r\n", &line) || !line.starts_with("HTTP/1.1 ")) return reply;
  const int status = std::atoi(line.c_str() + 9);
  while (true) {
    if (!TakeUntil("\r\n", &line)) return reply;
    if (line == "\r\n") break;
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) return reply;
    reply.headers[absl::AsciiStrToLower(line.substr(0, colon))] =
        line.substr(colon + 2, line.size() - colon - 4);
  }
  reply.status = status;
  if (head || status == 100 || status == 204 || status == 304) {
    reply.whole = true;
  } else if (reply.headers.contains("content-length")) {
    const size_t bytes = std::strtoul(reply.headers["content-length"].c_str(), nullptr, 10);
    reply.whole = Take(bytes, &reply.body);
  } else if (reply.headers.contains("transfer-encoding")) {
    while (TakeUntil("\r\n", &line)) {
      const size_t bytes = std::strtoul(line.c_str(), nullptr, 16);
      std::string chunk;
      if (!Take(bytes + 2, &chunk)) break;
      reply.body += chunk.substr(0, bytes);
      if (bytes != 0) continue;
      reply.whole = true;
      break;
    }
  } else {
    reply.body = ReadAll();
    reply.whole = true;
  }
  return reply;
}

Reply TestClient::Ask(std::string_view text) {
  Send(text);
  return Read();
}

std::string TestClient::ReadAll() {
  while (Fill()) {
  }
  return std::move(state_->unread);
}

bool TestClient::AtEnd() { return state_->unread.empty() && !Fill(); }

}  // namespace qasino::http
