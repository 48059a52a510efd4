#include "jobs/sigma/engine/pattern.h"

#include <algorithm>
#include <utility>

#include "jobs/sigma/engine/internal/rule_limits.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

// Returns where the UTF-8 character that begins at `at` ends.
size_t NextCharacter(std::string_view text, size_t at) {
  ++at;
  while (at < text.size() && (static_cast<uint8_t>(text[at]) & 0xc0) == 0x80) ++at;
  return at;
}

absl::Status TooManyForms(const std::string& placeholder) {
  return absl::InvalidArgumentError(
      StrCat("the placeholders make too many forms of one value; write fewer of them, or give them "
             "fewer values: placeholder=%",
             placeholder, "% limit=", kMostForms));
}

}  // namespace

Pattern Pattern::Parse(std::string_view notation) {
  Pattern pattern;
  pattern.symbols_.reserve(notation.size());
  for (size_t i = 0; i < notation.size(); ++i) {
    const char c = notation[i];
    if (c == '\\' && i + 1 < notation.size() &&
        (notation[i + 1] == '\\' || notation[i + 1] == '*' || notation[i + 1] == '?')) {
      pattern.symbols_.push_back(static_cast<uint8_t>(notation[++i]));
    } else if (c == '*') {
      if (!pattern.EndsOpen()) pattern.symbols_.push_back(kAnyRun);
    } else if (c == '?') {
      pattern.symbols_.push_back(kAnyCharacter);
    } else {
      pattern.symbols_.push_back(static_cast<uint8_t>(c));
    }
  }
  return pattern;
}

Pattern Pattern::Literal(std::string_view text) {
  Pattern pattern;
  for (const char c : text) pattern.symbols_.push_back(static_cast<uint8_t>(c));
  return pattern;
}

void Pattern::OpenStart() {
  if (!StartsOpen()) symbols_.insert(symbols_.begin(), kAnyRun);
}

void Pattern::OpenEnd() {
  if (!EndsOpen()) symbols_.push_back(kAnyRun);
}

Pattern Pattern::AnyRun() {
  Pattern pattern;
  pattern.symbols_.push_back(kAnyRun);
  return pattern;
}

void Pattern::FoldToLowerCase() {
  ChangeLiterals([](std::string_view run) { return FoldCase(run); });
}

void Pattern::ReplaceBytes(size_t index, size_t count, std::string_view text) {
  const auto begin = symbols_.begin() + static_cast<std::ptrdiff_t>(index);
  const auto at = symbols_.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
  std::vector<uint16_t> bytes;
  for (const char c : text) bytes.push_back(static_cast<uint8_t>(c));
  symbols_.insert(at, bytes.begin(), bytes.end());
}

void Pattern::ChangeLiterals(const std::function<std::string(std::string_view)>& change) {
  ReplaceLiterals([&](std::string_view run) { return Literal(change(run)); });
}

void Pattern::ReplaceLiterals(const std::function<Pattern(std::string_view)>& change) {
  Pattern changed;
  changed.symbols_.reserve(symbols_.size());
  std::string run;
  const auto flush = [&] {
    if (!run.empty()) changed.Append(change(run));
    run.clear();
  };
  for (const uint16_t symbol : symbols_) {
    if (symbol < kAnyRun) {
      run.push_back(static_cast<char>(symbol));
      continue;
    }
    flush();
    if (symbol < kFirstPlaceholder) {
      changed.symbols_.push_back(symbol);
    } else {
      changed.AppendPlaceholder(placeholders_[symbol - kFirstPlaceholder]);
    }
  }
  flush();
  *this = std::move(changed);
}

void Pattern::AppendPlaceholder(std::string name) {
  symbols_.push_back(static_cast<uint16_t>(kFirstPlaceholder + placeholders_.size()));
  placeholders_.push_back(std::move(name));
}

void Pattern::Append(const Pattern& other) {
  for (const uint16_t symbol : other.symbols_) {
    if (symbol == kAnyRun && EndsOpen()) continue;
    if (symbol < kFirstPlaceholder) {
      symbols_.push_back(symbol);
    } else {
      AppendPlaceholder(other.placeholders_[symbol - kFirstPlaceholder]);
    }
  }
}

void Pattern::InsertPlaceholders() {
  ReplaceLiterals([](std::string_view run) {
    Pattern parts;
    for (size_t i = 0; i < run.size(); ++i) {
      if (run[i] == '\\' && i + 1 < run.size() && run[i + 1] == '%') {
        parts.symbols_.push_back('%');
        ++i;
        continue;
      }
      const size_t end = run[i] == '%' ? run.find('%', i + 1) : std::string_view::npos;
      if (end == std::string_view::npos || end == i + 1) {
        parts.symbols_.push_back(static_cast<uint8_t>(run[i]));
        continue;
      }
      parts.AppendPlaceholder(std::string(run.substr(i + 1, end - i - 1)));
      i = end;
    }
    return parts;
  });
}

