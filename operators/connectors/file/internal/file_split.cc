#include "operators/connectors/file/internal/file_split.h"

#include "runtime/base/strings.h"

namespace weir::internal {

namespace {
constexpr uint8_t kVersion = 1;
}  // namespace

SourceSplit ToSourceSplit(const FileSplit& split) {
  SourceSplit result;
  result.id = StrCat(split.path, "#", split.begin);
  ByteWriter writer(&result.bytes);
  writer.WriteFixed(kVersion);
  writer.WriteString(split.path);
  writer.WriteFixed(split.begin);
  writer.WriteFixed(split.end);
  writer.WriteFixed(split.offset);
  writer.WriteFixed(static_cast<uint8_t>(split.format));
  writer.WriteFixed(split.inode);
  return result;
}

absl::StatusOr<FileSplit> ParseFileSplit(std::string_view bytes) {
  ByteReader reader(bytes);
  FileSplit split;
  uint8_t version = 0;
  uint8_t format = 0;
  if (!reader.ReadFixed(&version) || !reader.ReadString(&split.path) ||
      !reader.ReadFixed(&split.begin) || !reader.ReadFixed(&split.end) ||
      !reader.ReadFixed(&split.offset) || !reader.ReadFixed(&format) ||
      !reader.ReadFixed(&split.inode) || version != kVersion ||
      format > static_cast<uint8_t>(FileFormat::kArray)) {
    return absl::DataLossError("a split of a file source is malformed or of another version");
  }
  split.format = static_cast<FileFormat>(format);
  return split;
}

}  // namespace weir::internal
