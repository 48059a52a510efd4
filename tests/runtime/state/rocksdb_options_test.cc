#include "runtime/state/rocksdb_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "runtime/base/rocksdb_settings.h"
#include "runtime/base/weir_options.h"
#include "runtime/state/internal/state_database.h"
#include "tests/runtime/state/state_test_support.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Key(int i) {
  std::string key = std::to_string(1'000'000 + i);
  return std::string(2, '\0') + key;  // Of key group 0.
}

void Fill(internal::StateDatabase& database, int count, size_t value_bytes) {
  for (int i = 0; i < count; ++i) {
    auto batch = database.NewBatch();
    batch->Put(Key(i), std::string(value_bytes, static_cast<char>('a' + i % 26)));
    ASSERT_TRUE(database.Write(*batch).ok());
  }
}

TEST(RocksDbOptionsTest, CachesAndWriteBuffersChargeTheBudget) {
  const TestDirectory directory;
  MemoryBudget budget(64 << 20);
  {
    auto database =
        *internal::StateDatabase::Create(directory.path() + "/database", nullptr, &budget);
    Fill(*database, 2'000, 1'000);
    EXPECT_GT(budget.used_bytes(), 200'000) << "the write buffers";
    ASSERT_TRUE(database->Flush().ok());
    int found = 0;
    for (int i = 0; i < 2'000; ++i) {
      EXPECT_TRUE(*database->Get(Key(i), [&](std::string_view) { ++found; }));
    }
    EXPECT_EQ(found, 2'000);
    EXPECT_GT(budget.used_bytes(), 1'000'000) << "the blocks";
  }
  EXPECT_EQ(budget.used_bytes(), 0);
}

TEST(RocksDbOptionsTest, TakesNoMoreThanAPartOfTheBudget) {
  const TestDirectory directory;
  MemoryBudget budget(16 << 20);
  const auto configured = ConfigureRocksDb(
      &budget, {.block_cache_bytes = size_t{1} << 30, .write_buffer_bytes = size_t{1} << 30});
  std::vector<std::unique_ptr<internal::StateDatabase>> databases;
  for (int i = 0; i < 4; ++i) {
    databases.push_back(*internal::StateDatabase::Create(
        directory.path() + "/database-" + std::to_string(i), nullptr, &budget));
    Fill(*databases.back(), 10'000, 1'000);  // Ten MiB each.
  }
  for (const auto& database : databases) {
    for (int i = 0; i < 10'000; ++i) {
      ASSERT_TRUE(*database->Get(Key(i), [](std::string_view) {}));
    }
  }
  // An eighth each for blocks and write buffers; what is being flushed comes on top.
  EXPECT_LT(budget.peak_bytes(), 8 << 20);
}

TEST(RocksDbOptionsTest, ReadsFlinksSettings) {
  Configuration configuration(WeirOptions());
  ASSERT_TRUE(configuration.SetText("state.backend.rocksdb.block.cache-size", "256mb", "t").ok());
  ASSERT_TRUE(configuration.SetText("state.backend.rocksdb.block.blocksize", "16kb", "t").ok());
  ASSERT_TRUE(configuration.SetText("state.backend.rocksdb.writebuffer.size", "64mb", "t").ok());
  ASSERT_TRUE(configuration.SetText("state.backend.rocksdb.writebuffer.count", "3", "t").ok());
  ASSERT_TRUE(
      configuration.SetText("state.backend.rocksdb.compaction.style", "UNIVERSAL", "t").ok());
  ASSERT_TRUE(configuration.SetText("state.backend.rocksdb.thread.num", "4", "t").ok());
  ASSERT_TRUE(
      configuration.SetText("state.backend.rocksdb.checkpoint.transfer.thread.num", "9", "t").ok());
  const RocksDbOptions options = RocksDbOptions::FromConfiguration(configuration);
  EXPECT_EQ(options.block_cache_bytes, size_t{256} << 20);
  EXPECT_EQ(options.block_bytes, size_t{16} << 10);
  EXPECT_EQ(options.write_buffer_bytes, size_t{64} << 20);
  EXPECT_EQ(options.num_write_buffers, 3);
  EXPECT_EQ(options.all_write_buffers_bytes, size_t{192} << 20);
  EXPECT_EQ(options.compaction_style, RocksDbOptions::CompactionStyle::kUniversal);
  EXPECT_EQ(options.num_threads, 4);
  EXPECT_EQ(options.num_transfer_threads, 9);
  EXPECT_THAT(
      configuration.SetText("state.backend.rocksdb.compaction.style", "FIFO", "t").ToString(),
      AllOf(HasSubstr("FIFO"), HasSubstr("UNIVERSAL")));
}

class CompactionStyleTest : public ::testing::TestWithParam<RocksDbOptions::CompactionStyle>,
                            protected BackendStorage {};

TEST_P(CompactionStyleTest, SnapshotsAreRestored) {
  constexpr int64_t kNumKeys = 3'000;
  MemoryBudget budget(4 << 20);
  const auto configured = ConfigureRocksDb(
      &budget, {.write_buffer_bytes = size_t{64} << 10, .compaction_style = GetParam()});
  const auto new_backend = [&] {
    KeyedStateBackendOptions options;
    options.range = {0, 127};
    options.local_dir = NextLocalDir();
    options.memory_budget = &budget;
    options.inline_limit_bytes = 0;
    return std::make_unique<KeyedStateBackend<int64_t>>(std::move(options));
  };
  KeyedStateHandle handle;
  int64_t round = 0;
  for (; round < 12; ++round) {
    auto backend = new_backend();
    if (round > 0) {
      ASSERT_TRUE(backend->Restore({handle}, store_).ok());
    }
    auto state = *backend->GetState(ValueStateDescriptor<std::string>{"state"});
    for (int64_t key = 0; key < kNumKeys; ++key) {
      backend->SetCurrentKey(key, KeyHash(key));
      if (round > 0) {
        ASSERT_NE(state.Get(), nullptr);
        ASSERT_EQ(*state.Get(), std::string(1'000, 'x') + std::to_string(round - 1));
      }
      state.Set(std::string(1'000, 'x') + std::to_string(round));
    }
    handle = Checkpoint(*backend);
    handle = Checkpoint(*backend);
  }
}

INSTANTIATE_TEST_SUITE_P(All, CompactionStyleTest,
                         ::testing::Values(RocksDbOptions::CompactionStyle::kLevel,
                                           RocksDbOptions::CompactionStyle::kUniversal));

}  // namespace
}  // namespace weir
