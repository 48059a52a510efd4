#include <cstdio>

#include "client/commands/commands.h"
#include "client/commands/exit_code.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"

namespace weir {

absl::StatusOr<int> Upload(const CommandContext& context, const ClusterClient& client,
                           const UploadCommand& command) {
  ASSIGN_OR_RETURN(const std::string id, client.Upload(command.library));
  if (context.line->json) {
    std::string text;
    JsonWriter(&text).BeginObject().Key("id").String(id).EndObject();
    std::puts(text.c_str());
  } else {
    std::puts(id.c_str());
  }
  return kExitDone;
}

}  // namespace weir
