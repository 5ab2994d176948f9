#include "clients/cpp/async_query.h"

#include <google/protobuf/arena.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <deque>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "clients/cpp/answer_checker.h"
#include "clients/cpp/channel.h"
#include "clients/cpp/unreachable.h"
#include "clients/cpp/utf8.h"
#include "qasino/v1/query.grpc.pb.h"

namespace qasino::client {
namespace {

// A query waits so long for a connection, and up to one look more.
constexpr absl::Duration kConnectTimeout = absl::Milliseconds(1750);
constexpr absl::Duration kConnectLook = absl::Milliseconds(250);

}  // namespace

// What runs, and a thread that ends what waits too long for a connection.
class AsyncQueryClient::State {
 public:
  explicit State(std::shared_ptr<const Channel> channel)
      : channel_(std::move(channel)), stub_(v1::Query::NewStub(channel_->grpc())) {
    watcher_ = std::thread([this] { Watch(); });
  }

  const Channel& channel() const { return *channel_; }
  v1::Query::Stub& stub() { return *stub_; }

  void Add(const std::shared_ptr<AsyncQuery::State>& query) ABSL_LOCKS_EXCLUDED(mu_);
  void Remove(AsyncQuery::State* query) ABSL_LOCKS_EXCLUDED(mu_);

  // Cancels what runs and waits until gRPC has let go of it.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  // After Stop, and last. A thread of gRPC may be the last to let go of this object, but
  // gRPC must not lose its last channel on a thread of its own.
  void Disconnect() {
    stub_ = nullptr;
    channel_ = nullptr;
  }

 private:
  struct Waiting {
    absl::Time until;
    std::weak_ptr<AsyncQuery::State> query;
  };

  void Watch() ABSL_LOCKS_EXCLUDED(mu_);

  // Constant until Disconnect.
  std::shared_ptr<const Channel> channel_;
  std::unique_ptr<v1::Query::Stub> stub_;

  absl::Mutex mu_;
  absl::CondVar ended_;  // a query was removed
  absl::CondVar look_;   // the watcher has something to do
  // Alive while they are in here.
  std::unordered_set<AsyncQuery::State*> running_ ABSL_GUARDED_BY(mu_);
  // Begun while there was no connection, the oldest first. Some have ended.
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;

  std::thread watcher_;  // last: it uses everything above
};

// One call, which gRPC uses until OnDone.
//
// There is room for two parts: one is with the reader, the other is being read or waits
// for the reader. A hold keeps gRPC from ending the call for as long as a read may begin
// outside of its reactions. No lock is held while gRPC is called, for it may run reactions
// in any of its functions.
class AsyncQuery::State final : public grpc::ClientReadReactor<v1::QueryResponse>,
                                public std::enable_shared_from_this<State> {
 public:
  State(std::shared_ptr<AsyncQueryClient::State> client, bool conditional)
      : checker_(conditional),
        client_(std::move(client)),
        context_(std::make_unique<grpc::ClientContext>()) {}

  // One that has failed.
  explicit State(absl::Status why)
      : checker_(false), done_(true), ended_(true), status_(std::move(why)) {}

  void Start(const v1::QueryRequest& request, absl::Time deadline);
  void Read(ReadCallback callback) ABSL_LOCKS_EXCLUDED(mu_);
  // Ends it with `why`. One that is whole goes on to its end unless `even_whole`.
  void Stop(const absl::Status& why, bool even_whole) ABSL_LOCKS_EXCLUDED(mu_);

  absl::Status status() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return told_end_ ? status_ : absl::OkStatus();
  }

  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnDone(const grpc::Status& status) override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // A message and the memory of its cells, which are many and go together.
  class Part {
   public:
    // An empty one, in the place of the one before.
    v1::QueryResponse* Renew() {
      arena_.Reset();
      return message_ = google::protobuf::Arena::CreateMessage<v1::QueryResponse>(&arena_);
    }
    v1::QueryResponse* message() const { return message_; }

   private:
    static google::protobuf::ArenaOptions Options() {
      google::protobuf::ArenaOptions options;
      options.max_block_size = 64 << 10;
      return options;
    }

    google::protobuf::Arena arena_{Options()};
    v1::QueryResponse* message_ = nullptr;
  };

  // Calls back while somebody wants to know and there is something to tell.
  void Deliver() ABSL_LOCKS_EXCLUDED(mu_);
  // Ends what began with ++users_. After the last one the client is told that the call is
  // over. The caller keeps this object alive.
  void EndUse() ABSL_LOCKS_EXCLUDED(mu_);

  // From Start to OnDone.
  std::shared_ptr<State> self_;
  // Used by what reads, one at a time.
  AnswerChecker checker_;
  Part parts_[2];

