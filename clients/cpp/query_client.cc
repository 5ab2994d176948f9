#include "clients/cpp/query_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <cstdint>
#include <string>
#include <unordered_set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "clients/cpp/answer_checker.h"
#include "clients/cpp/backoff.h"
#include "clients/cpp/channel.h"
#include "qasino/v1/query.grpc.pb.h"

namespace qasino::client {

struct QueryClient::State {
  using Context = std::shared_ptr<grpc::ClientContext>;

  explicit State(std::shared_ptr<const Channel> the_channel)
      : channel(std::move(the_channel)), stub(v1::Query::NewStub(channel->grpc())) {}

  void Add(const Context& context) ABSL_LOCKS_EXCLUDED(mu) {
    absl::MutexLock lock(&mu);
    running.insert(context);
  }

  void Remove(const Context& context) ABSL_LOCKS_EXCLUDED(mu) {
    absl::MutexLock lock(&mu);
    running.erase(context);
  }

  const std::shared_ptr<const Channel> channel;
  const std::unique_ptr<v1::Query::Stub> stub;

  absl::Mutex mu;
  absl::CondVar cancelled;
  std::unordered_set<Context> running ABSL_GUARDED_BY(mu);
  int64_t cancels ABSL_GUARDED_BY(mu) = 0;  // calls of CancelAll
};

struct QueryResult::State {
  State(std::shared_ptr<QueryClient::State> the_client, absl::Time deadline,
        const v1::QueryRequest& request)
      : client(std::move(the_client)),
        context(std::make_shared<grpc::ClientContext>()),
        checker(request.has_unless_snapshot()) {
    SetDeadline(deadline, context.get());
    client->Add(context);
    reader = client->stub->Query(context.get(), request);
  }

  ~State() {
    if (!ended) {
      context->TryCancel();
      (void)reader->Finish();
    }
    client->Remove(context);
  }

  // Reads to the header; not OK when there is none.
  absl::Status ReadHeader() {
    if (!ReadOn()) return status;
    header.Swap(response.mutable_header());
    response.clear_header();
    unread = true;
    return absl::OkStatus();
  }

  // The next batch with rows, or null at the end.
  const v1::RowBatch* Next() {
    while (!ended) {
      if (!std::exchange(unread, false) && !ReadOn()) return nullptr;
      if (response.has_summary()) summary.Swap(response.mutable_summary());
      if (response.has_batch() && response.batch().rows() > 0) return &response.batch();
    }
    return nullptr;
  }

  // Reads the next message into `response`; false when the answer has ended.
  bool ReadOn() {
    if (reader->Read(&response)) {
      const absl::Status fault = checker.Check(response);
      return fault.ok() || Fail(fault);
    }
    End(client->channel->ToStatus(reader->Finish()));
    if (status.ok() && !checker.whole()) status = Wrong(checker.End());
    return false;
  }

  // Ends the answer, because what the server sent makes no sense. Always false.
  bool Fail(const absl::Status& fault) {
    context->TryCancel();
    (void)reader->Finish();
    End(Wrong(fault));
    return false;
  }

  void End(absl::Status why) {
    ended = true;
    status = std::move(why);
  }

  absl::Status Wrong(const absl::Status& fault) const {
    return WrongAnswer(client->channel->peer(), fault);
  }

  const std::shared_ptr<QueryClient::State> client;
  const std::shared_ptr<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientReader<v1::QueryResponse>> reader;

  v1::QueryHeader header;
  v1::QueryResponse response;
  AnswerChecker checker;
  bool unread = false;  // `response` has not been looked at
  v1::QuerySummary summary;
  bool ended = false;
  absl::Status status;

