#include "runtime/state/keyed_state_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/memory_budget.h"
#include "tests/runtime/state/state_test_support.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

struct Address {
  std::string host;
  int32_t port = 0;
};

using Backend = KeyedStateBackend<std::string>;
const ValueStateDescriptor<int64_t> kCount{"count"};

/// What all backends have in common must hold of every form.
struct Form {
  size_t inline_limit_bytes;  ///< Makes every snapshot inline, or none.
  int64_t memory_bytes;       ///< Room for all state, or for none that is not in use.
};
constexpr Form kInline{size_t{1} << 20, int64_t{1} << 40};
constexpr Form kFiles{0, int64_t{1} << 40};
constexpr Form kInlineOnDisk{size_t{1} << 20, 1};
constexpr Form kFilesOnDisk{0, 1};

class KeyedStateBackendTest : public ::testing::TestWithParam<Form>, protected BackendStorage {
 protected:
  std::unique_ptr<Backend> NewBackend(uint32_t index = 0, uint32_t parallelism = 1) {
    KeyedStateBackendOptions options;
    options.range = RangeOfSubtask(index, 128, parallelism);
    options.local_dir = NextLocalDir();
    options.memory_budget = &budget_;
    options.inline_limit_bytes = GetParam().inline_limit_bytes;
    return std::make_unique<Backend>(std::move(options));
  }
  // Entries that memory has no room for leave it: the first time they are passed over, as used.
  static void SetKey(Backend& backend, const std::string& key) {
    backend.SetCurrentKey(key, KeyHash(key));
    backend.ShedMemory();
    backend.ShedMemory();
  }
  std::unique_ptr<Backend> Restored(const KeyedStateHandle& handle) {
    auto backend = NewBackend();
    const absl::Status status = backend->Restore({handle}, store_);
    EXPECT_TRUE(status.ok()) << status;
    return backend;
  }

  MemoryBudget budget_{GetParam().memory_bytes};  // Outlives all backends.
};

TEST_P(KeyedStateBackendTest, HandlesActOnTheCurrentKey) {
  auto backend = NewBackend();
  ValueState<int64_t> count = *backend->GetState(kCount);
  SetKey(*backend, "a");
  EXPECT_EQ(count.Get(), nullptr);
  count.Set(1);
  SetKey(*backend, "b");
  EXPECT_EQ(count.Get(), nullptr);
  ++count.Mutable();
  ++count.Mutable();
  SetKey(*backend, "a");
  EXPECT_EQ(*count.Get(), 1);
  count.Clear();
  EXPECT_EQ(count.Get(), nullptr);
  SetKey(*backend, "b");
  EXPECT_EQ(*count.Get(), 2);
}

TEST_P(KeyedStateBackendTest, VisitsTheKeysOfAStateByKeyGroups) {
  const MapStateDescriptor<int32_t, int64_t> map_descriptor{"map"};
  auto backend = NewBackend();
  auto count = *backend->GetState(kCount);
  auto map = *backend->GetState(map_descriptor);
  for (int i = 0; i < 500; ++i) {
    const std::string key = "key-" + std::to_string(i);
    SetKey(*backend, key);
    if (i % 2 == 0) count.Set(i);
    map.Put(i, i);
    map.Put(i + 1, i);
  }
  SetKey(*backend, "current");
  std::map<std::string, int64_t> visited;
  for (KeyGroup group = 0; group < 128; group += 32) {
    const KeyGroupRange groups{group, group + 31};
    ASSERT_TRUE(backend
                    ->ForEachKey("count", groups,
                                 [&](const std::string& key) {
                                   ASSERT_TRUE(groups.Contains(KeyGroupOf(KeyHash(key), 128)));
                                   ASSERT_TRUE(visited.emplace(key, *count.Get()).second);
                                   count.Clear();
                                 })
                    .ok());
  }
  EXPECT_EQ(visited.size(), 250u);
  EXPECT_EQ(visited["key-42"], 42);
  EXPECT_EQ(backend->current_key(), "current");
  size_t num_keys = 0;
  EXPECT_TRUE(backend->ForEachKey("map", {0, 127}, [&](const std::string&) { ++num_keys; }).ok());
  EXPECT_EQ(num_keys, 500u);
  num_keys = 0;
  EXPECT_TRUE(backend->ForEachKey("count", {0, 127}, [&](const std::string&) { ++num_keys; }).ok());
  EXPECT_EQ(num_keys, 0u);
  EXPECT_TRUE(absl::IsNotFound(backend->ForEachKey("other", {0, 127}, [](const std::string&) {})));
}

