#include "runtime/state/internal/state_database.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/memory_budget.h"
#include "runtime/state/internal/entry_key.h"
#include "tests/support/temporary_folder.h"

namespace weir::internal {
namespace {

std::string EntryOf(KeyGroup group, std::string_view name) {
  return KeyGroupPrefix(group) + std::string(name);
}

class StateDatabaseTest : public ::testing::Test {
 protected:
  std::unique_ptr<StateDatabase> Create(const std::string& name) {
    auto made = StateDatabase::Create(folder_.PathOf(name), nullptr, &budget_);
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }
  static void Write(StateDatabase& database, const std::string& key, std::string_view value) {
    const auto batch = database.NewBatch();
    batch->Put(key, value);
    ASSERT_TRUE(database.Write(*batch).ok());
    ASSERT_TRUE(database.Flush().ok());
  }
  // Adds a file of `keys`, in their order, that all have `value`.
  static void Ingest(StateDatabase& database, const std::vector<std::string>& keys,
                     std::string_view value) {
    auto writer = database.NewFile();
    ASSERT_TRUE(writer.ok());
    for (const std::string& key : keys) ASSERT_TRUE((*writer)->Put(key, value).ok());
    ASSERT_TRUE(database.Ingest(*std::move(writer)).ok());
  }
  // Restores what is in `database` as a checkpoint would.
  std::unique_ptr<StateDatabase> Restore(StateDatabase& database, const std::string& name) {
    std::vector<StateFile> files;
    const std::string files_folder = folder_.PathOf(name + "-files");
    std::filesystem::create_directories(files_folder);
    EXPECT_TRUE(database
                    .VisitLiveFiles([] {},
                                    [&](const StateFile& file, const std::string& path) {
                                      files.push_back(file);
                                      std::filesystem::copy_file(
                                          path, files_folder + "/" + file.local_name);
                                      return absl::OkStatus();
                                    })
                    .ok());
    auto made = StateDatabase::Import(folder_.PathOf(name), files_folder, files, nullptr, &budget_);
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }
  static std::string ValueOf(StateDatabase& database, const std::string& key) {
    std::string found;
    const auto status = database.Get(key, [&](std::string_view value) { found = value; });
    EXPECT_TRUE(status.ok()) << status.status();
    return found;
  }

  TemporaryFolder folder_;
  MemoryBudget budget_{int64_t{64} << 20};
};

// The newer file begins with the key that the older one ends with.
TEST_F(StateDatabaseTest, TheNewerOfTwoFilesHoldsWhenRestoredFilesAreCompacted) {
  const auto database = Create("first");
  Write(*database, EntryOf(7, "a"), "old");
  Ingest(*database, {EntryOf(7, "a"), EntryOf(7, "b")}, "new");
  const auto restored = Restore(*database, "second");
  EXPECT_EQ(ValueOf(*restored, EntryOf(7, "a")), "new");
  ASSERT_TRUE(restored->Compact().ok());
  EXPECT_EQ(ValueOf(*restored, EntryOf(7, "a")), "new");
  EXPECT_EQ(ValueOf(*restored, EntryOf(7, "b")), "new");

  Ingest(*restored, {EntryOf(7, "b")}, "newest");
  const auto again = Restore(*restored, "third");
  ASSERT_TRUE(again->Compact().ok());
  EXPECT_EQ(ValueOf(*again, EntryOf(7, "a")), "new");
  EXPECT_EQ(ValueOf(*again, EntryOf(7, "b")), "newest");
}

TEST_F(StateDatabaseTest, AFileHasNoEntriesButThoseThatWerePutIn) {
  const auto database = Create("first");
  Ingest(*database, {EntryOf(7, "a"), EntryOf(8, "b")}, "value");
  const auto restored = Restore(*database, "second");
  std::vector<std::string> keys;
  ASSERT_TRUE(restored
                  ->ForEach(KeyGroupPrefix(0), KeyGroupPrefix(100),
                            [&](std::string_view key, std::string_view) {
                              keys.emplace_back(key);
                              return absl::OkStatus();
                            })
                  .ok());
  EXPECT_EQ(keys, (std::vector<std::string>{EntryOf(7, "a"), EntryOf(8, "b")}));
}

// Files of one key each, written in turn, restored and compacted in between.
TEST_F(StateDatabaseTest, EachKeyHasItsLastValueThroughRestoresAndCompactions) {
  auto database = Create("database-0");
  std::vector<std::string> values(3);
  for (int round = 1; round <= 60; ++round) {
    const auto index = static_cast<size_t>((round * 7 + round / 3) % 3);
    const std::string value = std::to_string(round);
    const auto key = [](size_t i) {
      return EntryOf(3, std::string(1, static_cast<char>('a' + i)));
    };
    if (round % 2 == 0) {
      Write(*database, key(index), value);
      values[index] = value;
    } else {
      std::vector<std::string> keys;
      for (size_t i = index; i < 3; ++i) {
        keys.push_back(key(i));
        values[i] = value;
      }
      Ingest(*database, keys, value);
    }
    if (round % 4 == 0) database = Restore(*database, "database-" + value);
    if (round % 5 == 0) {
      ASSERT_TRUE(database->Compact().ok());
    }
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(ValueOf(*database, key(i)), values[i]) << round;
  }
}

}  // namespace
}  // namespace weir::internal
