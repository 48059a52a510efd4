#include "runtime/base/failure.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <typeinfo>

#include "absl/strings/cord.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

// One character for the origin, then the exception's name.
constexpr char kPayload[] = "weir/failure";

bool IsOfSystem(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

std::string NameOf(const std::type_info* type) {
  if (type == nullptr) return "unknown";
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(
      abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), &std::free);
  return status == 0 ? demangled.get() : type->name();
}

}  // namespace

void SetFailure(FailureOrigin origin, std::string_view exception_name, absl::Status* status) {
  const std::string text = StrCat(static_cast<int>(origin), ToAbsl(exception_name));
  // Not of the string itself: Clang and GCC name that constructor differently.
  status->SetPayload(kPayload, absl::Cord(ToAbsl(text)));
}

Failure DescribeFailure(const absl::Status& status) {
  if (const auto payload = status.GetPayload(kPayload); payload.has_value() && !payload->empty()) {
    const std::string text(*payload);
    return {static_cast<FailureOrigin>(text.front() - '0'), text.substr(1)};
  }
  return {IsOfSystem(status.code()) ? FailureOrigin::kSystem : FailureOrigin::kUnknown,
          absl::StatusCodeToString(status.code())};
}

absl::Status WithMessage(const absl::Status& status, std::string_view message) {
  absl::Status changed(status.code(), ToAbsl(message));
  status.ForEachPayload([&changed](absl::string_view type, const absl::Cord& payload) {
    changed.SetPayload(type, payload);
  });
  return changed;
}

absl::Status ThrownByUserCode(std::string_view message) {
  absl::Status status = absl::InternalError(ToAbsl(message));
  SetFailure(FailureOrigin::kUser, NameOf(abi::__cxa_current_exception_type()), &status);
  return status;
}

std::string_view FailureOriginName(FailureOrigin origin) {
  switch (origin) {
    case FailureOrigin::kUser:
      return "USER";
    case FailureOrigin::kSystem:
      return "SYSTEM";
    case FailureOrigin::kUnknown:
      break;
  }
  return "UNKNOWN";
}

}  // namespace weir
