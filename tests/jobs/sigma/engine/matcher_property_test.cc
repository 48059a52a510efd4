#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/event_fields.h"
#include "jobs/sigma/engine/explanation.h"
#include "jobs/sigma/engine/layered_rules.h"
#include "jobs/sigma/engine/matcher.h"
#include "jobs/sigma/engine/pipeline.h"
#include "nlohmann/json.hpp"
#include "tests/jobs/sigma/engine/naive_matcher.h"

namespace weir::sigma {
namespace {

// Draws small rules and events over the same few fields and letters, so that both outcomes are
// common.
class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  std::string Rule(int id) {
    std::string yaml = "title: t\nid: r" + std::to_string(id) + "\nlogsource: " + LogSourceText() +
                       "\ndetection:\n";
    const size_t selections = 1 + Below(4);
    for (size_t i = 0; i < selections; ++i)
      yaml += "  s" + std::to_string(i) + ": " + Selection() + "\n";
    return yaml + "  condition: " + Condition(selections, 0) + "\n";
  }

  std::string Event() {
    nlohmann::json event = nlohmann::json::object();
    for (size_t n = Below(6); n > 0; --n) event[Pick(kKeys)] = Value(0);
    return event.dump();
  }

 private:
  static inline const std::vector<std::string> kFields = {"a", "b", "a.c", "a.c.d", "e.f", "N"};
  static inline const std::vector<std::string> kKeys = {"a",   "b", "c", "a.c",  "e",
                                                        "e.f", "N", "f", "a .c", " b"};
  static inline const std::vector<std::string> kModifiers = {"",
                                                             "",
                                                             "|contains",
                                                             "|contains",
                                                             "|startswith",
                                                             "|endswith",
                                                             "|contains|all",
                                                             "|cased",
                                                             "|re",
                                                             "|re|i",
                                                             "|contains|cased",
                                                             "|neq",
                                                             "|cidr",
                                                             "|lt",
                                                             "|gte",
                                                             "|exists",
                                                             "|fieldref",
                                                             "|fieldref|contains",
                                                             "|windash|contains",
                                                             "|startswith|cased",
                                                             "|hour|gte",
                                                             "|day",
                                                             "|re|startswith",
                                                             "|contains|neq"};

  size_t Below(size_t n) { return random_() % n; }
  const std::string& Pick(const std::vector<std::string>& list) { return list[Below(list.size())]; }

  std::string Text(std::string_view alphabet, size_t least, size_t most) {
    std::string text;
    for (size_t n = least + Below(most - least + 1); n > 0; --n)
      text.push_back(alphabet[Below(alphabet.size())]);
    return text;
  }

  // Returns a value in single quotes, or a bare one, that suits `modifier`.
  std::string Operand(const std::string& modifier) {
    if (modifier.starts_with("|re")) {
      static const std::vector<std::string> kExpressions = {
          "'ab+'", "'^a'", "'B$'", "'abA|bab'", "'a.b'", "'(ab|ba)a'", "'k'"};
      return Pick(kExpressions);
    }
    if (modifier == "|hour|gte") return std::to_string(Below(24));
    if (modifier == "|day") return std::to_string(1 + Below(3));
    if (modifier == "|cidr") return Below(2) == 0 ? "10.0.0.0/8" : "10.1.0.0/16";
    if (modifier == "|lt" || modifier == "|gte") return std::to_string(Below(5));
    if (modifier == "|exists") return Below(2) == 0 ? "true" : "false";
    if (modifier.starts_with("|fieldref")) return Pick(kFields);
    if (modifier.empty() && Below(8) == 0) return "null";
    if (modifier.empty() && Below(5) == 0) return std::to_string(Below(5));
    return "'" + Text(R"(abABab*?\-)", modifier.empty() || modifier == "|neq" ? 0 : 1, 4) + "'";
  }

  // Some rules are for every log source, some for one that no test knows.
  std::string LogSourceText() {
    static const std::vector<std::string> kSources = {"{}",
                                                      "{}",
                                                      "{product: p}",
                                                      "{product: p, category: c}",
                                                      "{category: c}",
                                                      "{product: q, service: s}",
                                                      "{product: unknown}"};
    return Pick(kSources);
  }

  std::string Line() {
    const std::string& modifier = Pick(kModifiers);
    std::string list = Operand(modifier);
    for (size_t n = Below(3); n > 0; --n) list += ", " + Operand(modifier);
    return "'" + Pick(kFields) + modifier + "': [" + list + "]";
  }

