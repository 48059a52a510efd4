#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

namespace weir::sigma {

/// Memory for the texts of one event; reused for the next one. Texts do not move.
///
/// Threads: one at a time.
class TextArena {
 public:
  /// Returns `size` bytes that live until Clear.
  [[nodiscard]] char* Reserve(size_t size) {
    while (chunk_ < chunks_.size() && chunks_[chunk_].size - used_ < size) {
      ++chunk_;
      used_ = 0;
    }
    if (chunk_ == chunks_.size()) {
      const size_t chunk_size = std::max(kChunkSize, size);
      chunks_.push_back({std::make_unique<char[]>(chunk_size), chunk_size});
      used_ = 0;
    }
    char* const begin = chunks_[chunk_].bytes.get() + used_;
    used_ += size;
    return begin;
  }

  /// Ends all texts.
  void Clear() {
    chunk_ = 0;
    used_ = 0;
  }

 private:
  static constexpr size_t kChunkSize = 16384;

  struct Chunk {
    std::unique_ptr<char[]> bytes;
    size_t size;
  };

  std::vector<Chunk> chunks_;
  size_t chunk_ = 0;  // The chunk that is being filled.
  size_t used_ = 0;   // Of that chunk.
};

}  // namespace weir::sigma
