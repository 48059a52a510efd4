#pragma once

#include <string_view>

namespace weir::ndr {

/// The correlation rules the job has when it is given none.
inline constexpr std::string_view kBuiltinRules = R"json({
  "rule_id": "LM-001",
  "rule_name": "Lateral movement",
  "description": "An internal host scans ports, opens far more connections than usual, and reaches administrative services of other hosts, all within a quarter of an hour.",
  "required_signals": ["PORT_SCAN", "CONNECTION_SPIKE", "PRIVILEGED_ACCESS"],
  "time_window_minutes": 15,
  "detection_type": "LATERAL_MOVEMENT",
  "severity": "CRITICAL",
  "confidence": "HIGH",
  "mitre_attack": {"tactic": "TA0008", "technique": "T1021", "name": "Remote Services"}
})json";

}  // namespace weir::ndr
