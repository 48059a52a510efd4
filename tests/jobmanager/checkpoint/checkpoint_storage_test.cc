#include "jobmanager/checkpoint/checkpoint_storage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/record/serde.h"
#include "runtime/state/operator_subtask_state.h"

namespace weir {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST(CheckpointStorageTest, KnowsTheFilesOfKeyedStateAndThoseThatOperatorStateRefersTo) {
  const FolderCheckpointStorage storage("unused", nullptr);
  OperatorSubtaskState state;
  EXPECT_THAT(storage.FilesOf(ToBytes(state)), IsEmpty());
  state.files.push_back({.path = "shared/epoch-1", .size_bytes = 1, .checksum = 2});
  EXPECT_THAT(storage.FilesOf(ToBytes(state)), UnorderedElementsAre("shared/epoch-1"));
  KeyedStateHandle& keyed = state.keyed.emplace();
  keyed.files.resize(2);  // One of them inline.
  keyed.files[1].path = "shared/000001.sst";
  EXPECT_THAT(storage.FilesOf(ToBytes(state)),
              UnorderedElementsAre("shared/epoch-1", "shared/000001.sst"));
  EXPECT_THAT(storage.FilesOf("damaged"), IsEmpty());
}

}  // namespace
}  // namespace weir
