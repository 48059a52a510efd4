#include "runtime/record/schema_json.h"

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <type_traits>

#include "absl/time/time.h"
#include "runtime/base/strings.h"
#include "runtime/record/key_codec.h"
#include "runtime/record/serde.h"

namespace weir {

namespace {

using Kind = Schema::Kind;

bool IsTuple(const Schema& schema) {
  return !schema.fields.empty() &&
         std::all_of(schema.fields.begin(), schema.fields.end(),
                     [](const SchemaField& field) { return field.name.empty(); });
}

void WriteScalar(JsonWriter& json, bool value) { json.Bool(value); }
void WriteScalar(JsonWriter& json, float value) { json.Double(static_cast<double>(value)); }
void WriteScalar(JsonWriter& json, double value) { json.Double(value); }
void WriteScalar(JsonWriter& json, const std::string& value) { json.String(value); }
void WriteScalar(JsonWriter& json, EventTime value) { json.Int(value.millis()); }
void WriteScalar(JsonWriter& json, absl::Duration value) {
  json.String(absl::FormatDuration(value));
}
void WriteScalar(JsonWriter& json, absl::Time value) {
  json.String(absl::FormatTime("%Y-%m-%d%ET%H:%M:%E*SZ", value, absl::UTCTimeZone()));
}
template <std::signed_integral T>
void WriteScalar(JsonWriter& json, T value) {
  json.Int(value);
}
template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>)
void WriteScalar(JsonWriter& json, T value) {
  json.Uint(value);
}

// How values are written in state.
struct ValueFormat {
  template <class T>
  static bool Read(ByteReader& reader, T& value) {
    return Serde<T>::Read(reader, value);
  }
};

// How keys are.
struct KeyFormat {
  template <class T>
  static bool Read(ByteReader& reader, T& value) {
    if constexpr (std::is_floating_point_v<T>) {
      return reader.Fail();  // No key has one.
    } else {
      return KeyCodec<T>::Decode(reader, value);
    }
  }
};

template <class Format>
class Printer {
 public:
  Printer(ByteReader& reader, JsonWriter& json) : reader_(reader), json_(json) {}

  bool Print(const Schema& schema) {
    switch (schema.kind) {
      case Kind::kBool:
        return Scalar<bool>();
      case Kind::kInt8:
        return Scalar<int8_t>();
      case Kind::kInt16:
        return Scalar<int16_t>();
      case Kind::kInt32:
        return Scalar<int32_t>();
      case Kind::kInt64:
        return Scalar<int64_t>();
      case Kind::kUInt8:
        return Scalar<uint8_t>();
      case Kind::kUInt16:
        return Scalar<uint16_t>();
      case Kind::kUInt32:
        return Scalar<uint32_t>();
      case Kind::kUInt64:
        return Scalar<uint64_t>();
      case Kind::kFloat:
        return Scalar<float>();
      case Kind::kDouble:
        return Scalar<double>();
      case Kind::kString:
        return Scalar<std::string>();
      case Kind::kEventTime:
        return Scalar<EventTime>();
      case Kind::kList:
        return PrintList(schema);
      case Kind::kMap:
        return PrintMap(schema);
      case Kind::kOptional:
        return PrintOptional(schema);
      case Kind::kStruct:
        return PrintStruct(schema);
      case Kind::kVariant:
        return PrintVariant(schema);
      case Kind::kOpaque:
        return PrintOpaque(schema);
    }
    return reader_.Fail();
  }

 private:
  template <class T>
  bool Scalar() {
    T value{};
    if (!Format::Read(reader_, value)) return false;
    WriteScalar(json_, value);
    return true;
  }

  // Whether there is one more element; `index` counts them.
  bool More(const Schema& schema, uint64_t count, uint64_t index, bool* more) {
    if (lost_) {
      *more = false;
      return true;
    }
    if constexpr (std::is_same_v<Format, KeyFormat>) {
      if (schema.name.empty()) return KeyFormat::Read(reader_, *more);
    }
    *more = index < count;
    return true;
  }
  bool ReadCount(const Schema& schema, uint64_t* count) {
    if (!schema.name.empty()) {
      *count = std::strtoull(schema.name.c_str(), nullptr, 10);
    } else if constexpr (std::is_same_v<Format, ValueFormat>) {
      if (!reader_.ReadVarint(count)) return false;
    }
    return *count <= internal::kMaxElementsWithoutBytes || *count <= reader_.remaining() ||
           reader_.Fail();
  }

