#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir {

/// Appends JSON text to a string, token by token, without building a tree. Commas and escapes are
/// its business; that keys and values alternate and containers are closed is the caller's.
///
///     std::string line;
///     JsonWriter json(&line);
///     json.BeginObject();
///     json.Key("src_ip").String(event.source_address);
///     json.Key("count").Int(count);
///     json.EndObject();
///     json.EndLine();  // The same writer may go on with the next line of NDJSON.
///
/// Threads: one. Ownership: borrows the string. Allocates only when the string grows.
class JsonWriter {
 public:
  explicit JsonWriter(std::string* out) : out_(out) {}

  JsonWriter& BeginObject();
  JsonWriter& EndObject();
  JsonWriter& BeginArray();
  JsonWriter& EndArray();
  JsonWriter& Key(std::string_view key);

  /// Writes `text` as a JSON string; each part that is not UTF-8 becomes U+FFFD.
  JsonWriter& String(std::string_view text);
  JsonWriter& Int(int64_t value);
  JsonWriter& Uint(uint64_t value);
  /// Writes the shortest text that reads back as `value`, with ".0" if it looks like an integer, so
  /// that readers keep the type. NaN and infinities, which JSON does not have, become null.
  JsonWriter& Double(double value);
  JsonWriter& Bool(bool value);
  JsonWriter& Null();
  /// Writes `json`, which must be one JSON value, as it is.
  JsonWriter& Raw(std::string_view json);

  /// Ends a line of NDJSON: every container must be closed.
  JsonWriter& EndLine();

 private:
  void Separate() {
    if (needs_comma_) out_->push_back(',');
    needs_comma_ = true;
  }

  std::string* out_;
  int depth_ = 0;
  bool needs_comma_ = false;  // True after a value, until its container's next key or element.
};

/// Appends `text` to `*out` as a JSON string with its quotes, as JsonWriter::String does.
void AppendJsonString(std::string* out, std::string_view text);

}  // namespace weir
