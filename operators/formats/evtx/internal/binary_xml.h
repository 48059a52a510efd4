#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/formats/evtx/internal/xml_tree.h"

namespace weir::evtx {

/// Reads the binary XML of a chunk's records (MS-EVEN6 2.2.12): templates are read once a chunk,
/// and their instances become plain trees, without substitutions and with arrays spread over
/// repeated elements.
///
/// Lifecycle: SetChunk, then Read for each record, chunk after chunk; memory is reused. Threads:
/// one at a time. Whatever the bytes are, reading ends, within limits of memory: what goes beyond
/// them is an error of the record.
class BinaryXmlReader {
 public:
  /// Forgets the chunk before. `chunk` must outlive all use of its records.
  void SetChunk(std::string_view chunk);

  /// Reads the fragment in [begin, end) of the chunk; tree() is its document until the next call.
  /// Errors: kDataLoss with the reason and the place in the chunk.
  [[nodiscard]] absl::Status Read(size_t begin, size_t end);

  [[nodiscard]] const XmlTree& tree() const { return tree_; }

 private:
  friend class FragmentParser;

  /// A list of contents that grows at its end.
  struct ContentList {
    uint32_t first = kNone;
    uint32_t last = kNone;
  };

  /// The values of a template's instance, inside of values_.
  struct ValueRange {
    size_t begin = 0;
    size_t size = 0;
  };

  absl::StatusOr<std::string_view> Name(uint32_t offset);
  absl::StatusOr<const XmlTree*> Template(uint32_t offset);
  std::string_view Keep(std::string text);

  absl::Status Append(XmlTree& tree, const XmlContent& content, ContentList& list) const;
  absl::Status Instantiate(const XmlTree& source, ValueRange values, int depth, ContentList& out);
  absl::Status CopyElement(const XmlTree& source, uint32_t element, ValueRange values, int depth,
                           ContentList& out);
  absl::Status CopyAttributes(const XmlTree& source, uint32_t first, ValueRange values, int depth,
                              uint32_t element, bool* has_array);
  absl::Status CopyContents(const XmlTree& source, uint32_t first, ValueRange values, int depth,
                            bool in_attribute, ContentList& out, bool* has_array);
  absl::Status Substitute(const Value& value, int depth, bool in_attribute, ContentList& out,
                          bool* has_array);
  absl::Status SpreadArrays(uint32_t element, ContentList& out);
  absl::StatusOr<uint32_t> CloneWith(uint32_t element, uint32_t replaced, const Value& value);
  absl::Status CloneContents(uint32_t first, uint32_t replaced, const Value& value,
                             ContentList& out);
  [[nodiscard]] uint32_t FindArray(const XmlElement& element) const;

  std::string_view chunk_;
  XmlTree tree_;
  std::vector<Value> values_;  // Of the template instances in progress, the innermost last.
  absl::flat_hash_map<uint32_t, std::string_view> names_;              // By offset.
  absl::flat_hash_map<uint32_t, std::unique_ptr<XmlTree>> templates_;  // By offset; null: broken.
  std::deque<std::string> texts_;  // What names and literals of templates are views of.
  size_t template_size_ = 0;       // Of all of templates_.
};

}  // namespace weir::evtx
