#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/exit_code.h"
#include "client/text_table.h"
#include "client/version.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

absl::StatusOr<std::string> InfoAsJson(const ClusterClient& client) {
  ASSIGN_OR_RETURN(const std::string overview, client.rest().Get("/overview"));
  ASSIGN_OR_RETURN(const std::string task_managers, client.rest().Get("/taskmanagers"));
  std::string text;
  JsonWriter json(&text);
  json.BeginObject();
  json.Key("address").String(client.rest().address());
  json.Key("client-version").String(kVersion);
  json.Key("overview").Raw(overview);
  json.Key("taskmanagers").Raw(task_managers);
  json.EndObject();
  return text;
}

std::string Percent(std::optional<double> share) {
  return share.has_value() ? StrCat(std::lround(*share * 100), " %") : "-";
}

std::string Mebibytes(std::optional<double> bytes) {
  return bytes.has_value() ? StrCat(std::lround(*bytes / (1 << 20))) : "-";
}

}  // namespace

absl::StatusOr<int> Info(const CommandContext& context, const ClusterClient& client) {
  if (context.line->json) {
    ASSIGN_OR_RETURN(const std::string json, InfoAsJson(client));
    std::puts(json.c_str());
    return kExitDone;
  }
  ASSIGN_OR_RETURN(const ClusterStatus cluster, client.Overview());
  ASSIGN_OR_RETURN(const std::vector<TaskManagerStatus> task_managers, client.TaskManagers());
  std::string text = FormatTable({
      {"REST", "http://" + client.rest().address()},
      {"version", StrCat(cluster.version, " (this client: ", kVersion, ")")},
      {"slots", StrCat(cluster.slots_available, " of ", cluster.slots_total, " free")},
      {"jobs", StrCat(cluster.jobs_running, " running, ", cluster.jobs_finished, " finished, ",
                      cluster.jobs_canceled, " canceled, ", cluster.jobs_failed, " failed")},
  });
  std::vector<std::vector<std::string>> rows = {
      {"TASKMANAGER", "FREE SLOTS", "CORES", "CPU", "MEMORY", "DATA PORT"}};
  for (const TaskManagerStatus& one : task_managers) {
    rows.push_back(
        {one.id, StrCat(one.free_slots, "/", one.slots), StrCat(one.cpu_cores),
         Percent(one.cpu_load),
         StrCat(Mebibytes(one.used_memory_bytes), "/", one.managed_memory_bytes >> 20, " MiB"),
         StrCat(one.data_port)});
  }
  StrAppend(&text, "\n",
            task_managers.empty() ? "no TaskManager is registered\n" : FormatTable(rows));
  std::fputs(text.c_str(), stdout);
  return kExitDone;
}

}  // namespace weir
