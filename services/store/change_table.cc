#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>
#include <prometheus/counter.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/names/names.h"
#include "services/server/log.h"
#include "services/store/calls.h"
#include "services/store/grpc_status.h"
#include "services/store/journal_record.pb.h"
#include "services/store/messages.h"
#include "services/tables/message_memory.h"
#include "services/tables/validate_table.h"

namespace qasino::store {
namespace {

// The last second that a google.protobuf.Timestamp can hold.
constexpr int64_t kMaxGeneration = 253'402'300'799;

absl::Status ValidateTableOf(const std::string& identity, bool has_table, const v1::Table& table,
                             const tables::TableLimits& limits) {
  if (absl::Status status = names::ValidateIdentity(identity); !status.ok()) return status;
  if (!has_table) return absl::InvalidArgumentError("there is no table");
  return tables::ValidateTable(table, limits);
}

absl::Status ValidateGeneration(int64_t generation, int64_t least) {
  if (generation >= least && generation <= kMaxGeneration) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("generation ", generation, " is not from ", least, " to ", kMaxGeneration));
}

absl::Status Validate(const v1::PutStaticTableRequest& request, const tables::TableLimits& limits) {
  return ValidateTableOf(request.identity(), request.has_table(), request.table(), limits);
}

absl::Status Validate(const v1::DropStaticTableRequest& request, const tables::TableLimits&) {
  return names::ValidateTableName(request.table_name());
}

absl::Status Validate(const v1::PutPersistentTableRequest& request,
                      const tables::TableLimits& limits) {
  absl::Status status =
      ValidateTableOf(request.identity(), request.has_table(), request.table(), limits);
  if (status.ok()) status = ValidateGeneration(request.generation(), 1);
  if (status.ok()) {
    status = tables::ValidateKeycols(request.table(), request.update(), request.keycols(), limits);
  }
  return status;
}

absl::Status Validate(const v1::DropPersistentTableRequest& request, const tables::TableLimits&) {
  absl::Status status = names::ValidateIdentity(request.identity());
  if (status.ok()) status = names::ValidateTableName(request.table_name());
  if (status.ok()) status = ValidateGeneration(request.generation(), 0);
  return status;
}

JournalRecord ToRecord(v1::PutStaticTableRequest request) {
  JournalRecord record;
  *record.mutable_put_static() = std::move(request);
  return record;
}

JournalRecord ToRecord(v1::DropStaticTableRequest request) {
  JournalRecord record;
  *record.mutable_drop_static() = std::move(request);
  return record;
}

JournalRecord ToRecord(v1::PutPersistentTableRequest request) {
  JournalRecord record;
  *record.mutable_put_persistent() = std::move(request);
  return record;
}

JournalRecord ToRecord(v1::DropPersistentTableRequest request) {
  JournalRecord record;
  *record.mutable_drop_persistent() = std::move(request);
  return record;
}

void SetResponse(const SnapshotKeeper::Changed& changed, v1::PutStaticTableResponse& response) {
  response.set_generation(changed.generation);
  response.set_revision(changed.revision);
}

void SetResponse(const SnapshotKeeper::Changed& changed, v1::DropStaticTableResponse& response) {
  response.set_generation(changed.generation);
  response.set_revision(changed.revision);
}

void SetResponse(const SnapshotKeeper::Changed& changed, v1::PutPersistentTableResponse& response) {
  response.set_generation(changed.generation);
  response.set_duplicate(changed.duplicate);
}

void SetResponse(const SnapshotKeeper::Changed&, v1::DropPersistentTableResponse&) {}

// One call. It is looked through, parsed and validated on the pool, waits for the keeper
// with the others, and is answered from there; memory for it is taken before it is parsed
// and given back when it is answered.
template <typename Request, typename Response>
class ChangeTable : public Stream {
 public:
  ChangeTable(Calls* calls, grpc::ServerUnaryReactor* reactor, const grpc::ByteBuffer* request,
              grpc::ByteBuffer* response)
      : calls_(calls), reactor_(reactor), message_(*request), response_(response) {}
  ~ChangeTable() override {
    if (taken_ > 0) calls_->changing.Give(taken_);
    calls_->changes.Remove(this);
  }

  void Start(const std::shared_ptr<ChangeTable>& self) {
    absl::Status status = calls_->changes.Add(self);
    if (status.ok()) status = calls_->pool->Submit([self] { self->Take(self); });
    if (!status.ok()) Finish(status, false);
  }

  // It waits for the keeper alone, which always answers.
  void Tick(absl::Time) override {}

  // What it asks for may still be done.
  void Abort() override { Finish(absl::UnavailableError("the store is stopping"), false); }