  mutable absl::Mutex mu_;
  // Null when the call is over.
  std::shared_ptr<AsyncQueryClient::State> client_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mu_);
  // Threads that use the call or call back, without the lock.
  int users_ ABSL_GUARDED_BY(mu_) = 0;

  ReadCallback callback_ ABSL_GUARDED_BY(mu_);  // of the Read under way
  bool delivering_ ABSL_GUARDED_BY(mu_) = false;
  int next_ ABSL_GUARDED_BY(mu_) = 0;          // the part that is being read, or `ready_`
  bool reading_ ABSL_GUARDED_BY(mu_) = false;  // gRPC has it
  bool ready_ ABSL_GUARDED_BY(mu_) = false;    // it waits for the reader
  bool hold_ ABSL_GUARDED_BY(mu_) = false;
  bool whole_ ABSL_GUARDED_BY(mu_) = false;  // the part with the summary has come
  bool done_ ABSL_GUARDED_BY(mu_) = false;   // OnDone was called
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status stop_status_ ABSL_GUARDED_BY(mu_);  // why, when stopped_
  bool ended_ ABSL_GUARDED_BY(mu_) = false;        // without being whole
  absl::Status status_ ABSL_GUARDED_BY(mu_);       // why, when ended_
  bool told_end_ ABSL_GUARDED_BY(mu_) = false;
};

void AsyncQuery::State::Start(const v1::QueryRequest& request, absl::Time deadline) {
  self_ = shared_from_this();
  std::shared_ptr<AsyncQueryClient::State> client;
  grpc::ClientContext* context;
  {
    absl::MutexLock lock(&mu_);
    ++users_;
    hold_ = reading_ = true;
    client = client_;
    context = context_.get();
  }
  SetDeadline(deadline, context);
  client->stub().async()->Query(context, &request, this);
  client->Add(self_);
  AddHold();
  StartRead(parts_[0].Renew());
  StartCall();
  client = nullptr;
  EndUse();
}

void AsyncQuery::State::Read(ReadCallback callback) {
  {
    absl::MutexLock lock(&mu_);
    callback_ = std::move(callback);
  }
  Deliver();
}

void AsyncQuery::State::Deliver() {
  mu_.Lock();
  if (delivering_) {
    // The loop below, on this stack or another, goes on with it; so a reader that reads in
    // its callback does not deepen the stack with every part.
    mu_.Unlock();
    return;
  }
  delivering_ = true;
  ++users_;
  while (callback_) {
    v1::QueryResponse* part = nullptr;
    v1::QueryResponse* read = nullptr;
    if (ready_ && (whole_ || !stopped_)) {
      part = parts_[next_].message();
      ready_ = false;
      if (!whole_) {
        next_ = 1 - next_;
        reading_ = true;
        read = parts_[next_].Renew();
      }
    } else if (!ended_ && !whole_) {
      break;
    } else {
      told_end_ = true;
    }
    ReadCallback callback = std::exchange(callback_, nullptr);
    mu_.Unlock();
    if (read != nullptr) StartRead(read);
    callback(part);
    callback = nullptr;
    mu_.Lock();
  }
  delivering_ = false;
  mu_.Unlock();
  EndUse();
}

void AsyncQuery::State::EndUse() {
  std::unique_ptr<grpc::ClientContext> context;
  std::shared_ptr<AsyncQueryClient::State> client;
  {
    absl::MutexLock lock(&mu_);
    if (--users_ > 0 || !done_) return;
    context = std::move(context_);
    client = std::move(client_);
  }
  // The context holds the channel, which the client wants to be the last to let go of.
  context = nullptr;
  if (client != nullptr) client->Remove(this);
}

void AsyncQuery::State::Stop(const absl::Status& why, bool even_whole) {
  grpc::ClientContext* context;
  bool release = false;
  {
    absl::MutexLock lock(&mu_);
    if (whole_ && !even_whole) return;
    if (!std::exchange(stopped_, true)) stop_status_ = why;
    if (context_ == nullptr) return;
    context = context_.get();
    ++users_;
    if (!reading_) release = std::exchange(hold_, false);
  }
  context->TryCancel();
  if (release) RemoveHold();
  EndUse();
}

void AsyncQuery::State::OnReadDone(bool ok) {
  const v1::QueryResponse* part;
  {
    absl::MutexLock lock(&mu_);
    part = parts_[next_].message();
  }
  const absl::Status fault = ok ? checker_.Check(*part) : absl::OkStatus();
  grpc::ClientContext* cancel = nullptr;
  bool release = false;
  {
    absl::MutexLock lock(&mu_);
    reading_ = false;
    if (!fault.ok()) {
      ended_ = true;
      status_ = WrongAnswer(client_->channel().peer(), fault);
      cancel = context_.get();
    } else if (ok) {
      ready_ = true;
      whole_ = checker_.whole();
    }
    if (!ok || ended_ || whole_ || stopped_) release = std::exchange(hold_, false);
  }
  // OnDone comes only after the return.
  if (cancel != nullptr) cancel->TryCancel();
  if (release) RemoveHold();
  Deliver();
}

