#include "adapters/http/body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "adapters/http/gzip.h"

namespace qasino::http {
namespace {

using ::testing::HasSubstr;

std::string Gzip(const std::string& text) {
  std::string packed;
  auto writer = GzipWriter::Create();
  EXPECT_TRUE(writer.ok());
  (*writer)->Write(text, &packed);
  (*writer)->Finish(&packed);
  return packed;
}

TEST(BodyReaderTest, HandsOnWhatComes) {
  StringSink sink;
  BodyReader reader(&sink, false, 10);
  reader.Write("12345");
  reader.Write("67890");
  EXPECT_TRUE(reader.Finish().ok());
  EXPECT_EQ(sink.text(), "1234567890");
}

TEST(BodyReaderTest, BeyondTheLimitItHandsOnNothing) {
  StringSink sink;
  BodyReader reader(&sink, false, 10);
  reader.Write("1234567890");
  EXPECT_TRUE(reader.status().ok());
  reader.Write("1");
  EXPECT_EQ(reader.status().code(), absl::StatusCode::kResourceExhausted);
  reader.Write("2");
  EXPECT_EQ(sink.text(), "1234567890");
  EXPECT_THAT(std::string(reader.Finish().message()), HasSubstr("10 bytes"));
}

TEST(BodyReaderTest, Unpacks) {
  const std::string text(1000, 'x');
  const std::string packed = Gzip(text);
  StringSink sink;
  BodyReader reader(&sink, true, 1000);
  for (const char c : packed) reader.Write({&c, 1});
  EXPECT_TRUE(reader.Finish().ok());
  EXPECT_EQ(sink.text(), text);

  StringSink little;
  BodyReader limited(&little, true, 999);
  limited.Write(packed);
  EXPECT_EQ(limited.Finish().code(), absl::StatusCode::kResourceExhausted);

  StringSink part;
  BodyReader cut(&part, true, 1000);
  cut.Write(packed.substr(0, packed.size() - 1));
  EXPECT_EQ(cut.Finish().code(), absl::StatusCode::kInvalidArgument);
}

TEST(BodyReaderTest, WhatTheSinkDoesNotWantIsPassedOver) {
  DiscardSink sink;
  BodyReader plain(&sink, false, 10);
  plain.Write("12345");
  plain.Write("67890");
  EXPECT_TRUE(plain.Finish().ok());
  BodyReader packed(&sink, true, 1000);
  packed.Write(Gzip(std::string(1000, 'x')));
  EXPECT_TRUE(packed.Finish().ok());
}

}  // namespace
}  // namespace qasino::http
