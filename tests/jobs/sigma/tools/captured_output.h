#pragma once

#include <string>
#include <string_view>

#include "jobs/sigma/tools/commands.h"

namespace weir::sigma {

/// Keeps what a command writes.
class CapturedOutput {
 public:
  [[nodiscard]] CommandOutput output() {
    return {[this](std::string_view text) { out += text; },
            [this](std::string_view text) { err += text; }};
  }

  std::string out;
  std::string err;
};

}  // namespace weir::sigma
