#include <string>
#include <utility>

#include "jobmanager/rest/internal/json_rendering.h"
#include "jobmanager/rest/internal/json_request.h"
#include "jobmanager/rest/internal/parameters.h"
#include "jobmanager/rest/internal/rest_context.h"
#include "runtime/base/status_macros.h"

namespace weir::internal {
namespace {

absl::Status Update(const RestContextPtr& context, const HttpRequest& request,
                    const HttpResponder& responder) {
  ASSIGN_OR_RETURN(const JobId job_id, IdParameter<JobId>(request, "jobid"));
  ASSIGN_OR_RETURN(ResourceRequirements requirements, ParseResourceRequirements(request.body));
  context->gateway->UpdateRequirements(
      job_id, std::move(requirements), [responder](const absl::Status& status) {
        responder.Send(status.ok() ? ToResponse("{}") : ErrorResponse(status));
      });
  return absl::OkStatus();
}

}  // namespace

void AddRescalingRoutes(const RestContextPtr& context, Router* router) {
  // Adds a GET that renders one kind of answer about one job's scaling.
  const auto get = [&](std::string_view pattern, auto render) {
    router->Add(HttpMethod::kGet, pattern, BodyPolicy::kIgnore,
                [context, render](const HttpRequest& request, HttpResponder responder) {
                  const absl::StatusOr<JobId> job_id = IdParameter<JobId>(request, "jobid");
                  if (!job_id.ok()) {
                    responder.Send(ErrorResponse(job_id.status()));
                    return;
                  }
                  context->gateway->RequestScaling(
                      *job_id, AnswerWith<ScalingDetails>(std::move(responder), render));
                });
  };
  get("/jobs/:jobid/resource-requirements", RenderResourceRequirements);
  get("/jobs/:jobid/scaling", RenderScaling);
  get("/jobs/:jobid/rescales/history", [context](const ScalingDetails& scaling) {
    return RenderRescales(scaling, context->options.clock());
  });
  router->Add(HttpMethod::kPut, "/jobs/:jobid/resource-requirements", BodyPolicy::kKeep,
              [context](const HttpRequest& request, const HttpResponder& responder) {
                const absl::Status status = Update(context, request, responder);
                if (!status.ok()) responder.Send(ErrorResponse(status));
              });
}

}  // namespace weir::internal
