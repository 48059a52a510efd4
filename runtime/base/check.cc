#include "runtime/base/check.h"

#include <cstdlib>

#include "runtime/base/logging.h"

namespace weir::internal {

CheckFailure::CheckFailure(const char* file, int line, const std::string& condition) {
  message_ << "check failed at " << file << ":" << line << ": " << condition << " ";
}

CheckFailure::~CheckFailure() {
  Log(LogLevel::kFatal, "check", message_.str());
  std::abort();
}

}  // namespace weir::internal