TEST_P(KeyedStateBackendTest, RestoresEveryKindOfState) {
  const ListStateDescriptor<Address> list_descriptor{"list"};
  const MapStateDescriptor<Address, std::string> map_descriptor{"map"};
  const ReducingStateDescriptor<int64_t> reducing_descriptor{
      "maximum", [](int64_t& accumulated, const int64_t& element) {
        accumulated = std::max(accumulated, element);
      }};
  const AggregatingStateDescriptor<int64_t, std::pair<int64_t, int64_t>, double> mean_descriptor{
      "mean",
      [](std::pair<int64_t, int64_t>& sum, const int64_t& element) {
        sum.first += element;
        ++sum.second;
      },
      [](const std::pair<int64_t, int64_t>& sum) {
        return sum.second == 0 ? 0.0
                               : static_cast<double>(sum.first) / static_cast<double>(sum.second);
      }};
  const ListTableDescriptor<int64_t, std::string> lists_descriptor{"window lists"};
  const MapTableDescriptor<int64_t, std::string, int32_t> maps_descriptor{"window maps"};

  KeyedStateHandle handle;
  const std::string key = "key";
  const uint64_t hash = KeyHash(key);
  {
    auto backend = NewBackend();
    SetKey(*backend, key);
    backend->GetState(kCount)->Set(7);
    backend->GetState(list_descriptor)->AddAll({{"a", 1}, {"b", 2}});
    backend->GetState(map_descriptor)->Put({"b", 2}, "second");
    backend->GetState(map_descriptor)->Put({"a", 9}, "first");
    auto reducing = *backend->GetState(reducing_descriptor);
    reducing.Add(3);
    reducing.Add(9);
    reducing.Add(5);
    auto mean = *backend->GetState(mean_descriptor);
    EXPECT_TRUE(mean.IsEmpty());
    EXPECT_EQ(mean.Get(), 0.0);
    mean.Add(1);
    mean.Add(2);
    (*backend->Lists(lists_descriptor))->Add(hash, key, 10, "x");
    (*backend->Maps(maps_descriptor))->Mutable(hash, key, 10, "x") = 5;
    (*backend->Timers<VoidNamespace>("timers", TimeDomain::kEventTime))
        ->Register(key, hash, {}, 1000);
    (*backend->Timers<VoidNamespace>("timers", TimeDomain::kProcessingTime))
        ->Register(key, hash, {}, 2000);
    handle = Checkpoint(*backend);
  }
  auto backend = Restored(handle);
  SetKey(*backend, key);
  EXPECT_EQ(*backend->GetState(kCount)->Get(), 7);
  std::vector<std::string> hosts;
  backend->GetState(list_descriptor)->ForEach([&](const Address& a) { hosts.push_back(a.host); });
  EXPECT_THAT(hosts, ElementsAre("a", "b"));
  std::vector<std::pair<std::string, std::string>> entries;
  backend->GetState(map_descriptor)->ForEach([&](const Address& k, const std::string& v) {
    entries.emplace_back(k.host, v);
  });
  EXPECT_THAT(entries, ElementsAre(Pair("a", "first"), Pair("b", "second")));
  EXPECT_EQ(*backend->GetState(reducing_descriptor)->Get(), 9);
  EXPECT_EQ(backend->GetState(mean_descriptor)->Get(), 1.5);
  EXPECT_EQ((*backend->Lists(lists_descriptor))->At(hash, key, 10, 0), "x");
  EXPECT_EQ(*(*backend->Maps(maps_descriptor))->Get(hash, key, 10, "x"), 5);
  EXPECT_EQ((*backend->Timers<VoidNamespace>("timers", TimeDomain::kEventTime))->NextTime(), 1000);
  EXPECT_EQ((*backend->Timers<VoidNamespace>("timers", TimeDomain::kProcessingTime))->NextTime(),
            2000);
}

