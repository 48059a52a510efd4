#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace weir::sigma {

/// Working memory of scans, one per thread, grown to fit every scanner it is prepared for.
class ScanScratch {
 public:
  ScanScratch();
  ~ScanScratch();
  ScanScratch(ScanScratch&&) noexcept;
  ScanScratch& operator=(ScanScratch&&) noexcept;

 private:
  friend class LiteralScanner;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Finds which of many literals occur anywhere in a text. Vectorscan for many literals, plain
/// search for few.
///
/// Threads: immutable, may be shared; each thread scans with a scratch of its own.
class LiteralScanner {
 public:
  /// Is called with the index of a literal that occurs; may be called again for the same one.
  using Found = void (*)(void* context, uint32_t index);

  /// `literals` are distinct and not empty.
  explicit LiteralScanner(std::vector<std::string> literals);
  ~LiteralScanner();
  LiteralScanner(const LiteralScanner&) = delete;
  LiteralScanner& operator=(const LiteralScanner&) = delete;

  /// Makes `scratch` large enough for this scanner; false when out of memory. Once before the first
  /// Scan.
  [[nodiscard]] bool Prepare(ScanScratch& scratch) const;

  void Scan(std::string_view text, const ScanScratch& scratch, Found found, void* context) const;

  [[nodiscard]] const std::vector<std::string>& literals() const { return literals_; }

 private:
  struct Database;

  void SearchEach(std::string_view text, Found found, void* context) const;

  std::vector<std::string> literals_;
  size_t shortest_ = 0;
  std::unique_ptr<Database> database_;  // Null: few literals, or Vectorscan refused them.
};

}  // namespace weir::sigma
