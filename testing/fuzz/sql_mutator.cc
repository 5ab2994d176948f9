#include <algorithm>
#include <cctype>
#include <cstring>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "testing/fuzz/libfuzzer.h"

// Makes other statements of statements by moving whole words: a change of bytes mostly makes a
// syntax error. Every third time the bytes are changed all the same.
namespace qasino::fuzz {
namespace {

constexpr std::string_view kPieces[] = {
    "SELECT 1",
    "SELECT * FROM cpu",
    "(SELECT load FROM cpu)",
    "FROM jobs",
    "WHERE",
    "GROUP BY 1",
    "HAVING",
    "ORDER BY 1 DESC NULLS LAST",
    "LIMIT 3 OFFSET 1",
    "UNION ALL",
    "EXCEPT",
    "INTERSECT",
    "WITH r(x) AS (SELECT 1 UNION SELECT x + 1 FROM r)",
    "RECURSIVE",
    "MATERIALIZED",
    "VALUES (1, 2), (3, NULL)",
    "EXPLAIN QUERY PLAN",
    "LEFT JOIN cities ON",
    "NATURAL JOIN jobs",
    "FULL OUTER JOIN",
    "CROSS JOIN",
    "USING (host)",
    "CASE WHEN load THEN host ELSE NULL END",
    "CAST(body AS TEXT)",
    "IN (1, 2)",
    "EXISTS",
    "BETWEEN 1 AND 2",
    "IS NOT DISTINCT FROM",
    "COLLATE NOCASE",
    "LIKE '%a_' ESCAPE 'x'",
    "GLOB '*[a-z]?'",
    "ISNULL",
    "||",
    "->>",
    "<<",
    "~",
    "count(*)",
    "count(DISTINCT host)",
    "group_concat(host, ';')",
    "total(load)",
    "max(load)",
    "sum(cores) OVER (PARTITION BY host ORDER BY load ROWS 1 PRECEDING EXCLUDE TIES)",
    "FILTER (WHERE load > 0)",
    "ntile(3) OVER w",
    "WINDOW w AS (ORDER BY load)",
    "lag(load) OVER ()",
    "json_each('[1,{\"a\":2}]')",
    "json_tree(\"order\".\"select\")",
    "json_extract('{\"a\":1}', '$.a')",
    "json_group_array(host)",
    "printf('%.*s|%5d', 3, host, cores)",
    "randomblob(100)",
    "zeroblob(1000000)",
    "hex(body)",
    "replace(host, 'h', 'xx')",
    "instr(body, x'00')",
    "trim(name)",
    "substr(host, -1, 2)",
    "unicode(host)",
    "char(0, 233)",
    "quote(body)",
    "date('now', '+1 day')",
    "strftime('%s', 0)",
    "round(load, 2)",
    "abs(-9223372036854775808)",
    "random()",
    "typeof(load)",
    "pragma_table_info('cpu')",
    "PRAGMA table_list",
    "sqlite_schema",
    "temp.sqlite_schema",
    "qasino_server_tables",
    "SHOW TABLES LIKE '%'",
    "DESC cpu",
    "DESC VIEW v",
    "ATTACH ':memory:' AS x",
    "CREATE TABLE x(y)",
    "DELETE FROM cpu",
    "ROLLBACK",
    "rowid",
    "-1",
    "0.5e-3",
    "x'00ff'",
    "'\xc3\xa9'",
    "NULL",
    "9223372036854775808",
    "?1",
    ";",
    "--",
    "/*",
};

// Words, numbers, texts in quotes and signs, each with the blanks behind it.
std::vector<std::string> Split(std::string_view sql) {
  std::vector<std::string> words;
  const auto is_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0;
  };
  size_t at = 0;
  while (at < sql.size()) {
    size_t end = at + 1;
    if (sql[at] == '\'' || sql[at] == '"') {
      end = std::min(sql.find(sql[at], end), sql.size() - 1) + 1;
    } else if (is_word(sql[at])) {
      while (end < sql.size() && is_word(sql[end])) ++end;
    }
    while (end < sql.size() && sql[end] == ' ') ++end;
    words.emplace_back(sql.substr(at, end - at));
    at = end;
  }
  return words;
}

class Mutator {
 public:
  explicit Mutator(unsigned int seed) : random_(seed) {}

  bool OneIn(size_t times) { return Below(times) == 0; }

  void Mutate(std::vector<std::string>& words) {
    const size_t at = Below(words.size() + 1);
    const size_t run = std::min(1 + Below(6), words.size() - at);
    const auto begin = words.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end = begin + static_cast<std::ptrdiff_t>(run);
    switch (Below(6)) {
      case 0:
        words.erase(begin, end);
        break;
      case 1: {
        const std::vector<std::string> copy(begin, end);
        const size_t to = Below(words.size() + 1);
        words.insert(words.begin() + static_cast<std::ptrdiff_t>(to), copy.begin(), copy.end());
        break;
      }
      case 2:
        if (run > 0) words.insert(end, ") ");
        words.insert(words.begin() + static_cast<std::ptrdiff_t>(at), OneIn(2) ? "(" : "(SELECT ");
        break;
      case 3:
        if (run > 0) {
          *begin = Piece();
          break;
        }
        [[fallthrough]];
      default:
        words.insert(begin, Piece());
    }
  }

 private:
  size_t Below(size_t limit) { return random_() % limit; }

  std::string Piece() { return std::string(kPieces[Below(std::size(kPieces))]) + " "; }

  std::minstd_rand random_;
};

}  // namespace
}  // namespace qasino::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  qasino::fuzz::Mutator mutator(seed);
  if (mutator.OneIn(3)) return LLVMFuzzerMutate(data, size, max_size);
  std::vector<std::string> words = qasino::fuzz::Split({reinterpret_cast<const char*>(data), size});
  do {
    mutator.Mutate(words);
  } while (mutator.OneIn(2));
  std::string sql;
  for (const std::string& word : words) sql += word;
  sql.resize(std::min(sql.size(), max_size));
  std::memcpy(data, sql.data(), sql.size());
  return sql.size();
}
