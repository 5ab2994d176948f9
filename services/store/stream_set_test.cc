#include "services/store/stream_set.h"

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace qasino::store {
namespace {

using ::testing::HasSubstr;

class FakeStream : public Stream {
 public:
  explicit FakeStream(StreamSet* set) : set_(set) {}
  ~FakeStream() override { set_->Remove(this); }
  void Tick(absl::Time) override {}
  void Abort() override {}

 private:
  StreamSet* const set_;
};

TEST(StreamSetTest, HoldsSoManyAndNoMore) {
  StreamSet set("puts", 1);
  auto first = std::make_shared<FakeStream>(&set);
  EXPECT_EQ(set.Add(first), absl::OkStatus());
  {
    const auto second = std::make_shared<FakeStream>(&set);
    const absl::Status status = set.Add(second);
    EXPECT_TRUE(absl::IsResourceExhausted(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr("1 puts"));
  }
  EXPECT_EQ(set.size(), 1u);
  EXPECT_FALSE(set.AwaitEmpty(absl::Now()));
  first.reset();
  EXPECT_TRUE(set.AwaitEmpty(absl::Now()));
  first = std::make_shared<FakeStream>(&set);
  EXPECT_EQ(set.Add(first), absl::OkStatus());
  EXPECT_EQ(set.All().size(), 1u);
}

TEST(StreamSetTest, TakesNoneAfterClose) {
  StreamSet set("puts", 1);
  set.Close();
  EXPECT_TRUE(absl::IsUnavailable(set.Add(std::make_shared<FakeStream>(&set))));
}

}  // namespace
}  // namespace qasino::store
