#include "jobmanager/checkpoint/checkpoint_metadata.h"

#include <gtest/gtest.h>

#include <string>

namespace weir {
namespace {

CheckpointMetadata Example() {
  CheckpointMetadata metadata;
  metadata.id = CheckpointId(7);
  metadata.job_id = JobId(1, 2);
  metadata.job_name = "job";
  metadata.trigger_time = absl::FromUnixMillis(1'700'000'000'123);
  CheckpointedOperator& op = metadata.operators.emplace_back();
  op.id = OperatorId(3, 4);
  op.uid = "count";
  op.name = "Count";
  op.max_parallelism = 128;
  op.subtasks = {std::string("state\0with zero", 15), "", "third"};
  metadata.operators.emplace_back().coordinator_state = "";
  return metadata;
}

TEST(CheckpointMetadataTest, ReadsBackWhatWasWritten) {
  const absl::StatusOr<CheckpointMetadata> read =
      ParseCheckpointMetadata(SerializeCheckpointMetadata(Example()));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, Example());
  EXPECT_EQ(read->FindOperator(OperatorId(3, 4))->parallelism(), 3u);
  EXPECT_EQ(read->FindOperator(OperatorId(3, 5)), nullptr);
}

TEST(CheckpointMetadataTest, FindsEveryDamagedByteAndEveryCut) {
  const std::string bytes = SerializeCheckpointMetadata(Example());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_FALSE(ParseCheckpointMetadata(damaged).ok()) << "byte " << i;
    EXPECT_EQ(ParseCheckpointMetadata(bytes.substr(0, i)).status().code(),
              absl::StatusCode::kDataLoss)
        << "cut to " << i;
  }
  EXPECT_FALSE(ParseCheckpointMetadata(bytes + "x").ok());
}

TEST(CheckpointMetadataTest, SaysWhenAnotherVersionWroteIt) {
  std::string bytes = SerializeCheckpointMetadata(Example());
  bytes[8] = 2;
  EXPECT_EQ(ParseCheckpointMetadata(bytes).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace weir
