#include <optional>
#include <string>
#include <utility>

#include "jobmanager/rest/internal/json_rendering.h"
#include "jobmanager/rest/internal/json_request.h"
#include "jobmanager/rest/internal/parameters.h"
#include "jobmanager/rest/internal/rest_context.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

absl::Status RequestStatistics(const RestContextPtr& context, const HttpRequest& request,
                               const HttpResponder& responder) {
  ASSIGN_OR_RETURN(const JobId job_id, IdParameter<JobId>(request, "jobid"));
  context->gateway->RequestCheckpoints(
      job_id,
      AnswerWith<CheckpointStatistics>(responder, [context](const CheckpointStatistics& all) {
        return RenderCheckpoints(all, context->options.clock());
      }));
  return absl::OkStatus();
}

absl::Status RequestConfig(const RestContextPtr& context, const HttpRequest& request,
                           const HttpResponder& responder) {
  ASSIGN_OR_RETURN(const JobId job_id, IdParameter<JobId>(request, "jobid"));
  context->gateway->RequestCheckpointConfig(
      job_id, AnswerWith<CheckpointConfig>(responder, RenderCheckpointConfig));
  return absl::OkStatus();
}

absl::Status RequestDetails(const RestContextPtr& context, const HttpRequest& request,
                            const HttpResponder& responder) {
  ASSIGN_OR_RETURN(const JobId job_id, IdParameter<JobId>(request, "jobid"));
  ASSIGN_OR_RETURN(const CheckpointId id, CheckpointParameter(request, "checkpointid"));
  context->gateway->RequestCheckpointDetails(
      job_id, id,
      AnswerWith<CheckpointDetails>(responder, [context](const CheckpointDetails& checkpoint) {
        return RenderCheckpointDetails(checkpoint, context->options.clock());
      }));
  return absl::OkStatus();
}

absl::StatusOr<std::string> RenderSubtasks(const CheckpointDetails& checkpoint,
                                           JobVertexId vertex_id) {
  for (const TaskCheckpointStatistics& task : checkpoint.tasks) {
    if (task.vertex_id == vertex_id) return RenderCheckpointSubtasks(checkpoint, task);
  }
  return absl::NotFoundError(StrCat("There is no checkpoint statistics for task ",
                                    ToString(vertex_id), " in checkpoint ", checkpoint.id.value(),
                                    "."));
}

absl::Status RequestSubtasks(const RestContextPtr& context, const HttpRequest& request,
                             const HttpResponder& responder) {
  ASSIGN_OR_RETURN(const JobId job_id, IdParameter<JobId>(request, "jobid"));
  ASSIGN_OR_RETURN(const CheckpointId id, CheckpointParameter(request, "checkpointid"));
  ASSIGN_OR_RETURN(const JobVertexId vertex_id, IdParameter<JobVertexId>(request, "vertexid"));
  context->gateway->RequestCheckpointDetails(
      job_id, id,
      AnswerWith<CheckpointDetails>(responder, [vertex_id](const CheckpointDetails& checkpoint) {
        return RenderSubtasks(checkpoint, vertex_id);
      }));
  return absl::OkStatus();
}

/// Answers with the trigger id as soon as the job is known to exist; the checkpoint itself goes on.
absl::Status Trigger(const RestContextPtr& context, const HttpRequest& request,
                     const HttpResponder& responder) {
  ASSIGN_OR_RETURN(const JobId job_id, IdParameter<JobId>(request, "jobid"));
  ASSIGN_OR_RETURN(const std::optional<TriggerId> given, ParseCheckpointTriggerBody(request.body));
  const TriggerId trigger_id = given.has_value() ? *given : RandomId<TriggerId>();
  context->gateway->RequestJobResult(
      job_id, [context, job_id, trigger_id, responder](const absl::StatusOr<JobResult>& job) {
        if (!job.ok()) {
          responder.Send(ErrorResponse(job.status()));
          return;
        }
        if (context->operations.Begin({OperationKind::kCheckpoint, job_id}, trigger_id)) {
          context->gateway->TriggerCheckpoint(
              job_id, [context, trigger_id](const absl::StatusOr<CheckpointId>& checkpoint_id) {
                if (checkpoint_id.ok()) {
                  context->operations.Complete(trigger_id, *checkpoint_id);
                } else {
                  context->operations.Complete(trigger_id, checkpoint_id.status());
                }
              });
        }
        responder.Send([trigger_id] { return ToResponse(RenderTriggerResponse(trigger_id), 202); });
      });
  return absl::OkStatus();
}

absl::Status PollTrigger(const RestContextPtr& context, const HttpRequest& request,
                         const HttpResponder& responder) {
  ASSIGN_OR_RETURN(const JobId job_id, IdParameter<JobId>(request, "jobid"));
  ASSIGN_OR_RETURN(const TriggerId trigger_id, IdParameter<TriggerId>(request, "triggerid"));
  ASSIGN_OR_RETURN(const AsynchronousOperations::Result result,
                   context->operations.Find({OperationKind::kCheckpoint, job_id}, trigger_id));
  responder.Send(ToResponse(RenderOperation(result)));
  return absl::OkStatus();
}

}  // namespace

void AddCheckpointRoutes(const RestContextPtr& context, Router* router) {
  const auto add = [&](HttpMethod method, std::string_view suffix, BodyPolicy body, auto handle) {
    router->Add(method, StrCat("/jobs/:jobid/checkpoints", suffix), body,
                [context, handle](const HttpRequest& request, const HttpResponder& responder) {
                  const absl::Status status = handle(context, request, responder);
                  if (!status.ok()) responder.Send(ErrorResponse(status));
                });
  };
  add(HttpMethod::kGet, "", BodyPolicy::kIgnore, RequestStatistics);
  add(HttpMethod::kPost, "", BodyPolicy::kKeep, Trigger);
  add(HttpMethod::kGet, "/:triggerid", BodyPolicy::kIgnore, PollTrigger);
  add(HttpMethod::kGet, "/config", BodyPolicy::kIgnore, RequestConfig);
  add(HttpMethod::kGet, "/details/:checkpointid", BodyPolicy::kIgnore, RequestDetails);
  add(HttpMethod::kGet, "/details/:checkpointid/subtasks/:vertexid", BodyPolicy::kIgnore,
      RequestSubtasks);
}

}  // namespace weir::internal