bool Pattern::HasPlaceholder() const {
  return std::any_of(symbols_.begin(), symbols_.end(),
                     [](uint16_t s) { return s >= kFirstPlaceholder; });
}

std::vector<std::string> Pattern::PlaceholderNames() const {
  std::vector<std::string> names;
  for (const uint16_t symbol : symbols_) {
    if (symbol >= kFirstPlaceholder) names.push_back(placeholders_[symbol - kFirstPlaceholder]);
  }
  return names;
}

absl::StatusOr<std::vector<Pattern>> Pattern::ReplacePlaceholders(
    const PlaceholderValues& values) const {
  std::vector<Pattern> results(1);
  for (const uint16_t symbol : symbols_) {
    if (symbol < kFirstPlaceholder) {
      for (Pattern& result : results) {
        if (symbol != kAnyRun || !result.EndsOpen()) result.symbols_.push_back(symbol);
      }
      continue;
    }
    const std::string& name = placeholders_[symbol - kFirstPlaceholder];
    const std::optional<std::vector<Pattern>> replacements = values(name);
    if (!replacements) {
      for (Pattern& result : results) result.AppendPlaceholder(name);
      continue;
    }
    std::vector<Pattern> next;
    size_t size_bytes = 0;
    for (const Pattern& result : results) {
      for (const Pattern& replacement : *replacements) {
        next.push_back(result);
        next.back().Append(replacement);
        size_bytes += next.back().size() * sizeof(uint16_t);
        if (next.size() > kMostForms || size_bytes > kMostValueBytes) return TooManyForms(name);
      }
    }
    results = std::move(next);
  }
  return results;
}

bool Pattern::HasWildcard() const {
  return std::any_of(symbols_.begin(), symbols_.end(),
                     [](uint16_t s) { return s == kAnyRun || s == kAnyCharacter; });
}

std::string Pattern::LiteralText() const {
  std::string text;
  text.reserve(symbols_.size());
  for (const uint16_t symbol : symbols_) {
    if (symbol < kAnyRun) text.push_back(static_cast<char>(symbol));
  }
  return text;
}

std::vector<std::string> Pattern::LiteralRuns() const {
  std::vector<std::string> runs;
  bool open = false;
  for (const uint16_t symbol : symbols_) {
    if (symbol >= kAnyRun) {
      open = false;
      continue;
    }
    if (!open) runs.emplace_back();
    open = true;
    runs.back().push_back(static_cast<char>(symbol));
  }
  return runs;
}

bool Pattern::Matches(std::string_view text) const {
  size_t symbol = 0;
  size_t at = 0;
  size_t retry_symbol = symbols_.size() + 1;  // Behind the last `*` passed, if any.
  size_t retry_at = 0;
  while (at < text.size()) {
    if (symbol < symbols_.size() && symbols_[symbol] == kAnyRun) {
      retry_symbol = ++symbol;
      retry_at = at;
    } else if (symbol < symbols_.size() && symbols_[symbol] == kAnyCharacter) {
      ++symbol;
      at = NextCharacter(text, at);
    } else if (symbol < symbols_.size() && symbols_[symbol] == static_cast<uint8_t>(text[at])) {
      ++symbol;
      ++at;
    } else if (retry_symbol <= symbols_.size()) {
      symbol = retry_symbol;
      at = retry_at = NextCharacter(text, retry_at);
    } else {
      return false;
    }
  }
  while (symbol < symbols_.size() && symbols_[symbol] == kAnyRun) ++symbol;
  return symbol == symbols_.size();
}

std::string Pattern::ToString() const {
  std::string notation;
  for (const uint16_t symbol : symbols_) {
    if (symbol == kAnyRun) {
      notation.push_back('*');
    } else if (symbol == kAnyCharacter) {
      notation.push_back('?');
    } else if (symbol >= kFirstPlaceholder) {
      notation += "%" + placeholders_[symbol - kFirstPlaceholder] + "%";
    } else {
      if (symbol == '\\' || symbol == '*' || symbol == '?') notation.push_back('\\');
      notation.push_back(static_cast<char>(symbol));
    }
  }
  return notation;
}

std::string Pattern::PlainText() const {
  std::string text;
  for (const uint16_t symbol : symbols_) {
    if (symbol == kAnyRun) {
      text.push_back('*');
    } else if (symbol == kAnyCharacter) {
      text.push_back('?');
    } else if (symbol >= kFirstPlaceholder) {
      text += "%" + placeholders_[symbol - kFirstPlaceholder] + "%";
    } else {
      if (symbol == '*' || symbol == '?') text.push_back('\\');
      text.push_back(static_cast<char>(symbol));
    }
  }
  return text;
}

}  // namespace weir::sigma
