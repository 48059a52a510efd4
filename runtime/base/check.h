#pragma once

#include <memory>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>

/// CHECK and DCHECK state what must be true whatever data, peers and disks do: a failure is a bug.
/// CHECK always stands and ends the process, because going on could corrupt state; DCHECK compiles
/// to nothing with NDEBUG. Both take a streamed message, and the comparing forms print both values:
///
///     CHECK_EQ(restored.size(), snapshot.size()) << "uid=" << uid;
///
/// What input can cause is an absl::Status, never a CHECK.
#define CHECK(condition)                          \
  switch (0)                                      \
  case 0:                                         \
  default:                                        \
    (condition) ? static_cast<void>(0)            \
                : ::weir::internal::CheckVoid() & \
                      ::weir::internal::CheckFailure(__FILE__, __LINE__, #condition).stream()

#define WEIR_CHECK_COMPARE_(a, b, op, compare)                                                \
  while (const std::unique_ptr<std::string> weir_check_text =                                 \
             ::weir::internal::CompareForCheck<::weir::internal::compare>((a), (b),           \
                                                                          #a " " #op " " #b)) \
  ::weir::internal::CheckFailure(__FILE__, __LINE__, *weir_check_text).stream()

#define CHECK_EQ(a, b) WEIR_CHECK_COMPARE_(a, b, ==, CheckEqual)
#define CHECK_NE(a, b) WEIR_CHECK_COMPARE_(a, b, !=, CheckNotEqual)
#define CHECK_LT(a, b) WEIR_CHECK_COMPARE_(a, b, <, CheckLess)
#define CHECK_LE(a, b) WEIR_CHECK_COMPARE_(a, b, <=, CheckLessOrEqual)
#define CHECK_GT(a, b) WEIR_CHECK_COMPARE_(a, b, >, CheckGreater)
#define CHECK_GE(a, b) WEIR_CHECK_COMPARE_(a, b, >=, CheckGreaterOrEqual)

#ifdef NDEBUG
#define WEIR_DCHECK_IS_ON 0
#define DCHECK(condition) \
  while (false) CHECK(condition)
#define DCHECK_EQ(a, b) \
  while (false) CHECK_EQ(a, b)
#define DCHECK_NE(a, b) \
  while (false) CHECK_NE(a, b)
#define DCHECK_LT(a, b) \
  while (false) CHECK_LT(a, b)
#define DCHECK_LE(a, b) \
  while (false) CHECK_LE(a, b)
#define DCHECK_GT(a, b) \
  while (false) CHECK_GT(a, b)
#define DCHECK_GE(a, b) \
  while (false) CHECK_GE(a, b)
#else
#define WEIR_DCHECK_IS_ON 1
#define DCHECK(condition) CHECK(condition)
#define DCHECK_EQ(a, b) CHECK_EQ(a, b)
#define DCHECK_NE(a, b) CHECK_NE(a, b)
#define DCHECK_LT(a, b) CHECK_LT(a, b)
#define DCHECK_LE(a, b) CHECK_LE(a, b)
#define DCHECK_GT(a, b) CHECK_GT(a, b)
#define DCHECK_GE(a, b) CHECK_GE(a, b)
#endif

namespace weir::internal {

/// Collects the message of a failed check; its destructor logs it and aborts the process.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const std::string& condition);
  [[noreturn]] ~CheckFailure();
  CheckFailure(const CheckFailure&) = delete;
  CheckFailure& operator=(const CheckFailure&) = delete;

  std::ostream& stream() { return message_; }

 private:
  std::ostringstream message_;
};

/// Gives both branches of CHECK's conditional the type void; binds weaker than << and stronger than
/// ?:.
struct CheckVoid {
  void operator&(std::ostream&) const {}
};

template <class T>
inline constexpr bool kIsPlainInteger =
    std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char> &&
    !std::is_same_v<T, wchar_t> && !std::is_same_v<T, char8_t> && !std::is_same_v<T, char16_t> &&
    !std::is_same_v<T, char32_t>;

// Integers of different signs compare by value, as CHECK_GE(vector.size(), 3) means.
#define WEIR_DEFINE_CHECK_COMPARISON_(name, op, std_function)   \
  struct name {                                                 \
    template <class A, class B>                                 \
    static constexpr bool Holds(const A& a, const B& b) {       \
      if constexpr (kIsPlainInteger<A> && kIsPlainInteger<B>) { \
        return std_function(a, b);                              \
      } else {                                                  \
        return a op b;                                          \
      }                                                         \
    }                                                           \
  };
WEIR_DEFINE_CHECK_COMPARISON_(CheckEqual, ==, std::cmp_equal)
WEIR_DEFINE_CHECK_COMPARISON_(CheckNotEqual, !=, std::cmp_not_equal)
WEIR_DEFINE_CHECK_COMPARISON_(CheckLess, <, std::cmp_less)
WEIR_DEFINE_CHECK_COMPARISON_(CheckLessOrEqual, <=, std::cmp_less_equal)
WEIR_DEFINE_CHECK_COMPARISON_(CheckGreater, >, std::cmp_greater)
WEIR_DEFINE_CHECK_COMPARISON_(CheckGreaterOrEqual, >=, std::cmp_greater_equal)
#undef WEIR_DEFINE_CHECK_COMPARISON_

template <class T>
void PrintForCheck(std::ostream& out, const T& value) {
  if constexpr (requires { out << value; }) {
    out << value;
  } else if constexpr (requires { out << value.value(); }) {
    out << value.value();
  } else if constexpr (std::is_enum_v<T>) {
    out << static_cast<long long>(value);
  } else {
    out << "?";
  }
}

template <class A, class B>
[[gnu::noinline, gnu::cold]] std::unique_ptr<std::string> FailedComparison(const A& a, const B& b,
                                                                           const char* text) {
  std::ostringstream out;
  out << text << " (";
  PrintForCheck(out, a);
  out << " vs ";
  PrintForCheck(out, b);
  out << ")";
  return std::make_unique<std::string>(out.str());
}

template <class Comparison, class A, class B>
std::unique_ptr<std::string> CompareForCheck(const A& a, const B& b, const char* text) {
  if (Comparison::Holds(a, b)) [[likely]]
    return nullptr;
  return FailedComparison(a, b, text);
}

}  // namespace weir::internal
