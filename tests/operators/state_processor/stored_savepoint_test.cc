// Row D10 of the features: state in a savepoint of an earlier release, stored in
// tests/compat/savepoints, is read into the types of today.
//
// Such a savepoint is never written again: what users have is as it is. One of a new release is
// made by WEIR_TEST_WRITE_SAVEPOINT=tests/compat/savepoints/<release>, with the types in v1 as they
// are.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "operators/state_processor/savepoint_reader.h"
#include "operators/state_processor/savepoint_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/record/event_time.h"

namespace weir {
namespace v1 {
struct Rule {
  std::string name;
  int32_t hits = 0;
};
struct Profile {
  std::string user;
  int32_t logins = 0;
  float mean_bytes = 0;
  std::string note;
  int16_t port = 0;
  std::vector<Rule> rules;
  std::map<std::string, int32_t> by_host;
  std::string zone;
  uint8_t level = 0;
};
}  // namespace v1

namespace v2 {
struct Rule {
  std::string name;
  int64_t hits = 0;              // 1: a number within a list, widened.
  std::string severity = "low";  // 2: a field within a list, added.
};
struct Profile {
  std::string country = "?";               // 3: added in front.
  std::string account;                     // 4: renamed.
  int64_t logins = 0;                      // 5: widened.
  double mean_bytes = 0;                   // 6: another kind of number, widened.
  std::vector<Rule> rules;                 // 7: note, which stood before it, is removed.
  std::optional<int16_t> port;             // 8: made optional, and moved.
  std::map<std::string, int64_t> by_host;  // 9: values of a map, widened.
  int32_t level = 0;                       // 10: an unsigned number, widened to a signed one.
  std::string zone = "elsewhere";  // Moved, with another default, which says nothing of old values.
  WEIR_FIELD_ALIASES(account = user)
};
struct NarrowProfile {
  std::string user;
  int16_t logins = 0;
};
}  // namespace v2

namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr int kNumUsers = 50;
// Of more than fits the metadata: its state is in a file.
constexpr int kNumLargeUsers = 1'000;

std::string UserOf(int i) { return StrCat("user-", i); }

v1::Profile OldProfile(int i) {
  v1::Profile profile;
  profile.user = UserOf(i);
  profile.logins = -i;
  profile.mean_bytes = 0.5f * static_cast<float>(i);
  profile.note = "a note";
  profile.port = static_cast<int16_t>(i);
  for (int rule = 0; rule < i % 3; ++rule) profile.rules.push_back({StrCat("rule-", rule), rule});
  profile.by_host["host"] = i;
  profile.zone = "here";
  profile.level = 200;
  return profile;
}

template <class Profile>
const ValueStateDescriptor<Profile> kProfile{"profile"};
template <class Rule>
const ListStateDescriptor<Rule> kRules{"rules"};
template <class Count>
const MapStateDescriptor<std::string, Count> kHosts{"hosts"};
template <class Rule>
const BroadcastStateDescriptor<std::string, Rule> kRuleSet{"rule-set"};

absl::Status WriteProfiles(KeyedStateBackend<std::string>& state, int count) {
  ASSIGN_OR_RETURN(auto profile, state.GetState(kProfile<v1::Profile>));
  ASSIGN_OR_RETURN(auto rules, state.GetState(kRules<v1::Rule>));
  ASSIGN_OR_RETURN(auto hosts, state.GetState(kHosts<int32_t>));
  for (int i = 0; i < count; ++i) {
    state.SetCurrentKey(UserOf(i), KeyHash(UserOf(i)));
    profile.Set(OldProfile(i));
    rules.Add({"first", i});
    rules.Add({"second", -i});
    hosts.Put("host", i);
  }
  return absl::OkStatus();
}

absl::Status WriteSavepoint(const std::string& path) {
  SavepointWriter writer = SavepointWriter::NewSavepoint();
  for (const auto& [uid, count] :
       {std::pair("small", kNumUsers), std::pair("large", kNumLargeUsers)}) {
    RETURN_IF_ERROR(writer.WithKeyedState<std::string>(
        uid,
        [count](KeyedStateBackend<std::string>& state) { return WriteProfiles(state, count); }));
  }
  RETURN_IF_ERROR(
      writer.WithOperatorState("rules", [](OperatorStateBackend& state) -> absl::Status {
        ASSIGN_OR_RETURN(auto rules, state.GetBroadcastState(kRuleSet<v1::Rule>));
        rules.Put("a", {"rule a", 7});
        return absl::OkStatus();
      }));
  return writer.Write(path).status();
}

absl::Status CheckProfiles(KeyedStateBackend<std::string>& state, int count) {
  ASSIGN_OR_RETURN(auto profile, state.GetState(kProfile<v2::Profile>));
  ASSIGN_OR_RETURN(auto rules, state.GetState(kRules<v2::Rule>));
  ASSIGN_OR_RETURN(auto hosts, state.GetState(kHosts<int64_t>));
  for (int i = 0; i < count; ++i) {
    SCOPED_TRACE(i);
    state.SetCurrentKey(UserOf(i), KeyHash(UserOf(i)));
    const v2::Profile* const now = profile.Get();
    if (now == nullptr) return absl::NotFoundError(UserOf(i));
    EXPECT_EQ(now->country, "?");
    EXPECT_EQ(now->account, UserOf(i));
    EXPECT_EQ(now->logins, -i);
    EXPECT_EQ(now->mean_bytes, 0.5 * i);
    EXPECT_EQ(now->port, static_cast<int16_t>(i));
    EXPECT_EQ(now->rules.size(), static_cast<size_t>(i % 3));
    if (!now->rules.empty()) {
      EXPECT_EQ(now->rules.back().severity, "low");
    }
    EXPECT_THAT(now->by_host, ElementsAre(Pair("host", i)));
    EXPECT_EQ(now->level, 200);
    EXPECT_EQ(now->zone, "here");
    const std::vector<v2::Rule> listed = rules.Get();
    EXPECT_EQ(listed.size(), 2u);
    if (listed.size() == 2) {
      EXPECT_EQ(listed[1].hits, -i);
    }
    const int64_t* const host = hosts.Get("host");
    EXPECT_TRUE(host != nullptr && *host == i);
  }
  return absl::OkStatus();
}

// Of every release that is stored.
std::vector<std::string> StoredSavepoints() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator("tests/compat/savepoints")) {
    if (entry.is_directory()) paths.push_back(entry.path().string());
  }
  return paths;
}

