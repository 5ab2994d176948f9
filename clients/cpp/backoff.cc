#include "clients/cpp/backoff.h"

#include <algorithm>

namespace qasino::client {

absl::Duration Backoff::Next() {
  const absl::Duration whole = ceiling_;
  ceiling_ = std::min(ceiling_ * 2, policy_.max_backoff);
  return policy_.jitter ? whole * absl::Uniform(random_, 0.0, 1.0) : whole;
}

}  // namespace qasino::client
