#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/state/keyed_state_backend.h"
#include "tests/runtime/state/state_test_support.h"

namespace weir {
namespace {

struct StringKey {
  const char* key;
  KeyGroup group_of_128;
  KeyGroup group_of_32768;
};
struct IntegerKey {
  int64_t key;
  KeyGroup group_of_128;
  KeyGroup group_of_32768;
};
#include "tests/runtime/state/key_groups_of_1000_keys.inc"

TEST(KeyGroupStabilityTest, AThousandKeysHaveThePublishedKeyGroups) {
  for (const StringKey& row : kStringKeys) {
    const uint64_t hash = KeyHash(std::string(row.key));
    ASSERT_EQ(KeyGroupOf(hash, 128), row.group_of_128) << row.key;
    ASSERT_EQ(KeyGroupOf(hash, kMaxMaxParallelism), row.group_of_32768) << row.key;
  }
  for (const IntegerKey& row : kIntegerKeys) {
    const uint64_t hash = KeyHash(row.key);
    ASSERT_EQ(KeyGroupOf(hash, 128), row.group_of_128) << row.key;
    ASSERT_EQ(KeyGroupOf(hash, kMaxMaxParallelism), row.group_of_32768) << row.key;
  }
}

// From one subtask to each parallelism, and from that to the next.
TEST(KeyGroupStabilityTest, RescalingFrom1To128KeepsTheStateOfEveryKey) {
  constexpr uint32_t kMaxParallelism = 128;
  const ValueStateDescriptor<int64_t> kIndex{"index"};
  TestDirectory directory;
  UnreliableStore store(directory.path() + "/checkpoints");
  using Backend = KeyedStateBackend<int64_t>;
  const auto make = [&](uint32_t index, uint32_t parallelism) {
    KeyedStateBackendOptions options;
    options.range = RangeOfSubtask(index, kMaxParallelism, parallelism);
    options.max_parallelism = kMaxParallelism;
    options.local_dir = directory.path() + "/local";  // Never made: all snapshots are inline.
    return std::make_unique<Backend>(std::move(options));
  };
  std::vector<KeyedStateHandle> handles;
  uint64_t next_checkpoint = 1;
  for (uint32_t parallelism = 1; parallelism <= kMaxParallelism; ++parallelism) {
    std::vector<std::unique_ptr<Backend>> subtasks;
    for (uint32_t index = 0; index < parallelism; ++index) {
      subtasks.push_back(make(index, parallelism));
      if (!handles.empty()) {
        ASSERT_TRUE(subtasks[index]->Restore(handles, store).ok());
      }
    }
    int64_t i = 0;
    for (const IntegerKey& row : kIntegerKeys) {
      const uint64_t hash = KeyHash(row.key);
      Backend& backend = *subtasks[SubtaskOfHash(hash, kMaxParallelism, parallelism)];
      backend.SetCurrentKey(row.key, hash);
      ValueState<int64_t> state = *backend.GetState(kIndex);
      if (handles.empty()) {
        state.Set(i);
      } else {
        ASSERT_NE(state.Get(), nullptr);
        ASSERT_EQ(*state.Get(), i);
      }
      ++i;
    }
    std::vector<KeyedStateHandle> next;
    for (auto& subtask : subtasks) {
      auto snapshot = subtask->Snapshot(CheckpointId(next_checkpoint));
      auto handle = snapshot->Run(store);
      ASSERT_TRUE(handle.ok()) << handle.status();
      next.push_back(*std::move(handle));
      subtask->FinishSnapshot(std::move(snapshot));
    }
    ++next_checkpoint;
    handles = std::move(next);
  }
}

}  // namespace
}  // namespace weir
