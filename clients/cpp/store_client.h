#ifndef QASINO_CLIENTS_CPP_STORE_CLIENT_H_
#define QASINO_CLIENTS_CPP_STORE_CLIENT_H_

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "clients/cpp/options.h"
#include "qasino/v1/snapshot.pb.h"

namespace qasino::client {

// Looks after what the snapshot store keeps: drops tables that would else stay for good,
// and lists the generations that a query may name. Publishing such tables is Publisher's.
//
//   auto store = StoreClient::Create({.target = "127.0.0.1:15603"});
//   if (!store.ok()) return store.status();
//   auto dropped = (*store)->DropStaticTable("owners");
//
// Any thread may call, several at once. Every call waits for its answer and tries
// UNAVAILABLE again within the time limit; when the time ends while the store is away, the
// error is its UNAVAILABLE. The errors are those of the RPC of the same name. NOT_FOUND
// after such a loss may mean that the first try has dropped the table: either way it is
// gone.
class StoreClient {
 public:
  // Does not connect yet; fails for options that are wrong and TLS files that cannot be
  // read.
  static absl::StatusOr<std::unique_ptr<StoreClient>> Create(const ConnectOptions& options);
  ~StoreClient();
  StoreClient(const StoreClient&) = delete;
  StoreClient& operator=(const StoreClient&) = delete;

  // Drops a static table; the answer names the first snapshot without it.
  absl::StatusOr<v1::DropStaticTableResponse> DropStaticTable(std::string_view table_name,
                                                              const CallOptions& call = {});

  // Carries a table for one identity no longer, from the newest snapshot on. To say from
  // which generation on, use the form that takes a request.
  absl::StatusOr<v1::DropPersistentTableResponse> DropPersistentTable(std::string_view identity,
                                                                      std::string_view table_name,
                                                                      const CallOptions& call = {});
  absl::StatusOr<v1::DropPersistentTableResponse> DropPersistentTable(
      const v1::DropPersistentTableRequest& request, const CallOptions& call = {});

  // The generations that the store holds, newest first.
  absl::StatusOr<v1::ListGenerationsResponse> ListGenerations(const CallOptions& call = {});

 private:
  struct State;
  explicit StoreClient(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_STORE_CLIENT_H_
