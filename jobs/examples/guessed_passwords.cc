#include "jobs/examples/guessed_passwords.h"

#include <cstdint>
#include <string>

#include "jobs/examples/logins.h"
#include "operators/api/keyed_stream.h"
#include "operators/cep/cep.h"
#include "runtime/base/status_macros.h"

namespace weir::examples {

absl::Status BuildGuessedPasswords(StreamEnvironment& environment, const JobArgs& args) {
  ASSIGN_OR_RETURN(const DataStream<Login> logins, Logins(environment, args, 2'000));
  const auto guessed =
      Pattern<Login>::Begin("failures", AfterMatchSkipStrategy::SkipPastLastEvent())
          .Where([](const Login& login) { return login.failed; })
          .TimesOrMore(3)
          .Consecutive()
          .Next("success")
          .Where([](const Login& login) { return !login.failed; })
          .Within(absl::Minutes(5));
  WriteLines(
      CEP::Pattern(logins.KeyBy([](const Login& login) { return login.user; }), guessed)
          .Select([](const PatternMatch<Login>& match) {
            return JsonLine({{"user", match["success"].user},
                             {"failures", static_cast<int64_t>(match.Get("failures").size())},
                             {"at", match["success"].time.millis() / 1000}});
          })
          .Uid("guessed"),
      args);
  return absl::OkStatus();
}

}  // namespace weir::examples
