#include "jobs/sigma/engine/internal/literal_scanner.h"

#include <hs/hs.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace weir::sigma {
namespace {

// Below this, a search per literal is faster than starting Vectorscan.
constexpr size_t kFewLiterals = 8;

struct Callback {
  LiteralScanner::Found found;
  void* context;
};

int OnMatch(unsigned int id, unsigned long long /*from*/, unsigned long long /*to*/,
            unsigned int /*flags*/, void* context) {
  const auto* const callback = static_cast<const Callback*>(context);
  callback->found(callback->context, id);
  return 0;
}

}  // namespace

struct ScanScratch::Impl {
  hs_scratch_t* scratch = nullptr;
};

ScanScratch::ScanScratch() : impl_(std::make_unique<Impl>()) {}
ScanScratch::~ScanScratch() {
  if (impl_ != nullptr) hs_free_scratch(impl_->scratch);
}
ScanScratch::ScanScratch(ScanScratch&&) noexcept = default;
ScanScratch& ScanScratch::operator=(ScanScratch&& other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}

struct LiteralScanner::Database {
  hs_database_t* database = nullptr;
  ~Database() { hs_free_database(database); }
};

LiteralScanner::LiteralScanner(std::vector<std::string> literals) : literals_(std::move(literals)) {
  if (literals_.empty()) return;
  shortest_ = literals_.front().size();
  for (const std::string& literal : literals_) shortest_ = std::min(shortest_, literal.size());
  if (literals_.size() < kFewLiterals) return;

  std::vector<const char*> texts;
  std::vector<size_t> lengths;
  std::vector<unsigned int> ids;
  for (const std::string& literal : literals_) {
    ids.push_back(static_cast<unsigned int>(ids.size()));
    texts.push_back(literal.data());
    lengths.push_back(literal.size());
  }
  const std::vector<unsigned int> flags(literals_.size(), 0);
  auto database = std::make_unique<Database>();
  hs_compile_error_t* error = nullptr;
  const hs_error_t result = hs_compile_lit_multi(
      texts.data(), flags.data(), ids.data(), lengths.data(),
      static_cast<unsigned int>(texts.size()), HS_MODE_BLOCK, nullptr, &database->database, &error);
  if (result == HS_SUCCESS) {
    database_ = std::move(database);
  } else {
    hs_free_compile_error(error);
  }
}

LiteralScanner::~LiteralScanner() = default;

bool LiteralScanner::Prepare(ScanScratch& scratch) const {
  return database_ == nullptr ||
         hs_alloc_scratch(database_->database, &scratch.impl_->scratch) == HS_SUCCESS;
}

void LiteralScanner::Scan(std::string_view text, const ScanScratch& scratch, Found found,
                          void* context) const {
  if (literals_.empty() || text.size() < shortest_) return;
  if (database_ != nullptr && text.size() <= UINT32_MAX) {
    Callback callback{found, context};
    const hs_error_t result =
        hs_scan(database_->database, text.data(), static_cast<unsigned int>(text.size()), 0,
                scratch.impl_->scratch, OnMatch, &callback);
    if (result == HS_SUCCESS) return;
  }
  SearchEach(text, found, context);
}

void LiteralScanner::SearchEach(std::string_view text, Found found, void* context) const {
  for (size_t i = 0; i < literals_.size(); ++i) {
    const std::string& literal = literals_[i];
    if (memmem(text.data(), text.size(), literal.data(), literal.size()) != nullptr) {
      found(context, static_cast<uint32_t>(i));
    }
  }
}

}  // namespace weir::sigma