  bool PrintList(const Schema& schema) {
    uint64_t count = 0;
    if (schema.fields.size() != 1 || !ReadCount(schema, &count)) return reader_.Fail();
    json_.BeginArray();
    for (uint64_t i = 0;; ++i) {
      bool more = false;
      if (!More(schema, count, i, &more)) return false;
      if (!more) break;
      if (!Print(schema.fields[0].type)) return false;
    }
    json_.EndArray();
    return true;
  }

  bool PrintMap(const Schema& schema) {
    uint64_t count = 0;
    if (schema.fields.size() != 2 || std::is_same_v<Format, KeyFormat> ||
        !ReadCount(schema, &count)) {
      return reader_.Fail();
    }
    const bool as_object = schema.fields[0].type.kind == Kind::kString;
    as_object ? json_.BeginObject() : json_.BeginArray();
    for (uint64_t i = 0; i < count && !lost_; ++i) {
      if (as_object) {
        std::string key;
        if (!reader_.ReadString(&key)) return false;
        json_.Key(key);
        if (!Print(schema.fields[1].type)) return false;
      } else {
        json_.BeginArray();
        if (!Print(schema.fields[0].type)) return false;
        if (!lost_ && !Print(schema.fields[1].type)) return false;
        json_.EndArray();
      }
    }
    as_object ? json_.EndObject() : json_.EndArray();
    return true;
  }

  bool PrintOptional(const Schema& schema) {
    bool present = false;
    if (schema.fields.size() != 1 || !Format::Read(reader_, present)) return reader_.Fail();
    if (present) return Print(schema.fields[0].type);
    json_.Null();
    return true;
  }

  bool PrintStruct(const Schema& schema) {
    const bool as_tuple = IsTuple(schema);
    as_tuple ? json_.BeginArray() : json_.BeginObject();
    for (const SchemaField& field : schema.fields) {
      if (lost_) break;
      if (!as_tuple) json_.Key(field.name);
      if (!Print(field.type)) return false;
    }
    as_tuple ? json_.EndArray() : json_.EndObject();
    return true;
  }

  bool PrintVariant(const Schema& schema) {
    uint8_t index = 0;
    if (!reader_.ReadFixed(&index) || index >= schema.fields.size()) return reader_.Fail();
    json_.BeginObject().Key("index").Uint(index).Key("value");
    if (!Print(schema.fields[index].type)) return false;
    json_.EndObject();
    return true;
  }

  bool PrintOpaque(const Schema& schema) {
    if (schema.name == "absl.Duration") return Scalar<absl::Duration>();
    if (schema.name == "absl.Time") return Scalar<absl::Time>();
    std::string_view bytes;
    if (!schema.fields.empty() && std::is_same_v<Format, ValueFormat>) {
      // Of one length-prefixed string, or of whatever it says.
      std::string layout;
      JsonWriter ignored(&layout);
      ByteReader ahead = reader_;
      if (!Printer(ahead, ignored).Print(schema.fields[0].type)) return reader_.Fail();
      if (!reader_.ReadView(reader_.remaining() - ahead.remaining(), &bytes)) return false;
    } else {
      lost_ = true;
      if (!reader_.ReadView(reader_.remaining(), &bytes)) return false;
    }
    json_.BeginObject().Key("type").String(schema.name).Key("hex").String(HexEncode(bytes));
    json_.EndObject();
    return true;
  }

  ByteReader& reader_;
  JsonWriter& json_;
  bool lost_ = false;  // Behind an opaque value of unknown length.
};

}  // namespace

bool WriteValueAsJson(const Schema& schema, ByteReader& reader, JsonWriter& json) {
  return Printer<ValueFormat>(reader, json).Print(schema);
}

bool WriteKeyAsJson(const Schema& schema, ByteReader& reader, JsonWriter& json) {
  return Printer<KeyFormat>(reader, json).Print(schema);
}

}  // namespace weir
