#include "services/pages/page_space.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

namespace qasino::pages {
namespace {

uint32_t Word(PageSpace& space, uint32_t page, int place) {
  const uint8_t* const at = space.page(page) + 4 * place;
  return (uint32_t{at[0]} << 24) | (uint32_t{at[1]} << 16) | (uint32_t{at[2]} << 8) | at[3];
}

PageSpace Space(int64_t pages) {
  auto space = PageSpace::Reserve(pages);
  EXPECT_TRUE(space.ok()) << space.status();
  return std::move(*space);
}

TEST(PageSpaceTest, PagesAreOneBehindTheOther) {
  PageSpace space = Space(100);
  EXPECT_EQ(space.pages(), 1u);
  EXPECT_EQ(space.Allocate(), 2u);
  EXPECT_EQ(space.Allocate(), 3u);
  space.page(3)[4095] = 'x';
  EXPECT_EQ(space.bytes().size(), 3u * 4096);
  EXPECT_EQ(space.bytes().back(), 'x');
  EXPECT_TRUE(space.HasRoom(97));
  EXPECT_FALSE(space.HasRoom(98));
}

TEST(PageSpaceTest, FreedPagesComeFirst) {
  PageSpace space = Space(10);
  for (int i = 0; i < 5; ++i) space.Allocate();
  space.Free(3);
  EXPECT_EQ(space.UsedPages(), 5);
  EXPECT_EQ(space.Allocate(), 3u);
  EXPECT_EQ(space.Allocate(), 7u);
}

TEST(PageSpaceTest, AMarkForgetsWhatCameAfterIt) {
  PageSpace space = Space(10);
  for (int i = 0; i < 5; ++i) space.Allocate();
  space.Free(4);
  PageSpace::Mark mark = space.TakeMark();
  EXPECT_EQ(space.Allocate(), 4u);
  EXPECT_EQ(space.Allocate(), 7u);
  space.ReturnTo(std::move(mark));
  EXPECT_EQ(space.pages(), 6u);
  EXPECT_EQ(space.UsedPages(), 5);
  EXPECT_EQ(space.Allocate(), 4u);
}

TEST(PageSpaceTest, MovesAndIsCopied) {
  PageSpace space = Space(10);
  space.Allocate();
  space.page(2)[0] = 'a';
  const char* const bytes = space.bytes().data();
  PageSpace moved = std::move(space);
  EXPECT_EQ(moved.bytes().data(), bytes);
  auto copy = moved.Copy();
  ASSERT_TRUE(copy.ok()) << copy.status();
  moved.page(2)[0] = 'b';
  EXPECT_EQ(copy->bytes().size(), 2u * 4096);
  EXPECT_EQ(copy->page(2)[0], 'a');
  EXPECT_FALSE(copy->HasRoom(1));
}

TEST(PageSpaceTest, WhatIsTrimmedHasNoRoom) {
  PageSpace space = Space(1'000'000);
  space.Allocate();
  space.page(2)[1] = 'a';
  space.Trim();
  EXPECT_FALSE(space.HasRoom(1));
  EXPECT_EQ(space.page(2)[1], 'a');
}

TEST(PageSpaceTest, TheLockPageIsNobodys) {
  constexpr uint32_t kLock = PageSpace::kLockPage;
  EXPECT_EQ(size_t{kLock - 1} * 4096, size_t{1} << 30);
  PageSpace space = Space(kLock + 1);
  EXPECT_TRUE(space.HasRoom(kLock - 1));
  EXPECT_FALSE(space.HasRoom(kLock));
  while (space.pages() < kLock - 1) space.Allocate();
  EXPECT_EQ(space.UsedPages(), kLock - 1);
  EXPECT_TRUE(space.HasRoom(1));
  EXPECT_FALSE(space.HasRoom(2));
  EXPECT_EQ(space.Allocate(), kLock + 1);
  EXPECT_EQ(space.UsedPages(), kLock);
  EXPECT_FALSE(space.HasRoom(1));
  // A file does not end with it.
  space.Free(kLock + 1);
  EXPECT_EQ(space.WriteFreeList().count, 0u);
  EXPECT_EQ(space.pages(), kLock - 1);
  EXPECT_EQ(space.Allocate(), kLock + 1);
  // Nor is it room.
  EXPECT_FALSE(Space(kLock).HasRoom(kLock - 1));
}

TEST(PageSpaceTest, FreePagesAreListedOrCutOff) {
  PageSpace space = Space(3'000);
  while (space.pages() < 3'000) space.Allocate();
  for (uint32_t page = 2; page <= 2'500; ++page) space.Free(page);
  for (uint32_t page = 2'999; page <= 3'000; ++page) space.Free(page);
  const PageSpace::FreeList list = space.WriteFreeList();
  EXPECT_EQ(space.pages(), 2'998u);
  EXPECT_EQ(list.count, 2'499u);
  uint32_t found = 0;
  for (uint32_t trunk = list.first; trunk != 0; trunk = Word(space, trunk, 0)) {
    EXPECT_LE(Word(space, trunk, 1), 1'016u);
    found += 1 + Word(space, trunk, 1);
  }
  EXPECT_EQ(found, list.count);
}

TEST(PageSpaceTest, SizesHaveLimits) {
  EXPECT_EQ(PageSpace::Reserve(0).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PageSpace::Reserve(int64_t{1} << 40).status().code(),
            absl::StatusCode::kInvalidArgument);
  // No space, and none is well.
  const PageSpace none;
  EXPECT_EQ(none.bytes().size(), 0u);
}

}  // namespace
}  // namespace qasino::pages