  uint64_t rows_left = 0;  // of the batch in `response`, for NextRow
  bool has_row = false;
  Row row;
};

QueryResult::QueryResult(std::unique_ptr<State> state) : state_(std::move(state)) {}
QueryResult::QueryResult(QueryResult&&) noexcept = default;
QueryResult& QueryResult::operator=(QueryResult&&) noexcept = default;
QueryResult::~QueryResult() = default;

const google::protobuf::RepeatedPtrField<v1::ColumnInfo>& QueryResult::columns() const {
  return state_->header.columns();
}

const v1::SnapshotInfo& QueryResult::snapshot() const { return state_->header.snapshot(); }

const v1::RowBatch* QueryResult::NextBatch() { return state_->Next(); }

bool QueryResult::NextRow() {
  State& state = *state_;
  while (state.rows_left == 0) {
    const v1::RowBatch* batch = state.Next();
    if (batch == nullptr) return state.has_row = false;
    state.rows_left = batch->rows();
  }
  --state.rows_left;
  std::vector<Cell>& cells = state.row.cells_;
  std::vector<ColumnReader>& readers = state.checker.readers();
  cells.resize(readers.size());
  for (size_t i = 0; i < cells.size(); ++i) cells[i] = readers[i].Next();
  return state.has_row = true;
}

QueryResult::Iterator QueryResult::begin() { return Iterator(NextRow() ? this : nullptr); }

const Row& QueryResult::Iterator::operator*() const { return result_->state_->row; }

QueryResult::Iterator& QueryResult::Iterator::operator++() {
  if (!result_->NextRow()) result_ = nullptr;
  return *this;
}

const absl::Status& QueryResult::status() const { return state_->status; }

const v1::QuerySummary& QueryResult::summary() const {
  return state_->ended && state_->status.ok() ? state_->summary
                                              : v1::QuerySummary::default_instance();
}

void QueryResult::Cancel() { state_->context->TryCancel(); }

void SnapshotChoice::ApplyTo(v1::QueryRequest* request) const {
  request->clear_snapshot();
  if (running_) request->set_running(true);
  if (generation_.has_value()) request->set_generation(*generation_);
}

absl::StatusOr<std::unique_ptr<QueryClient>> QueryClient::Create(const ConnectOptions& options) {
  absl::StatusOr<std::shared_ptr<const Channel>> channel = Channel::Create(options, "qasino-query");
  if (!channel.ok()) return channel.status();
  return std::unique_ptr<QueryClient>(
      new QueryClient(std::make_shared<State>(*std::move(channel))));
}

QueryClient::QueryClient(std::shared_ptr<State> state) : state_(std::move(state)) {}
QueryClient::~QueryClient() = default;

absl::StatusOr<QueryResult> QueryClient::Query(std::string_view sql, const CallOptions& call) {
  return Query(sql, SnapshotChoice::Newest(), call);
}

absl::StatusOr<QueryResult> QueryClient::Query(std::string_view sql, const SnapshotChoice& snapshot,
                                               const CallOptions& call) {
  v1::QueryRequest request;
  request.set_sql(sql.data(), sql.size());
  snapshot.ApplyTo(&request);
  return Query(request, call);
}

absl::StatusOr<QueryResult> QueryClient::Query(const v1::QueryRequest& request,
                                               const CallOptions& call) {
  const Channel& channel = *state_->channel;
  const absl::Time deadline = channel.Deadline(call);
  Backoff backoff(channel.options().retry);
  int64_t cancels;
  {
    absl::MutexLock lock(&state_->mu);
    cancels = state_->cancels;
  }
  absl::Status unavailable;
  for (int attempt = 1;; ++attempt) {
    auto result = std::make_unique<QueryResult::State>(state_, deadline, request);
    absl::Status status = result->ReadHeader();
    if (status.ok()) return QueryResult(std::move(result));
    if (status.code() == absl::StatusCode::kDeadlineExceeded && !unavailable.ok()) {
      return unavailable;
    }
    if (status.code() != absl::StatusCode::kUnavailable) return status;
    unavailable = std::move(status);
    if (attempt >= channel.options().retry.attempts) return unavailable;
    const absl::Time again = absl::Now() + backoff.Next();
    if (again >= deadline) return unavailable;
    absl::MutexLock lock(&state_->mu);
    while (state_->cancels == cancels && !state_->cancelled.WaitWithDeadline(&state_->mu, again)) {
    }
    if (state_->cancels != cancels) return absl::CancelledError("the query was cancelled");
  }
}

void QueryClient::CancelAll() {
  std::vector<State::Context> running;
  {
    absl::MutexLock lock(&state_->mu);
    ++state_->cancels;
    state_->cancelled.SignalAll();
    running.assign(state_->running.begin(), state_->running.end());
  }
  for (const State::Context& context : running) context->TryCancel();
}

}  // namespace qasino::client
