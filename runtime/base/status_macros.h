#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

/// Returns from the enclosing function with the error if `expr`, an absl::Status, is one.
#define RETURN_IF_ERROR(expr)                                     \
  do {                                                            \
    if (::absl::Status weir_status_ = (expr); !weir_status_.ok()) \
      return weir_status_; /* NOLINT */                           \
  } while (false)

#define WEIR_STATUS_CONCAT_INNER_(a, b) a##b
#define WEIR_STATUS_CONCAT_(a, b) WEIR_STATUS_CONCAT_INNER_(a, b)

/// Evaluates `expr`, an absl::StatusOr<T>; assigns its value to `lhs`, or returns its error.
/// `lhs` may declare a variable: ASSIGN_OR_RETURN(const Schema schema, Schema::Parse(text));
#define ASSIGN_OR_RETURN(lhs, ...)                                             \
  auto WEIR_STATUS_CONCAT_(weir_status_or_, __LINE__) = (__VA_ARGS__);         \
  if (!WEIR_STATUS_CONCAT_(weir_status_or_, __LINE__).ok())                    \
    return std::move(WEIR_STATUS_CONCAT_(weir_status_or_, __LINE__)).status(); \
  lhs = std::move(WEIR_STATUS_CONCAT_(weir_status_or_, __LINE__)).value()
