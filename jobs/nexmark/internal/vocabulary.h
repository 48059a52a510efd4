#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/nexmark/internal/random.h"
#include "jobs/nexmark/text.h"

namespace weir::nexmark::internal {

/// The words that events are made of, made once per process and the same in every one. Constant.
class Vocabulary {
 public:
  static constexpr int64_t kChannels = 10'000;
  static constexpr int64_t kHotChannels = 4;

  struct Channel {
    Text name;
    Text url;
  };

  [[nodiscard]] static const Vocabulary& Get();

  /// Channels that half of all bids come through.
  [[nodiscard]] const Channel& hot_channel(int64_t i) const {
    return hot_channels_[static_cast<size_t>(i)];
  }
  [[nodiscard]] const Channel& channel(int64_t i) const {
    return channels_[static_cast<size_t>(i)];
  }
  /// `length` random letters, at most half of kLetters. They stay as long as the process.
  [[nodiscard]] std::string_view Letters(Random& random, int64_t length) const {
    return std::string_view(letters_).substr(static_cast<size_t>(random.Below(kLetters - length)),
                                             static_cast<size_t>(length));
  }

 private:
  static constexpr int64_t kLetters = 1 << 20;

  Vocabulary();

  std::string letters_;
  std::vector<std::string> urls_;  // What the channels' texts refer to.
  std::array<Channel, kHotChannels> hot_channels_;
  std::vector<Channel> channels_;
};

inline constexpr int64_t kMaxRandomString = 128;
/// Random letters, three to `max_length` - 1, of which every 13th is `special`; blanks at the ends
/// are cut off. `max_length` is in 4..kMaxRandomString.
void AppendRandomString(Random& random, int64_t max_length, char special, std::string* out);

/// How long `extra` is, so that records have a size on average: evenly spread within 20 % of what
/// is missing.
class ExtraLength {
 public:
  ExtraLength(int64_t size, int64_t average_size)
      : missing_(average_size - size), delta_((missing_ * 2 + 5) / 10) {}
  [[nodiscard]] int64_t Next(Random& random) const {
    if (missing_ < 0) return 0;
    return missing_ - delta_ + (delta_ == 0 ? 0 : random.Below(2 * delta_));
  }

 private:
  int64_t missing_;
  int64_t delta_;
};

}  // namespace weir::nexmark::internal
