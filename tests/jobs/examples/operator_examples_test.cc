// The examples of the operator families run from end to end, and give what a plain loop over the
// same logins does.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "jobs/examples/guessed_passwords.h"
#include "jobs/examples/host_owners.h"
#include "jobs/examples/hot_rules.h"
#include "jobs/examples/late_logins.h"
#include "jobs/examples/login_joins.h"
#include "jobs/examples/logins.h"
#include "runtime/base/strings.h"
#include "tests/jobs/job_runs.h"

namespace weir::examples {
namespace {

using Build = absl::Status (*)(StreamEnvironment&, const JobArgs&);

// The sorted lines that the job writes.
std::vector<std::string> LinesOf(Build build, const std::vector<std::string>& more = {}) {
  const TemporaryFolder folder;
  std::vector<std::string> arguments = {"--out", folder.PathOf("out")};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const absl::Status run = RunJob(build, arguments, /*parallelism=*/2);
  EXPECT_EQ(run, absl::OkStatus());
  return CommittedLines(folder.PathOf("out"), "lines");
}

std::vector<Login> AllLogins(uint64_t count) {
  std::vector<Login> logins;
  for (uint64_t i = 0; i < count; ++i) logins.push_back(LoginAt(i));
  return logins;
}
int64_t Seconds(EventTime time) { return time.millis() / 1000; }

void ExpectLines(const std::vector<std::string>& lines, std::vector<std::string> expected) {
  std::sort(expected.begin(), expected.end());
  EXPECT_FALSE(expected.empty());
  EXPECT_EQ(lines, expected);
}

TEST(OperatorExamplesTest, LateLoginsFireTheirWindowAgainOrArePutAside) {
  constexpr int64_t kHour = 3600;
  std::map<std::pair<std::string, int64_t>, int64_t> on_time;
  std::vector<std::string> expected;
  std::vector<Login> late;
  int64_t now = 0;
  for (const Login& login : AllLogins(50'000)) {
    if (Seconds(login.time) + 9 * kHour < now) {
      expected.push_back(JsonLine({{"too_late", login.user}, {"at", Seconds(login.time)}}));
    } else if (Seconds(login.time) + kHour < now) {
      late.push_back(login);
    } else {
      now = Seconds(login.time);
      ++on_time[{login.host, now / kHour * kHour + kHour}];
    }
  }
  const auto add = [&](const std::string& host, int64_t until, int64_t count) {
    expected.push_back(JsonLine({{"host", host}, {"until", until}, {"logins", count}}));
  };
  for (const auto& [window, count] : on_time) add(window.first, window.second, count);
  for (const Login& login : late) {
    const int64_t until = Seconds(login.time) / kHour * kHour + kHour;
    add(login.host, until, ++on_time[{login.host, until}]);
  }
  EXPECT_EQ(late.size(), 10u);
  ExpectLines(LinesOf(BuildLateLogins), expected);
}

TEST(OperatorExamplesTest, SecondTriesMeetTheRoleOfTheirTime) {
  const std::vector<Login> logins = AllLogins(2'000);
  std::vector<std::string> expected;
  for (size_t i = 0; i < logins.size(); ++i) {
    for (size_t j = i + 1; j <= i + 2 && j < logins.size(); ++j) {
      const Login& success = logins[j];
      if (!logins[i].failed || success.failed || success.user != logins[i].user) continue;
      const bool is_even = (success.user.back() - '0') % 2 == 0;
      expected.push_back(
          JsonLine({{"user", success.user},
                    {"role", is_even && Seconds(success.time) >= 1000 ? "admin" : "guest"},
                    {"at", Seconds(success.time)}}));
    }
  }
  ExpectLines(LinesOf(BuildLoginJoins), expected);
}

TEST(OperatorExamplesTest, GuessedPasswordsAreFailuresInARowAndThenASuccess) {
  std::map<std::string, std::vector<Login>> failures;  // In a row.
  std::vector<std::string> expected;
  for (const Login& login : AllLogins(2'000)) {
    std::vector<Login>& row = failures[login.user];
    if (login.failed) {
      row.push_back(login);
      continue;
    }
    // The first failure from which on all lies within five minutes.
    const auto first = std::find_if(row.begin(), row.end(), [&](const Login& failure) {
      return Seconds(login.time) - Seconds(failure.time) < 300;
    });
    const int64_t count = row.end() - first;
    if (count >= 3) {
      expected.push_back(
          JsonLine({{"user", login.user}, {"failures", count}, {"at", Seconds(login.time)}}));
    }
    row.clear();
  }
  ExpectLines(LinesOf(BuildGuessedPasswords), expected);
}

TEST(OperatorExamplesTest, EveryFailedLoginGetsTheOwnerOfItsHost) {
  std::vector<std::string> expected;
  for (const Login& login : AllLogins(300)) {
    if (!login.failed) continue;
    expected.push_back(JsonLine({{"owner", login.host == "host-0" ? "alice" : "bob"},
                                 {"host", login.host},
                                 {"user", login.user},
                                 {"at", Seconds(login.time)}}));
  }
  ExpectLines(LinesOf(BuildHostOwners), expected);
}

TEST(OperatorExamplesTest, RulesCountFailuresPerUser) {
  std::map<std::pair<std::string, std::string>, int64_t> counts;
  std::vector<std::string> expected;
  for (const Login& login : AllLogins(2'000)) {
    if (!login.failed) continue;
    const int64_t count = ++counts[{login.user, login.host}];
    const bool on_first = login.host == "host-0";
    if (count != (on_first ? 10 : 12)) continue;
    expected.push_back(JsonLine({{"rule", on_first ? "often" : "too-often"},
                                 {"user", login.user},
                                 {"at", Seconds(login.time)}}));
  }
  ExpectLines(LinesOf(BuildHotRules), expected);
}

}  // namespace
}  // namespace weir::examples
