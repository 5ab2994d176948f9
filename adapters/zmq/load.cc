#include "adapters/zmq/load.h"

#include <fmt/format.h>

#include <utility>

#include "absl/status/status.h"

namespace qasino::zeromq {

absl::Status Load::Check(const Held* client, int64_t requests, int64_t bytes) const {
  const Held held = client == nullptr ? Held() : *client;
  if (all_.requests + requests > limits_.requests) {
    return absl::ResourceExhaustedError(
        fmt::format("{} requests are under way already; try again", all_.requests));
  }
  if (held.requests + requests > limits_.requests_per_client) {
    return absl::ResourceExhaustedError(fmt::format(
        "{} requests of this client are under way already; read their answers", held.requests));
  }
  if (all_.bytes + bytes > limits_.bytes) {
    return absl::ResourceExhaustedError(fmt::format(
        "requests and answers of {} bytes are under way already; try again", all_.bytes));
  }
  if (held.bytes + bytes > limits_.bytes_per_client) {
    return absl::ResourceExhaustedError(
        fmt::format("requests and answers of this client with {} bytes are under way already; "
                    "read the answers",
                    held.bytes));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Load::Lease>> Load::Admit(std::string_view client, int64_t bytes) {
  absl::MutexLock lock(&mu_);
  auto found = clients_.find(client);
  const Held* held = found == clients_.end() ? nullptr : &found->second;
  if (absl::Status status = Check(held, 1, bytes); !status.ok()) return status;
  if (found == clients_.end()) found = clients_.try_emplace(std::string(client)).first;
  for (Held* one : {&all_, &found->second}) {
    ++one->requests;
    one->bytes += bytes;
  }
  return std::unique_ptr<Lease>(new Lease(this, found, bytes));
}

bool Load::WaitUntilIdle(absl::Time deadline) {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithDeadline(absl::Condition(this, &Load::IsIdle), deadline);
}

Load::Lease::~Lease() {
  absl::MutexLock lock(&load_->mu_);
  for (Held* one : {&load_->all_, &client_->second}) {
    --one->requests;
    one->bytes -= bytes_;
  }
  if (client_->second.requests == 0) load_->clients_.erase(client_);
}

absl::Status Load::Lease::Grow(int64_t bytes) {
  absl::MutexLock lock(&load_->mu_);
  if (absl::Status status = load_->Check(&client_->second, 0, bytes); !status.ok()) return status;
  for (Held* one : {&load_->all_, &client_->second}) one->bytes += bytes;
  bytes_ += bytes;
  return absl::OkStatus();
}

void Load::Lease::Resize(int64_t bytes) {
  absl::MutexLock lock(&load_->mu_);
  for (Held* one : {&load_->all_, &client_->second}) one->bytes += bytes - bytes_;
  bytes_ = bytes;
}

}  // namespace qasino::zeromq
