#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "runtime/record/serde.h"
#include "tests/support/random_values.h"

namespace weir {
namespace {

enum class Color : uint8_t { kRed, kGreen, kBlue };

struct Empty {
  friend bool operator==(const Empty&, const Empty&) = default;
};

struct Inner {
  std::variant<std::monostate, int64_t, std::string> choice;
  std::optional<std::vector<std::string>> names;
  Color color = Color::kRed;
  absl::Time at;
  friend bool operator==(const Inner&, const Inner&) = default;
};

struct Outer {
  std::vector<Inner> inner;
  std::map<std::string, std::optional<Inner>> by_name;
  std::pair<int32_t, std::tuple<bool, double, Empty>> parts;
  std::array<int16_t, 3> numbers = {};
  EventTime time;
  friend bool operator==(const Outer&, const Outer&) = default;
};

// Listed, because GCC 12 cannot reflect a struct with an array of values that have destructors.
struct Listed {
  std::array<std::string, 2> both;
  Inner inner;
  WEIR_FIELDS(both, inner)
  friend bool operator==(const Listed&, const Listed&) = default;
};

// Hash containers keep no order, so equality of values is what counts, not of bytes.
template <class T>
class SerdePropertyTest : public ::testing::Test {};

using Types = ::testing::Types<
    int8_t, uint64_t, double, bool, Color, EventTime, absl::Time, absl::Duration, std::string,
    std::vector<bool>, std::vector<Empty>, std::vector<std::monostate>, std::deque<std::string>,
    std::list<int32_t>, std::set<std::string>, std::multiset<int16_t>,
    std::multimap<int8_t, std::string>, std::unordered_set<std::string>,
    std::unordered_map<int32_t, std::string>,
    absl::flat_hash_map<std::string, std::vector<int64_t>>, std::optional<std::optional<int32_t>>,
    std::variant<int32_t, std::string, int32_t>, std::tuple<>, Inner, Outer, Listed>;
TYPED_TEST_SUITE(SerdePropertyTest, Types);

TYPED_TEST(SerdePropertyTest, RoundTripsAndRefusesWhatIsCutOff) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RandomValues random(seed);
    const auto value = random.Make<TypeParam>();
    const std::string bytes = ToBytes(value);
    TypeParam read{};
    random.Fill(read);  // Reading replaces what was there.
    ASSERT_TRUE(FromBytes(bytes, read)) << "seed " << seed;
    ASSERT_EQ(read, value) << "seed " << seed;
    for (size_t size = 0; size < bytes.size(); ++size) {
      ASSERT_FALSE(FromBytes(std::string_view(bytes).substr(0, size), read)) << "seed " << seed;
    }
    ASSERT_FALSE(FromBytes(bytes + "x", read)) << "seed " << seed;
  }
}

TYPED_TEST(SerdePropertyTest, DamagedBytesAreAValueOrAnErrorAndNothingElse) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    RandomValues random(seed);
    std::string bytes = ToBytes(random.Make<TypeParam>());
    for (uint64_t i = random.Below(4) + 1; i > 0 && !bytes.empty(); --i) {
      const size_t place = random.Below(bytes.size());
      switch (random.Below(3)) {
        case 0:
          bytes[place] = static_cast<char>(random.Below(256));
          break;
        case 1:
          bytes.erase(place, 1);
          break;
        default:
          bytes.insert(place, 1, static_cast<char>(random.Below(2) * 255));
      }
    }
    TypeParam read{};
    if (!FromBytes(bytes, read)) continue;
    // What was read is a value like any other.
    TypeParam again{};
    ASSERT_TRUE(FromBytes(ToBytes(read), again)) << "seed " << seed;
    if constexpr (!std::is_same_v<TypeParam, double> && !std::is_same_v<TypeParam, Outer>) {
      ASSERT_EQ(again, read) << "seed " << seed;  // A damaged double may be no number.
    }
  }
}

TYPED_TEST(SerdePropertyTest, TheSchemaRoundTrips) {
  const Schema schema = Serde<TypeParam>::GetSchema();
  std::string bytes;
  ByteWriter writer(&bytes);
  schema.Write(writer);
  ByteReader reader(bytes);
  Schema read;
  ASSERT_TRUE(read.Read(reader));
  EXPECT_EQ(read, schema);
}

TEST(SerdeLimitsTest, ADamagedCountDoesNotAllocate) {
  std::string bytes;
  ByteWriter writer(&bytes);
  writer.WriteVarint(uint64_t{1} << 60);
  bytes.append(100, '\0');
  std::vector<Empty> empties;
  EXPECT_FALSE(FromBytes(bytes, empties));
  std::vector<Outer> large;
  EXPECT_FALSE(FromBytes(bytes, large));
  std::map<Color, Color> map;
  EXPECT_FALSE(FromBytes(bytes, map));
}

TEST(SerdeLimitsTest, OwnedBytesCountsWhatVariantsAndSharedValuesHold) {
  const std::string megabyte(1 << 20, 'x');
  EXPECT_GT(OwnedBytes(std::variant<int, std::string>(megabyte)), megabyte.size());
  EXPECT_GT(OwnedBytes(std::shared_ptr<const std::string>(std::make_shared<std::string>(megabyte))),
            megabyte.size());
  EXPECT_GT(OwnedBytes(std::optional<std::vector<std::string>>({megabyte, megabyte})),
            2 * megabyte.size());
  EXPECT_EQ(OwnedBytes(std::array<int32_t, 4>{}), 0u);
  EXPECT_EQ(OwnedBytes(std::variant<int, std::string>(1)), 0u);
}

TEST(SerdeLimitsTest, SharedValuesAreReadAsTheirOwn) {
  using Shared = std::shared_ptr<const Inner>;
  RandomValues random(1);
  for (int i = 0; i < 100; ++i) {
    const auto value = random.Make<Shared>();
    Shared read;
    ASSERT_TRUE(FromBytes(ToBytes(value), read));
    ASSERT_EQ(read == nullptr, value == nullptr);
    if (value != nullptr) {
      EXPECT_EQ(*read, *value);
    }
  }
}

}  // namespace
}  // namespace weir
