#include "testing/bench/call_load.h"

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace qasino::bench {

void CallLoad::Run(int64_t calls, int in_flight, double most_seconds) {
  const int slots = static_cast<int>(std::min<int64_t>(calls, in_flight));
  calls_ = calls;
  most_seconds_ = most_seconds;
  next_ = slots;
  {
    absl::MutexLock lock(&mu_);
    running_ = slots;
  }
  begin_ = std::chrono::steady_clock::now();
  for (int slot = 0; slot < slots; ++slot) Start(slot, slot);
  {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(
        +[](int* running) { return *running == 0; }, &running_));
  }
  seconds_ = Elapsed();
}

double CallLoad::Elapsed() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

void CallLoad::Done(int slot, const grpc::Status& status) {
  if (status.ok()) {
    ended_.fetch_add(1, std::memory_order_relaxed);
  }
  if (status.ok() && Elapsed() < most_seconds_) {
    const int64_t number = next_.fetch_add(1, std::memory_order_relaxed);
    if (number < calls_) {
      Start(number, slot);
      return;
    }
  }
  absl::MutexLock lock(&mu_);
  if (!status.ok() && first_error_.empty()) {
    first_error_ =
        fmt::format("code {}: {}", static_cast<int>(status.error_code()), status.error_message());
  }
  --running_;
}

int CallLoad::Print() const {
  absl::MutexLock lock(&mu_);
  if (!first_error_.empty()) {
    fmt::print(stderr, "a call failed: {}\n", first_error_);
    return 1;
  }
  fmt::print("{{\"calls\": {}, \"seconds\": {:.6f}}}\n", ended_.load(), seconds_);
  return 0;
}

std::vector<std::shared_ptr<grpc::Channel>> Connect(const std::string& target, int channels) {
  std::vector<std::shared_ptr<grpc::Channel>> connected;
  for (int i = 0; i < channels; ++i) {
    grpc::ChannelArguments arguments;
    // Channels of equal arguments would share a connection.
    arguments.SetInt("qasino.bench.channel", i);
    // http_proxy in the environment is meant for the web.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    auto channel = grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
    if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10))) {
      fmt::print(stderr, "{} does not answer\n", target);
      return {};
    }
    connected.push_back(std::move(channel));
  }
  return connected;
}

}  // namespace qasino::bench
