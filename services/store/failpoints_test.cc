// That the list of failpoints is true: a test that lets the store die at each must not pass
// because one of them is never come by.

#include "services/store/failpoints.h"

#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/sqlite/database.h"
#include "services/store/store_fixture.h"

namespace qasino {
namespace {

absl::Mutex passed_mutex(absl::kConstInit);
std::set<std::string>& Passed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(passed_mutex) {
  static auto* const passed = new std::set<std::string>;
  return *passed;
}

}  // namespace

// In place of that of //services/server.
void server::Failpoint(const char* name) {
  absl::MutexLock lock(&passed_mutex);
  Passed().insert(name);
}

namespace store {
namespace {

class FailpointsTest : public StoreTest {
 protected:
  void SetUp() override {
    options_.archive_dir = NewTestFolder();
    options_.retain = 1;
    StoreTest::SetUp();
  }

  void Seal(int64_t generation) {
    auto database = sqlite::Database::OpenInMemory();
    ASSERT_TRUE(database.ok()) << database.status();
    ASSERT_EQ(database->Execute("CREATE TABLE qasino_server_publishes (tablename TEXT, identity "
                                "TEXT, first_rowid INTEGER, nr_rows INTEGER, nr_updates INTEGER, "
                                "last_update_epoch REAL)"),
              absl::OkStatus());
    const auto image = database->Serialize();
    ASSERT_TRUE(image.ok()) << image.status();
    const std::string bytes(image->view());
    v1::ShardInfo info = TestShard(generation, "a", bytes);
    info.clear_tables();
    const grpc::Status status = Put(info, bytes);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
};

TEST_F(FailpointsTest, AllThatAreListedArePassedAndNoOthers) {
  v1::PutStaticTableRequest put;
  put.set_identity("operator");
  put.mutable_table()->set_name("racks");
  v1::Column& column = *put.mutable_table()->add_columns();
  column.set_name("v");
  column.set_type(v1::INTEGER);
  column.add_integers(1);
  v1::PutStaticTableResponse response;
  const grpc::Status status = stub_->PutStaticTable(NewContext().get(), put, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  for (const int64_t generation : {30, 60, 90}) Seal(generation);
  Stop();

  std::set<std::string> listed;
  const std::string text = ReadTestFile("services/store/failpoints.h");
  for (size_t at = text.find("\"store/"); at != text.npos; at = text.find("\"store/", at)) {
    const size_t end = text.find('"', at + 1);
    listed.insert(text.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  EXPECT_GT(listed.size(), 30u);
  absl::MutexLock lock(&passed_mutex);
  EXPECT_EQ(Passed(), listed);
}

}  // namespace
}  // namespace store
}  // namespace qasino
