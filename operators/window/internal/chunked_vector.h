#pragma once

#include <bit>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace weir::internal {

/// A vector whose growth moves no element: it adds chunks, each twice as large as the one before,
/// up to kMaxChunk elements. So a list of a few stays small and one of millions never stalls.
template <class T>
class ChunkedVector {
 public:
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  T& operator[](size_t index) {
    const auto [chunk, offset] = PlaceOf(index);
    return chunks_[chunk][offset];
  }

  T& push_back(T value) {
    const auto [chunk, offset] = PlaceOf(size_);
    if (chunk == chunks_.size()) chunks_.emplace_back(std::make_unique<T[]>(ChunkSize(chunk)));
    ++size_;
    return chunks_[chunk][offset] = std::move(value);
  }
  /// Forgets the last element, whose own memory stays for the next push_back.
  void pop_back() { --size_; }

 private:
  static constexpr size_t kMinChunk = 8;
  static constexpr size_t kMaxChunk = 1024;
  static constexpr size_t kNumGrowing = 7;  // Of 8, 16, … 512 elements.

  static size_t ChunkSize(size_t chunk) {
    return chunk < kNumGrowing ? kMinChunk << chunk : kMaxChunk;
  }
  static std::pair<size_t, size_t> PlaceOf(size_t index) {
    const size_t place = index + kMinChunk;
    if (place < kMaxChunk) {
      const auto chunk = static_cast<size_t>(std::bit_width(place)) - 4;
      return {chunk, place - (kMinChunk << chunk)};
    }
    return {kNumGrowing + (place - kMaxChunk) / kMaxChunk, place % kMaxChunk};
  }

  std::vector<std::unique_ptr<T[]>> chunks_;
  size_t size_ = 0;
};

}  // namespace weir::internal
