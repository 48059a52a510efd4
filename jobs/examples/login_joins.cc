#include "jobs/examples/login_joins.h"

#include <cstdint>
#include <string>
#include <vector>

#include "jobs/examples/logins.h"
#include "operators/api/keyed_stream.h"
#include "operators/connectors/values_source.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::examples {
namespace {

/// What a user is, from a time on.
struct Role {
  std::string user;
  std::string name;
  EventTime since;
};

/// Every user is a guest at first; those with even numbers become admins after 1,000 seconds.
DataStream<Role> Roles(StreamEnvironment& environment) {
  std::vector<Role> roles;
  for (int user = 0; user < 20; ++user) {
    roles.push_back({StrCat("user-", user), "guest", EventTime::FromMillis(0)});
  }
  for (int user = 0; user < 20; user += 2) {
    roles.push_back({StrCat("user-", user), "admin", EventTime::FromMillis(1'000'000)});
  }
  return environment
      .FromSource(ValuesSource<Role>(roles),
                  WatermarkStrategy<Role>::Monotonous().WithTimestamps(
                      [](const Role& role) { return role.since; }),
                  "Roles")
      .Uid("roles");
}

std::string UserOf(const Login& login) { return login.user; }

}  // namespace

absl::Status BuildLoginJoins(StreamEnvironment& environment, const JobArgs& args) {
  ASSIGN_OR_RETURN(const DataStream<Login> logins, Logins(environment, args, 2'000));
  const auto failures = logins.Filter([](const Login& login) { return login.failed; });
  const auto successes = logins.Filter([](const Login& login) { return !login.failed; });
  const DataStream<Login> second_tries =
      failures.KeyBy(UserOf)
          .IntervalJoin(successes.KeyBy(UserOf))
          .Between(absl::ZeroDuration(), absl::Seconds(2))
          .Apply([](const Login&, const Login& success) { return success; })
          .Uid("second-tries");
  WriteLines(
      second_tries.KeyBy(UserOf)
          .TemporalJoin(Roles(environment).KeyBy([](const Role& role) { return role.user; }))
          .Apply([](const Login& login, const Role& role) {
            return JsonLine(
                {{"user", login.user}, {"role", role.name}, {"at", login.time.millis() / 1000}});
          })
          .Uid("roles-of-their-time"),
      args);
  return absl::OkStatus();
}

}  // namespace weir::examples
