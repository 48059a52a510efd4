#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobmanager/dispatcher_gateway.h"
#include "jobmanager/rest/http_message.h"
#include "jobmanager/rest/internal/asynchronous_operations.h"
#include "jobmanager/rest/rest_api.h"
#include "jobmanager/rest/router.h"

namespace weir::internal {

/// What every handler has at hand. Shared by the routes; all of it is thread-safe.
struct RestContext {
  RestContext(LeaderGateway leader, RestApiOptions rest_options)
      : gateway(std::move(leader)), options(std::move(rest_options)) {}

  LeaderGateway gateway;
  RestApiOptions options;
  AsynchronousOperations operations;
};
using RestContextPtr = std::shared_ptr<RestContext>;

void AddClusterRoutes(const RestContextPtr& context, Router* router);
void AddJarRoutes(const RestContextPtr& context, Router* router);
void AddJobRoutes(const RestContextPtr& context, Router* router);
void AddVertexRoutes(const RestContextPtr& context, Router* router);
void AddMetricRoutes(const RestContextPtr& context, Router* router);
void AddCheckpointRoutes(const RestContextPtr& context, Router* router);
void AddSavepointRoutes(const RestContextPtr& context, Router* router);
void AddRescalingRoutes(const RestContextPtr& context, Router* router);

/// Returns a 200 (or `status`) with the JSON text, or the error.
[[nodiscard]] HttpResponse ToResponse(absl::StatusOr<std::string> json, int status = 200);

/// Returns the callback that answers with `render(value)`, a JSON text or an error. `render` runs
/// on a thread of the server, not on the gateway's.
template <class T, class Render>
[[nodiscard]] DispatcherGateway::Callback<T> AnswerWith(HttpResponder responder, Render render) {
  return [responder = std::move(responder), render = std::move(render)](absl::StatusOr<T> result) {
    responder.Send([result = std::move(result), render]() -> HttpResponse {
      return result.ok() ? ToResponse(render(*result)) : ErrorResponse(result.status());
    });
  };
}

}  // namespace weir::internal
