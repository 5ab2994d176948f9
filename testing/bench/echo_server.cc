// A gRPC server that answers each call with what it was sent, and nothing else: the limit
// of the machine's gRPC. Prints, as Qasino's servers do, where it listens and "ready".

#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <memory>

#include "absl/synchronization/mutex.h"
#include "bench/echo.grpc.pb.h"

namespace {

class EchoService : public qasino::bench::Echo::CallbackService {
  grpc::ServerUnaryReactor* Echo(grpc::CallbackServerContext* context,
                                 const qasino::bench::EchoMessage* request,
                                 qasino::bench::EchoMessage* response) override {
    response->set_payload(request->payload());
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

}  // namespace

int main() {
  // As Qasino's servers do, so that nothing but the answering differs.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  EchoService service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    std::fprintf(stderr, "echo_server: cannot listen on 127.0.0.1\n");
    return 1;
  }
  std::printf("listening: echo grpc 127.0.0.1:%d\nready\n", port);
  std::fflush(stdout);
  server->Wait();  // Until a signal ends the process.
}