  std::string Map() {
    const std::string first = Line();
    const std::string second = Line();
    const bool one_key = first.substr(0, first.find(':')) == second.substr(0, second.find(':'));
    return one_key || Below(2) == 0 ? "{" + first + "}" : "{" + first + ", " + second + "}";
  }

  std::string Keyword() { return "'" + Text(R"(abAB*\)", 1, 4) + "'"; }

  std::string Selection() {
    switch (Below(6)) {
      case 0:
        return "[" + Keyword() + ", " + Keyword() + "]";
      case 1:
        return "[" + Map() + ", " + Map() + "]";
      case 2:
        return Below(2) == 0 ? "{'|all': [" + Keyword() + ", " + Keyword() + "]}"
                             : "{'|re': 'a[Bb]b'}";
      default:
        return Map();
    }
  }

  std::string Condition(size_t selections, int depth) {
    const size_t choice = Below(depth < 3 ? 9 : 2);
    if (choice < 2) return "s" + std::to_string(Below(selections));
    if (choice == 2) return Below(2) == 0 ? "1 of them" : "all of s*";
    if (choice == 3 && selections >= 2) return "2 of them";
    if (choice <= 5) return "not (" + Condition(selections, depth + 1) + ")";
    const char* const word = choice <= 7 ? " and " : " or ";
    return "(" + Condition(selections, depth + 1) + word + Condition(selections, depth + 1) + ")";
  }

  nlohmann::json Value(int depth) {
    switch (Below(depth < 3 ? 12 : 7)) {
      case 0:
        return Below(5);
      case 1:
        return static_cast<double>(Below(10)) / 2;
      case 2:
        if (Below(4) == 0)
          return "2024-05-0" + std::to_string(1 + Below(3)) + "T1" + std::to_string(Below(10)) +
                 ":00:00Z";
        return Below(3) == 0 ? nlohmann::json(nullptr) : nlohmann::json(Below(2) == 0);
      case 3:
        return "10." + std::to_string(Below(3)) + ".0.1";
      case 7: {
        nlohmann::json array = nlohmann::json::array();
        for (size_t n = Below(3); n > 0; --n) array.push_back(Value(depth + 1));
        return array;
      }
      case 8:
      case 9: {
        nlohmann::json object = nlohmann::json::object();
        static const std::vector<std::string> kInner = {"c", "d", "c.d", "f"};
        for (size_t n = Below(3); n > 0; --n) object[Pick(kInner)] = Value(depth + 1);
        return object;
      }
      default:
        return Text("abABab\\*-\n", 0, 8);
    }
  }

  std::mt19937 random_;
};

// Keys of events for which kMapping has other places.
const char* const kMappingYaml = R"(
event_fields:
  below: [w, 'e.*', e]
  names:
    a: [b, x.y, 'x.*.z']
    a.c: [f]
    N: [M, w.N2, a.c]
  lists:
    - {path: L, name: n, value: v}
    - {path: x.L, name: n, value: v}
event_log_sources:
  - logsource: {product: p, category: c}
    when: {N: 1}
  - logsource: {product: p}
    when: [{N|exists: true}, {a|contains: ab}]
  - logsource: {product: q, service: s}
    when: {a|contains: b}
)";

nlohmann::json MappedEvent(std::mt19937& random) {
  static const std::vector<std::string> kKeys = {"a", "b",   "c", "w", "e", "x",   "y", "z",
                                                 "N", "a.c", "L", "M", "f", "x.y", " a"};
  const std::function<nlohmann::json(int)> value = [&](int depth) -> nlohmann::json {
    switch (random() % (depth < 4 ? 9u : 5u)) {
      case 0:
        return random() % 3;
      case 1:
        return nullptr;
      case 2:
      case 3:
      case 4:
        return std::string(random() % 2 == 0 ? "ab" : "B") + (random() % 2 == 0 ? "a" : "");
      case 5: {
        nlohmann::json array = nlohmann::json::array();
        for (size_t n = random() % 3; n > 0; --n) array.push_back(value(depth + 1));
        return array;
      }
      case 6: {
        nlohmann::json pair = {{"n", kKeys[random() % kKeys.size()]}};
        pair[random() % 4 == 0 ? "k" : "v"] =
            random() % 2 == 0 ? nlohmann::json("ab") : nlohmann::json(random() % 3);
        return pair;
      }
      default: {
        nlohmann::json object = nlohmann::json::object();
        for (size_t n = 1 + random() % 3; n > 0; --n) {
          object[kKeys[random() % kKeys.size()]] = value(depth + 1);
        }
        return object;
      }
    }
  };
  nlohmann::json event = nlohmann::json::object();
  for (size_t n = 1 + random() % 4; n > 0; --n) event[kKeys[random() % kKeys.size()]] = value(1);
  return event;
}

