#include "operators/formats/evtx/internal/binary_xml.h"

#include <optional>
#include <utility>

#include "operators/formats/evtx/internal/byte_reader.h"
#include "operators/formats/evtx/internal/value_text.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::evtx {

// Windows itself nests fragments twice and elements some ten deep. Together these stay below the
// 256 levels that readers of JSON commonly take.
constexpr int kMaxFragmentDepth = 4;
constexpr size_t kMaxElementDepth = 48;
// Templates and records that do not overlap cannot have more parts than a chunk has bytes. Arrays
// that repeat elements may, which is how a small record could become a huge one.
constexpr size_t kMaxTreeSize = 1 << 17;

namespace {

enum Token : uint8_t {
  kEndOfFragment = 0x00,
  kOpenStartElement = 0x01,
  kCloseStartElement = 0x02,
  kCloseEmptyElement = 0x03,
  kEndElement = 0x04,
  kValueText = 0x05,
  kAttribute = 0x06,
  kCdataSection = 0x07,
  kCharReference = 0x08,
  kEntityReference = 0x09,
  kProcessingTarget = 0x0a,
  kProcessingData = 0x0b,
  kTemplateInstance = 0x0c,
  kNormalSubstitution = 0x0d,
  kOptionalSubstitution = 0x0e,
  kFragmentHeader = 0x0f,
};

constexpr uint8_t kMoreFlag = 0x40;  // "More of the kind follows"; of elements: has attributes.

absl::Status Damaged(std::string_view reason, size_t position) {
  return absl::DataLossError(StrCat(reason, ": position_in_chunk=", position));
}

std::optional<std::string_view> EntityText(std::string_view name) {
  if (name == "quot") return "\"";
  if (name == "apos") return "'";
  if (name == "amp") return "&";
  if (name == "lt") return "<";
  if (name == "gt") return ">";
  return std::nullopt;
}

}  // namespace

/// Reads the tokens of one fragment: a record's, a template's, or one that a value holds.
class FragmentParser {
 public:
  FragmentParser(BinaryXmlReader& owner, XmlTree& tree, bool in_template, int depth,
                 std::string_view bytes, size_t begin)
      : owner_(owner),
        tree_(tree),
        in_template_(in_template),
        depth_(depth),
        reader_(bytes, begin) {}

  absl::Status Parse(BinaryXmlReader::ContentList& out) {
    if (depth_ > kMaxFragmentDepth) return Error("fragments nest too deeply");
    while (!reader_.at_end()) {
      const auto token = reader_.Read<uint8_t>();
      if (token == kEndOfFragment) break;
      RETURN_IF_ERROR(ReadToken(token, out));
      if (reader_.failed()) break;
    }
    if (reader_.failed()) return Error("the binary XML ends inside a token");
    if (!frames_.empty()) return Error("an element does not end");
    return absl::OkStatus();
  }

 private:
  using ContentList = BinaryXmlReader::ContentList;

  /// An element that is open.
  struct Frame {
    uint32_t element = kNone;
    bool in_start_tag = true;
    uint32_t attribute = kNone;  // The one that values go to, while in the start tag.
    ContentList attribute_contents;
    ContentList children;
  };

  absl::Status Error(std::string_view reason) const { return Damaged(reason, reader_.position()); }

  absl::Status ReadToken(uint8_t token, ContentList& out) {
    switch (token) {
      case kOpenStartElement:
      case kOpenStartElement | kMoreFlag:
        return OpenElement((token & kMoreFlag) != 0);
      case kCloseStartElement:
        return CloseStartTag();
      case kCloseEmptyElement:
      case kEndElement:
        return CloseElement(token == kCloseEmptyElement, out);
      case kValueText:
      case kValueText | kMoreFlag:
        return ReadValue(out);
      case kAttribute:
      case kAttribute | kMoreFlag:
        return OpenAttribute();
      case kCdataSection:
      case kCdataSection | kMoreFlag:
        return AddText(ReadCountedText(), out);
      case kCharReference:
      case kCharReference | kMoreFlag:
        return ReadCharReference(out);
      case kEntityReference:
      case kEntityReference | kMoreFlag:
        return ReadEntity(out);
      case kProcessingTarget:
        return ReadName().status();
      case kProcessingData:
        ReadCountedText();
        return absl::OkStatus();
      case kTemplateInstance:
        return ReadInstance(out);
      case kNormalSubstitution:
      case kOptionalSubstitution:
        return ReadSubstitution(token == kOptionalSubstitution, out);
      case kFragmentHeader:
        reader_.Take(3);
        return absl::OkStatus();
      default:
        return Error(StrCat("unknown token ", token));
    }
  }

