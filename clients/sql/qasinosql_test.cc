#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "clients/cpp/fake_server.h"
#include "clients/cpp/program.h"

namespace qasino::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kProgram[] = "clients/sql/qasinosql";

using Writer = grpc::ServerWriter<v1::QueryResponse>;

v1::QueryResponse Answer(const std::string& text) {
  v1::QueryResponse response;
  response.mutable_header()->add_columns()->set_name("sql");
  v1::SnapshotInfo* snapshot = response.mutable_header()->mutable_snapshot();
  snapshot->set_generation(1795334400);
  snapshot->set_revision(2);
  snapshot->set_publishers(3);
  snapshot->set_complete(true);
  v1::Column* column = response.mutable_batch()->add_columns();
  column->set_type(v1::TEXT);
  column->add_texts(text);
  response.mutable_batch()->set_rows(1);
  response.mutable_summary()->set_rows(1);
  response.mutable_summary()->mutable_elapsed()->set_nanos(1234567);
  return response;
}

class QasinosqlTest : public ::testing::Test {
 protected:
  // Answers with the statement itself; "bad" is an error, "slow" lasts until cancelled.
  QasinosqlTest() {
    server_.query = [this](grpc::ServerContext* context, const v1::QueryRequest* request,
                           Writer* writer) {
      if (request->sql().starts_with("bad")) {
        return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "near \"bad\": \x1b[2J");
      }
      if (request->sql().starts_with("slow")) {
        while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
        cancelled_.Notify();
        return grpc::Status::CANCELLED;
      }
      v1::QueryResponse answer = Answer(request->sql());
      request_ = *request;
      if (request->row_limit() == 1) answer.mutable_summary()->set_truncated(true);
      if (request->sql().starts_with("partial")) {
        answer.mutable_header()->mutable_snapshot()->set_complete(false);
      }
      writer->Write(answer);
      return grpc::Status::OK;
    };
    server_.Start();
  }

  Ended Run(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.end(), {"-p", std::to_string(server_.port())});
    return RunProgram(kProgram, arguments, input);
  }

  FakeServer server_;
  v1::QueryRequest request_;  // the last that was answered
  absl::Notification cancelled_;
};

