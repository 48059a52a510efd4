#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace weir::evtx {

/// The type of a value in binary XML (MS-EVEN6 2.2.12). With kArrayFlag, an array of such values.
enum class ValueType : uint8_t {
  kNull = 0x00,
  kString = 0x01,  ///< UTF-16LE.
  kAnsiString = 0x02,
  kInt8 = 0x03,
  kUint8 = 0x04,
  kInt16 = 0x05,
  kUint16 = 0x06,
  kInt32 = 0x07,
  kUint32 = 0x08,
  kInt64 = 0x09,
  kUint64 = 0x0a,
  kReal32 = 0x0b,
  kReal64 = 0x0c,
  kBool = 0x0d,
  kBinary = 0x0e,
  kGuid = 0x0f,
  kSizeT = 0x10,
  kFileTime = 0x11,
  kSystemTime = 0x12,
  kSid = 0x13,
  kHexInt32 = 0x14,
  kHexInt64 = 0x15,
  kEventHandle = 0x20,
  kBinaryXml = 0x21,
  kEventXml = 0x23,
};

inline constexpr uint8_t kArrayFlag = 0x80;

/// A value as it lies in the chunk.
struct Value {
  ValueType type = ValueType::kNull;
  std::string_view bytes;
};

inline constexpr uint32_t kNone = UINT32_MAX;

/// A part of what an element or an attribute holds.
struct XmlContent {
  enum class Kind : uint8_t {
    kValue,                 ///< `value`.
    kText,                  ///< `value.bytes`, as UTF-8.
    kElement,               ///< `index` in XmlTree::elements.
    kSubstitution,          ///< Value `index` of the template's instance; in templates alone.
    kOptionalSubstitution,  ///< The same, for a value that may be left out.
  };
  Kind kind = Kind::kValue;
  uint32_t index = kNone;
  uint32_t next = kNone;  ///< In XmlTree::contents.
  Value value = {};
};

struct XmlAttribute {
  std::string_view name;
  uint32_t first_content = kNone;
  uint32_t next = kNone;  ///< In XmlTree::attributes.
};

struct XmlElement {
  std::string_view name;
  uint32_t first_attribute = kNone;
  uint32_t first_child = kNone;  ///< In XmlTree::contents.
};

/// An XML document or a template, as lists inside three vectors, which keep their memory from
/// record to record. Texts and names are views of the chunk or of its names.
///
/// Invariant: indexes point into the vectors, lists have no cycles; an element may stand in several
/// lists.
struct XmlTree {
  std::vector<XmlElement> elements;
  std::vector<XmlAttribute> attributes;
  std::vector<XmlContent> contents;
  uint32_t root = kNone;  ///< In `elements`.

  void Clear() {
    elements.clear();
    attributes.clear();
    contents.clear();
    root = kNone;
  }

  [[nodiscard]] size_t size() const {
    return elements.size() + attributes.size() + contents.size();
  }
};

}  // namespace weir::evtx
