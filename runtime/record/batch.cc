#include "runtime/record/batch.h"

#include <numeric>

namespace weir {

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
