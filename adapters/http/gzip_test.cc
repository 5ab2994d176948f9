#include "adapters/http/gzip.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace qasino::http {
namespace {

std::string Zipped(const std::vector<std::string>& parts) {
  auto writer = GzipWriter::Create();
  EXPECT_TRUE(writer.ok());
  std::string out;
  for (const std::string& part : parts) (*writer)->Write(part, &out);
  (*writer)->Finish(&out);
  return out;
}

struct Read {
  absl::Status status;
  std::string text;
};

Read Unzipped(std::string_view zipped, uint64_t most = 100 << 20, size_t piece = 1 << 20) {
  auto reader = GzipReader::Create(most);
  EXPECT_TRUE(reader.ok());
  Read read;
  for (; !zipped.empty() && read.status.ok();
       zipped.remove_prefix(std::min(piece, zipped.size()))) {
    read.status = (*reader)->Write(zipped.substr(0, piece), [&](std::string_view text) {
      read.text += text;
      return true;
    });
  }
  if (read.status.ok()) read.status = (*reader)->Finish();
  return read;
}

std::string Noise(size_t bytes) {
  std::string noise;
  uint32_t state = 1;
  while (noise.size() < bytes) {
    state = state * 1664525 + 1013904223;
    noise.push_back(static_cast<char>(state >> 24));
  }
  return noise;
}

TEST(GzipTest, RoundTrips) {
  for (const std::string& text : {std::string(), std::string("a"), std::string(1 << 20, 'x'),
                                  Noise(300'000), Noise(64 << 10)}) {
    for (size_t piece : {size_t{1 << 20}, size_t{1000}, size_t{1}}) {
      const Read read = Unzipped(Zipped({text}), text.size(), piece);
      EXPECT_TRUE(read.status.ok()) << read.status;
      EXPECT_TRUE(read.text == text);
    }
  }
  EXPECT_EQ(Unzipped(Zipped({"one", "", " two", " three"})).text, "one two three");
}

TEST(GzipTest, APartCanBeReadBeforeTheNextIsWritten) {
  auto writer = GzipWriter::Create();
  auto reader = GzipReader::Create(1000);
  std::string text;
  for (const char* part : {"first", "second"}) {
    std::string out;
    (*writer)->Write(part, &out);
    text.clear();
    EXPECT_TRUE((*reader)
                    ->Write(out,
                            [&](std::string_view piece) {
                              text += piece;
                              return true;
                            })
                    .ok());
    EXPECT_EQ(text, part);
    EXPECT_FALSE((*reader)->Finish().ok());
  }
}

TEST(GzipTest, ReadsStreamsAfterEachOther) {
  const std::string zipped = Zipped({"one"}) + Zipped({}) + Zipped({"two"});
  for (size_t piece : {size_t{1000}, size_t{1}}) {
    const Read read = Unzipped(zipped, 1000, piece);
    EXPECT_TRUE(read.status.ok()) << read.status;
    EXPECT_EQ(read.text, "onetwo");
  }
}

TEST(GzipTest, ABombIsExhausted) {
  const std::string bomb = Zipped({std::string(50 << 20, '\0')});
  EXPECT_LT(bomb.size(), 1u << 20);
  const Read read = Unzipped(bomb, 100'000);
  EXPECT_EQ(read.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(read.status.message(), "the gzip body has more than 100000 bytes when decompressed");
  EXPECT_EQ(read.text.size(), 100'000u);
  // The limit is for all streams together.
  EXPECT_EQ(Unzipped(Zipped({"12345"}) + Zipped({"6"}), 5).status.code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Unzipped(Zipped({"12345"}) + Zipped({""}), 5).status.ok());
}

TEST(GzipTest, RefusesWhatIsCutAtAnyByte) {
  const std::string zipped = Zipped({"a text that is long enough to be worth it, worth it"});
  for (size_t size = 0; size < zipped.size(); ++size) {
    const Read read = Unzipped(zipped.substr(0, size));
    EXPECT_EQ(read.status.code(), absl::StatusCode::kInvalidArgument) << size;
    EXPECT_EQ(read.status.message(), "the gzip body ends too early") << size;
  }
}

TEST(GzipTest, RefusesWhatIsDamagedOrFollowedBySomethingElse) {
  EXPECT_EQ(Unzipped("{\"op\":\"query\"}").status.code(), absl::StatusCode::kInvalidArgument);
  std::string damaged = Zipped({Noise(1000)});
  damaged[damaged.size() - 6] ^= 1;
  EXPECT_EQ(Unzipped(damaged).status.message(), "the gzip body is damaged: incorrect data check");
  EXPECT_EQ(Unzipped(Zipped({"text"}) + "garbage").status.message(),
            "the gzip body has something else behind its end");
  // zlib's own format is another.
  EXPECT_EQ(Unzipped("\x78\x9c\x4b\x04").status.code(), absl::StatusCode::kInvalidArgument);
}

TEST(GzipTest, ASinkThatWantsNoMoreEndsIt) {
  auto reader = GzipReader::Create(100 << 20);
  int calls = 0;
  const auto refuse = [&](std::string_view) {
    ++calls;
    return false;
  };
  const std::string zipped = Zipped({std::string(1 << 20, 'x')});
  EXPECT_EQ((*reader)->Write(zipped, refuse).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ((*reader)->Write(zipped, refuse).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ((*reader)->Finish().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace qasino::http
