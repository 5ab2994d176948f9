#include "services/ingest/timestamp.h"

#include <gtest/gtest.h>

namespace qasino::ingest {
namespace {

TEST(Timestamp, KeepsNanosecondsAlsoBefore1970) {
  google::protobuf::Timestamp timestamp;
  SetTimestamp(absl::FromUnixSeconds(1'000'000'020) + absl::Nanoseconds(7), &timestamp);
  EXPECT_EQ(timestamp.seconds(), 1'000'000'020);
  EXPECT_EQ(timestamp.nanos(), 7);
  SetTimestamp(absl::UnixEpoch() - absl::Milliseconds(1), &timestamp);
  EXPECT_EQ(timestamp.seconds(), -1);
  EXPECT_EQ(timestamp.nanos(), 999'000'000);
}

}  // namespace
}  // namespace qasino::ingest
