#include "operators/connectors/file/file_encoder.h"

#include <algorithm>
#include <cstring>

namespace weir::internal {

void AppendJsonLine(std::string_view line, std::string* file) {
  const size_t begin = file->size();
  file->append(line);
  if (!line.empty() && std::memchr(line.data(), '\n', line.size()) != nullptr) {
    std::replace(file->begin() + static_cast<std::ptrdiff_t>(begin), file->end(), '\n', ' ');
  }
  file->push_back('\n');
}

void AppendCsvField(std::string_view field, char delimiter, std::string* file) {
  const char special[] = {delimiter, '"', '\n', '\r'};
  if (field.find_first_of(std::string_view(special, sizeof(special))) == std::string_view::npos) {
    file->append(field);
    return;
  }
  file->push_back('"');
  for (const char c : field) {
    if (c == '"') file->push_back('"');
    file->push_back(c);
  }
  file->push_back('"');
}

}  // namespace weir::internal
