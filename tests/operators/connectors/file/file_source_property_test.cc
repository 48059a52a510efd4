#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "operators/connectors/file/file_source.h"
#include "runtime/base/strings.h"
#include "tests/support/connector_contexts.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

// A random file of lines or an array; adds its records to `*records`.
std::string RandomFile(std::mt19937_64& random, std::vector<std::string>* records) {
  const bool array = random() % 4 == 0;
  const bool no_last_line_end = random() % 2 == 0;
  const size_t count = random() % 100;
  std::string text = array ? "[" : "";
  for (size_t i = 0; i < count; ++i) {
    // Mostly short, now and then longer than a chunk or a range.
    const size_t length = random() % 50 == 0 ? random() % 3000 : random() % 60;
    std::string record = StrCat("{\"id\":", records->size(), ",\"text\":\"",
                                std::string(length, array ? ']' : 'x'), "\"}");
    text += record;
    records->push_back(std::move(record));
    if (array) {
      if (i + 1 < count) text += random() % 2 == 0 ? "," : " ,\n";
    } else if (i + 1 < count || !no_last_line_end) {
      text += random() % 5 == 0 ? "\r\n" : "\n";
      if (random() % 10 == 0) text += "\n";
    }
  }
  return array ? text + "]\n" : text;
}

TEST(FileSourcePropertyTest, EveryRecordComesOnceHoweverItIsSplitReadAndRestored) {
  const char* given_seed = std::getenv("WEIR_TEST_SEED");
  const uint64_t first_seed =
      given_seed != nullptr ? std::strtoull(given_seed, nullptr, 10) : std::random_device{}();
  IoPool pool("test-io", 2);
  for (uint64_t seed = first_seed; seed < first_seed + 40; ++seed) {
    SCOPED_TRACE(StrCat("WEIR_TEST_SEED=", seed));
    std::mt19937_64 random(seed);
    const TemporaryFolder folder;
    std::vector<std::string> expected;
    const size_t num_files = 1 + random() % 4;
    for (size_t i = 0; i < num_files; ++i) {
      folder.Write(StrCat("f", i, ".json"), RandomFile(random, &expected));
    }
    const FileSource source({.path = folder.path(),
                             .range_bytes = 1 + random() % 2000,
                             .chunk_bytes = 1 + random() % 700});
    std::vector<std::string> records;
    SourceCheckpoint checkpoint;
    bool restored = false;
    size_t attempts = 0;
    for (bool ended = false; !ended;) {
      SourceHarness<std::string> harness(source, 1 + static_cast<uint32_t>(random() % 3), &pool);
      ASSERT_TRUE(harness.Start(restored ? &checkpoint : nullptr).ok());
      // Some steps, a checkpoint, and then a crash that loses what came after it.
      // Attempts get longer, for a record of many small chunks must come in one.
      const size_t steps = random() % (60 + 20 * attempts++);
      for (size_t i = 0; i < steps && !harness.AllEnded(); ++i) {
        const absl::Status status = harness.Step(1 + random() % 30);
        ASSERT_TRUE(status.ok()) << status;
      }
      checkpoint = harness.Checkpoint();
      restored = true;
      records.insert(records.end(), harness.records().begin(), harness.records().end());
      ended = harness.AllEnded();
      for (size_t i = 0; i < random() % 5 && !ended; ++i) {
        ASSERT_TRUE(harness.Step(1 + random() % 30).ok());
      }
    }
    std::sort(records.begin(), records.end());
    std::sort(expected.begin(), expected.end());
    ASSERT_EQ(records, expected);
  }
}

}  // namespace
}  // namespace weir
