#include "runtime/state/internal/inline_file.h"

#include <string>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/record/byte_io.h"
#include "xxhash.h"

namespace weir::internal {

absl::Status CheckInlineFile(const StateFile& file) {
  const std::string& bytes = file.inline_bytes;
  if (bytes.size() == file.size_bytes && XXH3_64bits(bytes.data(), bytes.size()) == file.checksum) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      StrCat("the inline file of a snapshot is damaged; restore from an older checkpoint: "
             "size_bytes=",
             bytes.size(), " expected_size_bytes=", file.size_bytes));
}

absl::Status ReadInlineFile(
    const StateFile& file,
    absl::FunctionRef<absl::Status(std::string_view key, std::string_view value)> visit) {
  RETURN_IF_ERROR(CheckInlineFile(file));
  ByteReader reader(file.inline_bytes);
  while (reader.remaining() > 0) {
    std::string_view key;
    std::string_view value;
    if (!reader.ReadStringView(&key) || !reader.ReadStringView(&value)) {
      return absl::DataLossError("the inline file of a snapshot is malformed");
    }
    RETURN_IF_ERROR(visit(key, value));
  }
  return absl::OkStatus();
}

}  // namespace weir::internal
