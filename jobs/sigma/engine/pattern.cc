#include "jobs/sigma/engine/pattern.h"

#include <algorithm>

#include "jobs/sigma/engine/internal/text_fold.h"

namespace weir::sigma {
namespace {

// Returns where the UTF-8 character that begins at `at` ends.
size_t NextCharacter(std::string_view text, size_t at) {
  ++at;
  while (at < text.size() && (static_cast<uint8_t>(text[at]) & 0xc0) == 0x80) ++at;
  return at;
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

void Pattern::FoldToLowerCase() {
  std::vector<uint16_t> folded;
  folded.reserve(symbols_.size());
  std::string run;
  const auto flush = [&] {
    for (const char c : FoldCase(run)) folded.push_back(static_cast<uint8_t>(c));
    run.clear();
  };
  for (const uint16_t symbol : symbols_) {
    if (symbol < kAnyRun) {
      run.push_back(static_cast<char>(symbol));
      continue;
    }
    flush();
    folded.push_back(symbol);
  }
  flush();
  symbols_ = std::move(folded);
}

void Pattern::ReplaceByte(size_t index, std::string_view text) {
  const auto at = symbols_.erase(symbols_.begin() + static_cast<std::ptrdiff_t>(index));
  std::vector<uint16_t> bytes;
  for (const char c : text) bytes.push_back(static_cast<uint8_t>(c));
  symbols_.insert(at, bytes.begin(), bytes.end());
}

bool Pattern::HasWildcard() const {
  return std::any_of(symbols_.begin(), symbols_.end(), [](uint16_t s) { return s >= kAnyRun; });
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
    } else {
      if (symbol == '\\' || symbol == '*' || symbol == '?') notation.push_back('\\');
      notation.push_back(static_cast<char>(symbol));
    }
  }
  return notation;
}

}  // namespace weir::sigma
