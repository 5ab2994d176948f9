#ifndef QASINO_ADAPTERS_HTTP_SERVICE_H_
#define QASINO_ADAPTERS_HTTP_SERVICE_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "adapters/http/htpasswd.h"
#include "adapters/http/metrics.h"
#include "adapters/upstream/upstream.h"

namespace qasino::http {

// What all connections share; constant, and for any thread.
struct Service {
  // Under which the adapter answers.
  std::string identity;
  // The answer to a publish.
  std::string ok_body;
  size_t max_body_bytes = 0;
  bool require_auth = false;
  std::chrono::nanoseconds idle_timeout{};
  std::chrono::nanoseconds receive_timeout{};
  std::chrono::nanoseconds write_timeout{};
  // Null: nobody is asked who he is.
  std::unique_ptr<PasswordFile> users;
  std::unique_ptr<adapters::Upstream> upstream;
  Metrics* metrics = nullptr;
};

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_SERVICE_H_
