#pragma once

#include <concepts>
#include <cstddef>
#include <limits>
#include <string>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>

#include "runtime/record/serde.h"

namespace weir {

/// Lets Protobuf messages be records and state; include it where such a type first meets a stream.
///
/// A message is its length and its wire form, deterministic so that equal messages have equal
/// bytes. Fields may be added to and removed from the message as Protobuf allows, with old
/// checkpoints still readable; a message cannot be a key.
template <std::derived_from<google::protobuf::Message> T>
  requires(!std::same_as<T, google::protobuf::Message>)
struct Serde<T> {
  static constexpr size_t kMinBytes = 1;
  /// Errors: a message without its required fields (proto2) ends as a malformed value on reading.
  static void Write(ByteWriter& writer, const T& message) {
    std::string bytes;
    {
      google::protobuf::io::StringOutputStream stream(&bytes);
      google::protobuf::io::CodedOutputStream coded(&stream);
      coded.SetSerializationDeterministic(true);
      message.SerializePartialToCodedStream(&coded);
    }
    writer.WriteString(bytes);
  }
  static bool Read(ByteReader& reader, T& message) {
    std::string_view bytes;
    if (!reader.ReadStringView(&bytes)) return false;
    if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max())) return reader.Fail();
    return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || reader.Fail();
  }
  static Schema GetSchema() {
    return internal::OpaqueSchemaAs<std::string>(T::descriptor()->full_name());
  }
  static size_t OwnedBytes(const T& message) { return message.SpaceUsedLong() - sizeof(T); }
};

}  // namespace weir
