#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/sigma/engine/event_mapping.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "jobs/sigma/engine/predicate.h"
#include "jobs/sigma/engine/rule.h"
#include "nlohmann/json.hpp"

namespace weir::sigma {

/// Evaluates a rule's formula test by test on an event parsed by another JSON library: no index, no
/// sharing, no state. What the Matcher must agree with.
class NaiveMatcher {
 public:
  explicit NaiveMatcher(std::string_view event) { Read(nlohmann::json::parse(event), ""); }

  /// Finds `fields`, all those that rules use, where `mapping` tells too.
  NaiveMatcher(std::string_view event, const EventMapping& mapping,
               const std::set<std::string>& fields)
      : mapping_(&mapping) {
    for (const std::string& field : fields) {
      Place(field, field);
      std::vector<std::string> plain = {field};
      for (const FieldAlias& alias : mapping.fields) {
        if (alias.field != field) continue;
        for (const std::string& path : alias.paths) {
          Place(path, field);
          if (path.find('.') == std::string::npos) plain.push_back(path);
        }
      }
      for (const std::string& prefix : mapping.prefixes) {
        for (const std::string& name : plain) Place(prefix + "." + name, field);
      }
    }
    for (const NameValueList& list : mapping.lists) Place(list.path, "");
    ReadMapped(nlohmann::json::parse(event), {}, /*is_top=*/true);
  }

  /// Whether the rule's log source is one that the event shows, or one that no test knows.
  bool Meets(const LogSource& source, const EventMapping& mapping) const {
    bool shows_any = false;
    bool known = false;
    bool met = false;
    for (const LogSourceTest& test : mapping.log_sources) {
      const bool shown = Holds(test.condition);
      const bool accepted = source != LogSource{} && source.Accepts(test.log_source);
      shows_any = shows_any || shown;
      known = known || accepted;
      met = met || (shown && accepted);
    }
    return !shows_any || !known || met;
  }

  bool Holds(const Expression& expression) const {
    const auto holds = [this](const Expression& child) { return Holds(child); };
    const auto& children = expression.children;
    switch (expression.kind) {
      case Expression::Kind::kTest:
        return Passes(*expression.predicate);
      case Expression::Kind::kAnd:
        return std::all_of(children.begin(), children.end(), holds);
      case Expression::Kind::kOr:
        return std::any_of(children.begin(), children.end(), holds);
      case Expression::Kind::kNot:
        return !Holds(children.front());
      case Expression::Kind::kAtLeast:
        return std::count_if(children.begin(), children.end(), holds) >= expression.count;
    }
    return false;
  }

 private:
  struct Field {
    bool has_null = false;
    std::vector<ScalarValue> values;
  };

  std::string_view Keep(std::string text) { return texts_.emplace_back(std::move(text)); }

  void Add(Field& field, const std::string& text, bool is_string) {
    const ScalarValue value{Keep(text), Keep(FoldCase(text)), is_string};
    field.values.push_back(value);
    if (is_string) strings_.push_back(value);
  }

  void Read(const nlohmann::json& value, const std::string& path) {
    if (value.is_object()) {
      for (const auto& [key, child] : value.items()) {
        const std::string below = path.empty() ? "" : path + ".";
        std::string compact = key;
        std::erase(compact, ' ');
        fields_[below + key];
        Read(child, below + key);
        if (compact == key) continue;
        fields_[below + compact];
        Read(child, below + compact);
      }
      return;
    }
    if (value.is_array()) {
      for (const auto& child : value) Read(child, path);
      return;
    }
    Field& field = fields_[path];
    if (value.is_null()) {
      field.has_null = true;
    } else if (value.is_string()) {
      Add(field, value.get<std::string>(), true);
    } else {
      Add(field, value.dump(), false);
      if (value.is_number_float()) Add(field, CanonicalNumber(value.dump()), false);
    }
  }

  // Notes that `path` holds `field` (none if empty), and that its parts lead somewhere.
  void Place(const std::string& path, const std::string& field) {
    for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
      fields_of_path_[path.substr(0, dot)];
    }
    std::set<std::string>& fields = fields_of_path_[path];
    if (!field.empty()) fields.insert(field);
  }

  void AddScalar(const nlohmann::json& value, const std::set<std::string>& fields) {
    if (value.is_string()) strings_.push_back(Scalar(value.get<std::string>(), true));
    for (const std::string& name : fields) {
      Field& field = fields_[name];
      if (value.is_null()) {
        field.has_null = true;
        continue;
      }
      const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
      field.values.push_back(Scalar(text, value.is_string()));
      if (value.is_number_float()) field.values.push_back(Scalar(CanonicalNumber(text), false));
    }
  }

