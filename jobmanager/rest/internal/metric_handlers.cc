#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "jobmanager/rest/internal/json_rendering.h"
#include "jobmanager/rest/internal/parameters.h"
#include "jobmanager/rest/internal/rest_context.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/metrics/prometheus_text.h"

namespace weir::internal {
namespace {

using Scope = MetricQuery::Scope;
using MetricList = std::vector<ScopeMetrics>;
/// Makes the query that a request stands for.
using MakeQuery = std::function<absl::StatusOr<MetricQuery>(const HttpRequest&)>;
using Render = std::function<std::string(const MetricList&)>;

void Answer(const RestContextPtr& context, absl::StatusOr<MetricQuery> query, Render render,
            HttpResponder responder) {
  if (!query.ok()) {
    responder.Send(ErrorResponse(query.status()));
    return;
  }
  context->gateway->RequestMetrics(*std::move(query),
                                   AnswerWith<MetricList>(std::move(responder), std::move(render)));
}

/// Adds a route that answers names, or the values of `get`.
void AddPlain(const RestContextPtr& context, std::string_view pattern, bool by_index,
              MakeQuery make_query, Router* router) {
  router->Add(HttpMethod::kGet, pattern, BodyPolicy::kIgnore,
              [context, by_index, make_query = std::move(make_query)](const HttpRequest& request,
                                                                      HttpResponder responder) {
                Answer(
                    context, make_query(request),
                    [names = ListQuery(request, "get"), by_index](const MetricList& metrics) {
                      return names.empty() ? RenderMetricNames(metrics, by_index)
                                           : RenderMetricValues(metrics, names, by_index);
                    },
                    std::move(responder));
              });
}

/// Adds a route that answers names, or `get` aggregated by `agg`.
void AddAggregated(const RestContextPtr& context, std::string_view pattern, MakeQuery make_query,
                   Router* router) {
  router->Add(HttpMethod::kGet, pattern, BodyPolicy::kIgnore,
              [context, make_query = std::move(make_query)](const HttpRequest& request,
                                                            HttpResponder responder) {
                const absl::StatusOr<MetricAggregation> aggregation = AggregationQuery(request);
                const absl::StatusOr<std::vector<IndexRange>> subtasks =
                    RangesQuery(request, "subtasks");
                if (!aggregation.ok() || !subtasks.ok()) {
                  responder.Send(
                      ErrorResponse(aggregation.ok() ? subtasks.status() : aggregation.status()));
                  return;
                }
                Answer(
                    context, make_query(request),
                    [names = ListQuery(request, "get"), aggregation = *aggregation,
                     subtasks = *subtasks](const MetricList& all) {
                      MetricList metrics;
                      for (const ScopeMetrics& scope : all) {
                        if (IsIn(subtasks, scope.index)) metrics.push_back(scope);
                      }
                      return names.empty() ? RenderMetricNames(metrics, false)
                                           : RenderAggregatedMetrics(metrics, names, aggregation);
                    },
                    std::move(responder));
              });
}

MakeQuery All(Scope scope) {
  return [scope](const HttpRequest&) { return MetricQuery{.scope = scope}; };
}

absl::StatusOr<MetricQuery> OneTaskManager(const HttpRequest& request) {
  return MetricQuery{.scope = Scope::kTaskManagers,
                     .taskmanager_ids = {request.Parameter("taskmanagerid")}};
}

absl::StatusOr<MetricQuery> TaskManagersAsked(const HttpRequest& request) {
  return MetricQuery{.scope = Scope::kTaskManagers,
                     .taskmanager_ids = ListQuery(request, "taskmanagers")};
}

absl::StatusOr<MetricQuery> OneJob(const HttpRequest& request) {
  ASSIGN_OR_RETURN(const JobId job, IdParameter<JobId>(request, "jobid"));
  return MetricQuery{.scope = Scope::kJobs, .job_ids = {job}};
}

absl::StatusOr<MetricQuery> JobsAsked(const HttpRequest& request) {
  MetricQuery query{.scope = Scope::kJobs};
  for (const std::string& text : ListQuery(request, "jobs")) {
    const absl::StatusOr<JobId> job = ParseId<JobId>(text);
    if (!job.ok()) return BadQueryParameter("jobs", text, "job ids with commas between");
    query.job_ids.push_back(*job);
  }
  return query;
}

MakeQuery OneVertex(Scope scope) {
  return [scope](const HttpRequest& request) -> absl::StatusOr<MetricQuery> {
    ASSIGN_OR_RETURN(const JobId job, IdParameter<JobId>(request, "jobid"));
    ASSIGN_OR_RETURN(const JobVertexId vertex, IdParameter<JobVertexId>(request, "vertexid"));
    return MetricQuery{.scope = scope, .job_ids = {job}, .vertex_id = vertex};
  };
}

/// One subtask's metrics, without its index in the names.
void AnswerSubtask(const RestContextPtr& context, const HttpRequest& request,
                   HttpResponder responder) {
  const absl::StatusOr<uint32_t> index = IndexParameter(request, "subtaskindex");
  if (!index.ok()) {
    responder.Send(ErrorResponse(index.status()));
    return;
  }
  Answer(
      context, OneVertex(Scope::kSubtasks)(request),
      [names = ListQuery(request, "get"), index = *index](const MetricList& all) {
        MetricList metrics;
        for (const ScopeMetrics& scope : all) {
          if (scope.index == index) metrics.push_back(scope);
        }
        return names.empty() ? RenderMetricNames(metrics, false)
                             : RenderMetricValues(metrics, names, false);
      },
      std::move(responder));
}

void AnswerPrometheus(const RestContextPtr& context, HttpResponder responder) {
  using Reports = std::vector<MetricReport>;
  context->gateway->RequestMetricReports(
      [responder = std::move(responder)](absl::StatusOr<Reports> reports) {
        responder.Send([reports = std::move(reports)]() -> HttpResponse {
          if (!reports.ok()) return ErrorResponse(reports.status());
          std::vector<const MetricReport*> pointers;
          for (const MetricReport& report : *reports) pointers.push_back(&report);
          HttpResponse response;
          response.content_type = kPrometheusContentType;
          response.body = RenderPrometheus(pointers);
          return response;
        });
      });
}

}  // namespace

void AddMetricRoutes(const RestContextPtr& context, Router* router) {
  const std::string vertex = "/jobs/:jobid/vertices/:vertexid";
  AddPlain(context, "/jobmanager/metrics", false, All(Scope::kJobManager), router);
  AddAggregated(context, "/taskmanagers/metrics", TaskManagersAsked, router);
  AddPlain(context, "/taskmanagers/:taskmanagerid/metrics", false, OneTaskManager, router);
  AddAggregated(context, "/jobs/metrics", JobsAsked, router);
  AddPlain(context, "/jobs/:jobid/metrics", false, OneJob, router);
  AddPlain(context, StrCat(vertex, "/metrics"), true, OneVertex(Scope::kSubtasks), router);
  AddAggregated(context, StrCat(vertex, "/subtasks/metrics"), OneVertex(Scope::kSubtasks), router);
  AddPlain(context, StrCat(vertex, "/jm-operator-metrics"), false, OneVertex(Scope::kCoordinators),
           router);
  router->Add(HttpMethod::kGet, StrCat(vertex, "/subtasks/:subtaskindex/metrics"),
              BodyPolicy::kIgnore, [context](const HttpRequest& request, HttpResponder responder) {
                AnswerSubtask(context, request, std::move(responder));
              });
  router->Add(HttpMethod::kGet, "/metrics", BodyPolicy::kIgnore,
              [context](const HttpRequest&, HttpResponder responder) {
                AnswerPrometheus(context, std::move(responder));
              });
}

}  // namespace weir::internal
