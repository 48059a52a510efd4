#pragma once

#include "runtime/graph/job_definition.h"
#include "weir_abi_stamp.h"

// What a job library is made of: its entry points, and the list its jobs register in. Included by
// job libraries alone (by way of operators/api). Every source file of a library may include it: the
// definitions below are inline, so the library has one of each, and hidden but for the two symbols
// that the loader asks for, so that libraries do not meet each other's.

/// Registers a job of this library; at namespace scope. `build` is a JobBuildFunction, or a lambda
/// without captures.
#define WEIR_REGISTER_JOB_(name, description, build) \
  WEIR_REGISTER_JOB_AS_(WEIR_JOB_REGISTRAR_NAME_(__COUNTER__), name, description, build)
#define WEIR_JOB_REGISTRAR_NAME_(number) WEIR_JOB_REGISTRAR_NAME_INNER_(number)
#define WEIR_JOB_REGISTRAR_NAME_INNER_(number) weir_job_registrar_##number
#define WEIR_REGISTER_JOB_AS_(registrar, name, description, build) \
  [[maybe_unused]] static const ::weir::internal::JobRegistrar registrar(name, description, build)

namespace weir::internal {

/// The library's jobs, newest first. A plain pointer, so that it is there before any constructor
/// runs.
[[gnu::visibility("hidden")]] inline const JobDefinition* registered_jobs = nullptr;

/// Adds a job to the list when the library is loaded. Only as a static object.
class [[gnu::visibility("hidden")]] JobRegistrar {
 public:
  JobRegistrar(const char* name, const char* description, JobBuildFunction build)
      : definition_{name, description, build, registered_jobs} {
    registered_jobs = &definition_;
  }
  JobRegistrar(const JobRegistrar&) = delete;
  JobRegistrar& operator=(const JobRegistrar&) = delete;

 private:
  const JobDefinition definition_;
};

/// Hidden, so that its static is the library's own even where the linker unites exported ones.
[[gnu::visibility("hidden")]] inline const JobLibraryDescriptor* DescribeLibrary() {
  static const JobLibraryDescriptor descriptor{JobLibraryDescriptor::kLayoutVersion, WEIR_ABI_STAMP,
                                               registered_jobs};
  return &descriptor;
}

}  // namespace weir::internal

extern "C" {

[[gnu::visibility("default"), gnu::used]] inline const char weir_abi_stamp[] = WEIR_ABI_STAMP;

[[gnu::visibility("default"), gnu::used]] inline const weir::JobLibraryDescriptor*
weir_job_library() {
  return weir::internal::DescribeLibrary();
}

}  // extern "C"
