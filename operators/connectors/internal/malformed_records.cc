#include "operators/connectors/internal/malformed_records.h"

#include <string>

#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

constexpr size_t kMaxShownBytes = 80;

// Printable characters as they are, the others as \xNN, so that the message is one line of text.
std::string Shown(std::string_view bytes) {
  std::string text;
  for (const char c : bytes.substr(0, kMaxShownBytes)) {
    if (c >= ' ' && c <= '~') {
      text += c;
    } else {
      StrAppend(&text, "\\x", HexEncode(std::string_view(&c, 1)));
    }
  }
  if (bytes.size() > kMaxShownBytes) text += "...";
  return text;
}

}  // namespace

absl::Status ThrownByDeserializer(const std::exception& exception) {
  return absl::InvalidArgumentError(exception.what());
}

DeadLetter MakeDeadLetter(std::string_view split_id, uint64_t position, std::string_view bytes,
                          const absl::Status& error) {
  return {std::string(split_id), position, std::string(bytes), std::string(error.message())};
}

absl::Status MalformedRecordError(const DeadLetter& letter) {
  return absl::InvalidArgumentError(
      StrCat("malformed record; mend the input, or have the source skip such records or put them "
             "out as dead letters (OnMalformed): split=",
             letter.split, " position=", letter.position, " error=", letter.error,
             " record=", Shown(letter.bytes)));
}

}  // namespace weir::internal
