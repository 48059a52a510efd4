#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "operators/api/source.h"
#include "operators/connectors/data_gen_random.h"

namespace weir {
struct DataGenOptions;
}

namespace weir::internal {

/// Deals the splits out when readers come: split i to reader i modulo the parallelism.
[[nodiscard]] std::unique_ptr<SplitEnumerator> MakeDataGenEnumerator(const DataGenOptions& options,
                                                                     bool makes_text);

/// What the options say of one record.
struct DataGenPlace {
  EventTime time;
  bool malformed = false;
};
[[nodiscard]] DataGenPlace PlaceRecord(const DataGenOptions& options, uint64_t index,
                                       DataGenRandom& random);
void DamageText(DataGenRandom& random, std::string& text);

/// The splits of one reader: which record comes next, and when. Split i of n makes the records i,
/// i + n, i + 2n, … Threads: one at a time.
class DataGenProgress {
 public:
  explicit DataGenProgress(const DataGenOptions& options);
  ~DataGenProgress();

  /// Errors: kDataLoss. The rate counts from `now` on.
  [[nodiscard]] absl::Status AddSplits(const std::vector<SourceSplit>& splits, absl::Time now);

  /// One of: a record to make, a split that has ended, when the next record is due, or (all empty)
  /// nothing left.
  struct Step {
    const std::string* split = nullptr;
    uint64_t index = 0;
    const std::string* finished_split = nullptr;
    std::optional<absl::Time> next_due;
  };
  /// The strings live until the next call.
  [[nodiscard]] Step Next(absl::Time now);
  [[nodiscard]] std::vector<SourceSplit> Snapshot() const;
  [[nodiscard]] bool empty() const;

 private:
  struct Split;
  [[nodiscard]] absl::Time DueTime(const Split& split) const;

  const std::optional<uint64_t> count_;
  const double records_per_second_;
  std::vector<Split> splits_;
  size_t current_ = 0;       // Whose turn it is.
  int turn_ = 0;             // Records left of it.
  std::string finished_id_;  // Of the split that ended last.
};

}  // namespace weir::internal
