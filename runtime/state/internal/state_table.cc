#include "runtime/state/internal/state_table.h"

#include "runtime/base/strings.h"

namespace weir::internal {

absl::Status MalformedEntry(std::string_view state_name, std::string_view part) {
  return absl::DataLossError(
      StrCat("cannot read an entry of a snapshot though its file is whole: state=", state_name,
             " malformed=", part));
}

}  // namespace weir::internal
