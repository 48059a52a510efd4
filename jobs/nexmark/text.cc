#include "jobs/nexmark/text.h"

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
  words_[1] = uint64_t{text.size()} | (kCounted << 56);
}

Text Text::OfStatic(std::string_view text) {
  if (text.size() <= kMaxInlineBytes) return Text(text);
  return {text.data(), text.size(), kStatic};
}

Text Text::Detached() const { return Tag() == kStatic ? Text(view()) : *this; }

void Text::Release() const {
  std::atomic<int64_t>* count = Count();
  // All that was done with the characters happens before the last one frees them.
  if (count->fetch_sub(1, std::memory_order_acq_rel) == 1) {
    ::operator delete(static_cast<void*>(count));
  }
}

}  // namespace weir::nexmark
