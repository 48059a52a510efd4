#include "operators/formats/zeek/zeek_log_reader.h"

#include <charconv>
#include <optional>

#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

// Zeek writes bytes that would harm the format as \xHH.
std::string Unescape(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    int byte = 0;
    if (text.substr(i).starts_with("\\x") && text.size() - i >= 4 &&
        std::from_chars(text.data() + i + 2, text.data() + i + 4, byte, 16).ptr ==
            text.data() + i + 4) {
      result.push_back(static_cast<char>(byte));
      i += 3;
    } else {
      result.push_back(text[i]);
    }
  }
  return result;
}

bool IsJsonNumber(std::string_view text) {
  size_t i = text.starts_with("-") ? 1 : 0;
  const auto digits = [&] {
    const size_t begin = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i - begin;
  };
  const bool zero = i < text.size() && text[i] == '0';
  const size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (digits() == 0) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

std::optional<char> SingleByte(std::string_view text) {
  const std::string byte = Unescape(text);
  return byte.size() == 1 ? std::optional<char>(byte[0]) : std::nullopt;
}

}  // namespace

bool ZeekLogReader::IsZeekLog(std::string_view text) {
  return text.starts_with("#separator ") || text.starts_with("#fields");
}

absl::StatusOr<bool> ZeekLogReader::ReadLine(std::string_view line, std::string* json) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) return false;
  if (line.front() == '#') {
    RETURN_IF_ERROR(ReadHeader(line));
    return false;
  }
  const std::vector<std::string_view> values = StrSplit(line, separator_);
  if (columns_.empty()) {
    return absl::InvalidArgumentError(
        "a record comes before the line #fields; give the whole log, with its header");
  }
  if (values.size() != columns_.size()) {
    return absl::InvalidArgumentError(
        StrCat("the record has another number of columns than #fields:", " columns=", values.size(),
               " fields=", columns_.size()));
  }
  json->push_back('{');
  if (!path_.empty()) {
    json->append("\"_path\":");
    AppendJsonString(json, path_);
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] == unset_) continue;
    if (json->back() != '{') json->push_back(',');
    AppendJsonString(json, columns_[i].name);
    json->push_back(':');
    AppendValue(columns_[i], values[i], json);
  }
  json->push_back('}');
  return true;
}

absl::Status ZeekLogReader::ReadHeader(std::string_view line) {
  if (line.starts_with("#separator ")) {
    const auto separator = SingleByte(line.substr(11));
    if (!separator) {
      return absl::InvalidArgumentError(StrCat("#separator must be one byte: ", line.substr(11)));
    }
    separator_ = *separator;
    return absl::OkStatus();
  }
  std::vector<std::string_view> parts = StrSplit(line, separator_);
  const std::string_view name = parts.front();
  parts.erase(parts.begin());
  if (name == "#fields") {
    columns_.clear();
    for (const std::string_view field : parts) {
      columns_.push_back({std::string(field), Kind::kText, false});
    }
    return absl::OkStatus();
  }
  if (name == "#types") return ReadTypes(parts);
  if (parts.size() != 1) return absl::OkStatus();  // A comment.
  if (name == "#path") path_ = parts.front();
  if (name == "#empty_field") empty_ = parts.front();
  if (name == "#unset_field") unset_ = parts.front();
  if (name == "#set_separator") list_separator_ = SingleByte(parts.front()).value_or(',');
  return absl::OkStatus();
}

absl::Status ZeekLogReader::ReadTypes(const std::vector<std::string_view>& types) {
  if (types.size() != columns_.size()) {
    return absl::InvalidArgumentError(StrCat(
        "#types and #fields differ in length: types=", types.size(), " fields=", columns_.size()));
  }
  for (size_t i = 0; i < types.size(); ++i) {
    std::string_view type = types[i];
    columns_[i].is_list = type.starts_with("set[") || type.starts_with("vector[");
    if (columns_[i].is_list) {
      type = type.substr(type.find('[') + 1);
      type = type.substr(0, type.find(']'));
    }
    const bool number = type == "count" || type == "int" || type == "port" || type == "double" ||
                        type == "time" || type == "interval";
    columns_[i].kind = number ? Kind::kNumber : type == "bool" ? Kind::kBool : Kind::kText;
  }
  return absl::OkStatus();
}

void ZeekLogReader::AppendValue(const Column& column, std::string_view text,
                                std::string* json) const {
  if (!column.is_list) {
    return AppendScalar(column.kind, text == empty_ ? std::string_view() : text, json);
  }
  json->push_back('[');
  if (text != empty_) {
    bool first = true;
    for (const std::string_view item : StrSplit(text, list_separator_)) {
      if (!first) json->push_back(',');
      first = false;
      AppendScalar(column.kind, item, json);
    }
  }
  json->push_back(']');
}

void ZeekLogReader::AppendScalar(Kind kind, std::string_view text, std::string* json) const {
  if (kind == Kind::kBool && (text == "T" || text == "F")) {
    json->append(text == "T" ? "true" : "false");
  } else if (kind == Kind::kNumber && IsJsonNumber(text)) {
    json->append(text);
  } else {
    AppendJsonString(json, Unescape(text));
  }
}

}  // namespace weir