void CollectFields(const Expression& expression, std::set<std::string>& fields) {
  if (expression.kind == Expression::Kind::kTest) {
    fields.insert(expression.predicate->field);
    if (!expression.predicate->other_field.empty()) {
      fields.insert(expression.predicate->other_field);
    }
  }
  for (const Expression& child : expression.children) CollectFields(child, fields);
}

unsigned Seed() {
  const char* const given = std::getenv("WEIR_TEST_SEED");
  return given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10))
                          : std::random_device{}();
}

TEST(MatcherPropertyTest, FindsWhatEvaluatingEveryRuleFinds) {
  const unsigned seed = Seed();
  std::printf("seed %u, set WEIR_TEST_SEED to repeat\n", seed);
  Generator generator(seed);
  std::shared_ptr<const CompiledRules> previous;
  size_t matched = 0;
  size_t indexed = 0;
  Matcher matcher;
  for (int round = 0; round < 30; ++round) {
    std::vector<std::shared_ptr<const Rule>> rules;
    for (int i = 0; i < 60; ++i) {
      const std::string yaml = generator.Rule(i);
      absl::StatusOr<Rule> rule = ParseRule(yaml);
      ASSERT_TRUE(rule.ok()) << rule.status() << "\n" << yaml << "\nseed " << seed;
      rules.push_back(std::make_shared<const Rule>(*std::move(rule)));
    }
    const CompileResult compiled = CompileRules(rules, previous.get());
    ASSERT_TRUE(compiled.errors.empty());
    previous = compiled.rules;
    indexed += compiled.rules->rule_count() - compiled.rules->unindexed_rule_count();
    ASSERT_TRUE(matcher.SetRules(compiled.rules).ok());
    for (int i = 0; i < 200; ++i) {
      const std::string event = generator.Event();
      const NaiveMatcher naive(event);
      std::vector<std::string> expected;
      for (const auto& rule : compiled.rules->rules()) {
        if (naive.Holds(rule->condition)) expected.push_back(rule->id);
      }
      std::vector<const Rule*> matches;
      ASSERT_TRUE(matcher.Match(event, matches).ok()) << event << "\nseed " << seed;
      std::vector<std::string> found;
      for (const Rule* rule : matches) found.push_back(rule->id);
      ASSERT_EQ(found, expected) << event << "\nseed " << seed << " round " << round;
      matched += found.size();
    }
  }
  EXPECT_GT(matched, 10000u) << "the generator draws rules that hardly match: seed " << seed;
  EXPECT_GT(indexed, 300u) << "the generator draws rules that hardly use the index: seed " << seed;
}

TEST(MatcherPropertyTest, FindsMappedFieldsAndRoutesByLogSourceAsPlainEvaluationDoes) {
  const unsigned seed = Seed();
  std::printf("seed %u, set WEIR_TEST_SEED to repeat\n", seed);
  Generator generator(seed);
  std::mt19937 random(seed);
  const auto pipeline = Pipeline::Parse(kMappingYaml, "mapping");
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  const EventMapping& mapping = (*pipeline)->event_mapping();
  size_t matched = 0;
  size_t routed = 0;
  Matcher matcher;
  for (int round = 0; round < 30; ++round) {
    std::vector<std::shared_ptr<const Rule>> rules;
    std::set<std::string> fields;
    for (const LogSourceTest& test : mapping.log_sources) CollectFields(test.condition, fields);
    for (int i = 0; i < 40; ++i) {
      absl::StatusOr<Rule> rule = ParseRule(generator.Rule(i));
      ASSERT_TRUE(rule.ok()) << rule.status() << "\nseed " << seed;
      CollectFields(rule->condition, fields);
      rules.push_back(std::make_shared<const Rule>(*std::move(rule)));
    }
    fields.erase("");
    const CompileResult compiled = CompileRules(rules, nullptr, {&mapping, true});
    ASSERT_TRUE(matcher.SetRules(compiled.rules).ok());
    for (int i = 0; i < 200; ++i) {
      const std::string event = MappedEvent(random).dump();
      const NaiveMatcher naive(event, mapping, fields);
      std::vector<std::string> expected;
      for (const auto& rule : compiled.rules->rules()) {
        if (!naive.Holds(rule->condition)) continue;
        if (naive.Meets(rule->log_source, mapping)) expected.push_back(rule->id);
        routed += naive.Meets(rule->log_source, mapping) ? 0 : 1;
      }
      std::vector<const Rule*> matches;
      ASSERT_TRUE(matcher.Match(event, matches).ok()) << event << "\nseed " << seed;
      std::vector<std::string> found;
      for (const Rule* rule : matches) found.push_back(rule->id);
      ASSERT_EQ(found, expected) << event << "\nseed " << seed << " round " << round;
      matched += found.size();
    }
  }
  EXPECT_GT(matched, 10000u) << "the generator draws rules that hardly match: seed " << seed;
  EXPECT_GT(routed, 1000u) << "hardly any rule is left out by its log source: seed " << seed;
}