TEST_P(KeyedStateBackendTest, RefusesOneNameForTwoStates) {
  auto backend = NewBackend();
  ASSERT_TRUE(backend->GetState(kCount).ok());
  const auto other = backend->GetState(ValueStateDescriptor<std::string>{"count"});
  EXPECT_TRUE(absl::IsInvalidArgument(other.status()));
  EXPECT_THAT(other.status().ToString(), HasSubstr("value: int64"));
  EXPECT_THAT(other.status().ToString(), HasSubstr("value: string"));
  EXPECT_TRUE(
      absl::IsInvalidArgument(backend->GetState(ListStateDescriptor<int64_t>{"count"}).status()));
}

TEST_P(KeyedStateBackendTest, RefusesARestoredStateOfAnotherSchema) {
  auto backend = NewBackend();
  SetKey(*backend, "a");
  backend->GetState(kCount)->Set(1);
  auto restored = Restored(Checkpoint(*backend));
  const auto other = restored->GetState(ValueStateDescriptor<std::string>{"count"});
  EXPECT_TRUE(absl::IsFailedPrecondition(other.status()));
  EXPECT_THAT(other.status().ToString(), HasSubstr("state=count"));
  EXPECT_THAT(other.status().ToString(), HasSubstr("value: int64"));
  EXPECT_THAT(other.status().ToString(), HasSubstr("value: string"));
}

TEST_P(KeyedStateBackendTest, RefusesAnUnknownFormatVersionAndAnotherMaxParallelism) {
  auto backend = NewBackend();
  SetKey(*backend, "a");
  backend->GetState(kCount)->Set(1);
  KeyedStateHandle handle = Checkpoint(*backend);
  handle.format_version = 9;
  absl::Status status = NewBackend()->Restore({handle}, store_);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(status.ToString(), HasSubstr("format_version=9"));
  handle.format_version = KeyedStateHandle::kFormatVersion;
  handle.max_parallelism = 256;
  status = NewBackend()->Restore({handle}, store_);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(status.ToString(), HasSubstr("snapshot_max_parallelism=256"));
}

TEST_P(KeyedStateBackendTest, RefusesSnapshotsThatOverlap) {
  auto backend = NewBackend();
  SetKey(*backend, "a");
  backend->GetState(kCount)->Set(1);
  const KeyedStateHandle handle = Checkpoint(*backend);
  EXPECT_TRUE(absl::IsInvalidArgument(NewBackend()->Restore({handle, handle}, store_)));
}

TEST_P(KeyedStateBackendTest, KeepsAStateThatIsNeverRegistered) {
  KeyedStateHandle handle;
  {
    auto backend = NewBackend();
    SetKey(*backend, "a");
    backend->GetState(kCount)->Set(1);
    handle = Checkpoint(*backend);
  }
  for (int i = 0; i < 3; ++i) {
    auto backend = Restored(handle);
    SetKey(*backend, "a");
    backend->GetState(ValueStateDescriptor<int64_t>{"other"})->Set(i);
    handle = Checkpoint(*backend);
    handle = Checkpoint(*backend);
  }
  auto backend = Restored(handle);
  SetKey(*backend, "a");
  EXPECT_EQ(*backend->GetState(kCount)->Get(), 1);
  EXPECT_EQ(*backend->GetState(ValueStateDescriptor<int64_t>{"other"})->Get(), 2);
}

