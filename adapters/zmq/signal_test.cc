#include "adapters/zmq/signal.h"

#include <gtest/gtest.h>

#include <string>

namespace qasino::zeromq {
namespace {

v1::WatchGenerationsResponse Generation(int64_t number) {
  v1::WatchGenerationsResponse generation;
  generation.set_generation(number);
  generation.mutable_duration()->set_seconds(30);
  generation.set_identity("ingest");
  return generation;
}

TEST(SignalTest, IsTopicZeroAndJson) {
  std::string expected = "GENSIG";
  expected.push_back('\0');
  expected += R"({"op":"generation_signal","identity":"a\"b","generation_number":1795334370,)"
              R"("generation_duration_s":30})";
  EXPECT_EQ(SignalFrame("a\"b", Generation(1795334370)), expected);
}

TEST(SignalTest, TopicsAreItsPrefixes) {
  const std::string frame = SignalFrame("me", Generation(60));
  for (const size_t size : {0, 1, 6, 7, 20}) {
    EXPECT_TRUE(IsTopicOfSignal(frame.substr(0, size), "me")) << size;
  }
  EXPECT_FALSE(IsTopicOfSignal("GENSIX", "me"));
  EXPECT_FALSE(IsTopicOfSignal("X", "me"));
  EXPECT_FALSE(IsTopicOfSignal(std::string(1000, 'G'), "me"));
}

TEST(SignalTest, TheFirstGenerationCountsInItsFirstSecond) {
  v1::WatchGenerationsResponse generation = Generation(60);
  EXPECT_FALSE(HasJustBegun(generation));
  generation.mutable_sent_at()->set_seconds(60);
  generation.mutable_sent_at()->set_nanos(999'999'999);
  EXPECT_TRUE(HasJustBegun(generation));
  generation.mutable_sent_at()->set_seconds(61);
  EXPECT_FALSE(HasJustBegun(generation));
  generation.mutable_sent_at()->set_seconds(59);
  EXPECT_FALSE(HasJustBegun(generation));
}

}  // namespace
}  // namespace qasino::zeromq