  absl::StatusOr<std::string_view> ReadName() {
    const auto offset = reader_.Read<uint32_t>();
    if (offset == reader_.position()) {  // The name itself lies here: link, hash, text, NUL.
      reader_.Take(6);
      reader_.Take(reader_.Read<uint16_t>() * size_t{2} + 2);
    }
    if (reader_.failed()) return Error("a name ends too early");
    return owner_.Name(offset);
  }

  absl::Status OpenElement(bool has_attributes) {
    if (!frames_.empty() && frames_.back().in_start_tag) {
      return Error("an element begins inside a start tag");
    }
    if (frames_.size() >= kMaxElementDepth) return Error("elements nest too deeply");
    if (in_template_) reader_.Read<uint16_t>();  // Dependency identifier.
    reader_.Read<uint32_t>();                    // Size.
    ASSIGN_OR_RETURN(const std::string_view name, ReadName());
    if (has_attributes) reader_.Read<uint32_t>();  // Their size.
    Frame frame;
    frame.element = static_cast<uint32_t>(tree_.elements.size());
    tree_.elements.push_back({.name = name});
    frames_.push_back(frame);
    return absl::OkStatus();
  }

  absl::Status CloseStartTag() {
    if (frames_.empty() || !frames_.back().in_start_tag) return Error("no start tag is open");
    frames_.back().in_start_tag = false;
    return absl::OkStatus();
  }

  absl::Status CloseElement(bool from_start_tag, ContentList& out) {
    if (frames_.empty() || frames_.back().in_start_tag != from_start_tag) {
      return Error("no element is open that could end here");
    }
    const Frame frame = frames_.back();
    frames_.pop_back();
    tree_.elements[frame.element].first_child = frame.children.first;
    return Add({.kind = XmlContent::Kind::kElement, .index = frame.element}, out);
  }

  absl::Status OpenAttribute() {
    ASSIGN_OR_RETURN(const std::string_view name, ReadName());
    if (frames_.empty() || !frames_.back().in_start_tag) {
      return Error("an attribute stands outside a start tag");
    }
    Frame& frame = frames_.back();
    const auto attribute = static_cast<uint32_t>(tree_.attributes.size());
    tree_.attributes.push_back({.name = name});
    if (frame.attribute == kNone) {
      tree_.elements[frame.element].first_attribute = attribute;
    } else {
      tree_.attributes[frame.attribute].next = attribute;
    }
    frame.attribute = attribute;
    frame.attribute_contents = {};
    return absl::OkStatus();
  }

  // Adds to what is open: an attribute, an element, or the fragment itself.
  absl::Status Add(const XmlContent& content, ContentList& out) {
    if (frames_.empty()) return owner_.Append(tree_, content, out);
    Frame& frame = frames_.back();
    if (!frame.in_start_tag) return owner_.Append(tree_, content, frame.children);
    if (frame.attribute == kNone) return Error("a value stands in a start tag");
    RETURN_IF_ERROR(owner_.Append(tree_, content, frame.attribute_contents));
    tree_.attributes[frame.attribute].first_content = frame.attribute_contents.first;
    return absl::OkStatus();
  }

  std::string_view ReadCountedText() {
    const size_t units = reader_.Read<uint16_t>();
    return reader_.Take(units * 2);
  }