TEST_P(KeyedStateBackendTest, AnEmptyBackendHasAnEmptySnapshot) {
  auto backend = NewBackend();
  const KeyedStateHandle handle = Checkpoint(*backend);
  EXPECT_THAT(handle.files, IsEmpty());
  SetKey(*Restored(handle), "a");
}

TEST_P(KeyedStateBackendTest, ACancelledSnapshotLosesNothing) {
  auto backend = NewBackend();
  SetKey(*backend, "a");
  backend->GetState(kCount)->Set(1);
  auto snapshot = backend->Snapshot(CheckpointId(1));
  snapshot->Cancel();
  EXPECT_TRUE(absl::IsAborted(snapshot->Run(store_).status()));
  backend->FinishSnapshot(std::move(snapshot));
  auto restored = Restored(Checkpoint(*backend));
  SetKey(*restored, "a");
  EXPECT_EQ(*restored->GetState(kCount)->Get(), 1);
}

TEST_P(KeyedStateBackendTest, ASnapshotMayOutliveItsBackend) {
  auto backend = NewBackend();
  SetKey(*backend, "a");
  backend->GetState(kCount)->Set(1);
  auto snapshot = backend->Snapshot(CheckpointId(1));
  backend.reset();
  const auto handle = snapshot->Run(store_);
  ASSERT_TRUE(handle.ok()) << handle.status();
  auto restored = Restored(*handle);
  SetKey(*restored, "a");
  EXPECT_EQ(*restored->GetState(kCount)->Get(), 1);
}

TEST_P(KeyedStateBackendTest, RemovesItsLocalFolder) {
  auto backend = NewBackend();
  SetKey(*backend, "a");
  backend->GetState(kCount)->Set(1);
  (void)Checkpoint(*backend);
  const std::string local = backend->options().local_dir;
  backend.reset();
  EXPECT_FALSE(std::filesystem::exists(local));
}

INSTANTIATE_TEST_SUITE_P(Forms, KeyedStateBackendTest,
                         ::testing::Values(kInline, kFiles, kInlineOnDisk, kFilesOnDisk),
                         [](const auto& form) {
                           return std::string(form.param.inline_limit_bytes > 0 ? "Inline"
                                                                                : "Files") +
                                  (form.param.memory_bytes > 1 ? "" : "OnDisk");
                         });

class KeyedStateFilesTest : public KeyedStateBackendTest {};

TEST_P(KeyedStateFilesTest, StoresOnlyFilesThatNoCompletedCheckpointHolds) {
  auto backend = NewBackend();
  auto count = *backend->GetState(kCount);
  for (int round = 0; round < 3; ++round) {
    SetKey(*backend, "key " + std::to_string(round));
    count.Set(round);
    const int before = store_.num_stored();
    const KeyedStateHandle handle = Checkpoint(*backend);
    EXPECT_EQ(store_.num_stored() - before, 1) << "round " << round;
    EXPECT_EQ(handle.files.size(), static_cast<size_t>(round + 1));
  }
  // Nothing changed: no new file, but all are listed.
  const int before = store_.num_stored();
  EXPECT_EQ(Checkpoint(*backend).files.size(), 3u);
  EXPECT_EQ(store_.num_stored(), before);
}

TEST_P(KeyedStateFilesTest, ARestoredBackendGoesOnFromTheFilesItRestored) {
  auto backend = NewBackend();
  SetKey(*backend, "a");
  backend->GetState(kCount)->Set(1);
  const KeyedStateHandle first = Checkpoint(*backend);
  backend = Restored(first);
  SetKey(*backend, "b");
  backend->GetState(kCount)->Set(2);
  const int before = store_.num_stored();
  const KeyedStateHandle second = Checkpoint(*backend);
  EXPECT_EQ(store_.num_stored() - before, 1);
  ASSERT_EQ(second.files.size(), 2u);
  EXPECT_TRUE(second.files[0].path == first.files[0].path ||
              second.files[1].path == first.files[0].path);
}

