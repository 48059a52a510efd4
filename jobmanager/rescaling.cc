#include "jobmanager/rescaling.h"

#include <algorithm>

namespace weir {

std::string_view ToString(RescaleCause cause) {
  switch (cause) {
    case RescaleCause::kUpdateRequirement:
      return "UPDATE_REQUIREMENT";
    case RescaleCause::kNewResourceAvailable:
      return "NEW_RESOURCE_AVAILABLE";
    case RescaleCause::kRecoverableFailover:
      return "RECOVERABLE_FAILOVER";
  }
  return "";
}

std::string_view ToString(RescaleResult result) {
  switch (result) {
    case RescaleResult::kInProgress:
      return "IN_PROGRESS";
    case RescaleResult::kCompleted:
      return "COMPLETED";
    case RescaleResult::kFailed:
      return "FAILED";
  }
  return "";
}

std::string_view ToString(RescalePhase phase) {
  switch (phase) {
    case RescalePhase::kCheckpoint:
      return "checkpoint";
    case RescalePhase::kStop:
      return "stop";
    case RescalePhase::kSlots:
      return "slots";
    case RescalePhase::kDeploy:
      return "deploy";
    case RescalePhase::kStart:
      return "start";
  }
  return "";
}

absl::Duration RescaleEntry::Downtime(absl::Time now) const {
  for (const Phase& phase : phases) {
    if (phase.phase != RescalePhase::kCheckpoint) return std::min(end, now) - phase.begin;
  }
  return absl::ZeroDuration();
}

ResourceRequirements ScalingDetails::Requirements() const {
  ResourceRequirements requirements;
  for (const Vertex& vertex : vertices) requirements.emplace(vertex.id, vertex.wanted);
  return requirements;
}

}  // namespace weir
