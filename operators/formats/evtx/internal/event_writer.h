#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "operators/formats/evtx/internal/xml_tree.h"

namespace weir::evtx {

/// Writes the document of an event as JSON, in one of two shapes; see EvtxReader.
///
/// Threads: one at a time. Keeps working memory from event to event.
class EventWriter {
 public:
  /// Appends the document in the shape of EVTX dumps. Returns whether it was written whole: one
  /// that repeats itself beyond the limit is cut, and no JSON.
  [[nodiscard]] bool AppendJson(const XmlTree& tree, std::string* out);

  /// Appends a flat object of the event's fields. Returns as AppendJson.
  [[nodiscard]] bool AppendFlat(const XmlTree& tree, std::string* out);

 private:
  /// A field of the flat form, or a named Data of EventData.
  struct Field {
    size_t name_begin = 0;  // In names_, escaped for JSON.
    size_t name_size = 0;
    uint32_t content = kNone;       // First of the list that is its value.
    bool empty_is_text = false;     // Without content: "", not null.
    bool is_repeated = false;       // An earlier field has this name.
    uint32_t next_of_name = kNone;  // In fields_.
  };

  // The shape of EVTX dumps.
  void WriteElement(const XmlElement& element, bool is_container);
  void WriteBody(const XmlElement& element, bool is_container, bool has_text);
  bool WriteAttributes(const XmlElement& element);
  void WriteChildren(const XmlElement& element, bool is_container, bool first);
  void WriteUnnamedData(const XmlElement& element);
  [[nodiscard]] bool HasNamedData(const XmlElement& element) const;

  // The flat shape.
  void CollectEvent(const XmlElement& event);
  void CollectSystem(const XmlElement& system);
  void CollectData(const XmlElement& container, std::string_view prefix);
  void CollectAttributes(const XmlElement& element, std::string_view prefix);
  void CollectNamedData(const XmlElement& container);
  void AddField(std::string_view prefix, std::string_view name, uint32_t content,
                bool empty_is_text);
  void AddFieldNamedBy(uint32_t name_content, uint32_t content);
  void AddWithoutSpaces(size_t field);

  // Both.
  void BeginFields();
  void LinkFields();
  bool WriteFields(bool first);
  void WriteFieldsOfName(const Field& field);
  void WriteFieldValue(const Field& field);
  void WriteScalar(uint32_t first_content);
  void WriteText(uint32_t first_content);
  void WriteKey(std::string_view name, uint32_t suffix = 0);
  [[nodiscard]] std::string_view NameOf(const Field& field) const {
    return std::string_view(names_).substr(field.name_begin, field.name_size);
  }
  [[nodiscard]] bool HasText(uint32_t first_content) const;
  [[nodiscard]] bool HasElement(uint32_t first_content) const;
  [[nodiscard]] bool TooLong() const { return out_->size() - begin_ > kMaxBytes; }

  static constexpr size_t kMaxBytes = size_t{16} << 20;

  const XmlTree* tree_ = nullptr;
  std::string* out_ = nullptr;
  size_t begin_ = 0;  // Of the event in *out_.

  // Of the one object that is written from fields; values inside of it do not use them.
  std::string names_;
  std::vector<Field> fields_;
  bool in_fields_ = false;
  absl::flat_hash_map<std::string_view, uint32_t> by_name_;
};

}  // namespace weir::evtx
