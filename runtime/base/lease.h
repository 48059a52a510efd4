#pragma once

namespace weir {

/// Says whether something may be done at this moment, which may end without notice. Implementations
/// answer from memory. Threads: any.
class Lease {
 public:
  virtual ~Lease() = default;
  [[nodiscard]] virtual bool Holds() const = 0;
};

}  // namespace weir
