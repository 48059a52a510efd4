#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

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
        const std::string child_path = path.empty() ? key : path + "." + key;
        fields_[child_path];
        Read(child, child_path);
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

  std::deque<std::string> texts_;
  std::map<std::string, Field, std::less<>> fields_;
  std::vector<ScalarValue> strings_;
};

}  // namespace weir::sigma
