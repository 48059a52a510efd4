#include "jobs/nexmark/text.h"

#include <cstdlib>
#include <new>

namespace weir::nexmark {

Text::Text(std::string_view text) {
  if (text.size() <= kMaxInlineBytes) {
    if (!text.empty()) std::memcpy(words_, text.data(), text.size());
    words_[1] |= uint64_t{text.size()} << 56;
    return;
  }
  char* block = static_cast<char*>(::operator new(sizeof(int64_t) + text.size()));
  new (block) std::atomic<int64_t>(1);
  char* data = block + sizeof(int64_t);
  std::memcpy(data, text.data(), text.size());
  words_[0] = reinterpret_cast<uint64_t>(data);
  words_[1] = uint64_t{text.size()} | (kBlock << 56);
}

Text Text::OfStatic(std::string_view text) {
  if (text.size() <= kMaxInlineBytes) return Text(text);
  return {text.data(), text.size(), kStatic};
}

Text Text::Detached() const { return Tag() == kSlab ? Text(view()) : *this; }

void Text::Release() const {
  std::atomic<int64_t>* count = Count();
  // All that was done with the characters happens before the last one frees them.
  if (count->fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (Tag() == kSlab) {
    std::free(count);
  } else {
    ::operator delete(static_cast<void*>(count));
  }
}

void TextSlab::Begin() {
  Seal();
  slab_ = static_cast<char*>(std::aligned_alloc(kSlabBytes, kSlabBytes));
  if (slab_ == nullptr) throw std::bad_alloc();
  new (slab_) std::atomic<int64_t>(kOwnReferences);
  used_ = sizeof(std::atomic<int64_t>);
}

void TextSlab::Seal() {
  if (slab_ == nullptr) return;
  auto* count = reinterpret_cast<std::atomic<int64_t>*>(slab_);
  const int64_t unused = kOwnReferences - num_texts_;
  if (count->fetch_sub(unused, std::memory_order_acq_rel) == unused) std::free(slab_);
  slab_ = nullptr;
  num_texts_ = 0;
}

}  // namespace weir::nexmark
