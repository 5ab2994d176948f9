#include "services/sqlite/memory_budget.h"

#include <gtest/gtest.h>

#include <memory>

#include "services/sqlite/database.h"

namespace qasino::sqlite {
namespace {

TEST(MemoryBudget, RefusesWhatIsOverIt) {
  Database database = *Database::OpenInMemory();
  MemoryBudget budget(4 << 20);
  {
    MemoryBudget::Scope counted(budget);
    Statement small = *database.Prepare("SELECT length(randomblob(1000))");
    EXPECT_TRUE(small.Step().ok());
    EXPECT_FALSE(budget.exceeded());
    Statement big = *database.Prepare("SELECT length(randomblob(8000000))");
    EXPECT_EQ(big.Step().status().code(), absl::StatusCode::kResourceExhausted);
  }
  EXPECT_TRUE(budget.exceeded());
  Statement outside = *database.Prepare("SELECT length(randomblob(8000000))");
  EXPECT_TRUE(outside.Step().ok());
}

TEST(MemoryBudget, BoundsASort) {
  Database database = *Database::OpenInMemory();
  ASSERT_TRUE(database.Execute("PRAGMA temp_store = FILE").ok());
  MemoryBudget budget(8 << 20);
  MemoryBudget::Scope counted(budget);
  Statement sort = *database.Prepare(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) "
      "SELECT i, hex(randomblob(50)) AS h FROM n ORDER BY h");
  EXPECT_EQ(sort.Step().status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(budget.exceeded());
}

TEST(MemoryPool, BoundsSeveralBudgetsTogether) {
  MemoryPool pool(12 << 20);
  Database database = *Database::OpenInMemory();
  auto first = std::make_unique<MemoryBudget>(64 << 20, &pool);
  const auto run = [&database](MemoryBudget& budget) {
    MemoryBudget::Scope counted(budget);
    Statement statement = *database.Prepare("SELECT length(randomblob(8000000))");
    return statement.Step().status();
  };
  EXPECT_TRUE(run(*first).ok());
  // What the first took from the pool it keeps while it lives.
  MemoryBudget second(64 << 20, &pool);
  EXPECT_EQ(run(second).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(second.pool_exceeded());
  first.reset();
  MemoryBudget third(64 << 20, &pool);
  EXPECT_TRUE(run(third).ok());
}

TEST(MemoryBudget, WhatIsFreedIsGivenBack) {
  Database database = *Database::OpenInMemory();
  MemoryBudget budget(4 << 20);
  MemoryBudget::Scope counted(budget);
  for (int round = 0; round < 20; ++round) {
    Statement statement = *database.Prepare("SELECT length(randomblob(1000000))");
    ASSERT_TRUE(statement.Step().ok()) << round;
  }
  EXPECT_FALSE(budget.exceeded());
  EXPECT_LT(budget.used(), 1 << 20);
}

}  // namespace
}  // namespace qasino::sqlite
