#include "runtime/record/batch.h"

#include <algorithm>
#include <numeric>

namespace weir {
namespace internal {
namespace {

template <class Column>
void Grow(Column& column, size_t count, size_t next_capacity) {
  const size_t needed = column.size() + count;
  if (column.capacity() >= needed) return;
  column.reserve(std::max({needed, 2 * column.capacity(), next_capacity}));
}

template <class Column>
bool ReadColumn(ByteReader& reader, uint64_t count, std::vector<Column>* column) {
  if (count > reader.remaining() / sizeof(Column)) return reader.Fail();
  column->resize(count);
  return reader.ReadBytes(column->data(), count * sizeof(Column));
}

}  // namespace

void GrowColumn(std::vector<EventTime>& column, size_t count, size_t next_capacity) {
  Grow(column, count, next_capacity);
}
void GrowColumn(std::vector<uint64_t>& column, size_t count, size_t next_capacity) {
  Grow(column, count, next_capacity);
}

void AppendTimes(std::vector<EventTime>& times, size_t size, std::span<const EventTime> source,
                 std::span<const uint32_t> rows, size_t next_capacity) {
  if (times.size() < size) times.resize(size, EventTime::Min());
  Grow(times, rows.size(), next_capacity);
  for (const uint32_t row : rows) times.push_back(source.empty() ? EventTime::Min() : source[row]);
}

void AppendHashes(std::vector<uint64_t>& hashes, std::span<const uint64_t> source,
                  std::span<const uint32_t> rows, size_t next_capacity) {
  Grow(hashes, rows.size(), next_capacity);
  for (const uint32_t row : rows) hashes.push_back(source[row]);
}

void AppendFirstTime(std::vector<EventTime>& times, size_t size, EventTime time,
                     size_t next_capacity) {
  if (times.size() < size) times.resize(size, EventTime::Min());
  Grow(times, 1, next_capacity);
  times.push_back(time);
}

bool ReadTimesAndHashes(ByteReader& reader, size_t record_bytes, uint64_t* count,
                        std::vector<EventTime>* times, std::vector<uint64_t>* hashes) {
  uint8_t flags = 0;
  bool read = reader.ReadCount(count, record_bytes) && *count <= (uint64_t{1} << 30) &&
              reader.ReadFixed(&flags);
  if (read && (flags & 1) != 0) read = ReadColumn(reader, *count, times);
  if (read && (flags & 2) != 0) read = ReadColumn(reader, *count, hashes);
  return read;
}

absl::Status MalformedBatch() { return absl::DataLossError("batch is cut off or malformed"); }

}  // namespace internal

BatchPtr Batch::Slice(size_t begin, size_t end) const {
  std::vector<uint32_t> rows(end - begin);
  std::iota(rows.begin(), rows.end(), static_cast<uint32_t>(begin));
  return Select(rows);
}

BatchPtr Batch::Copy() const { return Slice(0, size()); }

void Batch::Serialize(ByteWriter& writer) const {
  writer.WriteVarint(size());
  writer.WriteFixed(
      static_cast<uint8_t>((event_times_.empty() ? 0 : 1) | (key_hashes_.empty() ? 0 : 2)));
  writer.WriteBytes(event_times_.data(), event_times_.size() * sizeof(EventTime));
  writer.WriteBytes(key_hashes_.data(), key_hashes_.size() * sizeof(uint64_t));
  SerializeValues(writer);
}

Batch& BatchPtr::MakeUnique() {
  if (!IsUnique()) *this = batch_->Copy();
  return const_cast<Batch&>(*batch_);
}

}  // namespace weir