  // The texts of a template are written with each of its instances, so they are decoded here.
  absl::Status AddText(std::string_view utf16, ContentList& out) {
    if (!in_template_) return Add({.value = {ValueType::kString, utf16}}, out);
    std::string text;
    AppendUtf16(utf16, &text);
    return AddUtf8(std::move(text), out);
  }

  absl::Status AddUtf8(std::string text, ContentList& out) {
    return Add({.kind = XmlContent::Kind::kText,
                .value = {ValueType::kString, owner_.Keep(std::move(text))}},
               out);
  }

  absl::Status ReadCharReference(ContentList& out) {
    const auto code = reader_.Read<uint16_t>();
    const char units[2] = {static_cast<char>(code & 0xFF), static_cast<char>(code >> 8)};
    std::string text;
    AppendUtf16({units, 2}, &text);
    return AddUtf8(std::move(text), out);
  }

  absl::Status ReadEntity(ContentList& out) {
    ASSIGN_OR_RETURN(const std::string_view name, ReadName());
    if (const auto text = EntityText(name)) {
      return Add({.kind = XmlContent::Kind::kText, .value = {ValueType::kString, *text}}, out);
    }
    return AddUtf8(StrCat("&", name, ";"), out);
  }

  absl::Status ReadValue(ContentList& out) {
    const auto type = static_cast<ValueType>(reader_.Read<uint8_t>());
    switch (type) {
      case ValueType::kNull:
        return absl::OkStatus();
      case ValueType::kString:
        return AddText(ReadCountedText(), out);
      case ValueType::kAnsiString:
      case ValueType::kBinary:
        return Add({.value = {type, reader_.Take(reader_.Read<uint16_t>())}}, out);
      case ValueType::kBinaryXml:
        return ReadNested(out);
      case ValueType::kSid:
        return Add({.value = {type, ReadSid()}}, out);
      default:
        break;
    }
    const size_t size = FixedSize(type);
    if (size == 0) return Error(StrCat("a value of this type cannot stand here: type=", type));
    return Add({.value = {type, reader_.Take(size)}}, out);
  }

  std::string_view ReadSid() {
    ByteReader ahead = reader_;
    ahead.Take(1);
    const size_t parts = ahead.Read<uint8_t>();
    return reader_.Take(8 + parts * 4);
  }

  absl::Status ReadNested(ContentList& out) {
    const size_t size = reader_.Read<uint16_t>();
    const size_t begin = reader_.position();
    const std::string_view bytes = reader_.Take(size);
    if (reader_.failed() || bytes.empty()) return absl::OkStatus();
    if (in_template_) return Error("a template holds a fragment");
    ContentList nested;
    FragmentParser parser(owner_, tree_, false, depth_ + 1, owner_.chunk_.substr(0, begin + size),
                          begin);
    RETURN_IF_ERROR(parser.Parse(nested));
    return AddAll(nested, out);
  }

  // Moves a list's contents to what is open.
  absl::Status AddAll(const ContentList& list, ContentList& out) {
    for (uint32_t i = list.first; i != kNone;) {
      XmlContent content = tree_.contents[i];
      i = std::exchange(content.next, kNone);
      if (content.kind == XmlContent::Kind::kElement && !frames_.empty() &&
          frames_.back().in_start_tag) {
        return Error("an element stands in an attribute");
      }
      RETURN_IF_ERROR(Add(content, out));
    }
    return absl::OkStatus();
  }

  absl::Status ReadSubstitution(bool optional, ContentList& out) {
    const auto index = reader_.Read<uint16_t>();
    reader_
        .Read<uint8_t>();  // The type that the template expects; the instance knows the real one.
    if (!in_template_) return Error("a substitution stands outside a template");
    return Add({.kind = optional ? XmlContent::Kind::kOptionalSubstitution
                                 : XmlContent::Kind::kSubstitution,
                .index = index},
               out);
  }

