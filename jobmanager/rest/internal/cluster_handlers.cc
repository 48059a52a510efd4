#include <string>
#include <utility>
#include <vector>

#include "jobmanager/rest/internal/json_rendering.h"
#include "jobmanager/rest/internal/rest_context.h"

namespace weir::internal {

void AddClusterRoutes(const RestContextPtr& context, Router* router) {
  const auto get = [router](std::string_view pattern, HttpHandler handler) {
    router->Add(HttpMethod::kGet, pattern, BodyPolicy::kIgnore, std::move(handler));
  };
  get("/config", [context](HttpRequest, HttpResponder responder) {
    responder.Send([context] { return ToResponse(RenderDashboardConfig(context->options)); });
  });
  get("/overview", [context](HttpRequest, HttpResponder responder) {
    context->gateway->RequestClusterOverview(AnswerWith<ClusterOverview>(
        std::move(responder), [context](const ClusterOverview& overview) {
          return RenderClusterOverview(overview, context->options);
        }));
  });
  get("/jobmanager/config", [context](HttpRequest, HttpResponder responder) {
    context->gateway->RequestConfig(
        AnswerWith<std::vector<ConfigurationEntry>>(std::move(responder), RenderConfig));
  });
  get("/taskmanagers", [context](HttpRequest, HttpResponder responder) {
    context->gateway->RequestTaskManagers(
        AnswerWith<std::vector<TaskManagerInfo>>(std::move(responder), RenderTaskManagers));
  });
  get("/taskmanagers/:taskmanagerid", [context](HttpRequest request, HttpResponder responder) {
    context->gateway->RequestTaskManager(
        request.Parameter("taskmanagerid"),
        AnswerWith<TaskManagerInfo>(std::move(responder), RenderTaskManager));
  });
}

}  // namespace weir::internal
