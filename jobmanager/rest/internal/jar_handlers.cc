#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jobmanager/rest/internal/json_rendering.h"
#include "jobmanager/rest/internal/json_request.h"
#include "jobmanager/rest/internal/parameters.h"
#include "jobmanager/rest/internal/rest_context.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

/// Flink answers 400, not 404, for a library that is not there.
HttpResponse JarErrorResponse(const absl::Status& status) {
  if (absl::IsNotFound(status)) return ErrorResponse(400, ToStd(status.message()));
  return ErrorResponse(status);
}

void Upload(const RestContextPtr& context, const HttpRequest& request, HttpResponder responder) {
  if (request.files.size() != 1) {
    responder.Send(ErrorResponse(
        400, StrCat("Exactly 1 file must be sent, received ", request.files.size(), ".")));
    return;
  }
  const UploadedFile& upload = request.files.front();
  // The file lives until the gateway has taken it in, and goes with the callback.
  context->gateway->UploadJar(
      upload.file_name, upload.file->path(),
      [file = upload.file, responder = std::move(responder)](absl::StatusOr<std::string> jar_id) {
        responder.Send([jar_id = std::move(jar_id)] {
          return jar_id.ok() ? ToResponse(RenderUploadedJar(*jar_id))
                             : ErrorResponse(jar_id.status());
        });
      });
}

void ListJars(const RestContextPtr& context, const HttpRequest& request, HttpResponder responder) {
  context->gateway->ListJars(AnswerWith<std::vector<JarFile>>(
      std::move(responder), [address = request.host](const std::vector<JarFile>& jars) {
        return RenderJars(jars, address);
      }));
}

void DeleteJar(const RestContextPtr& context, const HttpRequest& request, HttpResponder responder) {
  context->gateway->DeleteJar(
      request.Parameter("jarid"), [responder = std::move(responder)](const absl::Status& status) {
        responder.Send(status.ok() ? ToResponse("{}") : JarErrorResponse(status));
      });
}

/// Query parameters first; the body, if any, wins over them.
absl::StatusOr<JarRunRequest> ParseRunRequest(const HttpRequest& request) {
  JarRunRequest run;
  run.jar_id = request.Parameter("jarid");
  const auto text = [&](std::string_view name) {
    const std::string* value = request.Query(name);
    return value == nullptr ? std::string() : *value;
  };
  run.entry_class = text("entry-class");
  run.savepoint_path = text("savepointPath");
  run.program_args = SplitArguments(text("program-args"));
  if (const std::string* list = request.Query("programArg")) {
    run.program_args.clear();
    for (const std::string_view argument : StrSplit(*list, ',')) {
      run.program_args.emplace_back(argument);
    }
  }
  ASSIGN_OR_RETURN(run.parallelism, PositiveQuery(request, "parallelism"));
  ASSIGN_OR_RETURN(const std::optional<bool> allow, BooleanQuery(request, "allowNonRestoredState"));
  run.allow_non_restored_state = allow.value_or(false);
  RETURN_IF_ERROR(ParseJarRunBody(request.body, &run));
  return run;
}

void RunJar(const RestContextPtr& context, const HttpRequest& request, HttpResponder responder) {
  absl::StatusOr<JarRunRequest> run = ParseRunRequest(request);
  if (!run.ok()) {
    responder.Send(ErrorResponse(run.status()));
    return;
  }
  context->gateway->RunJar(*std::move(run),
                           [responder = std::move(responder)](absl::StatusOr<JobId> job_id) {
                             responder.Send(job_id.ok() ? ToResponse(RenderJobId(*job_id))
                                                        : JarErrorResponse(job_id.status()));
                           });
}

}  // namespace

void AddJarRoutes(const RestContextPtr& context, Router* router) {
  const auto add = [&](HttpMethod method, std::string_view pattern, BodyPolicy body, auto handle) {
    router->Add(method, pattern, body,
                [context, handle](const HttpRequest& request, HttpResponder responder) {
                  handle(context, request, std::move(responder));
                });
  };
  add(HttpMethod::kGet, "/jars", BodyPolicy::kIgnore, ListJars);
  add(HttpMethod::kPost, "/jars/upload", BodyPolicy::kForm, Upload);
  add(HttpMethod::kDelete, "/jars/:jarid", BodyPolicy::kIgnore, DeleteJar);
  add(HttpMethod::kPost, "/jars/:jarid/run", BodyPolicy::kKeep, RunJar);
}

}  // namespace weir::internal
