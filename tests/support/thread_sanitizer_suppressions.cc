// For test programs that use RocksDB: the distribution's library is not built for ThreadSanitizer,
// which therefore does not see the atomics that guard its reference counts. Unused in other builds.

extern "C" const char* __tsan_default_suppressions();  // NOLINT: the name is the sanitizer's.

extern "C" const char* __tsan_default_suppressions() { return "race:rocksdb::\n"; }
