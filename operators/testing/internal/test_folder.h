#pragma once

#include <string>

namespace weir::internal {

/// The name of a fresh folder below the system's for temporary files. What is made there is removed
/// with this object; nothing is made by itself.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

}  // namespace weir::internal