  absl::Status ReadInstance(ContentList& out) {
    if (in_template_) return Error("a template holds an instance of a template");
    reader_.Read<uint8_t>();
    reader_.Read<uint32_t>();  // The beginning of the template's GUID.
    const auto offset = reader_.Read<uint32_t>();
    if (offset == reader_.position()) {  // The template itself lies here.
      reader_.Take(20);                  // Link, GUID.
      reader_.Take(reader_.Read<uint32_t>());
    }
    if (reader_.failed()) return Error("a template's instance ends too early");
    ASSIGN_OR_RETURN(const XmlTree* const source, owner_.Template(offset));
    BinaryXmlReader::ValueRange range{owner_.values_.size(), 0};
    RETURN_IF_ERROR(ReadValues(&range.size));
    ContentList instance;
    RETURN_IF_ERROR(owner_.Instantiate(*source, range, depth_, instance));
    owner_.values_.resize(range.begin);
    return AddAll(instance, out);
  }

  absl::Status ReadValues(size_t* count) {
    const size_t num_values = reader_.Read<uint32_t>();
    const std::string_view descriptors = reader_.Take(num_values * 4);
    if (reader_.failed()) return Error("the values of a template's instance end too early");
    for (size_t i = 0; i < num_values; ++i) {
      const auto size = ReadAt<uint16_t>(descriptors, i * 4);
      const auto type = static_cast<ValueType>(ReadAt<uint8_t>(descriptors, i * 4 + 2));
      owner_.values_.push_back({type, reader_.Take(size)});
    }
    if (reader_.failed()) return Error("the values of a template's instance end too early");
    *count = num_values;
    return absl::OkStatus();
  }

  BinaryXmlReader& owner_;
  XmlTree& tree_;
  const bool in_template_;
  const int depth_;
  ByteReader reader_;
  std::vector<Frame> frames_;
};

void BinaryXmlReader::SetChunk(std::string_view chunk) {
  chunk_ = chunk;
  tree_.Clear();
  names_.clear();
  templates_.clear();
  texts_.clear();
  template_size_ = 0;
}

absl::Status BinaryXmlReader::Read(size_t begin, size_t end) {
  tree_.Clear();
  values_.clear();
  ContentList contents;
  FragmentParser parser(*this, tree_, false, 0, chunk_.substr(0, end), begin);
  RETURN_IF_ERROR(parser.Parse(contents));
  for (uint32_t i = contents.first; i != kNone; i = tree_.contents[i].next) {
    if (tree_.contents[i].kind != XmlContent::Kind::kElement) continue;
    tree_.root = tree_.contents[i].index;
    return absl::OkStatus();
  }
  return Damaged("the record has no element", begin);
}

std::string_view BinaryXmlReader::Keep(std::string text) {
  return texts_.emplace_back(std::move(text));
}

absl::StatusOr<std::string_view> BinaryXmlReader::Name(uint32_t offset) {
  const auto known = names_.find(offset);
  if (known != names_.end()) return known->second;
  ByteReader reader(chunk_, offset);
  reader.Take(6);  // Link to the next name of the same hash, and the hash.
  const size_t units = reader.Read<uint16_t>();
  const std::string_view utf16 = reader.Take(units * 2);
  if (reader.failed()) return Damaged("a name lies outside the chunk", offset);
  std::string name;
  AppendUtf16(utf16, &name);
  const std::string_view kept = Keep(std::move(name));
  names_.emplace(offset, kept);
  return kept;
}

absl::StatusOr<const XmlTree*> BinaryXmlReader::Template(uint32_t offset) {
  const auto known = templates_.find(offset);
  if (known != templates_.end()) {
    if (known->second == nullptr) return Damaged("the record's template is damaged", offset);
    return known->second.get();
  }
  templates_[offset] = nullptr;
  ByteReader reader(chunk_, offset);
  reader.Take(20);  // Link to the next template of the same hash, and the GUID.
  const size_t size = reader.Read<uint32_t>();
  const size_t begin = reader.position();
  reader.Take(size);
  if (reader.failed()) return Damaged("a template lies outside the chunk", offset);
  auto parsed = std::make_unique<XmlTree>();
  ContentList contents;
  FragmentParser parser(*this, *parsed, true, 0, chunk_.substr(0, begin + size), begin);
  RETURN_IF_ERROR(parser.Parse(contents));
  template_size_ += parsed->size();
  if (template_size_ > kMaxTreeSize) return Damaged("templates overlap each other", offset);
  parsed->root = contents.first;  // A list of contents here, not an element.
  return (templates_[offset] = std::move(parsed)).get();
}