TEST(StoredSavepointTest, IsReadIntoTypesThatHaveChangedInTenWays) {
  if (const char* const path = std::getenv("WEIR_TEST_WRITE_SAVEPOINT")) {
    const absl::Status written = WriteSavepoint(path);
    ASSERT_TRUE(written.ok()) << written;
  }
  const std::vector<std::string> paths = StoredSavepoints();
  ASSERT_FALSE(paths.empty());
  for (const std::string& path : paths) {
    SCOPED_TRACE(path);
    auto reader = SavepointReader::Load(path);
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_THAT(reader->Uids(), UnorderedElementsAre("small", "large", "rules"));
    for (const auto& [uid, count] :
         {std::pair("small", kNumUsers), std::pair("large", kNumLargeUsers)}) {
      const absl::Status read = reader->ReadKeyedState<std::string>(
          uid,
          [count](KeyedStateBackend<std::string>& state) { return CheckProfiles(state, count); });
      EXPECT_TRUE(read.ok()) << read;
    }
    const absl::Status rules =
        reader->ReadOperatorState("rules", [](OperatorStateBackend& state) -> absl::Status {
          ASSIGN_OR_RETURN(auto set, state.GetBroadcastState(kRuleSet<v2::Rule>));
          EXPECT_EQ(set.entries().size(), 1u);
          for (const auto& [name, rule] : set.entries()) {
            EXPECT_EQ(rule.name, "rule a");
            EXPECT_EQ(rule.hits, 7);
            EXPECT_EQ(rule.severity, "low");
          }
          return absl::OkStatus();
        });
    EXPECT_TRUE(rules.ok()) << rules;
  }
}

TEST(StoredSavepointTest, RefusesATypeThatCouldLoseValuesAndNamesTheField) {
  for (const std::string& path : StoredSavepoints()) {
    SCOPED_TRACE(path);
    auto reader = SavepointReader::Load(path);
    ASSERT_TRUE(reader.ok()) << reader.status();
    const absl::Status refused = reader->ReadKeyedState<std::string>(
        "small", [](KeyedStateBackend<std::string>& state) -> absl::Status {
          return state.GetState(kProfile<v2::NarrowProfile>).status();
        });
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_THAT(refused.ToString(), AllOf(HasSubstr("profile"), HasSubstr("logins"),
                                          HasSubstr("int32"), HasSubstr("int16")));
  }
}

}  // namespace
}  // namespace weir
