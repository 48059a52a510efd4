#include "jobmanager/rest/rest_api.h"

#include <memory>
#include <utility>

#include "jobmanager/rest/internal/rest_context.h"

namespace weir {

Router MakeRestRouter(DispatcherGateway* gateway, RestApiOptions options) {
  // Borrowed: a pointer that owns nothing.
  const std::shared_ptr<DispatcherGateway> borrowed(std::shared_ptr<void>(), gateway);
  return MakeRestRouter(LeaderGateway([borrowed] { return borrowed; }), std::move(options));
}

Router MakeRestRouter(LeaderGateway gateway, RestApiOptions options) {
  auto context = std::make_shared<internal::RestContext>(std::move(gateway), std::move(options));
  Router router;
  internal::AddClusterRoutes(context, &router);
  internal::AddJarRoutes(context, &router);
  internal::AddJobRoutes(context, &router);
  internal::AddVertexRoutes(context, &router);
  internal::AddCheckpointRoutes(context, &router);
  internal::AddSavepointRoutes(context, &router);
  internal::AddMetricRoutes(context, &router);
  internal::AddRescalingRoutes(context, &router);
  return router;
}

namespace internal {

HttpResponse ToResponse(absl::StatusOr<std::string> json, int status) {
  if (!json.ok()) return ErrorResponse(json.status());
  HttpResponse response;
  response.status = status;
  response.body = *std::move(json);
  return response;
}

}  // namespace internal
}  // namespace weir
