#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "runtime/record/key_codec.h"
#include "runtime/record/serde.h"
#include "runtime/record/stream_element.h"
#include "runtime/record/typed_batch.h"

namespace weir {

/// A trivially copyable aggregate that its author serialises in another way.
struct Celsius {
  int64_t tenths = 0;
  friend bool operator==(const Celsius&, const Celsius&) = default;
};

template <>
struct Serde<Celsius> {
  static void Write(ByteWriter& writer, const Celsius& value) {
    writer.WriteVarint(static_cast<uint64_t>(value.tenths));
  }
  static bool Read(ByteReader& reader, Celsius& value) {
    uint64_t tenths = 0;
    if (!reader.ReadVarint(&tenths)) return false;
    value.tenths = static_cast<int64_t>(tenths);
    return true;
  }
  static Schema GetSchema() { return {Schema::Kind::kOpaque, "Celsius", {}}; }
};

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Flow {
  std::string host;
  int32_t port = 443;
  std::vector<std::string> tags;
  std::optional<double> score;
  std::map<std::string, int64_t> counters;
  std::variant<int32_t, std::string> extra;
  friend bool operator==(const Flow&, const Flow&) = default;
};

struct Pair {
  int64_t key = 0;
  int64_t count = 0;
  friend bool operator==(const Pair&, const Pair&) = default;
};

class Account {
 public:
  Account() = default;
  Account(std::string owner, int64_t balance) : owner_(std::move(owner)), balance_(balance) {}
  WEIR_FIELDS(owner_, balance_)
  friend bool operator==(const Account&, const Account&) = default;

