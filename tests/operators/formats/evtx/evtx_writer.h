#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operators/formats/evtx/internal/crc32.h"

namespace weir::evtx {

/// Writes event logs for tests: as Windows does, but every name and template where it is used.

inline std::string Utf16(std::string_view ascii) {
  std::string text;
  for (const char c : ascii) {
    text.push_back(c);
    text.push_back('\0');
  }
  return text;
}

template <class Number>
std::string Little(Number number) {
  std::string bytes(sizeof(number), '\0');
  std::memcpy(bytes.data(), &number, sizeof(number));
  return bytes;
}

/// A value of a template's instance: its type and bytes.
using TypedValue = std::pair<uint8_t, std::string>;

/// Writes binary XML that begins at a place of a chunk.
class XmlWriter {
 public:
  explicit XmlWriter(size_t begin) : begin_(begin) {}

  XmlWriter& Raw(std::string_view bytes) {
    bytes_.append(bytes);
    return *this;
  }
  template <class Number>
  XmlWriter& Put(Number number) {
    return Raw(Little(number));
  }
  XmlWriter& Byte(int byte) { return Put(static_cast<uint8_t>(byte)); }

  XmlWriter& Header() { return Raw(std::string_view("\x0f\x01\x01\x00", 4)); }
  XmlWriter& Eof() { return Byte(0); }

  /// Opens an element; inside of templates `in_template` must be set.
  XmlWriter& Open(std::string_view name, bool attributes = false) {
    Byte(attributes ? 0x41 : 0x01);
    if (in_template_) Put<uint16_t>(0xffff);
    Put<uint32_t>(0);
    Name(name);
    if (attributes) Put<uint32_t>(0);
    return *this;
  }
  XmlWriter& Attribute(std::string_view name) {
    Byte(0x06);
    return Name(name);
  }
  XmlWriter& CloseStart() { return Byte(0x02); }
  XmlWriter& CloseEmpty() { return Byte(0x03); }
  XmlWriter& End() { return Byte(0x04); }
  XmlWriter& Text(std::string_view ascii) {
    Byte(0x05).Byte(0x01).Put(static_cast<uint16_t>(ascii.size()));
    return Raw(Utf16(ascii));
  }
  XmlWriter& Substitute(int index, int type, bool optional = true) {
    return Byte(optional ? 0x0e : 0x0d).Put(static_cast<uint16_t>(index)).Byte(type);
  }
  /// `<name>text</name>`.
  XmlWriter& Leaf(std::string_view name, std::string_view text) {
    return Open(name).CloseStart().Text(text).End();
  }
  /// `<Data Name="name">%index</Data>`, or without the attribute.
  XmlWriter& Data(std::string_view name, int index) {
    if (name.empty()) {
      Open("Data").CloseStart();
    } else {
      Open("Data", true).Attribute("Name").Text(name).CloseStart();
    }
    return Substitute(index, 0).End();
  }

  /// An instance of a template that is defined right here by `define`. Returns where the template
  /// lies, for InstanceOf.
  uint32_t Instance(const std::function<void(XmlWriter&)>& define,
                    const std::vector<TypedValue>& values) {
    const auto offset = static_cast<uint32_t>(position() + 10);
    Byte(0x0c).Byte(1).Put<uint32_t>(0x1234).Put(offset);
    Put<uint32_t>(0).Raw(std::string(16, 'g'));
    XmlWriter definition(position() + 4);
    definition.in_template_ = true;
    definition.Header();
    define(definition);
    definition.Eof();
    Put(static_cast<uint32_t>(definition.bytes().size())).Raw(definition.bytes());
    Values(values);
    return offset;
  }
  XmlWriter& InstanceOf(uint32_t offset, const std::vector<TypedValue>& values) {
    Byte(0x0c).Byte(1).Put<uint32_t>(0x1234).Put(offset);
    Values(values);
    return *this;
  }

  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  [[nodiscard]] size_t position() const { return begin_ + bytes_.size(); }

