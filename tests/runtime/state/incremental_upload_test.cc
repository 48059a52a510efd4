// What a checkpoint uploads: as much as has changed, and not as much as there is.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <string>

#include "runtime/base/strings.h"
#include "runtime/record/key_codec.h"
#include "runtime/state/keyed_state_backend.h"
#include "tests/runtime/state/state_test_support.h"

namespace weir {
namespace {

constexpr size_t kValueBytes = 500;
const ValueStateDescriptor<std::string> kValue{"value"};

class IncrementalUploadTest : public ::testing::Test, public BackendStorage {
 protected:
  // Of the state as a whole, in bytes.
  struct Uploads {
    double state = 0;
    double mean_upload = 0;  // Of one checkpoint.
    double size = 0;         // Of all files of the last one.
    size_t num_files = 0;

    [[nodiscard]] std::string Text() const {
      return StrCat("state=", state, " mean_upload=", mean_upload,
                    " percent=", 100 * mean_upload / state, " size=", size, " files=", num_files);
    }
  };

  // Takes `rounds` checkpoints of `num_keys` keys, and changes `num_changes` of them, drawn at
  // random, before each.
  Uploads Measure(uint64_t num_keys, uint64_t num_changes, int rounds) {
    KeyedStateBackendOptions options;
    options.range = {0, options.max_parallelism - 1};
    options.local_dir = NextLocalDir();
    KeyedStateBackend<int64_t> backend(options);
    auto value = *backend.GetState(kValue);
    const auto change = [&](uint64_t number) {
      const auto key = static_cast<int64_t>(number);
      backend.SetCurrentKey(key, KeyHash(key));
      value.Set(RandomText());
    };
    for (uint64_t key = 0; key < num_keys; ++key) change(key);
    Uploads uploads;
    uploads.state = static_cast<double>(Checkpoint(backend).SizeBytes());
    const uint64_t before = store_.stored_bytes();
    for (int round = 0; round < rounds; ++round) {
      for (uint64_t i = 0; i < num_changes; ++i) change(random_() % num_keys);
      const KeyedStateHandle handle = Checkpoint(backend);
      uploads.size = static_cast<double>(handle.SizeBytes());
      uploads.num_files = handle.files.size();
    }
    uploads.mean_upload = static_cast<double>(store_.stored_bytes() - before) / rounds;
    return uploads;
  }

  // Does not compress.
  std::string RandomText() {
    std::string text(kValueBytes, '\0');
    for (size_t i = 0; i + sizeof(uint64_t) <= text.size(); i += sizeof(uint64_t)) {
      const uint64_t bits = random_();
      std::memcpy(text.data() + i, &bits, sizeof(bits));
    }
    return text;
  }

  std::mt19937_64 random_{7};
};

TEST_F(IncrementalUploadTest, OneChangedPercentUploadsLessThanFive) {
  // Compactions, which write files anew, among them.
  const Uploads uploads = Measure(20'000, 200, 150);
  RecordProperty("uploads", uploads.Text());
  EXPECT_LT(uploads.mean_upload, 0.05 * uploads.state) << uploads.Text();
  EXPECT_LT(uploads.size, 1.7 * uploads.state) << uploads.Text();
}

TEST_F(IncrementalUploadTest, UploadsGrowWithTheChange) {
  double before = 0;
  for (const uint64_t changes : {uint64_t{20}, uint64_t{200}, uint64_t{2'000}}) {
    const Uploads uploads = Measure(20'000, changes, 60);
    RecordProperty(StrCat("uploads_", changes), uploads.Text());
    const double changed = uploads.state * static_cast<double>(changes) / 20'000;
    EXPECT_GT(uploads.mean_upload, before) << uploads.Text();
    EXPECT_LT(uploads.mean_upload, 5 * changed + uploads.state / 40) << uploads.Text();
    before = uploads.mean_upload;
  }
}

TEST_F(IncrementalUploadTest, ACheckpointWithoutChangesUploadsNothing) {
  const Uploads uploads = Measure(20'000, 0, 5);
  EXPECT_EQ(uploads.mean_upload, 0) << uploads.Text();
}

}  // namespace
}  // namespace weir
