#include <functional>
#include <string>
#include <utility>

#include "jobmanager/rest/internal/json_rendering.h"
#include "jobmanager/rest/internal/parameters.h"
#include "jobmanager/rest/internal/rest_context.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

using VertexRenderer = std::function<std::string(const VertexDetails&, absl::Time)>;

absl::StatusOr<std::string> RenderOne(const JobDetails& job, JobVertexId vertex_id,
                                      const VertexRenderer& render, absl::Time now) {
  for (const VertexDetails& vertex : job.vertices) {
    if (vertex.id == vertex_id) return render(vertex, now);
  }
  return absl::NotFoundError(
      StrCat("No vertex with ID '", ToString(vertex_id), "' exists in job ", ToString(job.id)));
}

void AnswerAboutVertex(const RestContextPtr& context, const HttpRequest& request,
                       HttpResponder responder, const VertexRenderer& render) {
  const absl::StatusOr<JobId> job_id = IdParameter<JobId>(request, "jobid");
  const absl::StatusOr<JobVertexId> vertex_id = IdParameter<JobVertexId>(request, "vertexid");
  if (!job_id.ok() || !vertex_id.ok()) {
    responder.Send(ErrorResponse(job_id.ok() ? vertex_id.status() : job_id.status()));
    return;
  }
  context->gateway->RequestJob(
      *job_id, AnswerWith<JobDetails>(std::move(responder), [context, vertex_id = *vertex_id,
                                                             render](const JobDetails& job) {
        return RenderOne(job, vertex_id, render, context->options.clock());
      }));
}

}  // namespace

void AddVertexRoutes(const RestContextPtr& context, Router* router) {
  const auto get = [&](std::string_view suffix, VertexRenderer render) {
    router->Add(
        HttpMethod::kGet, StrCat("/jobs/:jobid/vertices/:vertexid", suffix), BodyPolicy::kIgnore,
        [context, render = std::move(render)](const HttpRequest& request, HttpResponder responder) {
          AnswerAboutVertex(context, request, std::move(responder), render);
        });
  };
  get("", RenderVertex);
  get("/subtasktimes", RenderSubtaskTimes);
  get("/taskmanagers", RenderVertexTaskManagers);
  get("/backpressure", RenderBackpressure);
  get("/splits", RenderSplits);
  get("/watermarks",
      [](const VertexDetails& vertex, absl::Time) { return RenderWatermarks(vertex); });
}

}  // namespace weir::internal