TEST_P(KeyedStateFilesTest, AFileOfACheckpointThatDidNotCompleteIsStoredAnew) {
  auto backend = NewBackend();
  SetKey(*backend, "a");
  backend->GetState(kCount)->Set(1);
  auto snapshot = backend->Snapshot(CheckpointId(1));
  const auto failed = snapshot->Run(store_);
  backend->FinishSnapshot(std::move(snapshot));
  next_checkpoint_ = 2;
  const KeyedStateHandle next = Checkpoint(*backend);
  ASSERT_EQ(next.files.size(), 1u);
  EXPECT_NE(next.files[0].path, failed->files[0].path);
}

TEST_P(KeyedStateFilesTest, ErasedEntriesStayErasedInLaterSnapshots) {
  auto backend = NewBackend();
  auto count = *backend->GetState(kCount);
  for (int i = 0; i < 100; ++i) {
    SetKey(*backend, std::to_string(i));
    count.Set(i);
  }
  (void)Checkpoint(*backend);
  for (int i = 0; i < 100; ++i) {
    SetKey(*backend, std::to_string(i));
    count.Clear();
  }
  backend = Restored(Checkpoint(*backend));
  ASSERT_TRUE(backend->GetState(kCount).ok());
  EXPECT_EQ(backend->NumEntries(), 0u);
}

// Enough files that the database merges some of them.
TEST_P(KeyedStateFilesTest, SurvivesManySnapshotsAndRestores) {
  auto backend = NewBackend();
  constexpr int kKeys = 50;
  for (int round = 0; round < 60; ++round) {
    auto count = *backend->GetState(kCount);
    for (int i = 0; i < kKeys; ++i) {
      SetKey(*backend, std::to_string(i));
      if (i % 7 == round % 7) {
        count.Clear();
      } else {
        count.Set(round);
      }
    }
    const KeyedStateHandle handle = Checkpoint(*backend);
    if (round % 10 == 9) backend = Restored(handle);
  }
  auto count = *backend->GetState(kCount);
  for (int i = 0; i < kKeys; ++i) {
    SetKey(*backend, std::to_string(i));
    ASSERT_EQ(count.Get() == nullptr, i % 7 == 59 % 7);
    if (count.Get() != nullptr) {
      EXPECT_EQ(*count.Get(), 59);
    }
  }
}

TEST_P(KeyedStateFilesTest, EveryDamagedFileIsFoundAndNamed) {
  auto backend = NewBackend();
  auto count = *backend->GetState(kCount);
  KeyedStateHandle handle;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 50; ++i) {
      SetKey(*backend, std::to_string(i));
      count.Set(round);
    }
    handle = Checkpoint(*backend);
  }
  ASSERT_GE(handle.files.size(), 2u);
  backend.reset();
  for (const StateFile& file : handle.files) {
    const std::string copy = directory_.path() + "/copy";
    std::filesystem::copy_file(file.path, copy, std::filesystem::copy_options::overwrite_existing);
    const auto expect_found = [&](const std::string& what, uint32_t parallelism) {
      const absl::Status status = NewBackend(0, parallelism)->Restore({handle}, store_);
      EXPECT_TRUE(absl::IsDataLoss(status)) << what << ": " << status;
      EXPECT_THAT(status.ToString(), HasSubstr(file.path)) << what;
    };
    for (const uint32_t parallelism : {1u, 2u}) {  // Adopting the files, and reading them.
      for (uint64_t offset = 0; offset < file.size_bytes; offset += 1 + file.size_bytes / 40) {
        std::filesystem::remove(file.path);
        std::filesystem::copy_file(copy, file.path);
        {
          std::fstream stream(file.path, std::ios::binary | std::ios::in | std::ios::out);
          stream.seekg(static_cast<std::streamoff>(offset));
          const char byte = static_cast<char>(stream.get() ^ 0x01);
          stream.seekp(static_cast<std::streamoff>(offset));
          stream.put(byte);
        }
        expect_found("flipped at " + std::to_string(offset), parallelism);
        std::filesystem::remove(file.path);
        std::filesystem::copy_file(copy, file.path);
        std::filesystem::resize_file(file.path, offset);
        expect_found("cut off at " + std::to_string(offset), parallelism);
      }
      std::filesystem::remove(file.path);
      expect_found("missing", parallelism);
    }
    std::filesystem::copy_file(copy, file.path);
  }
  EXPECT_TRUE(NewBackend()->Restore({handle}, store_).ok());
}

