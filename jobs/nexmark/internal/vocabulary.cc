#include "jobs/nexmark/internal/vocabulary.h"

#include <algorithm>
#include <cstdlib>

#include "runtime/base/strings.h"

namespace weir::nexmark::internal {
namespace {

std::string RandomUrl(Random& random) {
  std::string url = "https://www.nexmark.com/";
  for (int i = 0; i < 3; ++i) {
    AppendRandomString(random, 5, '_', &url);
    url.push_back('/');
  }
  return url.append("item.htm?query=1");
}

// The bits of `value` in the opposite order, as a signed number without its sign.
int64_t ReversedBits(int64_t value) {
  uint32_t reversed = 0;
  for (int bit = 0; bit < 32; ++bit) {
    if ((value >> bit & 1) != 0) reversed |= uint32_t{1} << (31 - bit);
  }
  return std::abs(int64_t{static_cast<int32_t>(reversed)});
}

}  // namespace

void AppendRandomString(Random& random, int64_t max_length, char special, std::string* out) {
  std::array<char, kMaxRandomString> letters;
  const int64_t length = 3 + random.Below(max_length - 3);
  for (int64_t i = 0; i < length; ++i) {
    // One draw for both choices: 13 * 26 outcomes.
    const auto outcome = static_cast<uint32_t>(random.Below(int64_t{13 * 26}));
    letters[static_cast<size_t>(i)] =
        outcome < 26 ? special : static_cast<char>('a' + outcome % 26);
  }
  std::string_view text(letters.data(), static_cast<size_t>(length));
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  out->append(text);
}

const Vocabulary& Vocabulary::Get() {
  static const Vocabulary& vocabulary = *new Vocabulary();
  return vocabulary;
}

Vocabulary::Vocabulary() {
  Random random(0, 0);
  letters_.reserve(kLetters);
  for (int64_t i = 0; i < kLetters; ++i) {
    letters_.push_back(static_cast<char>('a' + random.Below(int64_t{26})));
  }
  constexpr std::array<const char*, kHotChannels> kNames = {"Google", "Facebook", "Baidu", "Apple"};
  urls_.reserve(kHotChannels + kChannels);  // Texts refer to the strings' characters.
  for (size_t i = 0; i < kHotChannels; ++i) {
    urls_.push_back(RandomUrl(random));
    hot_channels_[i] = {Text(kNames[i]), Text::OfStatic(urls_.back())};
  }
  channels_.reserve(kChannels);
  for (int64_t i = 0; i < kChannels; ++i) {
    urls_.push_back(RandomUrl(random));
    if (random.Below(int64_t{10}) > 0) {
      urls_.back().append("&channel_id=").append(std::to_string(ReversedBits(i)));
    }
    channels_.push_back({Text(StrCat("channel-", i)), Text::OfStatic(urls_.back())});
  }
}

}  // namespace weir::nexmark::internal
