#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace weir {

class JobArgs;
class StreamGraph;

/// Describes a job as operators and edges. May throw; called once per process that needs the graph.
using JobBuildFunction = absl::Status (*)(StreamGraph&, const JobArgs&);

/// One job of a job library. Lives in the library's static memory, as all it points to.
struct JobDefinition {
  const char* name;
  const char* description;
  JobBuildFunction build;
  /// The library's next job, or null; in no particular order.
  const JobDefinition* next;
};

/// What a job library's entry point, `extern "C" const weir::JobLibraryDescriptor*
/// weir_job_library()`, answers. Read only after the library's ABI stamp was found to be this
/// process's own, so its layout needs no version beyond this number.
struct JobLibraryDescriptor {
  static constexpr uint32_t kLayoutVersion = 1;

  uint32_t layout_version;
  const char* abi_stamp;
  const JobDefinition* first_job;
};

/// Name of the entry point.
inline constexpr char kJobLibraryEntryPoint[] = "weir_job_library";
/// Name of the library's stamp, a `const char[]`: read from the file before any code of it may run.
inline constexpr char kJobLibraryStampSymbol[] = "weir_abi_stamp";

}  // namespace weir
