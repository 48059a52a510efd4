#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jobmanager/rest/internal/json_rendering.h"
#include "jobmanager/rest/internal/parameters.h"
#include "jobmanager/rest/internal/rest_context.h"

namespace weir::internal {
namespace {

constexpr uint32_t kDefaultMaxExceptions = 20;

void CancelJob(const RestContextPtr& context, const HttpRequest& request, HttpResponder responder) {
  const absl::StatusOr<JobId> job_id = IdParameter<JobId>(request, "jobid");
  if (!job_id.ok()) {
    responder.Send(ErrorResponse(job_id.status()));
    return;
  }
  context->gateway->CancelJob(
      *job_id, [responder = std::move(responder)](const absl::Status& status) {
        responder.Send(status.ok() ? ToResponse("{}", 202) : ErrorResponse(status));
      });
}

void TerminateJob(const RestContextPtr& context, const HttpRequest& request,
                  HttpResponder responder) {
  const std::string* mode = request.Query("mode");
  if (mode == nullptr || *mode == "cancel") {
    CancelJob(context, request, std::move(responder));
  } else if (*mode == "stop") {
    responder.Send(ErrorResponse(
        308,
        "The termination mode \"stop\" has been removed. For an ungraceful shutdown, please use "
        "\"cancel\" instead. For a graceful shutdown, please use \"jobs/:jobId/stop\" instead."));
  } else {
    responder.Send(ErrorResponse(400, "Unknown termination mode; use mode=cancel."));
  }
}

void RequestExceptions(const RestContextPtr& context, const HttpRequest& request,
                       HttpResponder responder) {
  const absl::StatusOr<JobId> job_id = IdParameter<JobId>(request, "jobid");
  const absl::StatusOr<std::optional<uint32_t>> maximum = PositiveQuery(request, "maxExceptions");
  if (!job_id.ok() || !maximum.ok()) {
    responder.Send(ErrorResponse(job_id.ok() ? maximum.status() : job_id.status()));
    return;
  }
  context->gateway->RequestExceptions(
      *job_id, maximum->value_or(kDefaultMaxExceptions),
      AnswerWith<ExceptionHistory>(std::move(responder), RenderExceptions));
}

void RefuseSubmission(const RestContextPtr&, const HttpRequest&, HttpResponder responder) {
  responder.Send(ErrorResponse(
      400,
      "weir cannot run a job graph serialised by Java; upload a weir job library with "
      "/jars/upload and start it with /jars/:jarid/run."));
}

}  // namespace

void AddJobRoutes(const RestContextPtr& context, Router* router) {
  const auto add = [&](HttpMethod method, std::string_view pattern, auto handle) {
    router->Add(method, pattern, BodyPolicy::kIgnore,
                [context, handle](const HttpRequest& request, HttpResponder responder) {
                  handle(context, request, std::move(responder));
                });
  };
  // Adds a GET that renders one kind of answer about one job.
  const auto get = [&](std::string_view pattern, auto ask) {
    add(HttpMethod::kGet, pattern,
        [ask](const RestContextPtr& handler_context, const HttpRequest& request,
              HttpResponder responder) {
          const absl::StatusOr<JobId> job_id = IdParameter<JobId>(request, "jobid");
          if (!job_id.ok()) {
            responder.Send(ErrorResponse(job_id.status()));
          } else {
            ask(handler_context, *job_id, std::move(responder));
          }
        });
  };
  add(HttpMethod::kGet, "/jobs", [](const RestContextPtr& c, const HttpRequest&, HttpResponder r) {
    c->gateway->RequestJobs(AnswerWith<std::vector<JobOverview>>(std::move(r), RenderJobIds));
  });
  add(HttpMethod::kGet, "/jobs/overview",
      [](const RestContextPtr& c, const HttpRequest&, HttpResponder r) {
        c->gateway->RequestJobs(AnswerWith<std::vector<JobOverview>>(
            std::move(r), [c](const std::vector<JobOverview>& jobs) {
              return RenderJobsOverview(jobs, c->options.clock());
            }));
      });
  add(HttpMethod::kPost, "/jobs", RefuseSubmission);
  add(HttpMethod::kPatch, "/jobs/:jobid", TerminateJob);
  add(HttpMethod::kGet, "/jobs/:jobid/yarn-cancel", CancelJob);
  add(HttpMethod::kGet, "/jobs/:jobid/exceptions", RequestExceptions);
  get("/jobs/:jobid", [](const RestContextPtr& c, JobId job_id, HttpResponder r) {
    c->gateway->RequestJob(job_id, AnswerWith<JobDetails>(std::move(r), [c](const JobDetails& job) {
                             return RenderJob(job, c->options.clock());
                           }));
  });
  get("/jobs/:jobid/status", [](const RestContextPtr& c, JobId job_id, HttpResponder r) {
    c->gateway->RequestJobResult(job_id,
                                 AnswerWith<JobResult>(std::move(r), [](const JobResult& result) {
                                   return RenderJobStatus(result.status);
                                 }));
  });
  get("/jobs/:jobid/execution-result", [](const RestContextPtr& c, JobId job_id, HttpResponder r) {
    c->gateway->RequestJobResult(job_id, AnswerWith<JobResult>(std::move(r), RenderJobResult));
  });
  get("/jobs/:jobid/config", [](const RestContextPtr& c, JobId job_id, HttpResponder r) {
    c->gateway->RequestJob(job_id, AnswerWith<JobDetails>(std::move(r), RenderJobConfig));
  });
  get("/jobs/:jobid/plan", [](const RestContextPtr& c, JobId job_id, HttpResponder r) {
    c->gateway->RequestJob(job_id, AnswerWith<JobDetails>(std::move(r), RenderJobPlan));
  });
  get("/jobs/:jobid/accumulators", [](const RestContextPtr& c, JobId job_id, HttpResponder r) {
    // Weir has no accumulators, but the job must exist.
    c->gateway->RequestJobResult(
        job_id, AnswerWith<JobResult>(std::move(r), [](const JobResult&) {
          return std::string(R"({"job-accumulators":[],"user-task-accumulators":[],)"
                             R"("serialized-user-task-accumulators":{}})");
        }));
  });
  get("/jobs/:jobid/jobmanager/config", [](const RestContextPtr& c, JobId, HttpResponder r) {
    c->gateway->RequestConfig(
        AnswerWith<std::vector<ConfigurationEntry>>(std::move(r), RenderConfig));
  });
}

}  // namespace weir::internal
