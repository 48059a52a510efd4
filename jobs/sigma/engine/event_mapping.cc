#include "jobs/sigma/engine/event_mapping.h"

#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

constexpr std::string_view kRest = ".*";

// Appends where else `field` may stand by `alias`: of the field itself, or of a part in front of it
// (`requestParameters.*`).
void AppendPaths(const FieldAlias& alias, std::string_view field, std::vector<std::string>& paths) {
  if (alias.field == field) {
    paths.insert(paths.end(), alias.paths.begin(), alias.paths.end());
    return;
  }
  std::string_view part = alias.field;
  if (!part.ends_with(kRest)) return;
  part.remove_suffix(kRest.size() - 1);  // The dot stays.
  if (!field.starts_with(part)) return;
  const std::string_view rest = field.substr(part.size());
  for (std::string_view path : alias.paths) {
    if (path.ends_with(kRest)) path.remove_suffix(kRest.size());
    paths.push_back(StrCat(path, ".", rest));
  }
}

}  // namespace

void EventMapping::Append(const EventMapping& other) {
  prefixes.insert(prefixes.end(), other.prefixes.begin(), other.prefixes.end());
  fields.insert(fields.end(), other.fields.begin(), other.fields.end());
  lists.insert(lists.end(), other.lists.begin(), other.lists.end());
  log_sources.insert(log_sources.end(), other.log_sources.begin(), other.log_sources.end());
}

std::vector<std::string> EventMapping::PathsOf(std::string_view field) const {
  std::vector<std::string> paths = {std::string(field)};
  for (const FieldAlias& alias : fields) AppendPaths(alias, field, paths);
  std::vector<std::string> below;
  for (const std::string& prefix : prefixes) {
    for (const std::string& path : paths) {
      // A plain name stands below the prefixes too, whether it is the field's own or another.
      const bool own = &path == &paths.front();
      if (own || path.find('.') == std::string::npos) below.push_back(StrCat(prefix, ".", path));
    }
  }
  paths.insert(paths.end(), below.begin(), below.end());
  return paths;
}

}  // namespace weir::sigma
