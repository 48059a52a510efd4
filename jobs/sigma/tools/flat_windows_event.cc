#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/sigma/tools/event_reader.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/strings.h"
#include "simdjson.h"

namespace weir::sigma {
namespace {

namespace dom = simdjson::dom;

/// Gathers the fields of an event in the shape of EVTX dumps, by the rules of
/// EvtxReader::AppendFlat.
class Flattener {
 public:
  void AddEvent(dom::object event) {
    for (const dom::key_value_pair part : event) {
      dom::object members;
      if (part.key == "#attributes") continue;
      if (part.value.get_object().get(members) != simdjson::SUCCESS) continue;
      if (part.key == "System") {
        AddSystem(members);
      } else {
        const bool is_data = part.key == "EventData" || part.key == "UserData";
        AddData(members, is_data ? std::string_view() : part.key);
      }
    }
  }

  void Write(std::string* out) const {
    JsonWriter json(out);
    json.BeginObject();
    for (const std::string& name : names_) {
      const std::vector<dom::element>& values = values_.at(name);
      json.Key(name);
      if (values.size() > 1) json.BeginArray();
      for (const dom::element& value : values) json.Raw(simdjson::minify(value));
      if (values.size() > 1) json.EndArray();
    }
    json.EndObject();
  }

 private:
  void Add(std::string_view prefix, std::string_view name, dom::element value) {
    std::string key = prefix.empty() ? std::string(name) : StrCat(prefix, "_", name);
    const auto [entry, added] = values_.try_emplace(std::move(key));
    if (added) names_.push_back(entry->first);
    dom::array items;
    if (value.get_array().get(items) != simdjson::SUCCESS) {
      entry->second.push_back(value);
      return;
    }
    for (const dom::element item : items) entry->second.push_back(item);
    if (entry->second.empty()) entry->second.push_back(value);
  }

  void AddAttributes(std::string_view prefix, dom::element attributes) {
    dom::object members;
    if (attributes.get_object().get(members) != simdjson::SUCCESS) return;
    for (const dom::key_value_pair attribute : members) {
      if (attribute.key != "xmlns") Add(prefix, attribute.key, attribute.value);
    }
  }

  void AddSystem(dom::object system) {
    for (const dom::key_value_pair child : system) {
      if (child.value.is_null()) continue;
      dom::object parts;
      if (child.value.get_object().get(parts) != simdjson::SUCCESS) {
        Add("", child.key, child.value);
        continue;
      }
      for (const dom::key_value_pair part : parts) {
        if (part.key == "#attributes") AddAttributes(child.key, part.value);
        if (part.key == "#text") Add("", child.key, part.value);
      }
    }
  }

  void AddData(dom::object data, std::string_view prefix) {
    for (const dom::key_value_pair child : data) {
      if (child.key == "#attributes" || child.key == "#text") continue;
      dom::object members;
      if (child.value.get_object().get(members) == simdjson::SUCCESS) {
        for (const dom::key_value_pair part : members) {
          if (part.key == "#attributes") AddAttributes(child.key, part.value);
          if (part.key == "#text") Add(prefix, child.key, part.value);
        }
        AddData(members, prefix);
        continue;
      }
      Add(prefix, child.key, child.value);
      if (child.key.find(' ') != std::string_view::npos) {  // Rules write ThreatName.
        std::string name(child.key);
        std::erase(name, ' ');
        Add(prefix, name, child.value);
      }
    }
  }

  std::vector<std::string> names_;  // In their order.
  std::map<std::string, std::vector<dom::element>> values_;
};

// A cheap look that spares all other events the parsing.
bool LooksLikeDump(std::string_view json) {
  const auto skip_spaces = [&json] {
    const size_t begin = json.find_first_not_of(" \t\r\n");
    json.remove_prefix(begin == json.npos ? json.size() : begin);
  };
  skip_spaces();
  if (!json.starts_with('{')) return false;
  json.remove_prefix(1);
  skip_spaces();
  return json.starts_with("\"Event\"");
}

}  // namespace

bool AppendFlatWindowsEvent(std::string_view json, std::string* out) {
  if (!LooksLikeDump(json)) return false;
  dom::parser parser;
  dom::object event;
  dom::object system;
  const simdjson::padded_string padded(json);
  if (parser.parse(padded)["Event"].get_object().get(event) != simdjson::SUCCESS) return false;
  if (event["System"].get_object().get(system) != simdjson::SUCCESS) return false;
  Flattener flattener;
  flattener.AddEvent(event);
  flattener.Write(out);
  return true;
}

}  // namespace weir::sigma
