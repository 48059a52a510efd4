#pragma once

#include "runtime/base/config.h"

namespace weir {

// The settings of the databases that hold what memory has no room for. Those of Flink, by name.

inline constexpr ConfigOption<MemorySize> kRocksDbBlockCacheSize{
    "state.backend.rocksdb.block.cache-size", MemorySize::Mebibytes(64),
    "Cache of blocks that all state databases of a TaskManager share. Part of "
    "taskmanager.memory.size, and at most an eighth of it."};
inline constexpr ConfigOption<MemorySize> kRocksDbBlockSize{
    "state.backend.rocksdb.block.blocksize", MemorySize::Kibibytes(4),
    "Size of a block in the files of a state database, before compression."};
inline constexpr ConfigOption<MemorySize> kRocksDbWriteBufferSize{
    "state.backend.rocksdb.writebuffer.size", MemorySize::Mebibytes(8),
    "Size of a write buffer of a state database. All of them together take at most an eighth of "
    "taskmanager.memory.size, and are part of it."};
inline constexpr ConfigOption<int64_t> kRocksDbWriteBufferCount{
    "state.backend.rocksdb.writebuffer.count", 2,
    "Write buffers that a state database may have before writing waits.", "2..64"};
inline constexpr ConfigOption<std::string> kRocksDbCompactionStyle{
    "state.backend.rocksdb.compaction.style", "LEVEL",
    "How state databases merge their files. FIFO, which deletes the oldest, would lose state.",
    "LEVEL|UNIVERSAL"};
inline constexpr ConfigOption<int64_t> kRocksDbThreadNum{
    "state.backend.rocksdb.thread.num", 2,
    "Flushes and compactions of a state database that may run at once.", "1..64"};
inline constexpr ConfigOption<int64_t> kRocksDbTransferThreadNum{
    "state.backend.rocksdb.checkpoint.transfer.thread.num", 4,
    "Files of the state of an operator's subtask that are uploaded at once for a checkpoint, or "
    "fetched at once from one.",
    "1..64"};

}  // namespace weir
