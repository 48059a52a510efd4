#include "jobs/correlation/detection.h"

#include <utility>

#include "jobs/correlation/signal.h"
#include "runtime/base/json_writer.h"

namespace weir::correlation {

void AppendDetectionJson(const Detection& detection, std::string* line) {
  JsonWriter json(line);
  json.BeginObject();
  json.Key("detection_id").String(detection.detection_id);
  json.Key("detection_type").String(detection.detection_type);
  json.Key("src_ip").String(detection.src_ip);
  json.Key("severity").String(detection.severity);
  json.Key("confidence").String(detection.confidence);
  json.Key("signal_count").Int(detection.signal_count);
  json.Key("timestamp").String(FormatTimestamp(detection.timestamp));
  json.Key("signals").Raw(detection.signals);
  json.Key("technique").String(detection.technique);
  json.EndObject();
}

SqliteSinkOptions DetectionTable(std::string path) {
  SqliteSinkOptions options;
  options.path = std::move(path);
  options.table = "detections";
  options.create_table =
      "CREATE TABLE IF NOT EXISTS detections ("
      "detection_id TEXT PRIMARY KEY, detection_type TEXT NOT NULL, src_ip TEXT NOT NULL, "
      "severity TEXT NOT NULL, confidence TEXT NOT NULL, signal_count INTEGER NOT NULL, "
      "timestamp TEXT NOT NULL, signals TEXT NOT NULL, technique TEXT NOT NULL)";
  options.columns = {"detection_id", "detection_type", "src_ip",  "severity", "confidence",
                     "signal_count", "timestamp",      "signals", "technique"};
  options.key_column = "detection_id";
  return options;
}

void BindDetection(const Detection& detection, std::vector<SqliteValue>* row) {
  row->emplace_back(detection.detection_id);
  row->emplace_back(detection.detection_type);
  row->emplace_back(detection.src_ip);
  row->emplace_back(detection.severity);
  row->emplace_back(detection.confidence);
  row->emplace_back(detection.signal_count);
  row->emplace_back(FormatTimestamp(detection.timestamp));
  row->emplace_back(detection.signals);
  row->emplace_back(detection.technique);
}

}  // namespace weir::correlation
