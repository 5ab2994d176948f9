// Calls echo_server, many calls in flight.

#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/echo.grpc.pb.h"
#include "testing/bench/call_load.h"

namespace {

using qasino::bench::Echo;
using qasino::bench::EchoMessage;

class EchoLoad : public qasino::bench::CallLoad {
 public:
  EchoLoad(const std::vector<std::shared_ptr<grpc::Channel>>& channels, int slots,
           int payload_bytes)
      : slots_(slots) {
    for (const auto& channel : channels) stubs_.push_back(Echo::NewStub(channel));
    request_.set_payload(std::string(payload_bytes, 'x'));
  }

 private:
  struct Slot {
    std::optional<grpc::ClientContext> context;
    EchoMessage response;
  };

  void Start(int64_t, int number) override {
    Slot& slot = slots_[number];
    slot.context.emplace();
    stubs_[number % stubs_.size()]->async()->Echo(
        &*slot.context, &request_, &slot.response,
        [this, number](const grpc::Status& status) { Done(number, status); });
  }

  std::vector<std::unique_ptr<Echo::Stub>> stubs_;
  EchoMessage request_;
  std::vector<Slot> slots_;
};

}  // namespace

int main(int argc, char** argv) {
  std::string target;
  int64_t calls = 50'000;
  int in_flight = 64, channels = 1, payload = 64;
  CLI::App app("Calls echo_server, many calls in flight.");
  app.add_option("--target", target, "host:port")->required();
  app.add_option("--calls", calls)->capture_default_str();
  app.add_option("--in-flight", in_flight)->capture_default_str();
  app.add_option("--channels", channels)->capture_default_str();
  app.add_option("--payload", payload, "bytes of each message")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const auto connected = qasino::bench::Connect(target, channels);
  if (connected.empty()) return 2;
  EchoLoad load(connected, in_flight, payload);
  load.Run(calls, in_flight);
  return load.Print();
}