INSTANTIATE_TEST_SUITE_P(Forms, KeyedStateFilesTest, ::testing::Values(kFiles),
                         [](const auto&) { return "Files"; });

class KeyedStateInlineTest : public KeyedStateBackendTest {};

TEST_P(KeyedStateInlineTest, NeedsNoDatabaseAndNoStoredFile) {
  auto backend = NewBackend();
  SetKey(*backend, "a");
  backend->GetState(kCount)->Set(1);
  const KeyedStateHandle handle = Checkpoint(*backend);
  ASSERT_EQ(handle.files.size(), 1u);
  EXPECT_THAT(handle.files[0].inline_bytes, Not(IsEmpty()));
  EXPECT_EQ(store_.num_stored(), 0);
  EXPECT_FALSE(std::filesystem::exists(backend->options().local_dir));
}

TEST_P(KeyedStateInlineTest, EveryChangedOrMissingByteIsFound) {
  auto backend = NewBackend();
  auto count = *backend->GetState(kCount);
  for (int i = 0; i < 5; ++i) {
    SetKey(*backend, std::to_string(i));
    count.Set(i);
  }
  const KeyedStateHandle handle = Checkpoint(*backend);
  const std::string& bytes = handle.files[0].inline_bytes;
  for (size_t i = 0; i < bytes.size(); ++i) {
    KeyedStateHandle damaged = handle;
    damaged.files[0].inline_bytes[i] = static_cast<char>(bytes[i] ^ 0x20);
    EXPECT_TRUE(absl::IsDataLoss(NewBackend()->Restore({damaged}, store_))) << i;
    damaged.files[0].inline_bytes = bytes.substr(0, i);
    EXPECT_TRUE(absl::IsDataLoss(NewBackend()->Restore({damaged}, store_))) << i;
  }
}

// Damage that the checksum hides (a bug, or malice) must not crash either.
TEST_P(KeyedStateInlineTest, MalformedEntriesBehindAGoodChecksumAreErrors) {
  auto backend = NewBackend();
  auto count = *backend->GetState(kCount);
  for (int i = 0; i < 5; ++i) {
    SetKey(*backend, std::to_string(i));
    count.Set(i);
  }
  const KeyedStateHandle handle = Checkpoint(*backend);
  const std::string& bytes = handle.files[0].inline_bytes;
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      KeyedStateHandle damaged = handle;
      StateFile& file = damaged.files[0];
      file.inline_bytes[i] = static_cast<char>(bytes[i] ^ (1 << bit));
      file.checksum = XXH3_64bits(file.inline_bytes.data(), file.inline_bytes.size());
      auto restored = NewBackend();
      absl::Status status = restored->Restore({damaged}, store_);
      if (status.ok()) status = restored->GetState(kCount).status();
      EXPECT_TRUE(status.ok() || absl::IsDataLoss(status)) << status;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, KeyedStateInlineTest, ::testing::Values(kInline),
                         [](const auto&) { return "Inline"; });

}  // namespace
}  // namespace weir