 private:
  XmlWriter& Name(std::string_view name) {
    Put(static_cast<uint32_t>(position() + 4));
    Put<uint32_t>(0).Put<uint16_t>(0).Put(static_cast<uint16_t>(name.size()));
    return Raw(Utf16(name)).Put<uint16_t>(0);
  }

  void Values(const std::vector<TypedValue>& values) {
    Put(static_cast<uint32_t>(values.size()));
    for (const auto& [type, bytes] : values) {
      Put(static_cast<uint16_t>(bytes.size())).Byte(type).Byte(0);
    }
    for (const auto& [type, bytes] : values) Raw(bytes);
  }

  size_t begin_;
  std::string bytes_;
  bool in_template_ = false;
};

/// Writes one chunk.
class ChunkWriter {
 public:
  static constexpr size_t kSize = 65536;

  ChunkWriter() : bytes_(512, '\0') {}

  /// Appends a record with the XML that `write` writes.
  ChunkWriter& Record(uint64_t id, const std::function<void(XmlWriter&)>& write) {
    XmlWriter xml(bytes_.size() + 24);
    xml.Header();
    write(xml);
    xml.Eof();
    std::string body = xml.bytes();
    while (body.size() % 8 != 4) body.push_back('\0');  // Records are aligned.
    const auto size = static_cast<uint32_t>(24 + body.size() + 4);
    positions_.push_back(bytes_.size());
    bytes_ += std::string("**\0\0", 4) + Little(size) + Little(id) + Little(kFileTime) + body +
              Little(size);
    last_id_ = id;
    return *this;
  }

  /// `<Event><System><EventID>id</EventID>…</System></Event>`, without a template.
  ChunkWriter& Plain(uint64_t id) {
    return Record(id, [id](XmlWriter& xml) {
      xml.Open("Event").CloseStart().Open("System").CloseStart();
      xml.Leaf("EventRecordID", std::to_string(id)).End().End();
    });
  }

  /// Returns the chunk with valid header and checksums.
  [[nodiscard]] std::string Finish() const {
    std::string chunk = bytes_;
    const auto end = static_cast<uint32_t>(chunk.size());
    chunk.resize(kSize, '\0');
    const auto put = [&chunk](size_t at, const std::string& bytes) {
      chunk.replace(at, bytes.size(), bytes);
    };
    put(0, std::string("ElfChnk\0", 8));
    put(32, Little(last_id_));
    put(40, Little<uint32_t>(128));
    put(44, Little(static_cast<uint32_t>(positions_.empty() ? 512 : positions_.back())));
    put(48, Little(end));
    put(52, Little(Crc32(std::string_view(chunk).substr(512, end - 512))));
    const uint32_t header_crc = Crc32(std::string_view(chunk).substr(128, 384),
                                      Crc32(std::string_view(chunk).substr(0, 120)));
    put(124, Little(header_crc));
    return chunk;
  }

  [[nodiscard]] const std::vector<size_t>& positions() const { return positions_; }

  static constexpr uint64_t kFileTime = 133'000'000'000'000'000;  // 2022-06-18T04:26:40Z.

 private:
  std::string bytes_;
  std::vector<size_t> positions_;
  uint64_t last_id_ = 0;
};

/// Returns a log of `chunks`.
inline std::string LogOf(const std::vector<std::string>& chunks) {
  std::string file(4096, '\0');
  const auto put = [&file](size_t at, const std::string& bytes) {
    file.replace(at, bytes.size(), bytes);
  };
  put(0, std::string("ElfFile\0", 8));
  put(32, Little<uint32_t>(128));
  put(36, Little<uint32_t>(0x00030001));
  put(40, Little<uint16_t>(4096));
  put(42, Little(static_cast<uint16_t>(chunks.size())));
  put(124, Little(Crc32(std::string_view(file).substr(0, 120))));
  for (const std::string& chunk : chunks) file += chunk;
  return file;
}

}  // namespace weir::evtx
