#include "runtime/network/internal/frame_compression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

std::string JsonLines(std::mt19937& random, size_t size) {
  std::string text;
  while (text.size() < size) {
    StrAppend(&text, R"({"ts":)", random(), R"(,"src_ip":"10.0.0.)", random() % 256,
              R"(","dst_port":443,"proto":"tcp"})", "\n");
  }
  text.resize(size);
  return text;
}

TEST(FrameCompressionTest, JsonShrinksToLessThanHalfAndComesBack) {
  std::mt19937 random(1);
  std::string compressing;
  std::string decompressing;
  for (const size_t size : {600U, 5000U, 100'000U}) {
    const std::string text = JsonLines(random, size);
    std::string out = "head" + text;
    ASSERT_TRUE(CompressPayload(4, &out, &compressing)) << size;
    EXPECT_LT(out.size() - 4, text.size() / 2 + 100);
    const std::string_view payload = std::string_view(out).substr(4);
    EXPECT_EQ(*DecompressedBytes(payload), text.size());
    EXPECT_EQ(*DecompressPayload(payload, &decompressing), text);
  }
}

TEST(FrameCompressionTest, LeavesWhatIsSmallOrRandomAsItIs) {
  std::mt19937 random(2);
  std::string scratch;
  std::string noise(10'000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  for (const std::string& text : {std::string("short"), noise}) {
    std::string out = text;
    EXPECT_FALSE(CompressPayload(0, &out, &scratch));
    EXPECT_EQ(out, text);
  }
}

TEST(FrameCompressionTest, DamagedFramesAreErrors) {
  std::mt19937 random(3);
  std::string scratch;
  std::string decompressed;
  std::string frame = JsonLines(random, 4000);
  ASSERT_TRUE(CompressPayload(0, &frame, &scratch));
  for (size_t length = 0; length < frame.size(); length += 7) {
    EXPECT_EQ(DecompressPayload(frame.substr(0, length), &decompressed).status().code(),
              absl::StatusCode::kDataLoss);
  }
  // A flipped bit is an error or another text, never a crash.
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = frame;
    damaged[random() % damaged.size()] ^= static_cast<char>(1 << (random() % 8));
    const auto read = DecompressPayload(damaged, &decompressed);
    if (!read.ok()) {
      EXPECT_EQ(read.status().code(), absl::StatusCode::kDataLoss);
    }
  }
  // Nor does a frame that promises a gigabyte make anybody reserve it.
  std::string bomb = frame.substr(0, 600);
  bomb[3] = 0x3F;
  EXPECT_FALSE(DecompressPayload(bomb, &decompressed).ok());
  EXPECT_LT(decompressed.size(), size_t{1} << 20);
}

}  // namespace
}  // namespace weir::internal
