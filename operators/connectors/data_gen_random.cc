#include "operators/connectors/data_gen_random.h"

#include <algorithm>
#include <numbers>
#include <string_view>

namespace weir {

double DataGenRandom::Normal(double mean, double deviation) {
  const double radius = std::sqrt(Exponential(2));
  return mean + deviation * radius * std::cos(2 * std::numbers::pi * Uniform());
}

std::string DataGenRandom::Text(size_t length) {
  static constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  std::string text(length, ' ');
  for (char& c : text) c = kLetters[Below(kLetters.size())];
  return text;
}

ZipfKeys::ZipfKeys(uint64_t num_keys, double exponent)
    : num_keys_(std::max<uint64_t>(num_keys, 1)),
      exponent_(exponent),
      h_first_(H(1.5) - 1),
      h_last_(H(static_cast<double>(num_keys_) + 0.5)),
      threshold_(2 - InverseH(H(2.5) - std::pow(2, -exponent))) {}

// The integral of x^-exponent, and its inverse; by expm1 and log1p, so that an exponent of 1 is no
// special case but where the quotients are 0 by 0.
double ZipfKeys::H(double x) const {
  const double log_x = std::log(x);
  const double power = (1 - exponent_) * log_x;
  return std::abs(power) > 1e-8 ? std::expm1(power) / power * log_x : log_x * (1 + power / 2);
}

double ZipfKeys::InverseH(double x) const {
  const double power = std::max(-1.0, x * (1 - exponent_));
  return std::exp(std::abs(power) > 1e-8 ? std::log1p(power) / power * x : x * (1 - power / 2));
}

uint64_t ZipfKeys::Draw(DataGenRandom& random) const {
  while (true) {
    const double u = h_last_ + random.Uniform() * (h_first_ - h_last_);
    const double x = InverseH(u);
    const double key = std::clamp(std::floor(x + 0.5), 1.0, static_cast<double>(num_keys_));
    if (key - x <= threshold_ || u >= H(key + 0.5) - std::pow(key, -exponent_)) {
      return static_cast<uint64_t>(key) - 1;
    }
  }
}

}  // namespace weir
