#include "operators/connectors/file/file_source.h"

#include <utility>

#include "operators/connectors/file/internal/file_enumerator.h"
#include "operators/connectors/file/internal/file_reader.h"

namespace weir {

FileSource::FileSource(FileSourceOptions options) : options_(std::move(options)) {}

std::unique_ptr<SplitEnumerator> FileSource::CreateEnumerator() const {
  return std::make_unique<internal::FileEnumerator>(options_);
}

std::unique_ptr<SourceReader<std::string>> FileSource::CreateReader() const {
  return std::make_unique<internal::FileReader>(options_);
}

}  // namespace weir
