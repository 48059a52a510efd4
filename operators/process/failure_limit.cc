#include "operators/process/failure_limit.h"

#include <new>
#include <stdexcept>

#include "runtime/base/strings.h"
#include "runtime/state/state_error.h"

namespace weir::internal {

void FailureLimit::Count(absl::Time now, std::string_view error) {
  if (now - begin_ >= options_.interval) {
    begin_ = now;
    count_ = 0;
  }
  if (++count_ <= options_.max_failures) return;
  // An exception, for this stands where user code does: it fails the task, naming the operator.
  throw std::runtime_error(
      StrCat("the function fails on too many records; mend it or its input, or raise max_failures: "
             "max_failures=",
             options_.max_failures, " interval=", absl::FormatDuration(options_.interval),
             " last error: ", error));
}

std::string TextOfRecordsFailure(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const StateError&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& exception) {
    return exception.what();
  } catch (...) {
    return "(not a std::exception)";
  }
}

}  // namespace weir::internal