// Says which rules hold by their explanations, without routing.
std::vector<std::string> ExplainedMatches(const CompiledRules& rules, std::string_view event,
                                          const EventMapping* mapping) {
  const absl::StatusOr<EventFields> fields = EventFields::Parse(event, mapping);
  EXPECT_TRUE(fields.ok()) << fields.status() << "\n" << event;
  std::vector<std::string> ids;
  for (const auto& rule : rules.rules()) {
    if (fields.ok() && Explain(*rule, *fields).holds) ids.push_back(rule->id);
  }
  return ids;
}

TEST(MatcherPropertyTest, MatchesWhatExplanationsSayHolds) {
  const unsigned seed = Seed();
  std::printf("seed %u, set WEIR_TEST_SEED to repeat\n", seed);
  Generator generator(seed);
  std::mt19937 random(seed);
  const auto pipeline = Pipeline::Parse(kMappingYaml, "mapping");
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  Matcher matcher;
  for (int round = 0; round < 20; ++round) {
    const EventMapping* const mapping = round % 2 == 0 ? nullptr : &(*pipeline)->event_mapping();
    std::vector<std::shared_ptr<const Rule>> rules;
    for (int i = 0; i < 40; ++i) {
      absl::StatusOr<Rule> rule = ParseRule(generator.Rule(i));
      ASSERT_TRUE(rule.ok()) << rule.status() << "\nseed " << seed;
      rules.push_back(std::make_shared<const Rule>(*std::move(rule)));
    }
    const CompileResult compiled = CompileRules(rules, nullptr, {mapping, false});
    ASSERT_TRUE(matcher.SetRules(compiled.rules).ok());
    for (int i = 0; i < 50; ++i) {
      const std::string event = mapping == nullptr ? generator.Event() : MappedEvent(random).dump();
      std::vector<const Rule*> matches;
      ASSERT_TRUE(matcher.Match(event, matches).ok()) << event << "\nseed " << seed;
      std::vector<std::string> found;
      for (const Rule* rule : matches) found.push_back(rule->id);
      ASSERT_EQ(found, ExplainedMatches(*compiled.rules, event, mapping))
          << event << "\nseed " << seed << " round " << round;
    }
  }
}

// Rules that change at random, with bases that are compiled some time later.
class ChangingRules {
 public:
  ChangingRules(Generator& generator, std::mt19937& random, const CompileOptions& options)
      : generator_(generator), random_(random), rules_(options, [this](IoWork work) {
          background_.push_back(std::move(work));
          return true;
        }) {
    for (int i = 0; i < kNumIds; ++i) Set(i);
  }

  void Change() {
    for (size_t n = 1 + random_() % 3; n > 0; --n) {
      const int id = static_cast<int>(random_() % kNumIds);
      if (random_() % 3 == 0) {
        rules_.Remove("r" + std::to_string(id));
      } else {
        Set(id);
      }
    }
    for (size_t n = random_() % 4000; n > 0; --n) rules_.CountEvent();
    if (random_() % 4 != 0 || background_.empty()) return;
    for (IoWork& work : background_) work();
    background_.clear();
    ++num_merged;
  }

  LayeredRules& rules() { return rules_; }
  int num_merged = 0;

 private:
  static constexpr int kNumIds = 100;

  void Set(int id) {
    absl::StatusOr<Rule> rule = ParseRule(generator_.Rule(id));
    ASSERT_TRUE(rule.ok()) << rule.status();
    rules_.Set(std::make_shared<const Rule>(*std::move(rule)));
  }

  Generator& generator_;
  std::mt19937& random_;
  std::vector<IoWork> background_;
  LayeredRules rules_;
};

std::vector<std::string> IdsOf(const std::vector<const Rule*>& rules) {
  std::vector<std::string> ids;
  for (const Rule* rule : rules) ids.push_back(rule->id);
  return ids;
}

