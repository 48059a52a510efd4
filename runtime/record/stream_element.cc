#include "runtime/record/stream_element.h"

#include "absl/status/status.h"
#include "runtime/base/strings.h"

namespace weir {

size_t SizeBytes(const StreamElement& element) {
  const auto* batch = std::get_if<BatchPtr>(&element);
  return batch == nullptr ? 0 : (*batch)->SizeBytes();
}

namespace {

struct ElementWriter {
  ByteWriter& writer;
  void operator()(const BatchPtr& batch) const { batch->Serialize(writer); }
  void operator()(Watermark watermark) const { writer.WriteFixed(watermark.time.millis()); }
  void operator()(WatermarkStatus status) const { writer.WriteFixed(status.idle); }
  void operator()(const CheckpointBarrier& barrier) const {
    writer.WriteFixed(barrier.id.value());
    writer.WriteFixed(barrier.trigger_time_ms);
    writer.WriteFixed(static_cast<uint8_t>(barrier.kind));
    writer.WriteFixed(barrier.unaligned);
  }
  void operator()(EndOfInput) const {}
  void operator()(CaughtUp) const {}
  void operator()(const LatencyMarker& marker) const {
    writer.WriteFixed(marker.emit_time_ms);
    writer.WriteFixed(marker.source.high());
    writer.WriteFixed(marker.source.low());
    writer.WriteFixed(marker.subtask);
  }
};

absl::StatusOr<StreamElement> ReadElement(uint8_t kind, ByteReader& reader, const BatchType& type) {
  int64_t number = 0;
  switch (kind) {
    case 0:
      return type.Deserialize(reader);
    case 1:
      if (reader.ReadFixed(&number)) return Watermark{EventTime::FromMillis(number)};
      break;
    case 2: {
      bool idle = false;
      if (reader.ReadFixed(&idle)) return WatermarkStatus{idle};
      break;
    }
    case 3: {
      uint64_t id = 0;
      uint8_t barrier_kind = 0;
      bool unaligned = false;
      if (reader.ReadFixed(&id) && reader.ReadFixed(&number) && reader.ReadFixed(&barrier_kind) &&
          reader.ReadFixed(&unaligned) &&
          barrier_kind <= static_cast<uint8_t>(BarrierKind::kTerminate)) {
        return CheckpointBarrier{CheckpointId(id), number, static_cast<BarrierKind>(barrier_kind),
                                 unaligned};
      }
      break;
    }
    case 4:
      return EndOfInput{};
    case 5:
      return CaughtUp{};
    case 6: {
      uint64_t high = 0;
      uint64_t low = 0;
      uint32_t subtask = 0;
      if (reader.ReadFixed(&number) && reader.ReadFixed(&high) && reader.ReadFixed(&low) &&
          reader.ReadFixed(&subtask)) {
        return LatencyMarker{number, {high, low}, subtask};
      }
      break;
    }
    default:
      break;
  }
  return absl::DataLossError(StrCat("stream element is malformed: kind=", static_cast<int>(kind)));
}

}  // namespace

void SerializeElement(const StreamElement& element, std::string* out) {
  ByteWriter writer(out);
  writer.WriteFixed(static_cast<uint8_t>(element.index()));
  std::visit(ElementWriter{writer}, element);
}

absl::StatusOr<StreamElement> DeserializeElement(std::string_view bytes, const BatchType& type) {
  ByteReader reader(bytes);
  uint8_t kind = 0;
  if (!reader.ReadFixed(&kind)) return absl::DataLossError("stream element is empty");
  absl::StatusOr<StreamElement> element = ReadElement(kind, reader, type);
  if (element.ok() && reader.remaining() != 0) {
    return absl::DataLossError(
        StrCat("stream element is followed by ", reader.remaining(), " bytes"));
  }
  return element;
}

}  // namespace weir
