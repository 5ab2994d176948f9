// Runs a statement many times, many queries in flight.

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "qasino/v1/query.grpc.pb.h"
#include "testing/bench/call_load.h"

namespace {

using qasino::v1::Query;
using qasino::v1::QueryRequest;
using qasino::v1::QueryResponse;

class QueryLoad : public qasino::bench::CallLoad {
 public:
  QueryLoad(const std::vector<std::shared_ptr<grpc::Channel>>& channels, const std::string& sql)
      : sql_(sql) {
    for (const auto& channel : channels) stubs_.push_back(Query::NewStub(channel));
  }

 private:
  // One query; deletes itself at its end.
  class Call : public grpc::ClientReadReactor<QueryResponse> {
   public:
    Call(QueryLoad* load, Query::Stub* stub, int slot, std::string sql) : load_(load), slot_(slot) {
      request_.set_sql(std::move(sql));
      stub->async()->Query(&context_, &request_, this);
      StartRead(&response_);
      StartCall();
    }

    void OnReadDone(bool ok) override {
      if (!ok) return;
      whole_ = response_.has_summary() && response_.summary().rows() > 0;
      StartRead(&response_);
    }

    void OnDone(const grpc::Status& status) override {
      QueryLoad* const load = load_;
      const int slot = slot_;
      const bool whole = whole_;
      const grpc::Status result = status;
      delete this;
      load->Done(slot, result.ok() && !whole
                           ? grpc::Status(grpc::INTERNAL, "the answer had no rows or no summary")
                           : result);
    }

   private:
    QueryLoad* const load_;
    const int slot_;
    grpc::ClientContext context_;
    QueryRequest request_;
    QueryResponse response_;
    bool whole_ = false;
  };

  void Start(int64_t number, int slot) override {
    std::string sql = sql_;
    if (const size_t at = sql.find("{}"); at != std::string::npos) {
      sql.replace(at, 2, std::to_string(number));
    }
    new Call(this, stubs_[slot % stubs_.size()].get(), slot, std::move(sql));
  }

  const std::string sql_;
  std::vector<std::unique_ptr<Query::Stub>> stubs_;
};

}  // namespace

int main(int argc, char** argv) {
  std::string target, sql = "SELECT 1";
  int64_t calls = 50'000;
  int in_flight = 64, channels = 1;
  double most_seconds = std::numeric_limits<double>::infinity();
  CLI::App app("Runs a statement many times, many queries in flight.");
  app.add_option("--target", target, "host:port of query")->required();
  app.add_option("--sql", sql, "a {} in it becomes the number of the call")->capture_default_str();
  app.add_option("--calls", calls)->capture_default_str();
  app.add_option("--most-seconds", most_seconds, "begin no call after so long; none: no limit");
  app.add_option("--in-flight", in_flight)->capture_default_str();
  app.add_option("--channels", channels)->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const auto connected = qasino::bench::Connect(target, channels);
  if (connected.empty()) return 2;
  QueryLoad load(connected, sql);
  load.Run(calls, in_flight, most_seconds);
  return load.Print();
}
