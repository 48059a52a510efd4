#include "jobs/sigma/parser/internal/field_pattern.h"

#include <cstdint>
#include <map>

#include "re2/re2.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

#ifdef WEIR_HAS_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#endif

namespace weir::sigma {
namespace {

/// Returns whether the pattern has a group of flags with `m` in it.
bool HasLineFlag(std::string_view pattern) {
  for (size_t at = pattern.find("(?"); at != std::string_view::npos;
       at = pattern.find("(?", at + 2)) {
    const std::string_view flags = pattern.substr(at + 2);
    const size_t end = flags.find_first_not_of("aimsuxL");
    if (flags.substr(0, end).find('m') != std::string_view::npos) return true;
  }
  return false;
}

/// Writes Python's ends of text as RE2 has them: `$` also matches before a line end at the end, and
/// `\Z` only at the very end. Patterns with flags of their own for lines (`(?m)`) stay as they are.
std::string WithEndsOfRe2(std::string_view pattern) {
  const bool by_line = HasLineFlag(pattern);
  std::string result;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char escaped = pattern[++i];
      result.push_back('\\');
      result.push_back(escaped == 'Z' && !in_class ? 'z' : escaped);
    } else if (in_class) {
      in_class = c != ']';
      result.push_back(c);
    } else if (c == '[') {
      in_class = true;
      result.push_back(c);
      // A bracket in the first place is a member.
      if (i + 1 < pattern.size() && pattern[i + 1] == '^') result.push_back(pattern[++i]);
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') {
        result.append("\\]");
        ++i;
      }
    } else if (c == '$' && !by_line) {
      result.append("(?:\\n?\\z)");
    } else {
      result.push_back(c);
    }
  }
  return result;
}

class Re2Pattern final : public FieldPattern {
 public:
  explicit Re2Pattern(std::unique_ptr<RE2> compiled) : compiled_(std::move(compiled)) {
    for (const auto& [index, name] : compiled_->CapturingGroupNames()) groups_[index] = name;
  }

  absl::StatusOr<std::optional<std::vector<Group>>> Search(std::string_view text) const override {
    const int num_groups = 1 + (groups_.empty() ? 0 : groups_.rbegin()->first);
    std::vector<re2::StringPiece> found(static_cast<size_t>(num_groups));
    if (!compiled_->Match(re2::StringPiece(text.data(), text.size()), 0, text.size(),
                          RE2::UNANCHORED, found.data(), num_groups)) {
      return std::nullopt;
    }
    std::vector<Group> result;
    for (const auto& [index, name] : groups_) {
      const re2::StringPiece& group = found[static_cast<size_t>(index)];
      result.emplace_back(name, group.data() == nullptr
                                    ? std::nullopt
                                    : std::optional(std::string(group.data(), group.size())));
    }
    return result;
  }

 private:
  std::unique_ptr<RE2> compiled_;
  std::map<int, std::string> groups_;
};

#ifdef WEIR_HAS_PCRE2

constexpr uint32_t kMatchLimit = 1'000'000;
constexpr uint32_t kHeapLimitKibibytes = 20'000;

struct CodeDeleter {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct MatchDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct ContextDeleter {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

class Pcre2Pattern final : public FieldPattern {
 public:
  explicit Pcre2Pattern(std::unique_ptr<pcre2_code, CodeDeleter> code)
      : code_(std::move(code)), context_(pcre2_match_context_create(nullptr)) {
    pcre2_set_match_limit(context_.get(), kMatchLimit);
    pcre2_set_heap_limit(context_.get(), kHeapLimitKibibytes);
    uint32_t count = 0;
    uint32_t entry_size = 0;
    PCRE2_SPTR table = nullptr;
    pcre2_pattern_info(code_.get(), PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(code_.get(), PCRE2_INFO_NAMEENTRYSIZE, &entry_size);
    pcre2_pattern_info(code_.get(), PCRE2_INFO_NAMETABLE, &table);
    for (uint32_t i = 0; i < count; ++i, table += entry_size) {
      // An entry is the group's number in two bytes, then its name with a zero behind.
      groups_[static_cast<uint32_t>(table[0] << 8 | table[1])] =
          reinterpret_cast<const char*>(table + 2);
    }
  }

  absl::StatusOr<std::optional<std::vector<Group>>> Search(std::string_view text) const override {
    const std::unique_ptr<pcre2_match_data, MatchDeleter> data(
        pcre2_match_data_create_from_pattern(code_.get(), nullptr));
    const int matched = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                    text.size(), 0, 0, data.get(), context_.get());
    if (matched == PCRE2_ERROR_NOMATCH) return std::nullopt;
    if (matched < 0) {
      return absl::ResourceExhaustedError(StrCat(
          "the search for a pattern was given up; write it with less to try: error=", matched));
    }
    const PCRE2_SIZE* const ends = pcre2_get_ovector_pointer(data.get());
    std::vector<Group> result;
    for (const auto& [index, name] : groups_) {
      const PCRE2_SIZE begin = ends[2 * index];
      // \K and the like may set ends out of order.
      const bool took_part = begin != PCRE2_UNSET && index < static_cast<uint32_t>(matched) &&
                             ends[2 * index + 1] >= begin;
      result.emplace_back(
          name, took_part
                    ? std::optional(std::string(text.substr(begin, ends[2 * index + 1] - begin)))
                    : std::nullopt);
    }
    return result;
  }

 private:
  std::unique_ptr<pcre2_code, CodeDeleter> code_;
  std::unique_ptr<pcre2_match_context, ContextDeleter> context_;
  std::map<uint32_t, std::string> groups_;
};

absl::StatusOr<std::shared_ptr<const FieldPattern>> CompileWithPcre2(std::string_view pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  std::unique_ptr<pcre2_code, CodeDeleter> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr));
  if (code == nullptr) {
    PCRE2_UCHAR message[256] = {};
    pcre2_get_error_message(error, message, sizeof(message));
    return absl::InvalidArgumentError(
        StrCat(std::string_view(reinterpret_cast<const char*>(message)), " offset=", offset));
  }
  return std::make_shared<const Pcre2Pattern>(std::move(code));
}

#endif

}  // namespace

absl::StatusOr<std::shared_ptr<const FieldPattern>> FieldPattern::Compile(
    std::string_view pattern) {
  RE2::Options options;
  options.set_log_errors(false);
  const std::string translated = WithEndsOfRe2(pattern);
  auto compiled =
      std::make_unique<RE2>(re2::StringPiece(translated.data(), translated.size()), options);
  if (compiled->ok()) return std::make_shared<const Re2Pattern>(std::move(compiled));
#ifdef WEIR_HAS_PCRE2
  return CompileWithPcre2(pattern);
#else
  if (compiled->error_code() == RE2::ErrorBadPerlOp ||
      compiled->error_code() == RE2::ErrorBadEscape) {
    return absl::UnimplementedError(
        StrCat("the pattern needs PCRE2, which this weir was built without: ", compiled->error()));
  }
  return absl::InvalidArgumentError(compiled->error());
#endif
}

}  // namespace weir::sigma
