#include "adapters/zmq/curve_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/zmq/zap.h"

namespace qasino::zeromq {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kKey[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
constexpr char kOther[] = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";

std::string File(const std::string& name, std::string_view text) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

TEST(CurveKeysTest, ReadsASecretKeyAloneOrInACertificate) {
  EXPECT_EQ(*ReadSecretKey(File("alone", std::string(kKey) + "\n")), kKey);
  EXPECT_EQ(
      *ReadSecretKey(File("certificate", std::string("#  ****\nmetadata\ncurve\n"
                                                     "    public-key = \"") +
                                             kOther + "\"\n    secret-key = \"" + kKey + "\"\n")),
      kKey);
}

TEST(CurveKeysTest, RefusesWhatIsNoSecretKey) {
  for (const std::string& text :
       {std::string(), std::string(39, 'a'), std::string(41, 'a'), std::string(40, '~'),
        std::string(40, '\xff'), std::string("public-key = \"") + kKey + "\"",
        std::string("secret-key = \""), std::string("secret-key"), std::string(5 << 20, 'a')}) {
    const auto key = ReadSecretKey(File("bad", text));
    EXPECT_EQ(key.status().code(), absl::StatusCode::kInvalidArgument) << text.substr(0, 50);
  }
  EXPECT_THAT(std::string(ReadSecretKey("/nowhere/key").status().message()),
              HasSubstr("'/nowhere/key': No such file"));
}

TEST(CurveKeysTest, ReadsClientsLineByLine) {
  const auto keys = ReadClientKeys(
      File("clients", std::string("# hosts\n\n  ") + kKey + "\r\n" + kOther + "\n" + kKey));
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->size(), 2u);
  EXPECT_TRUE(keys->contains(*DecodeKey(kKey)));
  EXPECT_THAT(std::string(ReadClientKeys(File("clients", "# x\nabc\n")).status().message()),
              HasSubstr("line 2: "));
  EXPECT_TRUE(ReadClientKeys(File("clients", ""))->empty());
}

TEST(ZapTest, AllowsTheKeysListed) {
  const std::string key = *DecodeKey(kKey);
  std::vector<std::string_view> request = {"1.0", "7", "qasino", "127.0.0.1", "id", "CURVE", key};
  EXPECT_THAT(AnswerZap(request, {key}), ElementsAre("1.0", "7", "200", "OK", "", ""));
  EXPECT_EQ(AnswerZap(request, {})[2], "400");
  request[5] = "PLAIN";
  EXPECT_EQ(AnswerZap(request, {key})[2], "400");
  request.pop_back();
  EXPECT_EQ(AnswerZap(request, {key})[2], "400");
  request[0] = "2.0";
  EXPECT_THAT(AnswerZap(request, {key}), IsEmpty());
  EXPECT_THAT(AnswerZap({}, {key}), IsEmpty());
}

}  // namespace
}  // namespace qasino::zeromq
