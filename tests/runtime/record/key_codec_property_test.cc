#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "runtime/record/key_codec.h"
#include "tests/support/random_values.h"

namespace weir {
namespace {

enum class Color : int16_t { kRed = -1, kGreen, kBlue };

struct HostAndPort {
  std::string host;
  std::optional<uint16_t> port;
  friend auto operator<=>(const HostAndPort&, const HostAndPort&) = default;
};

template <class T>
class KeyCodecPropertyTest : public ::testing::Test {};

using Types = ::testing::Types<
    int8_t, uint16_t, int64_t, bool, Color, EventTime, absl::Time, absl::Duration, std::string,
    std::monostate, std::optional<int32_t>, std::optional<std::optional<std::string>>,
    std::variant<std::monostate, int32_t, std::string, int32_t>, std::vector<std::string>,
    std::vector<std::vector<int8_t>>, std::tuple<std::string, std::optional<bool>, std::string>,
    std::pair<std::vector<uint8_t>, int32_t>, std::array<std::string, 2>, HostAndPort,
    std::vector<HostAndPort>>;
TYPED_TEST_SUITE(KeyCodecPropertyTest, Types);

TYPED_TEST(KeyCodecPropertyTest, EncodingsOrderAsTheKeysAndNoneIsAPrefixOfAnother) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    RandomValues random(seed);
    const auto a = random.Make<TypeParam>();
    const auto b = random.Make<TypeParam>();
    const std::string encoded_a = EncodeKey(a);
    const std::string encoded_b = EncodeKey(b);
    ASSERT_EQ(encoded_a < encoded_b, a < b) << "seed " << seed;
    ASSERT_EQ(encoded_a == encoded_b, a == b) << "seed " << seed;
    if (!(a == b)) {
      ASSERT_FALSE(encoded_b.starts_with(encoded_a)) << "seed " << seed;
      ASSERT_NE(KeyHash(a), KeyHash(b)) << "seed " << seed;
    }
  }
}

TYPED_TEST(KeyCodecPropertyTest, DecodesWhatItEncodedAndStopsThere) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    RandomValues random(seed);
    const auto key = random.Make<TypeParam>();
    const std::string bytes = EncodeKey(key) + "rest";
    ByteReader reader(bytes);
    TypeParam read{};
    random.Fill(read);
    ASSERT_TRUE(KeyCodec<TypeParam>::Decode(reader, read)) << "seed " << seed;
    ASSERT_EQ(read, key) << "seed " << seed;
    ASSERT_EQ(reader.remaining(), 4u) << "seed " << seed;
  }
}

TYPED_TEST(KeyCodecPropertyTest, AKeyHasOneEncodingOnly) {
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    RandomValues random(seed);
    std::string bytes = EncodeKey(random.Make<TypeParam>()) + EncodeKey(random.Make<TypeParam>());
    if (!bytes.empty()) bytes[random.Below(bytes.size())] = static_cast<char>(random.Below(4) - 1);
    ByteReader reader(bytes);
    TypeParam read{};
    if (!KeyCodec<TypeParam>::Decode(reader, read)) continue;
    ASSERT_EQ(EncodeKey(read), bytes.substr(0, bytes.size() - reader.remaining()))
        << "seed " << seed;
  }
}

// Released encodings: state files and the placement of records depend on them.
TEST(KeyCodecStabilityTest, EncodingsDoNotChange) {
  EXPECT_EQ(EncodeKey(int32_t{-2}), "\x7f\xff\xff\xfe");
  EXPECT_EQ(EncodeKey(std::string("a\0b", 3)), std::string("a\0\xff"
                                                           "b\0\x01",
                                                           6));
  EXPECT_EQ(EncodeKey(std::optional<bool>(true)), "\x01\x01");
  EXPECT_EQ(EncodeKey(std::optional<bool>()), std::string(1, '\0'));
  EXPECT_EQ(EncodeKey(std::variant<bool, uint8_t>(uint8_t{7})), "\x01\x07");
  EXPECT_EQ(EncodeKey(std::vector<uint8_t>{5, 6}), std::string("\x01\x05\x01\x06\x00", 5));
  EXPECT_EQ(EncodeKey(absl::UnixEpoch() + absl::Nanoseconds(1)),
            std::string("\x80\0\0\0\0\0\0\0\0\0\0\x04", 12));
}

}  // namespace
}  // namespace weir
