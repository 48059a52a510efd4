#pragma once

namespace rocksdb {
class Env;
}

namespace weir::internal {

/// Returns the environment of state databases: the local disk, without waiting until anything is on
/// it. A database is of no use after a crash, and what a checkpoint needs the StateFileStore makes
/// durable. Lives as long as the process. Any thread.
[[nodiscard]] rocksdb::Env* ScratchEnv();

}  // namespace weir::internal
