#include "services/query/view_file.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace qasino::query {
namespace {

class ViewFileTest : public testing::Test {
 protected:
  void Write(const std::string& content) { std::ofstream(path_) << content; }

  // Waits for the views to be so: "name: error" of each.
  void Await(const ViewFile& file, const std::string& wanted) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    std::string seen;
    do {
      seen.clear();
      for (const ViewDefinition& view : *file.views()) seen += view.name + ": " + view.error + "\n";
      if (seen == wanted) return;
      absl::SleepFor(absl::Milliseconds(2));
    } while (absl::Now() < deadline);
    EXPECT_EQ(seen, wanted);
  }

  const std::string path_ = testing::TempDir() + "/" +
                            testing::UnitTest::GetInstance()->current_test_info()->name() + ".yaml";
  const std::string one_ = "- {viewname: a, view: CREATE VIEW a AS SELECT 1}\n";
  const std::string two_ = one_ + "- {viewname: b, view: CREATE VIEW b AS SELECT 2}\n";
};

TEST_F(ViewFileTest, WithoutAPathThereAreNoViews) {
  ViewFile file({});
  file.Start([] { FAIL(); });
  EXPECT_TRUE(file.views()->empty());
}

TEST_F(ViewFileTest, IsReadAtOnceAndAgainWhenItChanges) {
  Write(one_);
  ViewFile file({.path = path_, .poll = absl::Milliseconds(5)});
  EXPECT_EQ(file.views()->size(), 1u);
  absl::Mutex mutex;
  int changes = 0;
  file.Start([&] {
    absl::MutexLock lock(&mutex);
    ++changes;
  });
  Write(two_);
  Await(file, "a: \nb: \n");
  // In place of the file, as editors do.
  std::ofstream(path_ + ".new") << one_;
  std::filesystem::rename(path_ + ".new", path_);
  Await(file, "a: \n");
  {
    absl::MutexLock lock(&mutex);
    const auto told = [&changes] { return changes >= 2; };
    mutex.Await(absl::Condition(&told));
  }
  file.Stop();
  Write(two_);
  EXPECT_EQ(file.views()->size(), 1u);
}

TEST_F(ViewFileTest, AFileThatIsNotThereMayAppear) {
  ViewFile file({.path = path_, .poll = absl::Milliseconds(5)});
  file.Start([] {});
  const std::string name = path_.substr(path_.rfind('/') + 1);
  Await(file, name + ": it cannot be opened: No such file or directory\n");
  Write(one_);
  Await(file, "a: \n");
}

TEST_F(ViewFileTest, WhatIsNoListLeavesTheViewsAsTheyWere) {
  Write(one_);
  ViewFile file({.path = path_, .poll = absl::Milliseconds(5)});
  file.Start([] {});
  const std::string name = path_.substr(path_.rfind('/') + 1);
  Write("just words");
  Await(file, "a: \n" + name + ": it is not a list of maps with viewname and view\n");
  std::filesystem::remove(path_);
  Await(file, "a: \n" + name + ": it cannot be opened: No such file or directory\n");
  // The same content again.
  Write(one_);
  Await(file, "a: \n");
}

TEST_F(ViewFileTest, OnlyAFileIsRead) {
  ViewFile file({.path = testing::TempDir()});
  ASSERT_EQ(file.views()->size(), 1u);
  EXPECT_EQ((*file.views())[0].error, "it is not a file");
}

}  // namespace
}  // namespace qasino::query