 private:
  void Take(const std::shared_ptr<ChangeTable>& self) {
    Request request;
    if (absl::Status status = Read(request); !status.ok()) return Finish(status, false);
    calls_->keeper->Change(ToRecord(std::move(request)),
                           [self](absl::StatusOr<SnapshotKeeper::Changed> changed) {
                             self->Answer(std::move(changed));
                           });
  }

  absl::Status Read(Request& request) {
    const auto length = static_cast<int64_t>(message_.Length());
    std::optional<int64_t> memory;
    {
      grpc::ProtoBufferReader reader(&message_);
      if (reader.status().ok()) {
        memory = tables::EstimateMemory(reader, length, Request::default_instance());
      }
    }
    if (!memory.has_value()) return NotA(std::string(Request::descriptor()->name()));
    if (absl::Status status = calls_->changing.Take(*memory); !status.ok()) return status;
    taken_ = *memory;
    absl::Status status = ParseMessage(message_, request);
    message_.Clear();
    return status.ok() ? Validate(request, calls_->table_limits) : status;
  }

  void Answer(absl::StatusOr<SnapshotKeeper::Changed> changed) {
    if (changed.ok()) {
      // Nobody reads it once Abort has finished the call.
      result_ = *changed;
    }
    Finish(changed.status(), changed.ok() && changed->duplicate);
  }

  void Finish(const absl::Status& status, bool duplicate) {
    if (finished_.exchange(true)) return;
    const TableResult result = Result(status, duplicate);
    calls_->metrics->Changed(result).Increment();
    if (!status.ok()) {
      log::Info("store", "change of a table refused",
                {{"call", std::string(Request::descriptor()->name())},
                 {"reason", TableResultName(result)},
                 {"error", status}});
      reactor_->Finish(ToGrpc(status));
      return;
    }
    Response response;
    SetResponse(result_, response);
    reactor_->Finish(WriteMessage(response, response_));
  }

  TableResult Result(const absl::Status& status, bool duplicate) const {
    switch (status.code()) {
      case absl::StatusCode::kOk:
        return duplicate ? TableResult::kDuplicate : TableResult::kApplied;
      case absl::StatusCode::kNotFound:
        return TableResult::kNotFound;
      case absl::StatusCode::kInvalidArgument:
        return TableResult::kInvalid;
      case absl::StatusCode::kResourceExhausted:
        return calls_->keeper->Disk().ok() ? TableResult::kLimit : TableResult::kDisk;
      case absl::StatusCode::kUnavailable:
        return TableResult::kStopping;
      default:
        return TableResult::kDisk;
    }
  }

  Calls* const calls_;
  grpc::ServerUnaryReactor* const reactor_;  // gRPC's, until the call is finished
  grpc::ByteBuffer message_;
  grpc::ByteBuffer* const response_;
  int64_t taken_ = 0;
  SnapshotKeeper::Changed result_;
  std::atomic<bool> finished_ = false;
};

template <typename Request, typename Response>
grpc::ServerUnaryReactor* Start(Calls* calls, grpc::CallbackServerContext* context,
                                const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const auto call =
      std::make_shared<ChangeTable<Request, Response>>(calls, reactor, request, response);
  call->Start(call);
  return reactor;
}

}  // namespace

grpc::ServerUnaryReactor* StartPutStaticTable(Calls* calls, grpc::CallbackServerContext* context,
                                              const grpc::ByteBuffer* request,
                                              grpc::ByteBuffer* response) {
  return Start<v1::PutStaticTableRequest, v1::PutStaticTableResponse>(calls, context, request,
                                                                      response);
}

grpc::ServerUnaryReactor* StartDropStaticTable(Calls* calls, grpc::CallbackServerContext* context,
                                               const grpc::ByteBuffer* request,
                                               grpc::ByteBuffer* response) {
  return Start<v1::DropStaticTableRequest, v1::DropStaticTableResponse>(calls, context, request,
                                                                        response);
}

grpc::ServerUnaryReactor* StartPutPersistentTable(Calls* calls,
                                                  grpc::CallbackServerContext* context,
                                                  const grpc::ByteBuffer* request,
                                                  grpc::ByteBuffer* response) {
  return Start<v1::PutPersistentTableRequest, v1::PutPersistentTableResponse>(calls, context,
                                                                              request, response);
}

grpc::ServerUnaryReactor* StartDropPersistentTable(Calls* calls,
                                                   grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request,
                                                   grpc::ByteBuffer* response) {
  return Start<v1::DropPersistentTableRequest, v1::DropPersistentTableResponse>(calls, context,
                                                                                request, response);
}

}  // namespace qasino::store
