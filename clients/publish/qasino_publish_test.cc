#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "clients/cpp/fake_server.h"
#include "clients/cpp/program.h"

namespace qasino::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kCsv[] = "1,identity=fromfile\nt\na,b\nint,text\n\n1,x\n2,y\n";
constexpr char kJson[] =
    R"({"tablename":"t","column_names":["a"],"column_types":["int"],"rows":[[1]]})";

class QasinoPublishTest : public ::testing::Test {
 protected:
  QasinoPublishTest() {
    server_.publish = [this](auto*, const v1::PublishRequest* request,
                             v1::PublishResponse* response) {
      request_ = *request;
      *response = response_;
      return status_;
    };
    server_.drop_static = [this](auto*, const v1::DropStaticTableRequest* request,
                                 v1::DropStaticTableResponse* response) {
      dropped_static_ = request->table_name();
      response->set_generation(1795334400);
      response->set_revision(4);
      return status_;
    };
    server_.drop_persistent = [this](auto*, const v1::DropPersistentTableRequest* request, auto*) {
      dropped_persistent_ = *request;
      return status_;
    };
    server_.Start();
    response_.set_generation(1795334400);
  }

  Ended Run(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.end(), {"-p", std::to_string(server_.port())});
    return RunProgram("clients/publish/qasino-publish", arguments, input);
  }

  static std::string File(const std::string& name, const std::string& text) {
    const std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  FakeServer server_;
  grpc::Status status_;
  v1::PublishResponse response_;
  v1::PublishRequest request_;
  std::string dropped_static_;
  v1::DropPersistentTableRequest dropped_persistent_;
};

TEST_F(QasinoPublishTest, PublishesCsvFromStandardInput) {
  const Ended ended = Run({}, kCsv);
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.out, "published t: 2 rows in generation 1795334400 as fromfile\n");
  EXPECT_EQ(ended.err, "");
  EXPECT_EQ(request_.identity(), "fromfile");
  EXPECT_THAT(request_.table().columns(0).integers(), ElementsAre(1, 2));
}

TEST_F(QasinoPublishTest, TheCommandLineBeatsTheFile) {
  const Ended ended = Run(
      {"-f", File("t.csv", kCsv), "--identity", "me", "--persist", "--update", "--keycols", "a;b"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(request_.identity(), "me");
  EXPECT_TRUE(request_.persist());
  EXPECT_TRUE(request_.update());
  EXPECT_THAT(request_.keycols(), ElementsAre("a", "b"));
}

TEST_F(QasinoPublishTest, GuessesJsonByTheFilesEndingAndTakesTheHostsName) {
  const Ended ended = Run({"-f", File("t.json", kJson)});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("published t: 1 row in generation"));
  EXPECT_NE(request_.identity(), "");
  EXPECT_EQ(Run({"-d", "json"}, kJson).code, 0);
}

TEST_F(QasinoPublishTest, SaysWhenNothingChanged) {
  response_.set_duplicate(true);
  const Ended ended = Run({}, kCsv);
  EXPECT_EQ(ended.code, 0);
  EXPECT_THAT(ended.out, HasSubstr("unchanged t: 2 rows: published before in generation"));
}

TEST_F(QasinoPublishTest, AWrongInputOrFlagIsOnesOwnFault) {
  Ended ended = Run({"-f", File("bad.csv", "1\nt\na\nint\n\nx\n")});
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.err, HasSubstr("bad.csv: line 6, column 1: 'x' is not an integer"));
  ended = Run({"-f", "/no/such/file"});
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.err, HasSubstr("cannot read '/no/such/file': No such file"));
  EXPECT_EQ(Run({"--no-such-flag"}).code, 1);
  EXPECT_EQ(Run({"-d", "xml"}, kCsv).code, 1);
  EXPECT_EQ(Run({"--keycols", "a"}, kCsv).code, 1);
  EXPECT_EQ(Run({"--tls-ca", "/no/such/ca"}, kCsv).code, 1);
  EXPECT_EQ(Run({"-f", std::getenv("TEST_TMPDIR")}).code, 1) << "a folder";
}

TEST_F(QasinoPublishTest, SaysWhyTheServerRefuses) {
  status_ = grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "table 't': no");
  const Ended ended = Run({}, kCsv);
  EXPECT_EQ(ended.code, 3);
  EXPECT_EQ(ended.err,
            "qasino-publish: table 't' is not published: INVALID_ARGUMENT: table 't': no\n");
}

TEST_F(QasinoPublishTest, DropsWhatIsKept) {
  const std::string store = "127.0.0.1:" + std::to_string(server_.port());
  Ended ended = Run({"--drop-static", "owners", "--store", store});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.out,
            "dropped static table owners: it is not in revision 4 of generation 1795334400\n");
  EXPECT_EQ(dropped_static_, "owners");

  ended = Run({"--drop-persistent", "racks", "-I", "web1", "--store", store});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.out, "dropped persistent table racks of web1\n");
  EXPECT_EQ(dropped_persistent_.identity(), "web1");
  EXPECT_EQ(dropped_persistent_.table_name(), "racks");

  status_ = grpc::Status(grpc::StatusCode::NOT_FOUND, "there is none");
  ended = Run({"--drop-static", "owners", "--store", store});
  EXPECT_EQ(ended.code, 3);
  EXPECT_EQ(ended.err, "qasino-publish: table 'owners' is not dropped: NOT_FOUND: there is none\n");

  ended = Run({"--drop-static", "t", "--store", "127.0.0.1:" + std::to_string(ClosedPort())});
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.err, HasSubstr("cannot reach qasino-store at 127.0.0.1:"));

  EXPECT_EQ(Run({"--drop-static", "t", "--store", "nowhere"}).code, 1);
  EXPECT_EQ(Run({"--drop-static", "t", "--drop-persistent", "t"}).code, 1);
  ended = Run({"--drop-static", "t", "-f", "t.csv"});
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(ended.err, "qasino-publish: --file is for publishing, not for dropping\n");
}

TEST_F(QasinoPublishTest, SaysWhenNoServerIsThere) {
  const Ended ended =
      RunProgram("clients/publish/qasino-publish", {"-p", std::to_string(ClosedPort())}, kCsv);
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.err, HasSubstr("cannot reach qasino-ingest at 127.0.0.1:"));
  EXPECT_THAT(ended.err, HasSubstr("is it running?"));
}

TEST_F(QasinoPublishTest, TeachesItsUse) {
  Ended ended = Run({"--help"});
  EXPECT_EQ(ended.code, 0);
  EXPECT_THAT(ended.out, HasSubstr("Examples:"));
  ended = Run({"--version"});
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.out, "qasino-publish 0.1.0\n");
}

}  // namespace
}  // namespace qasino::client