absl::Status BinaryXmlReader::Append(XmlTree& tree, const XmlContent& content,
                                     ContentList& list) const {
  if (tree.size() >= kMaxTreeSize) {
    return absl::DataLossError("the record has more parts than a record can have");
  }
  const auto added = static_cast<uint32_t>(tree.contents.size());
  tree.contents.push_back(content);
  tree.contents.back().next = kNone;
  if (list.last == kNone) {
    list.first = added;
  } else {
    tree.contents[list.last].next = added;
  }
  list.last = added;
  return absl::OkStatus();
}

absl::Status BinaryXmlReader::Instantiate(const XmlTree& source, ValueRange values, int depth,
                                          ContentList& out) {
  bool has_array = false;  // Outside an element there is nothing to repeat.
  return CopyContents(source, source.root, values, depth, false, out, &has_array);
}

absl::Status BinaryXmlReader::CopyElement(const XmlTree& source, uint32_t element,
                                          ValueRange values, int depth, ContentList& out) {
  const XmlElement& from = source.elements[element];
  const auto copy = static_cast<uint32_t>(tree_.elements.size());
  tree_.elements.push_back({.name = from.name});
  bool has_array = false;
  RETURN_IF_ERROR(CopyAttributes(source, from.first_attribute, values, depth, copy, &has_array));
  ContentList children;
  RETURN_IF_ERROR(
      CopyContents(source, from.first_child, values, depth, false, children, &has_array));
  tree_.elements[copy].first_child = children.first;
  if (has_array) return SpreadArrays(copy, out);
  return Append(tree_, {.kind = XmlContent::Kind::kElement, .index = copy}, out);
}

absl::Status BinaryXmlReader::CopyAttributes(const XmlTree& source, uint32_t first,
                                             ValueRange values, int depth, uint32_t element,
                                             bool* has_array) {
  uint32_t last = kNone;
  for (uint32_t i = first; i != kNone; i = source.attributes[i].next) {
    const XmlAttribute& from = source.attributes[i];
    ContentList contents;
    RETURN_IF_ERROR(
        CopyContents(source, from.first_content, values, depth, true, contents, has_array));
    if (contents.first == kNone) continue;
    const auto copy = static_cast<uint32_t>(tree_.attributes.size());
    tree_.attributes.push_back({.name = from.name, .first_content = contents.first});
    if (last == kNone) {
      tree_.elements[element].first_attribute = copy;
    } else {
      tree_.attributes[last].next = copy;
    }
    last = copy;
  }
  return absl::OkStatus();
}

absl::Status BinaryXmlReader::CopyContents(const XmlTree& source, uint32_t first, ValueRange values,
                                           int depth, bool in_attribute, ContentList& out,
                                           bool* has_array) {
  for (uint32_t i = first; i != kNone; i = source.contents[i].next) {
    const XmlContent& content = source.contents[i];
    switch (content.kind) {
      case XmlContent::Kind::kElement:
        RETURN_IF_ERROR(CopyElement(source, content.index, values, depth, out));
        break;
      case XmlContent::Kind::kSubstitution:
      case XmlContent::Kind::kOptionalSubstitution: {
        if (content.index >= values.size) break;  // An instance may have fewer values.
        const Value value = values_[values.begin + content.index];
        RETURN_IF_ERROR(Substitute(value, depth, in_attribute, out, has_array));
        break;
      }
      default:
        RETURN_IF_ERROR(Append(tree_, content, out));
    }
  }
  return absl::OkStatus();
}

