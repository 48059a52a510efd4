#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "jobmanager/dispatcher_gateway.h"
#include "jobmanager/rest/router.h"

namespace weir {

struct RestApiOptions {
  /// The version of Flink's REST API that clients are told they talk to.
  std::string flink_version = "2.2.0";
  /// Weir's own version, shown beside it.
  std::string revision = "weir";
  /// How often the dashboard asks again.
  absl::Duration refresh_interval = absl::Seconds(3);
  /// What the dashboard offers.
  bool web_submit = true;
  bool web_cancel = true;
  /// "Now" in answers.
  std::function<absl::Time()> clock = absl::Now;
};

/// The gateway of the leader, which may be another one for each request.
///
/// Threads: any. A request holds the gateway that it asks until the call returns.
class LeaderGateway {
 public:
  /// `retrieve` returns the present gateway; called for each request, from any thread; never null.
  explicit LeaderGateway(std::function<std::shared_ptr<DispatcherGateway>()> retrieve)
      : retrieve_(std::move(retrieve)) {}

  std::shared_ptr<DispatcherGateway> operator->() const { return retrieve_(); }

 private:
  std::function<std::shared_ptr<DispatcherGateway>()> retrieve_;
};

/// Returns the routes of the REST API, answered by `gateway`, which must outlive the server that
/// uses them. Paths, field names, state names and status codes are those of Flink's REST API. More
/// routes may be added.
[[nodiscard]] Router MakeRestRouter(DispatcherGateway* gateway, RestApiOptions options);
/// The same for gateways that change.
[[nodiscard]] Router MakeRestRouter(LeaderGateway gateway, RestApiOptions options);

}  // namespace weir
