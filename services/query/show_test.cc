#include "services/query/show.h"

#include <gtest/gtest.h>

namespace qasino::query {
namespace {

TEST(ParseShow, LeavesOtherSqlAlone) {
  for (const char* sql : {"", "  ", "SELECT 1", "showing", "descend",
                          "WITH show AS (SELECT 1) "
                          "SELECT * FROM show",
                          ";"}) {
    absl::StatusOr<std::optional<ShowStatement>> show = ParseShow(sql);
    ASSERT_TRUE(show.ok()) << sql;
    EXPECT_FALSE(show->has_value()) << sql;
  }
}

TEST(ParseShow, TakesItsFormsInAnyCaseWithAnyBlanks) {
  for (const char* sql :
       {"SHOW TABLES", "show tables;", " Show\n\tTables ; ", "SHOW TABLES LIKE 'a%'",
        "show tables like \"x\";", "SHOW CONNECTIONS", "SHOW INFO;", "show views",
        "SHOW GENERATIONS", "DESC t", "desc \"odd name\";", "DESCRIBE t", "DESC VIEW v;"}) {
    absl::StatusOr<std::optional<ShowStatement>> show = ParseShow(sql);
    ASSERT_TRUE(show.ok()) << sql << ": " << show.status();
    EXPECT_TRUE(show->has_value()) << sql;
  }
  EXPECT_EQ((*ParseShow("SHOW TABLES LIKE 'it''s'"))->parameter, "it's");
  EXPECT_EQ((*ParseShow("DESC cpu"))->error_when_empty, "Table cpu not found");
  EXPECT_EQ((*ParseShow("DESC VIEW v"))->error_when_empty, "View v not found");
}

TEST(ParseShow, SaysWhichFormsThereAre) {
  for (const char* sql : {"SHOW", "SHOW ;", "SHOW DATABASES", "SHOW TABLES LIKE",
                          "SHOW TABLES LIKE a%", "SHOW TABLES LIKE 'open", "SHOW TABLES; SELECT 1",
                          "DESC", "DESC 't'", "DESC a b", "DESC VIEW", "SHOW TABLES EXTRA"}) {
    const absl::Status status = ParseShow(sql).status();
    // DESC VIEW alone describes a table of that name.
    if (std::string_view(sql) == "DESC VIEW") continue;
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << sql;
    EXPECT_NE(status.message().find("SHOW TABLES [LIKE 'pattern']"), status.message().npos) << sql;
  }
}

}  // namespace
}  // namespace qasino::query
