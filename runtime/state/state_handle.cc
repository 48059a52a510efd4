#include "runtime/state/state_handle.h"

#include "runtime/base/strings.h"

namespace weir {

std::string_view ToString(StateKind kind) {
  switch (kind) {
    case StateKind::kValue:
      return "value";
    case StateKind::kList:
      return "list";
    case StateKind::kMap:
      return "map";
    case StateKind::kReducing:
      return "reducing";
    case StateKind::kAggregating:
      return "aggregating";
    case StateKind::kTable:
      return "table";
    case StateKind::kTimers:
      return "timers";
  }
  return "unknown";
}

std::string StateSchema::ToString() const {
  return StrCat(weir::ToString(kind), "(key: ", key.ToString(), ", namespace: ", ns.ToString(),
                ", value: ", value.ToString(), ")");
}

uint64_t KeyedStateHandle::SizeBytes() const {
  uint64_t bytes = 0;
  for (const StateFile& file : files) bytes += file.size_bytes;
  return bytes;
}

}  // namespace weir
