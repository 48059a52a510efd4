#include "jobs/sigma/engine/internal/literal_scanner.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

namespace weir::sigma {
namespace {

constexpr size_t kWidest = 4;
constexpr uint32_t kFilterBitsPerWindow = 32;
constexpr uint32_t kFewestFilterBits = 9;  // As powers of two.
constexpr uint32_t kMostFilterBits = 20;
// A window of ordinary texts weighs as much as one that this many literals share.
constexpr uint32_t kCommonWindow = 1000;

// What texts of events are full of; windows of it tell little.
constexpr std::string_view kCommonTexts[] = {
    R"(c:\windows\system32\)",
    R"(c:\windows\syswow64\)",
    R"("c:\program files (x86)\microsoft\)",
    R"(c:\program files\)",
    R"(c:\users\)",
    R"(c:\programdata\)",
    R"(\appdata\local\temp\)",
    R"(\appdata\local\microsoft\windows\)",
    R"(\appdata\roaming\)",
    R"(.exe" )",
    ".exe -",
    ".exe /",
    ".dll",
    ".log",
    ".dat",
    ".docx",
    ".xlsx",
    ".pdf",
    ".sys",
    R"(hklm\software\microsoft\windows nt\currentversion\)",
    R"(hklm\software\wow6432node\)",
    R"(hklm\system\currentcontrolset\services\)",
    R"(hku\s-1-5-21-)",
    R"(hkcu\software\classes\)",
    "microsoft windows operating system",
    "microsoft corporation",
    "microsoft-windows-",
    R"(\google\chrome\application\chrome.exe)",
    R"(\microsoft office\root\office16\)",
    "svchost.exe -k netsvcs -p -s ",
    "powershell.exe -",
    "cmd.exe /c ",
    "rundll32.exe ",
    "explorer.exe",
    "services.exe",
    "conhost.exe",
    "http://",
    "https://www.",
    ".com/",
    ".org",
    "sha1=",
    "md5=",
    "sha256=",
    "imphash=",
    "0x0000",
    "true",
    "false",
    "    ",
    "----",
    "2024-",
    "2025-",
    "2026-",
    "00:00:00.000",
    "0000",
    "new-object",
    "get-",
    "name",
    "user",
    "nt authority\\system",
    "local",
    "service",
    "program",
    "process",
    "update",
    "data"};

uint32_t WindowOf(const char* at, size_t width) {
  uint32_t window = 0;
  std::memcpy(&window, at, width);
  return window;
}

template <class Action>
void ForEachWindow(std::string_view text, size_t width, const Action& action) {
  for (size_t at = 0; at + width <= text.size(); ++at)
    action(WindowOf(text.data() + at, width), at);
}

std::unordered_set<uint32_t> CommonWindows(size_t width) {
  std::unordered_set<uint32_t> windows;
  for (const std::string_view text : kCommonTexts) {
    ForEachWindow(text, width, [&](uint32_t window, size_t) { windows.insert(window); });
  }
  return windows;
}

const std::unordered_set<uint32_t>& CommonWindows() {
  static const std::unordered_set<uint32_t> windows = CommonWindows(kWidest);
  return windows;
}

// Counts how many of the literals have each window.
class WindowCounts {
 public:
  explicit WindowCounts(size_t num_windows)
      : mask_(std::bit_ceil(std::max<size_t>(num_windows * 2, 64)) - 1), slots_(mask_ + 1) {}

  void Add(uint32_t window) { ++SlotOf(window).count; }
  uint32_t Of(uint32_t window) { return SlotOf(window).count; }

 private:
  struct Slot {
    uint32_t window = 0;
    uint32_t count = 0;
  };

  Slot& SlotOf(uint32_t window) {
    size_t at = (window * 0x9e3779b97f4a7c15u >> 20) & mask_;
    while (slots_[at].count != 0 && slots_[at].window != window) at = (at + 1) & mask_;
    slots_[at].window = window;
    return slots_[at];
  }

  size_t mask_;
  std::vector<Slot> slots_;
};

}  // namespace

LiteralScanner::LiteralScanner(std::vector<std::string> literals) : literals_(std::move(literals)) {
  AddWindows<1>();
  AddWindows<2>();
  AddWindows<3>();
  AddWindows<4>();
}

template <size_t kWidth>
void LiteralScanner::AddWindows() {
  const auto has_width = [](const std::string& literal) {
    return kWidth == kWidest ? literal.size() >= kWidth : literal.size() == kWidth;
  };
  size_t num_windows = 0;
  for (const std::string& literal : literals_) {
    if (has_width(literal)) num_windows += literal.size() - kWidth + 1;
  }
  if (num_windows == 0) return;
  WindowCounts counts(num_windows);
  for (const std::string& literal : literals_) {
    if (!has_width(literal)) continue;
    ForEachWindow(literal, kWidth, [&](uint32_t window, size_t) { counts.Add(window); });
  }
  Windows& windows = windows_[kWidth - 1];
  for (uint32_t i = 0; i < literals_.size(); ++i) {
    if (!has_width(literals_[i])) continue;
    uint32_t least = UINT32_MAX;
    Entry entry{0, i, 0};
    ForEachWindow(literals_[i], kWidth, [&](uint32_t window, size_t at) {
      const bool common = kWidth == kWidest && CommonWindows().contains(window);
      const uint32_t weight = counts.Of(window) + (common ? kCommonWindow : 0);
      if (weight >= least) return;
      least = weight;
      entry.window = window;
      entry.offset = static_cast<uint32_t>(at);
    });
    windows.entries.push_back(entry);
  }
  Arrange(windows);
}

void LiteralScanner::Arrange(Windows& windows) {
  const auto num_entries = static_cast<uint32_t>(windows.entries.size());
  const auto filter_bits =
      std::clamp(static_cast<uint32_t>(std::bit_width(num_entries * kFilterBitsPerWindow - 1)),
                 kFewestFilterBits, kMostFilterBits);
  const auto bucket_bits =
      std::clamp(static_cast<uint32_t>(std::bit_width(num_entries)), 1u, kMostFilterBits);
  windows.filter_shift = 32 - filter_bits;
  windows.bucket_shift = 32 - bucket_bits;
  windows.filter.assign((size_t{1} << filter_bits) / 64, 0);
  windows.buckets.assign((size_t{1} << bucket_bits) + 1, 0);
  for (const Entry& entry : windows.entries) {
    const uint32_t bit = Hash(entry.window) >> windows.filter_shift;
    windows.filter[bit >> 6] |= uint64_t{1} << (bit & 63);
    ++windows.buckets[(Hash(entry.window) >> windows.bucket_shift) + 1];
  }
  for (size_t i = 1; i < windows.buckets.size(); ++i) windows.buckets[i] += windows.buckets[i - 1];
  std::sort(windows.entries.begin(), windows.entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(Hash(a.window), a.literal) < std::pair(Hash(b.window), b.literal);
  });
}

}  // namespace weir::sigma