  ScalarValue Scalar(const std::string& text, bool is_string) {
    return {Keep(text), Keep(FoldCase(text)), is_string};
  }

  using Paths = std::set<std::string>;  // All that a value fits; of those in fields_of_path_.

  // `is_leaf`: objects here are no way to further paths.
  void ReadMapped(const nlohmann::json& value, const Paths& paths, bool is_top = false,
                  bool is_leaf = false) {
    std::set<std::string> fields;
    for (const std::string& path : paths) {
      const std::set<std::string>& here = fields_of_path_.at(path);
      fields.insert(here.begin(), here.end());
    }
    for (const std::string& field : fields) fields_[field];
    if (value.is_array()) {
      for (const auto& child : value) ReadMapped(child, paths, false, is_leaf);
      return;
    }
    if (!value.is_object()) {
      AddScalar(value, fields);
      return;
    }
    const NameValueList* list = nullptr;
    for (const NameValueList& one : mapping_->lists) {
      // Of several at one path, the one whose name the object has.
      if (!paths.contains(one.path)) continue;
      if (list == nullptr || value.contains(one.name_key)) list = &one;
    }
    if (list != nullptr) {
      ReadNameValue(value, paths, *list);
      return;
    }
    for (const auto& [key, child] : value.items()) {
      ReadMapped(child, is_leaf ? Paths() : PathsBelow(paths, is_top, key));
    }
  }

  // Returns all names of paths that `key` fits: `*` may stand for any of its parts.
  static std::set<std::string> FormsOf(const std::string& key) {
    const size_t dot = key.find('.');
    std::set<std::string> forms;
    for (const std::string& first : {key.substr(0, dot), std::string("*")}) {
      if (dot == std::string::npos) {
        forms.insert(first);
        continue;
      }
      for (const std::string& rest : FormsOf(key.substr(dot + 1))) forms.insert(first + "." + rest);
    }
    return forms;
  }

  // Returns under which paths `key` is known below `paths`.
  Paths PathsBelow(const Paths& paths, bool is_top, const std::string& key) const {
    Paths below;
    std::string compact = key;
    std::erase(compact, ' ');
    for (const std::string& spelling : {key, compact}) {
      for (const std::string& name : FormsOf(spelling)) {
        if (is_top && fields_of_path_.contains(name)) below.insert(name);
        for (const std::string& path : paths) {
          if (fields_of_path_.contains(path + "." + name)) below.insert(path + "." + name);
        }
      }
    }
    return below;
  }

  void ReadNameValue(const nlohmann::json& object, const Paths& paths, const NameValueList& list) {
    const bool named = object.contains(list.name_key) && object[list.name_key].is_string();
    for (const auto& [key, child] : object.items()) {
      if (named && key == list.name_key) {
        ReadMapped(child, Paths());
      } else if (named && key == list.value_key) {
        ReadMapped(child, PathsBelow({}, true, object[list.name_key].get<std::string>()), false,
                   /*is_leaf=*/true);
      } else {
        ReadMapped(child, PathsBelow(paths, false, key), false, /*is_leaf=*/true);
      }
    }
  }

  bool Passes(const Predicate& predicate) const {
    const auto passes = [&](const ScalarValue& value) { return PassesTest(predicate, value); };
    if (predicate.IsKeyword()) return std::any_of(strings_.begin(), strings_.end(), passes);
    const auto found = fields_.find(predicate.field);
    const bool present = found != fields_.end();
    if (predicate.test == Test::kExists) return present;
    if (predicate.test == Test::kNull)
      return !present || found->second.has_null || found->second.values.empty();
    if (!present) return false;
    if (predicate.test != Test::kFieldRef) {
      return std::any_of(found->second.values.begin(), found->second.values.end(), passes);
    }
    const auto other = fields_.find(predicate.other_field);
    if (other == fields_.end()) return false;
    for (const ScalarValue& value : found->second.values) {
      for (const ScalarValue& operand : other->second.values) {
        if (predicate.cased ? PassesRelation(predicate.relation, value.text, operand.text)
                            : PassesRelation(predicate.relation, value.folded, operand.folded)) {
          return true;
        }
      }
    }
    return false;
  }

  const EventMapping* mapping_ = nullptr;
  std::map<std::string, std::set<std::string>> fields_of_path_;
  std::deque<std::string> texts_;
  std::map<std::string, Field, std::less<>> fields_;
  std::vector<ScalarValue> strings_;
};

}  // namespace weir::sigma
