#include "operators/formats/evtx/internal/event_writer.h"

#include "operators/formats/evtx/internal/value_text.h"
#include "runtime/base/strings.h"

namespace weir::evtx {
namespace {

bool IsElement(const XmlContent& content) { return content.kind == XmlContent::Kind::kElement; }

bool HasContent(const XmlContent& content) {
  if (content.kind == XmlContent::Kind::kText) return !content.value.bytes.empty();
  return content.kind == XmlContent::Kind::kValue && !IsEmpty(content.value);
}

bool IsDataContainer(std::string_view name) { return name == "EventData" || name == "UserData"; }

void AppendContent(const XmlContent& content, std::string* out) {
  if (content.kind == XmlContent::Kind::kText) {
    AppendUtf8AsJson(content.value.bytes, out);
  } else {
    AppendValueText(content.value, out);
  }
}

}  // namespace

bool EventWriter::AppendJson(const XmlTree& tree, std::string* out) {
  tree_ = &tree;
  out_ = out;
  begin_ = out->size();
  const XmlElement& root = tree.elements[tree.root];
  out_->push_back('{');
  WriteKey(root.name);
  WriteElement(root, false);
  out_->push_back('}');
  return !TooLong();
}

bool EventWriter::AppendFlat(const XmlTree& tree, std::string* out) {
  tree_ = &tree;
  out_ = out;
  begin_ = out->size();
  BeginFields();
  CollectEvent(tree.elements[tree.root]);
  LinkFields();
  out_->push_back('{');
  WriteFields(true);
  out_->push_back('}');
  return !TooLong();
}

bool EventWriter::HasText(uint32_t first_content) const {
  for (uint32_t i = first_content; i != kNone; i = tree_->contents[i].next) {
    if (!IsElement(tree_->contents[i]) && HasContent(tree_->contents[i])) return true;
  }
  return false;
}

bool EventWriter::HasElement(uint32_t first_content) const {
  for (uint32_t i = first_content; i != kNone; i = tree_->contents[i].next) {
    if (IsElement(tree_->contents[i])) return true;
  }
  return false;
}

void EventWriter::WriteKey(std::string_view name, uint32_t suffix) {
  out_->push_back('"');
  AppendUtf8AsJson(name, out_);
  if (suffix > 0) StrAppend(out_, "_", suffix);
  out_->append("\":");
}

void EventWriter::WriteText(uint32_t first_content) {
  for (uint32_t i = first_content; i != kNone; i = tree_->contents[i].next) {
    if (TooLong()) return;
    if (!IsElement(tree_->contents[i])) AppendContent(tree_->contents[i], out_);
  }
}

// A number stays one if it is all there is; anything else becomes one string.
void EventWriter::WriteScalar(uint32_t first_content) {
  const XmlContent* single = nullptr;
  bool several = false;
  for (uint32_t i = first_content; i != kNone; i = tree_->contents[i].next) {
    const XmlContent& content = tree_->contents[i];
    if (IsElement(content) || !HasContent(content)) continue;
    several = several || single != nullptr;
    single = &content;
  }
  if (single != nullptr && !several && single->kind == XmlContent::Kind::kValue &&
      AppendNumber(single->value, out_)) {
    return;
  }
  out_->push_back('"');
  WriteText(first_content);
  out_->push_back('"');
}

void EventWriter::WriteElement(const XmlElement& element, bool is_container) {
  if (TooLong()) return;
  const bool has_text = HasText(element.first_child);
  const bool has_element = HasElement(element.first_child);
  bool has_attribute = false;
  for (uint32_t i = element.first_attribute; i != kNone; i = tree_->attributes[i].next) {
    has_attribute = has_attribute || HasText(tree_->attributes[i].first_content);
  }
  if (has_element || has_attribute) return WriteBody(element, is_container, has_text);
  if (has_text) return WriteScalar(element.first_child);
  out_->append("null");
}

void EventWriter::WriteBody(const XmlElement& element, bool is_container, bool has_text) {
  out_->push_back('{');
  bool first = !WriteAttributes(element);
  if (has_text) {
    if (!first) out_->push_back(',');
    first = false;
    out_->append("\"#text\":");
    WriteScalar(element.first_child);
  }
  WriteChildren(element, is_container, first);
  out_->push_back('}');
}

bool EventWriter::WriteAttributes(const XmlElement& element) {
  bool any = false;
  for (uint32_t i = element.first_attribute; i != kNone; i = tree_->attributes[i].next) {
    const XmlAttribute& attribute = tree_->attributes[i];
    if (!HasText(attribute.first_content)) continue;
    out_->append(any ? "," : "\"#attributes\":{");
    any = true;
    WriteKey(attribute.name);
    WriteScalar(attribute.first_content);
  }
  if (any) out_->push_back('}');
  return any;
}

bool EventWriter::HasNamedData(const XmlElement& element) const {
  for (uint32_t i = element.first_child; i != kNone; i = tree_->contents[i].next) {
    if (!IsElement(tree_->contents[i])) continue;
    const XmlElement& child = tree_->elements[tree_->contents[i].index];
    if (child.name != "Data") continue;
    for (uint32_t a = child.first_attribute; a != kNone; a = tree_->attributes[a].next) {
      if (tree_->attributes[a].name == "Name" && HasText(tree_->attributes[a].first_content)) {
        return true;
      }
    }
  }
  return false;
}

void EventWriter::WriteChildren(const XmlElement& element, bool is_container, bool first) {
  const bool has_named_data = is_container && HasNamedData(element);
  if (has_named_data) {
    BeginFields();
    CollectNamedData(element);
    LinkFields();
    if (WriteFields(first)) first = false;
  }
  bool wrote_data = has_named_data;
  absl::flat_hash_map<std::string_view, uint32_t> counts;
  for (uint32_t i = element.first_child; i != kNone; i = tree_->contents[i].next) {
    if (!IsElement(tree_->contents[i])) continue;
    const XmlElement& child = tree_->elements[tree_->contents[i].index];
    const bool is_data = is_container && child.name == "Data";
    if (is_data && wrote_data) continue;
    if (!first) out_->push_back(',');
    first = false;
    if (is_data) {
      WriteUnnamedData(element);
      wrote_data = true;
      continue;
    }
    WriteKey(child.name, counts[child.name]++);
    WriteElement(child, IsDataContainer(child.name) && !in_fields_);
    if (TooLong()) return;
  }
}

void EventWriter::WriteUnnamedData(const XmlElement& element) {
  BeginFields();
  for (uint32_t i = element.first_child; i != kNone; i = tree_->contents[i].next) {
    if (!IsElement(tree_->contents[i])) continue;
    const XmlElement& child = tree_->elements[tree_->contents[i].index];
    if (child.name == "Data") AddField("", "#text", child.first_child, true);
  }
  LinkFields();
  out_->append("\"Data\":{");
  WriteFields(true);
  out_->push_back('}');
}

void EventWriter::BeginFields() {
  names_.clear();
  fields_.clear();
  by_name_.clear();
}

void EventWriter::AddField(std::string_view prefix, std::string_view name, uint32_t content,
                           bool empty_is_text) {
  Field field;
  field.name_begin = names_.size();
  if (!prefix.empty()) {
    AppendUtf8AsJson(prefix, &names_);
    names_.push_back('_');
  }
  AppendUtf8AsJson(name, &names_);
  field.name_size = names_.size() - field.name_begin;
  field.content = content;
  field.empty_is_text = empty_is_text;
  fields_.push_back(field);
}

void EventWriter::AddFieldNamedBy(uint32_t name_content, uint32_t content) {
  Field field;
  field.name_begin = names_.size();
  for (uint32_t i = name_content; i != kNone; i = tree_->contents[i].next) {
    AppendContent(tree_->contents[i], &names_);
  }
  field.name_size = names_.size() - field.name_begin;
  field.content = content;
  field.empty_is_text = true;
  fields_.push_back(field);
}

// Rules write "Threat Name" as ThreatName.
void EventWriter::AddWithoutSpaces(size_t field) {
  Field copy = fields_[field];
  if (NameOf(copy).find(' ') == std::string_view::npos) return;
  const size_t begin = names_.size();
  for (size_t i = 0; i < copy.name_size; ++i) {
    const char c = names_[copy.name_begin + i];
    if (c != ' ') names_.push_back(c);
  }
  copy.name_begin = begin;
  copy.name_size = names_.size() - begin;
  fields_.push_back(copy);
}

void EventWriter::LinkFields() {
  absl::flat_hash_map<std::string_view, uint32_t>& last_of_name = by_name_;
  for (uint32_t i = 0; i < fields_.size(); ++i) {
    const auto [found, added] = last_of_name.try_emplace(NameOf(fields_[i]), i);
    if (added) continue;
    fields_[i].is_repeated = true;
    fields_[found->second].next_of_name = i;
    found->second = i;
  }
}

bool EventWriter::WriteFields(bool first) {
  in_fields_ = true;
  bool any = false;
  for (const Field& field : fields_) {
    if (field.is_repeated) continue;
    if (TooLong()) break;
    if (any || !first) out_->push_back(',');
    any = true;
    out_->push_back('"');
    out_->append(NameOf(field));
    out_->append("\":");
    WriteFieldsOfName(field);
  }
  in_fields_ = false;
  return any;
}

void EventWriter::WriteFieldsOfName(const Field& field) {
  if (field.next_of_name == kNone) return WriteFieldValue(field);
  out_->push_back('[');
  WriteFieldValue(field);
  for (uint32_t i = field.next_of_name; i != kNone; i = fields_[i].next_of_name) {
    out_->push_back(',');
    WriteFieldValue(fields_[i]);
  }
  out_->push_back(']');
}

void EventWriter::WriteFieldValue(const Field& field) {
  if (TooLong()) return;
  if (HasElement(field.content)) {
    // Data that holds elements keeps their shape.
    return WriteBody({.name = "Data", .first_child = field.content}, false, HasText(field.content));
  }
  if (HasText(field.content)) return WriteScalar(field.content);
  out_->append(field.empty_is_text ? "\"\"" : "null");
}

void EventWriter::CollectNamedData(const XmlElement& container) {
  for (uint32_t i = container.first_child; i != kNone; i = tree_->contents[i].next) {
    if (!IsElement(tree_->contents[i])) continue;
    const XmlElement& child = tree_->elements[tree_->contents[i].index];
    if (child.name != "Data") continue;
    for (uint32_t a = child.first_attribute; a != kNone; a = tree_->attributes[a].next) {
      const XmlAttribute& attribute = tree_->attributes[a];
      if (attribute.name != "Name" || !HasText(attribute.first_content)) continue;
      AddFieldNamedBy(attribute.first_content, child.first_child);
      break;
    }
  }
}

void EventWriter::CollectEvent(const XmlElement& event) {
  for (uint32_t i = event.first_child; i != kNone; i = tree_->contents[i].next) {
    if (!IsElement(tree_->contents[i])) continue;
    const XmlElement& part = tree_->elements[tree_->contents[i].index];
    if (part.name == "System") {
      CollectSystem(part);
    } else if (IsDataContainer(part.name)) {
      CollectData(part, "");
    } else {
      // The rendered texts of a forwarded event have the names of its numbers: Level, Task.
      CollectData(part, part.name);
    }
  }
}

void EventWriter::CollectSystem(const XmlElement& system) {
  for (uint32_t i = system.first_child; i != kNone; i = tree_->contents[i].next) {
    if (!IsElement(tree_->contents[i])) continue;
    const XmlElement& child = tree_->elements[tree_->contents[i].index];
    CollectAttributes(child, child.name);
    if (HasText(child.first_child)) AddField("", child.name, child.first_child, false);
  }
}

void EventWriter::CollectAttributes(const XmlElement& element, std::string_view prefix) {
  for (uint32_t i = element.first_attribute; i != kNone; i = tree_->attributes[i].next) {
    const XmlAttribute& attribute = tree_->attributes[i];
    if (attribute.name == "xmlns" || !HasText(attribute.first_content)) continue;
    AddField(prefix, attribute.name, attribute.first_content, false);
  }
}

void EventWriter::CollectData(const XmlElement& container, std::string_view prefix) {
  if (fields_.size() > 1 << 16) return;  // Elements may be shared: see XmlTree.
  const size_t first_named = fields_.size();
  CollectNamedData(container);
  const size_t end_of_named = fields_.size();
  for (size_t i = first_named; i < end_of_named; ++i) AddWithoutSpaces(i);
  for (uint32_t i = container.first_child; i != kNone; i = tree_->contents[i].next) {
    if (!IsElement(tree_->contents[i])) continue;
    const XmlElement& child = tree_->elements[tree_->contents[i].index];
    const bool is_data = child.name == "Data";
    if (is_data && end_of_named > first_named) continue;
    if (!is_data) CollectAttributes(child, child.name);
    if (HasElement(child.first_child)) {
      CollectData(child, prefix);
    } else if (is_data || HasText(child.first_child) || child.first_attribute == kNone) {
      AddField(prefix, child.name, child.first_child, is_data);
    }
  }
}

}  // namespace weir::evtx
