#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "operators/connectors/sqlite/sqlite_table.h"
#include "runtime/record/event_time.h"

namespace weir::correlation {

/// An attack that was found: all signals that a rule requires, by one entity, within its window.
struct Detection {
  /// `<rule id>:<entity>:<time of the first contributing signal, in ms>`: the same whenever and
  /// wherever the same signals are correlated, so that a sink may write it again.
  std::string detection_id;
  std::string detection_type;
  std::string src_ip;  ///< The entity.
  std::string severity;
  std::string confidence;
  int64_t signal_count = 0;  ///< Distinct required signals.
  EventTime timestamp;       ///< Of the signal that completed it.
  std::string signals;  ///< The contributing signals, in order of time: a JSON array of objects.
  std::string technique;

  friend bool operator==(const Detection&, const Detection&) = default;
};

/// Appends the detection as a JSON object without a line end.
void AppendDetectionJson(const Detection& detection, std::string* line);

/// Returns the table `detections` in the SQLite database at `path`, keyed by detection_id.
[[nodiscard]] SqliteSinkOptions DetectionTable(std::string path);
/// Appends the detection's values, in the order of that table's columns.
void BindDetection(const Detection& detection, std::vector<SqliteValue>* row);

}  // namespace weir::correlation