absl::Status BinaryXmlReader::Substitute(const Value& value, int depth, bool in_attribute,
                                         ContentList& out, bool* has_array) {
  if (IsEmpty(value)) return absl::OkStatus();
  if (IsArray(value.type)) {
    std::vector<Value> items;
    SplitArray(value, &items);
    if (items.size() > 1) {
      *has_array = true;
      return Append(tree_, {.value = value}, out);
    }
    if (items.empty() || IsEmpty(items.front())) return absl::OkStatus();
    return Append(tree_, {.value = items.front()}, out);
  }
  if (value.type != ValueType::kBinaryXml) return Append(tree_, {.value = value}, out);
  if (in_attribute) return absl::DataLossError("an attribute's value is a fragment");
  const auto begin = static_cast<size_t>(value.bytes.data() - chunk_.data());
  FragmentParser parser(*this, tree_, false, depth + 1,
                        chunk_.substr(0, begin + value.bytes.size()), begin);
  return parser.Parse(out);
}

uint32_t BinaryXmlReader::FindArray(const XmlElement& element) const {
  const auto find = [this](uint32_t first) {
    for (uint32_t i = first; i != kNone; i = tree_.contents[i].next) {
      const XmlContent& content = tree_.contents[i];
      if (content.kind == XmlContent::Kind::kValue && IsArray(content.value.type)) return i;
    }
    return kNone;
  };
  if (const uint32_t found = find(element.first_child); found != kNone) return found;
  for (uint32_t i = element.first_attribute; i != kNone; i = tree_.attributes[i].next) {
    if (const uint32_t found = find(tree_.attributes[i].first_content); found != kNone) {
      return found;
    }
  }
  return kNone;
}

// The element is repeated for each item of its first array (MS-EVEN6 3.1.4.7.5), and each of these
// for those of the next.
absl::Status BinaryXmlReader::SpreadArrays(uint32_t element, ContentList& out) {
  const uint32_t array = FindArray(tree_.elements[element]);
  if (array == kNone) {
    return Append(tree_, {.kind = XmlContent::Kind::kElement, .index = element}, out);
  }
  std::vector<Value> items;
  SplitArray(tree_.contents[array].value, &items);
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(const uint32_t clone, CloneWith(element, array, item));
    RETURN_IF_ERROR(SpreadArrays(clone, out));
  }
  return absl::OkStatus();
}

// Returns a copy of an element of the tree, with `value` in the place of one of its contents.
// Children that are elements are shared.
absl::StatusOr<uint32_t> BinaryXmlReader::CloneWith(uint32_t element, uint32_t replaced,
                                                    const Value& value) {
  const XmlElement from = tree_.elements[element];
  const auto clone = static_cast<uint32_t>(tree_.elements.size());
  tree_.elements.push_back({.name = from.name});
  uint32_t last = kNone;
  for (uint32_t i = from.first_attribute; i != kNone; i = tree_.attributes[i].next) {
    ContentList contents;
    RETURN_IF_ERROR(CloneContents(tree_.attributes[i].first_content, replaced, value, contents));
    const auto copy = static_cast<uint32_t>(tree_.attributes.size());
    tree_.attributes.push_back({.name = tree_.attributes[i].name, .first_content = contents.first});
    if (last == kNone) {
      tree_.elements[clone].first_attribute = copy;
    } else {
      tree_.attributes[last].next = copy;
    }
    last = copy;
  }
  ContentList children;
  RETURN_IF_ERROR(CloneContents(from.first_child, replaced, value, children));
  tree_.elements[clone].first_child = children.first;
  return clone;
}

absl::Status BinaryXmlReader::CloneContents(uint32_t first, uint32_t replaced, const Value& value,
                                            ContentList& out) {
  for (uint32_t i = first; i != kNone; i = tree_.contents[i].next) {
    XmlContent content = tree_.contents[i];
    if (i == replaced) {
      if (IsEmpty(value)) continue;
      content.value = value;
    }
    RETURN_IF_ERROR(Append(tree_, content, out));
  }
  return absl::OkStatus();
}

}  // namespace weir::evtx
