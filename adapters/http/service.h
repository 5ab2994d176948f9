#ifndef QASINO_ADAPTERS_HTTP_SERVICE_H_
#define QASINO_ADAPTERS_HTTP_SERVICE_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "adapters/http/htpasswd.h"
#include "adapters/http/metrics.h"
#include "adapters/upstream/upstream.h"

namespace qasino::http {

// What all connections share, for any thread; constant but for what synchronises itself.
struct Service {
  // Under which the adapter answers.
  std::string identity;
  // The answer to a publish.
  std::string ok_body;
  size_t max_body_bytes = 0;
  int64_t max_bodies_bytes = 0;
  bool require_auth = false;
  std::chrono::nanoseconds idle_timeout{};
  std::chrono::nanoseconds receive_timeout{};
  std::chrono::nanoseconds write_timeout{};
  std::chrono::nanoseconds half_closed_timeout{};
  // Null: nobody is asked who he is.
  std::unique_ptr<PasswordFile> users;
  std::unique_ptr<adapters::Upstream> upstream;
  Metrics* metrics = nullptr;
  // What the bodies take that are being read or parsed.
  mutable std::atomic<int64_t> bodies_bytes = 0;
};

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_SERVICE_H_