void AsyncQuery::State::OnDone(const grpc::Status& status) {
  const std::shared_ptr<State> self = std::move(self_);
  const Channel* channel;
  {
    absl::MutexLock lock(&mu_);
    channel = &client_->channel();
    ++users_;
  }
  absl::Status why = channel->ToStatus(status);
  {
    absl::MutexLock lock(&mu_);
    done_ = true;
    if (!ended_ && !whole_) {
      ended_ = true;
      if (stopped_) {
        status_ = stop_status_;
      } else if (why.ok()) {
        status_ = WrongAnswer(channel->peer(), checker_.End());
      } else {
        status_ = std::move(why);
      }
    }
  }
  Deliver();
  EndUse();
}

void AsyncQueryClient::State::Add(const std::shared_ptr<AsyncQuery::State>& query) {
  const grpc_connectivity_state state = channel_->State(/*connect=*/false);
  absl::MutexLock lock(&mu_);
  running_.insert(query.get());
  // Where an attempt to connect has failed, gRPC refuses the call at once.
  if (state != GRPC_CHANNEL_IDLE && state != GRPC_CHANNEL_CONNECTING) return;
  if (waiting_.empty()) look_.Signal();
  waiting_.push_back({absl::Now() + kConnectTimeout, query});
}

void AsyncQueryClient::State::Remove(AsyncQuery::State* query) {
  absl::MutexLock lock(&mu_);
  running_.erase(query);
  if (stopping_) ended_.Signal();
}

void AsyncQueryClient::State::Watch() {
  mu_.Lock();
  while (!stopping_) {
    if (waiting_.empty()) {
      look_.Wait(&mu_);
      continue;
    }
    look_.WaitWithTimeout(&mu_, kConnectLook);
    mu_.Unlock();
    const bool connected = channel_->State(/*connect=*/true) == GRPC_CHANNEL_READY;
    const absl::Time now = absl::Now();
    std::vector<std::shared_ptr<AsyncQuery::State>> late;
    mu_.Lock();
    // With a connection what waited has been sent, and its time limit is enough.
    while (!waiting_.empty() && (connected || waiting_.front().until <= now)) {
      std::shared_ptr<AsyncQuery::State> query = waiting_.front().query.lock();
      waiting_.pop_front();
      if (!connected && query != nullptr && running_.contains(query.get())) {
        late.push_back(std::move(query));
      }
    }
    if (late.empty()) continue;
    mu_.Unlock();
    const absl::Status why = UnreachableError(
        absl::StrCat("cannot reach ", channel_->peer(), ": no connection within 2 s"));
    for (const std::shared_ptr<AsyncQuery::State>& query : late) query->Stop(why, false);
    late.clear();
    mu_.Lock();
  }
  mu_.Unlock();
}

void AsyncQueryClient::State::Stop() {
  std::vector<std::shared_ptr<AsyncQuery::State>> running;
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    look_.Signal();
    for (AsyncQuery::State* query : running_) running.push_back(query->shared_from_this());
  }
  watcher_.join();
  for (const std::shared_ptr<AsyncQuery::State>& query : running) {
    query->Stop(absl::CancelledError("the query was cancelled"), true);
  }
  absl::MutexLock lock(&mu_);
  while (!running_.empty()) ended_.Wait(&mu_);
}

AsyncQuery::AsyncQuery(std::shared_ptr<State> state) : state_(std::move(state)) {}

AsyncQuery::~AsyncQuery() { Cancel(); }

std::shared_ptr<AsyncQuery> AsyncQuery::Failed(absl::Status why) {
  return std::shared_ptr<AsyncQuery>(new AsyncQuery(std::make_shared<State>(std::move(why))));
}

void AsyncQuery::Read(ReadCallback callback) {
  // The callback may let go of this object.
  const std::shared_ptr<State> state = state_;
  state->Read(std::move(callback));
}

absl::Status AsyncQuery::status() const { return state_->status(); }

void AsyncQuery::Cancel() {
  state_->Stop(absl::CancelledError("the query was cancelled"), /*even_whole=*/false);
}

absl::StatusOr<std::unique_ptr<AsyncQueryClient>> AsyncQueryClient::Create(
    const ConnectOptions& options) {
  absl::StatusOr<std::shared_ptr<const Channel>> channel =
      Channel::Create(options, "qasino-query", kQuickReconnect);
  if (!channel.ok()) return channel.status();
  return std::unique_ptr<AsyncQueryClient>(
      new AsyncQueryClient(std::make_shared<State>(*std::move(channel))));
}

AsyncQueryClient::AsyncQueryClient(std::shared_ptr<State> state) : state_(std::move(state)) {}

AsyncQueryClient::~AsyncQueryClient() {
  state_->Stop();
  state_->Disconnect();
}

std::shared_ptr<AsyncQuery> AsyncQueryClient::Start(const v1::QueryRequest& request,
                                                    const CallOptions& call) {
  if (!IsUtf8(request.sql())) {
    return AsyncQuery::Failed(absl::InvalidArgumentError("the statement is not valid UTF-8"));
  }
  auto state = std::make_shared<AsyncQuery::State>(state_, request.has_unless_snapshot());
  std::shared_ptr<AsyncQuery> query(new AsyncQuery(state));
  state->Start(request, state_->channel().Deadline(call));
  return query;
}

}  // namespace qasino::client