TEST_F(QasinosqlTest, AsksForTheSnapshotThatIsNamed) {
  Ended ended = Run({"-q", "select 1"});
  EXPECT_EQ(request_.snapshot_case(), v1::QueryRequest::SNAPSHOT_NOT_SET);

  ended = Run({"--generation", "1795334370", "-q", "select 1"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(request_.generation(), 1795334370);

  ended = Run({"--running", "-q", "partial"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_TRUE(request_.running());
  EXPECT_THAT(ended.out, HasSubstr("running: generation 1795334400 (2026-11-22 08:00:00 UTC), 3 "
                                   "publishers; "));
  EXPECT_THAT(ended.out, Not(HasSubstr("WARNING")));

  EXPECT_EQ(Run({"--running", "--generation", "30", "-q", "select 1"}).code, 1);
  EXPECT_EQ(Run({"--generation", "x", "-q", "select 1"}).code, 1);
}

TEST_F(QasinosqlTest, ShowsTheAnswerAndItsSnapshot) {
  const Ended ended = Run({"-q", "select 1"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.out,
            "   sql\n"
            "----------\n"
            " select 1\n"
            "(1 row)\n"
            "snapshot: generation 1795334400 (2026-11-22 08:00:00 UTC), revision 2, 3 publishers; "
            "1.235 ms\n");
  EXPECT_EQ(ended.err, "");
}

TEST_F(QasinosqlTest, SaysLoudlyWhenTheAnswerIsNotAllThereIs) {
  Ended ended = Run({"-q", "select 1", "--row-limit", "1"});
  EXPECT_EQ(ended.code, 0);
  EXPECT_THAT(ended.out, HasSubstr("\nWARNING: there are more rows; --row-limit 1 cut"));
  ended = Run({"-q", "partial"});
  EXPECT_THAT(ended.out, HasSubstr("\nWARNING: the snapshot is incomplete"));
}

TEST_F(QasinosqlTest, StopsAtTheFirstStatementThatFails) {
  const Ended ended = Run({"-q", "select 1; select 2", "-q", "bad", "-q", "select 3"});
  EXPECT_EQ(ended.code, 3);
  EXPECT_THAT(ended.out, HasSubstr(" select 1;\n"));
  EXPECT_THAT(ended.out, HasSubstr(" select 2\n"));
  EXPECT_THAT(ended.out, Not(HasSubstr("select 3")));
  EXPECT_EQ(ended.err, "ERROR: near \"bad\": \\x1b[2J\n");
}

TEST_F(QasinosqlTest, RunsFilesAndStandardInput) {
  const std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/report.sql";
  std::ofstream(path) << "-- a report\nselect\n 1;\nselect 2\n";
  Ended ended = Run({"-f", path, "--format", "csv"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.out, "sql\n\"-- a report\nselect\n 1;\"\nsql\n\"select 2\n\"\n");
  EXPECT_THAT(ended.err, HasSubstr("snapshot: generation 1795334400"));
  ended = Run({"--format", "json"}, "select 'é';");
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.out, "{\"sql\":\"select 'é';\"}\n");
  EXPECT_EQ(Run({}, " -- nothing\n").out, "");
}

TEST_F(QasinosqlTest, ExitsAsPsqlDoes) {
  EXPECT_EQ(Run({"--no-such-flag"}).code, 1);
  EXPECT_EQ(Run({"--format", "xml", "-q", "select 1"}).code, 1);
  EXPECT_EQ(Run({"--row-limit", "-1", "-q", "select 1"}).code, 1);
  const Ended unreadable = Run({"-f", "/no/such/file"});
  EXPECT_EQ(unreadable.code, 1);
  EXPECT_THAT(unreadable.err, HasSubstr("cannot read '/no/such/file': No such file"));
  EXPECT_EQ(Run({"-q", "bad"}).code, 3);
  EXPECT_EQ(Run({"-q", "slow", "--timeout", "100ms"}).code, 3);
  const Ended away = RunProgram(kProgram, {"-q", "select 1", "-p", std::to_string(ClosedPort())});
  EXPECT_EQ(away.code, 2);
  EXPECT_THAT(away.err, HasSubstr("qasinosql: cannot reach qasino-query at 127.0.0.1:"));
  EXPECT_THAT(away.err, HasSubstr("; is it running?"));
}

TEST_F(QasinosqlTest, TeachesItsUse) {
  EXPECT_THAT(Run({"--help"}).out, HasSubstr("Examples:"));
  EXPECT_EQ(Run({"--version"}).out, "qasinosql 0.1.0\n");
}

// The program at a terminal that the test types into.
class Terminal {
 public:
  explicit Terminal(int port) {
    const std::string port_text = std::to_string(port);
    pid_ = forkpty(&fd_, nullptr, nullptr, nullptr);
    if (pid_ == 0) {
      execl(kProgram, kProgram, "-p", port_text.c_str(), nullptr);
      _exit(127);
    }
  }
  ~Terminal() {
    if (fd_ >= 0) close(fd_);
  }

  // False where the system gives no pseudo-terminal.
  bool is_open() const { return fd_ >= 0; }

  void Type(const std::string& text) {
    ASSERT_EQ(write(fd_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  // Reads until `text` was shown since the last call; what was shown on the way.
  std::string WaitFor(const std::string& text) {
    while (shown_.find(text) == std::string::npos) {
      char bytes[4096];
      const ssize_t count = read(fd_, bytes, sizeof(bytes));
      if (count <= 0) {
        ADD_FAILURE() << "no '" << text << "' in '" << shown_ << "'";
        return shown_;
      }
      shown_.append(bytes, count);
    }
    const size_t end = shown_.find(text) + text.size();
    std::string before = shown_.substr(0, end);
    shown_.erase(0, end);
    return before;
  }

  int Wait() {
    char bytes[4096];
    while (read(fd_, bytes, sizeof(bytes)) > 0) {
    }
    int status = 0;
    waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  int fd_ = -1;
  pid_t pid_ = -1;
  std::string shown_;
};

TEST_F(QasinosqlTest, ThePromptTakesStatementsOfSeveralLines) {
  Terminal terminal(server_.port());
  ASSERT_TRUE(terminal.is_open()) << "no pseudo-terminal; is devpts mounted at /dev/pts?";
  terminal.WaitFor("qasino> ");
  terminal.Type("select\n");
  terminal.WaitFor("     -> ");
  terminal.Type("42;\n");
  EXPECT_THAT(terminal.WaitFor("qasino> "), HasSubstr(" select\\n42;"));
  terminal.Type("bad;\n");
  EXPECT_THAT(terminal.WaitFor("qasino> "), HasSubstr("ERROR: near"));
  terminal.Type("quit\n");
  EXPECT_EQ(terminal.Wait(), 0);
}

TEST_F(QasinosqlTest, CtrlCClearsAStatementAndStopsOneThatRuns) {
  Terminal terminal(server_.port());
  ASSERT_TRUE(terminal.is_open()) << "no pseudo-terminal; is devpts mounted at /dev/pts?";
  terminal.WaitFor("qasino> ");
  terminal.Type("select\n");
  terminal.WaitFor("     -> ");
  terminal.Type("\x03");
  terminal.WaitFor("qasino> ");
  terminal.Type("slow;\n");
  // Until the statement has reached the server there is nothing to stop.
  while (!cancelled_.WaitForNotificationWithTimeout(absl::Milliseconds(50))) {
    terminal.Type("\x03");
  }
  terminal.WaitFor("ERROR: ");
  terminal.Type("select 5;\n");
  terminal.WaitFor("select 5;");
  terminal.WaitFor("(1 row)");
  terminal.WaitFor("qasino> ");
  terminal.Type("\x04");
  EXPECT_EQ(terminal.Wait(), 0);
}

}  // namespace
}  // namespace qasino::client
