#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "jobmanager/rest/internal/json_fields.h"
#include "jobmanager/rest/internal/json_rendering.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

Json ToJson(const ParallelismRange& range) {
  return {{"parallelism", {{"lowerBound", range.lower}, {"upperBound", range.upper}}}};
}

Json OrNull(absl::Time time) {
  return time == absl::InfiniteFuture() ? Json(nullptr) : Json(absl::ToUnixMillis(time));
}

// The state of Flink's scheduler that a part of a rescale falls into.
std::string_view SchedulerState(RescalePhase phase) {
  switch (phase) {
    case RescalePhase::kCheckpoint:
      return "Executing";
    case RescalePhase::kStop:
      return "Restarting";
    case RescalePhase::kSlots:
      return "WaitingForResources";
    case RescalePhase::kDeploy:
      return "CreatingExecutionGraph";
    case RescalePhase::kStart:
      return "Executing";
  }
  return "";
}

Json PhasesToJson(const RescaleEntry& entry, absl::Time now) {
  Json phases = Json::array();
  for (const RescaleEntry::Phase& phase : entry.phases) {
    phases.push_back({{"state", SchedulerState(phase.phase)},
                      {"phase", ToString(phase.phase)},
                      {"enterTimestampInMillis", absl::ToUnixMillis(phase.begin)},
                      {"leaveTimestampInMillis", OrNull(phase.end)},
                      {"durationInMillis", Millis(std::min(phase.end, now) - phase.begin)}});
  }
  return phases;
}

Json VerticesToJson(const RescaleEntry& entry) {
  Json vertices = Json::object();
  for (const RescaledVertex& vertex : entry.vertices) {
    vertices[ToString(vertex.id)] = {{"jobVertexId", ToString(vertex.id)},
                                     {"jobVertexName", vertex.name},
                                     {"slotSharingGroupName", vertex.slot_sharing_group},
                                     {"desiredParallelism", vertex.wanted.upper},
                                     {"sufficientParallelism", vertex.wanted.lower},
                                     {"preRescaleParallelism", vertex.before},
                                     {"postRescaleParallelism", vertex.after}};
  }
  return vertices;
}

}  // namespace

std::string RenderResourceRequirements(const ScalingDetails& scaling) {
  Json json = Json::object();
  for (const ScalingDetails::Vertex& vertex : scaling.vertices) {
    json[ToString(vertex.id)] = ToJson(vertex.wanted);
  }
  return Dump(json);
}

std::string RenderRescales(const ScalingDetails& scaling, absl::Time now) {
  Json json = Json::array();
  for (const RescaleEntry& entry : scaling.history) {
    json.push_back({{"rescaleAttemptId", entry.number},
                    {"vertices", VerticesToJson(entry)},
                    {"schedulerStates", PhasesToJson(entry, now)},
                    {"startTimestampInMillis", absl::ToUnixMillis(entry.begin)},
                    {"endTimestampInMillis", OrNull(entry.end)},
                    {"durationInMillis", Millis(std::min(entry.end, now) - entry.begin)},
                    {"downtimeInMillis", Millis(entry.Downtime(now))},
                    {"terminalState", ToString(entry.result)},
                    {"triggerCause", ToString(entry.cause)},
                    {"reason", entry.reason},
                    {"restoredCheckpointId", entry.checkpoint}});
  }
  return Dump(json);
}

std::string RenderScaling(const ScalingDetails& scaling) {
  Json vertices = Json::array();
  for (const ScalingDetails::Vertex& vertex : scaling.vertices) {
    vertices.push_back({{"id", ToString(vertex.id)},
                        {"name", vertex.name},
                        {"parallelism", vertex.parallelism},
                        {"lowerBound", vertex.wanted.lower},
                        {"upperBound", vertex.wanted.upper},
                        {"maxParallelism", vertex.max_parallelism},
                        {"parallelismConfigured", vertex.parallelism_configured}});
  }
  return Dump(
      {{"jid", ToString(scaling.id)},
       {"state", JobStatusName(scaling.status)},
       {"scheduler", scaling.scheduler},
       {"reason", scaling.reason},
       {"slots", {{"wanted", scaling.wanted_slots}, {"available", scaling.available_slots}}},
       {"numRescales", scaling.num_rescales},
       {"vertices", std::move(vertices)}});
}

}  // namespace weir::internal