 private:
  std::string owner_;
  int64_t balance_ = 0;
};

Flow SampleFlow() { return {"a\0b", 22, {"x", ""}, 1.5, {{"in", 7}}, std::string("e")}; }

TEST(SerdeTest, RoundTripsAggregatesContainersAndClasses) {
  Flow flow;
  ASSERT_TRUE(FromBytes(ToBytes(SampleFlow()), flow));
  EXPECT_EQ(flow, SampleFlow());
  Account account;
  ASSERT_TRUE(FromBytes(ToBytes(Account("eve", -3)), account));
  EXPECT_EQ(account, Account("eve", -3));
}

TEST(SerdeTest, KeepsToTheSerdeThatAUserWroteForAnAggregate) {
  const std::vector<Celsius> values = {{1}, {300}};
  EXPECT_THAT(ToBytes(values), ::testing::SizeIs(1 + 1 + 2));
  std::vector<Celsius> read;
  ASSERT_TRUE(FromBytes(ToBytes(values), read));
  EXPECT_EQ(read, values);
}

TEST(SerdeTest, RefusesEveryTruncation) {
  const std::string bytes = ToBytes(SampleFlow());
  for (size_t size = 0; size < bytes.size(); ++size) {
    Flow flow;
    EXPECT_FALSE(FromBytes(std::string_view(bytes).substr(0, size), flow)) << size;
  }
}

TEST(SerdeTest, SurvivesRandomBytes) {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes(random() % 64, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    Flow flow;
    (void)FromBytes(bytes, flow);
  }
}

TEST(SerdeTest, SchemaNamesFieldsAndKeepsDefaults) {
  const Schema schema = Serde<Flow>::GetSchema();
  EXPECT_EQ(schema.ToString(),
            "struct{host: string, port: int32, tags: list<string>, score: optional<double>, "
            "counters: map<string, int64>, extra: variant<int32, string>}");
  EXPECT_EQ(schema.fields[1].default_value, ToBytes(int32_t{443}));
  EXPECT_EQ(Serde<Account>::GetSchema().ToString(), "struct{owner: string, balance: int64}");
  std::string bytes;
  ByteWriter writer(&bytes);
  schema.Write(writer);
  ByteReader reader(bytes);
  Schema read;
  ASSERT_TRUE(read.Read(reader));
  EXPECT_EQ(read, schema);
}

TEST(KeyCodecTest, OrdersEncodingsAsKeysAndRoundTrips) {
  std::mt19937_64 random(11);
  using Key = std::tuple<std::string, int64_t, bool>;
  std::vector<Key> keys;
  for (int i = 0; i < 2000; ++i) {
    std::string text(random() % 4, '\0');
    for (char& c : text) c = static_cast<char>("\0\1a\xff"[random() % 4]);
    keys.emplace_back(text, static_cast<int64_t>(random()) >> (random() % 64), random() % 2 == 0);
  }
  for (size_t i = 1; i < keys.size(); ++i) {
    const auto& [a_text, a_number, a_flag] = keys[i - 1];
    const auto& [b_text, b_number, b_flag] = keys[i];
    const auto unsigned_order = [](const std::string& x, const std::string& y) {
      return std::lexicographical_compare(
          x.begin(), x.end(), y.begin(), y.end(), [](char p, char q) {
            return static_cast<unsigned char>(p) < static_cast<unsigned char>(q);
          });
    };
    const bool less = a_text != b_text ? unsigned_order(a_text, b_text)
                                       : std::tie(a_number, a_flag) < std::tie(b_number, b_flag);
    EXPECT_EQ(EncodeKey(keys[i - 1]) < EncodeKey(keys[i]), less);
    Key decoded;
    const std::string bytes = EncodeKey(keys[i]);
    ByteReader reader(bytes);
    ASSERT_TRUE(KeyCodec<Key>::Decode(reader, decoded));
    EXPECT_EQ(decoded, keys[i]);
    EXPECT_EQ(reader.remaining(), 0U);
  }
}

TEST(KeyCodecTest, HashesArePublishedAndNeverChange) {
  EXPECT_EQ(KeyHash(int64_t{0}), 0xb7aa1c28d234f8d6U);
  EXPECT_EQ(KeyHash(std::string("10.0.0.5")), KeyHash(std::string_view("10.0.0.5")));
}

template <class T>
BatchPtr MakeBatch(std::vector<T> values, bool with_times = true) {
  TypedBatchBuilder<T> builder;
  int64_t time = 100;
  for (T& value : values) {
    builder.Add(std::move(value), with_times ? EventTime::FromMillis(time++) : EventTime::Min());
  }
  return builder.Finish();
}

template <class T>
BatchPtr OverTheWire(const BatchPtr& batch) {
  std::string bytes;
  SerializeElement(batch, &bytes);
  auto element = DeserializeElement(bytes, TypedBatchType<T>());
  EXPECT_TRUE(element.ok()) << element.status();
  return std::get<BatchPtr>(*element);
}

TEST(TypedBatchTest, CrossesTheWireWithTimesAndHashes) {
  BatchPtr batch = MakeBatch<Flow>({SampleFlow(), Flow{}});
  const std::vector<uint64_t> hashes = {5, 6};
  auto builder = TypedBatchType<Flow>().NewBuilder();
  builder->AppendRows(batch, std::vector<uint32_t>{1, 0}, hashes);
  const BatchPtr read = OverTheWire<Flow>(builder->Finish());
  EXPECT_THAT(BatchValues<Flow>(*read), ElementsAre(Flow{}, SampleFlow()));
  EXPECT_THAT(read->key_hashes(), ElementsAre(6, 5));
  EXPECT_EQ(read->event_time(0), EventTime::FromMillis(101));
}

TEST(TypedBatchTest, CopiesPlainValuesInBulk) {
  const BatchPtr read = OverTheWire<Pair>(MakeBatch<Pair>({{1, 2}, {3, 4}}, /*with_times=*/false));
  EXPECT_THAT(BatchValues<Pair>(*read), ElementsAre(Pair{1, 2}, Pair{3, 4}));
  EXPECT_TRUE(read->event_times().empty());
}

TEST(TypedBatchTest, MovesRowsOutOfAUniqueBatchAndCopiesFromASharedOne) {
  BatchPtr shared = MakeBatch<std::string>({"a long string that needs the heap", "b"});
  const BatchPtr other = shared;
  TypedBatchBuilder<std::string> builder;
  builder.AppendRows(shared, std::vector<uint32_t>{0}, {});
  EXPECT_EQ(BatchValues<std::string>(*other)[0], "a long string that needs the heap");
}

TEST(TypedBatchTest, MakeUniqueCopiesOnlyWhenShared) {
  BatchPtr batch = MakeBatch<Pair>({{1, 2}});
  const Batch* before = batch.get();
  EXPECT_EQ(&batch.MakeUnique(), before);
  const BatchPtr other = batch;
  EXPECT_NE(&batch.MakeUnique(), before);
  EXPECT_THAT(BatchValues<Pair>(*batch), ElementsAre(Pair{1, 2}));
}

TEST(StreamElementTest, RoundTripsEveryControlElement) {
  const std::vector<StreamElement> elements = {
      Watermark{EventTime::FromMillis(-5)},
      WatermarkStatus{true},
      CheckpointBarrier{CheckpointId(9), 1234},
      CheckpointBarrier{CheckpointId(9), 1234, BarrierKind::kTerminate},
      CheckpointBarrier{.id = CheckpointId(9), .unaligned = true},
      EndOfInput{},
      CaughtUp{},
      LatencyMarker{77}};
  for (const StreamElement& element : elements) {
    std::string bytes;
    SerializeElement(element, &bytes);
    const auto read = DeserializeElement(bytes, TypedBatchType<Pair>());
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->index(), element.index());
    std::string again;
    SerializeElement(*read, &again);
    EXPECT_EQ(again, bytes);
  }
}

TEST(StreamElementTest, RefusesTruncationsAndTrailingBytes) {
  std::string bytes;
  SerializeElement(MakeBatch<Flow>({SampleFlow()}), &bytes);
  const TypedBatchType<Flow> type;
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(DeserializeElement(bytes.substr(0, size), type).status().code(),
              absl::StatusCode::kDataLoss);
  }
  EXPECT_THAT(DeserializeElement(bytes + "x", type).status().ToString(),
              HasSubstr("followed by 1"));
}

}  // namespace
}  // namespace weir
