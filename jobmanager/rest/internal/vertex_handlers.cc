#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "jobmanager/rest/internal/json_rendering.h"
#include "jobmanager/rest/internal/parameters.h"
#include "jobmanager/rest/internal/rest_context.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

using VertexRenderer = std::function<absl::StatusOr<std::string>(const VertexDetails&, absl::Time)>;

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

absl::StatusOr<std::string> RenderSubtaskAt(const VertexDetails& vertex, uint32_t index,
                                            std::optional<uint32_t> attempt, absl::Time now) {
  for (const SubtaskDetails& subtask : vertex.subtasks) {
    if (subtask.index != index) continue;
    // Of earlier attempts only their failures are kept, in the job's exceptions.
    if (!attempt.has_value() || subtask.attempt_number == *attempt) {
      return RenderSubtask(subtask, now);
    }
    return absl::NotFoundError(StrCat("Could not find attempt ", *attempt, " of subtask ", index,
                                      "; the current one is ", subtask.attempt_number));
  }
  return absl::NotFoundError(StrCat("Invalid subtask index for vertex ", ToString(vertex.id), ": ",
                                    index, "; it has ", vertex.subtasks.size()));
}

void AnswerAboutSubtask(const RestContextPtr& context, const HttpRequest& request,
                        HttpResponder responder, bool of_attempt) {
  const absl::StatusOr<uint32_t> index = IndexParameter(request, "subtaskindex");
  absl::StatusOr<uint32_t> attempt = 0;
  if (of_attempt) attempt = IndexParameter(request, "attempt");
  if (!index.ok() || !attempt.ok()) {
    responder.Send(ErrorResponse(index.ok() ? attempt.status() : index.status()));
    return;
  }
  const std::optional<uint32_t> wanted = of_attempt ? std::optional(*attempt) : std::nullopt;
  AnswerAboutVertex(context, request, std::move(responder),
                    [index = *index, wanted](const VertexDetails& vertex, absl::Time now) {
                      return RenderSubtaskAt(vertex, index, wanted, now);
                    });
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
  get("/accumulators",
      [](const VertexDetails& vertex, absl::Time) { return RenderVertexAccumulators(vertex); });
  get("/subtasks/accumulators",
      [](const VertexDetails& vertex, absl::Time) { return RenderSubtaskAccumulators(vertex); });
  for (const bool of_attempt : {false, true}) {
    router->Add(HttpMethod::kGet,
                StrCat("/jobs/:jobid/vertices/:vertexid/subtasks/:subtaskindex",
                       of_attempt ? "/attempts/:attempt" : ""),
                BodyPolicy::kIgnore,
                [context, of_attempt](const HttpRequest& request, HttpResponder responder) {
                  AnswerAboutSubtask(context, request, std::move(responder), of_attempt);
                });
  }
  get("/watermarks",
      [](const VertexDetails& vertex, absl::Time) { return RenderWatermarks(vertex); });
}

}  // namespace weir::internal
