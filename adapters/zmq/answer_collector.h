#ifndef QASINO_ADAPTERS_ZMQ_ANSWER_COLLECTOR_H_
#define QASINO_ADAPTERS_ZMQ_ANSWER_COLLECTOR_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "adapters/legacy/result_writer.h"
#include "clients/cpp/async_query.h"

namespace qasino::zeromq {

// What an answer may take while it is collected. More bytes may be refused; the statement
// is then stopped and the error is the answer.
using GrowCallback = absl::AnyInvocable<absl::Status(int64_t more_bytes)>;
using CollectedCallback = absl::AnyInvocable<void(absl::StatusOr<std::string> answer)>;

// Reads the whole answer to `query` and writes it with `writer`, up to `max_bytes`. `done`
// runs once, with the text or why there is none: on a thread of gRPC, or in this call.
void CollectAnswer(std::shared_ptr<client::AsyncQuery> query,
                   std::unique_ptr<legacy::ResultWriter> writer, int64_t max_bytes,
                   GrowCallback grow, CollectedCallback done);

}  // namespace qasino::zeromq

#endif  // QASINO_ADAPTERS_ZMQ_ANSWER_COLLECTOR_H_
