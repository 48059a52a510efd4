#include "operators/connectors/kafka/internal/kafka_split.h"

#include "runtime/base/strings.h"
#include "runtime/record/byte_io.h"

namespace weir::internal {

namespace {
constexpr uint8_t kVersion = 1;
}  // namespace

SourceSplit ToSourceSplit(const KafkaSplit& split) {
  SourceSplit result;
  result.id = StrCat(split.topic, "#", split.partition);
  ByteWriter writer(&result.bytes);
  writer.WriteFixed(kVersion);
  writer.WriteString(split.topic);
  writer.WriteFixed(split.partition);
  writer.WriteFixed(split.offset);
  writer.WriteFixed(split.end);
  return result;
}

absl::StatusOr<KafkaSplit> ParseKafkaSplit(std::string_view bytes) {
  ByteReader reader(bytes);
  KafkaSplit split;
  uint8_t version = 0;
  if (!reader.ReadFixed(&version) || !reader.ReadString(&split.topic) ||
      !reader.ReadFixed(&split.partition) || !reader.ReadFixed(&split.offset) ||
      !reader.ReadFixed(&split.end) || version != kVersion) {
    return absl::DataLossError("a split of a Kafka source is malformed or of another version");
  }
  return split;
}

}  // namespace weir::internal
