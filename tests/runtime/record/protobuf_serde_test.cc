#include "runtime/record/protobuf_serde.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "proto/job_graph.pb.h"
#include "runtime/record/typed_batch.h"

namespace weir {
namespace {

using Message = proto::JobGraph;

Message Sample(int i) {
  Message message;
  message.set_job_name(std::string(static_cast<size_t>(i % 7) * 40, 'j'));
  message.set_fingerprint(static_cast<uint64_t>(i));
  for (int k = 0; k < i % 5; ++k) {
    message.add_vertices()->set_parallelism(static_cast<uint32_t>(k));
    (*message.mutable_settings())["key" + std::to_string(k)] = "value";
  }
  return message;
}

struct Holder {
  std::vector<Message> messages;
  int32_t number = 0;
};

TEST(ProtobufSerdeTest, MessagesAreRecordsAndFieldsOfRecords) {
  static_assert(Serializable<Message> && Serializable<Holder>);
  Holder holder;
  for (int i = 0; i < 30; ++i) holder.messages.push_back(Sample(i));
  holder.number = 5;
  Holder read;
  ASSERT_TRUE(FromBytes(ToBytes(holder), read));
  ASSERT_EQ(read.messages.size(), 30u);
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(ToBytes(read.messages[static_cast<size_t>(i)]), ToBytes(Sample(i)));
  }
  EXPECT_EQ(ToBytes(read), ToBytes(holder)) << "maps included: the bytes are deterministic";
  EXPECT_EQ(Serde<Message>::GetSchema().ToString(), "weir.proto.JobGraph");
}

TEST(ProtobufSerdeTest, TravelsInBatchesThatKnowTheirSize) {
  TypedBatchBuilder<Message> builder;
  builder.Add(Sample(4), EventTime::FromMillis(9));
  Message large;
  large.set_job_name(std::string(1 << 20, 'x'));
  builder.Add(std::move(large), EventTime::FromMillis(10));
  EXPECT_GT(builder.SizeBytes(), size_t{1} << 20);
  const BatchPtr batch = builder.Finish();
  std::string bytes;
  ByteWriter writer(&bytes);
  batch->Serialize(writer);
  ByteReader reader(bytes);
  const absl::StatusOr<BatchPtr> read = TypedBatchType<Message>().Deserialize(reader);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(BatchValues<Message>(**read)[1].job_name().size(), size_t{1} << 20);
  EXPECT_EQ((*read)->event_time(0), EventTime::FromMillis(9));
}

TEST(ProtobufSerdeTest, DamagedMessagesAreErrors) {
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = ToBytes(Sample(round));
    bytes[random() % bytes.size()] = static_cast<char>(random());
    bytes.resize(random() % (bytes.size() + 1));
    Message message;
    (void)FromBytes(bytes, message);
  }
  Message message;
  EXPECT_FALSE(FromBytes(std::string("\x05"
                                     "abc"),
                         message));
}

}  // namespace
}  // namespace weir