TEST(MatcherPropertyTest, MatchesWithLayersWhatAFreshlyCompiledSetMatches) {
  const unsigned seed = Seed();
  std::printf("seed %u, set WEIR_TEST_SEED to repeat\n", seed);
  Generator generator(seed);
  std::mt19937 random(seed);
  const auto pipeline = Pipeline::Parse(kMappingYaml, "mapping");
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  size_t matched = 0;
  int layered = 0;
  int merged = 0;
  for (const EventMapping* const mapping :
       {static_cast<const EventMapping*>(nullptr), &(*pipeline)->event_mapping()}) {
    const CompileOptions options{mapping, true};
    ChangingRules changing(generator, random, options);
    Matcher matcher;
    for (int step = 0; step < 100; ++step) {
      changing.Change();
      const RuleLayers& layers = changing.rules().Layers();
      layered += layers.changes != nullptr && layers.base->rule_count() > 0 ? 1 : 0;
      ASSERT_TRUE(matcher.SetRules(layers).ok());
      Matcher fresh;
      ASSERT_TRUE(
          fresh.SetRules(CompileRules(changing.rules().rules(), nullptr, options).rules).ok());
      for (int i = 0; i < 20; ++i) {
        const std::string event =
            mapping == nullptr ? generator.Event() : MappedEvent(random).dump();
        std::vector<const Rule*> found;
        std::vector<const Rule*> expected;
        ASSERT_TRUE(matcher.Match(event, found).ok()) << event << "\nseed " << seed;
        ASSERT_TRUE(fresh.Match(event, expected).ok()) << event << "\nseed " << seed;
        ASSERT_EQ(IdsOf(found), IdsOf(expected)) << event << "\nseed " << seed << " step " << step;
        matched += found.size();
      }
    }
    merged += changing.num_merged;
  }
  EXPECT_GT(matched, 2000u) << "the generator draws rules that hardly match: seed " << seed;
  EXPECT_GT(layered, 100) << "hardly any step has changes: seed " << seed;
  EXPECT_GT(merged, 5) << "hardly any base is compiled: seed " << seed;
}

TEST(MatcherPropertyTest, AcceptsTheObjectsThatAnotherJsonParserAccepts) {
  const unsigned seed = Seed();
  std::printf("seed %u, set WEIR_TEST_SEED to repeat\n", seed);
  std::mt19937 random(seed);
  absl::StatusOr<Rule> rule =
      ParseRule("id: r\ndetection: {s: {a.b: x}, k: [y], condition: s or k}\n");
  ASSERT_TRUE(rule.ok());
  Matcher without_rules;
  Matcher matcher;
  ASSERT_TRUE(
      matcher.SetRules(CompileRules({std::make_shared<const Rule>(*std::move(rule))}).rules).ok());
  const std::string good =
      R"({"a":{"b":"x\u00e9\n\\"},"n":[1,-2.5,0,true,false,null,{}],"z":[[],"\"y\""],"\u0041":"\ud83d\ude00"})";
  constexpr std::string_view kBytes = "{}[]\",:\\ \t0123.-+eEtrufalsn\x01\x80\xc3\xff";
  size_t accepted = 0;
  for (int i = 0; i < 50000; ++i) {
    std::string event = good;
    for (size_t n = 1 + random() % 3; n > 0; --n) {
      const size_t at = random() % event.size();
      const size_t kind = random() % 3;
      if (kind == 0) event[at] = kBytes[random() % kBytes.size()];
      if (kind == 1) event.erase(at, 1 + random() % 3);
      if (kind == 2) event.insert(at, 1, kBytes[random() % kBytes.size()]);
      if (event.empty()) event = "{";
    }
    nlohmann::json parsed;
    try {
      parsed = nlohmann::json::parse(event);
    } catch (const nlohmann::json::out_of_range&) {
      continue;  // A number above all doubles: JSON, but nothing that this parser could hold.
    } catch (const nlohmann::json::parse_error&) {
      parsed = nullptr;
    }
    std::vector<const Rule*> matches;
    const absl::Status status = matcher.Match(event, matches);
    ASSERT_EQ(status.ok(), parsed.is_object()) << event << "\nseed " << seed;
    // Neither the rules nor an explanation make a difference.
    ASSERT_EQ(without_rules.Match(event, matches), status) << event << "\nseed " << seed;
    ASSERT_EQ(EventFields::Parse(event).status(), status) << event << "\nseed " << seed;
    accepted += parsed.is_object() ? 1 : 0;
  }
  EXPECT_GT(accepted, 1000u);
}

}  // namespace
}  // namespace weir::sigma
