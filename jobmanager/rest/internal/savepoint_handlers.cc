#include <optional>
#include <string>
#include <utility>

#include "jobmanager/rest/internal/json_rendering.h"
#include "jobmanager/rest/internal/json_request.h"
#include "jobmanager/rest/internal/parameters.h"
#include "jobmanager/rest/internal/rest_context.h"
#include "jobmanager/savepoint.h"
#include "runtime/base/status_macros.h"

namespace weir::internal {
namespace {

/// Answers with the trigger id as soon as the savepoint has a place to go to; it goes on itself.
absl::Status Begin(const RestContextPtr& context, const HttpRequest& request,
                   const HttpResponder& responder, SavepointTrigger trigger) {
  ASSIGN_OR_RETURN(const JobId job_id, IdParameter<JobId>(request, "jobid"));
  const TriggerId trigger_id = trigger.trigger_id.value_or(RandomId<TriggerId>());
  const std::string given = trigger.request.target_directory;
  context->gateway->ResolveSavepointDirectory(
      job_id, given,
      [context, job_id, trigger_id, responder,
       savepoint = std::move(trigger.request)](absl::StatusOr<std::string> folder) mutable {
        if (!folder.ok()) {
          responder.Send(ErrorResponse(folder.status()));
          return;
        }
        savepoint.target_directory = *std::move(folder);
        savepoint.operation_id = ToString(trigger_id);
        if (context->operations.Begin({OperationKind::kSavepoint, job_id}, trigger_id)) {
          context->gateway->TriggerSavepoint(
              job_id, std::move(savepoint),
              [context, trigger_id](absl::StatusOr<std::string> path) {
                if (path.ok()) {
                  context->operations.Complete(trigger_id, *std::move(path));
                } else {
                  context->operations.Complete(trigger_id, path.status());
                }
              });
        }
        responder.Send([trigger_id] { return ToResponse(RenderTriggerResponse(trigger_id), 202); });
      });
  return absl::OkStatus();
}

absl::Status TriggerSavepoint(const RestContextPtr& context, const HttpRequest& request,
                              const HttpResponder& responder) {
  ASSIGN_OR_RETURN(SavepointTrigger trigger, ParseSavepointBody(request.body));
  return Begin(context, request, responder, std::move(trigger));
}

absl::Status StopWithSavepoint(const RestContextPtr& context, const HttpRequest& request,
                               const HttpResponder& responder) {
  ASSIGN_OR_RETURN(SavepointTrigger trigger, ParseStopBody(request.body));
  return Begin(context, request, responder, std::move(trigger));
}

absl::Status PollSavepoint(const RestContextPtr& context, const HttpRequest& request,
                           const HttpResponder& responder) {
  ASSIGN_OR_RETURN(const JobId job_id, IdParameter<JobId>(request, "jobid"));
  ASSIGN_OR_RETURN(const TriggerId trigger_id, IdParameter<TriggerId>(request, "triggerid"));
  const absl::StatusOr<AsynchronousOperations::Result> known =
      context->operations.Find({OperationKind::kSavepoint, job_id}, trigger_id);
  if (known.ok()) {
    responder.Send(ToResponse(RenderOperation(*known)));
    return absl::OkStatus();
  }
  // It may have been triggered at a JobManager that led before this one.
  context->gateway->RequestFormerSavepoint(
      job_id, ToString(trigger_id),
      [responder, unknown = known.status()](absl::StatusOr<std::string> path) {
        if (absl::IsNotFound(path.status())) {
          responder.Send(ErrorResponse(unknown));
          return;
        }
        AsynchronousOperations::Result result;
        if (path.ok()) {
          result = AsynchronousOperations::Outcome(*std::move(path));
        } else {
          result = path.status();
        }
        responder.Send(ToResponse(RenderOperation(result)));
      });
  return absl::OkStatus();
}

absl::Status DisposeSavepoint(const RestContextPtr& context, const HttpRequest& request,
                              const HttpResponder& responder) {
  ASSIGN_OR_RETURN(std::string path, ParseDisposalBody(request.body));
  const auto trigger_id = RandomId<TriggerId>();
  if (context->operations.Begin({OperationKind::kDisposal, {}}, trigger_id)) {
    context->gateway->DisposeSavepoint(
        std::move(path), [context, trigger_id](const absl::Status& status) {
          if (status.ok()) {
            context->operations.Complete(trigger_id, AsynchronousOperations::Outcome());
          } else {
            context->operations.Complete(trigger_id, status);
          }
        });
  }
  responder.Send([trigger_id] { return ToResponse(RenderTriggerResponse(trigger_id)); });
  return absl::OkStatus();
}

absl::Status PollDisposal(const RestContextPtr& context, const HttpRequest& request,
                          const HttpResponder& responder) {
  ASSIGN_OR_RETURN(const TriggerId trigger_id, IdParameter<TriggerId>(request, "triggerid"));
  ASSIGN_OR_RETURN(const AsynchronousOperations::Result result,
                   context->operations.Find({OperationKind::kDisposal, {}}, trigger_id));
  responder.Send(ToResponse(RenderDisposal(result)));
  return absl::OkStatus();
}

}  // namespace

void AddSavepointRoutes(const RestContextPtr& context, Router* router) {
  const auto add = [&](HttpMethod method, std::string_view path, BodyPolicy body, auto handle) {
    router->Add(method, path, body,
                [context, handle](const HttpRequest& request, const HttpResponder& responder) {
                  const absl::Status status = handle(context, request, responder);
                  if (!status.ok()) responder.Send(ErrorResponse(status));
                });
  };
  add(HttpMethod::kPost, "/jobs/:jobid/savepoints", BodyPolicy::kKeep, TriggerSavepoint);
  add(HttpMethod::kGet, "/jobs/:jobid/savepoints/:triggerid", BodyPolicy::kIgnore, PollSavepoint);
  add(HttpMethod::kPost, "/jobs/:jobid/stop", BodyPolicy::kKeep, StopWithSavepoint);
  add(HttpMethod::kPost, "/savepoint-disposal", BodyPolicy::kKeep, DisposeSavepoint);
  add(HttpMethod::kGet, "/savepoint-disposal/:triggerid", BodyPolicy::kIgnore, PollDisposal);
}

}  // namespace weir::internal
