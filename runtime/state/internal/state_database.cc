#include "runtime/state/internal/state_database.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <numeric>
#include <system_error>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "rocksdb/compaction_filter.h"
#include "rocksdb/comparator.h"
#include "rocksdb/db.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/metadata.h"
#include "rocksdb/options.h"
#include "rocksdb/sst_file_writer.h"
#include "rocksdb/table.h"
#include "rocksdb/write_batch.h"
#include "runtime/base/check.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/state/internal/entry_key.h"
#include "runtime/state/internal/rocksdb_resources.h"
#include "runtime/state/internal/scratch_env.h"
#include "runtime/state/internal/state_expiry.h"

namespace weir::internal {

namespace {

constexpr size_t kWriteArenaBlockBytes = size_t{128} << 10;
constexpr uint64_t kTargetFileBytes = uint64_t{32} << 20;
constexpr int kMaxOpenFiles = 256;
constexpr char kColumnFamily[] = "state";

// While nothing but snapshots goes to a database, each brings one file, nobody reads, and every
// file that a compaction writes is uploaded anew. So files gather until they are half as much as
// what they lie over, or so many more than those that a restore would feel it; then all become one
// level. So compactions upload three bytes for each that has changed if those are many, and at most
// about one file's worth a checkpoint if they are few; a restore reads at most half more than there
// is.
constexpr uint64_t kGatheredShare = 2;
constexpr size_t kFewFiles = 40;
constexpr int kNever = 1 << 30;
// Once entries leave memory for the database and are read there: RocksDB's own.
constexpr int kCompactedFiles = 4;
constexpr int kSlowDownFiles = 20;
constexpr int kStopFiles = 36;
constexpr uint64_t kBaseLevelBytes = uint64_t{256} << 20;

rocksdb::Slice ToSlice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

absl::Status ToStatus(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = StrCat(what, ": ", status.ToString());
  if (status.IsCorruption()) return absl::DataLossError(message);
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(message);
  if (status.IsIOError() || status.IsBusy() || status.IsTryAgain()) {
    return absl::UnavailableError(message);
  }
  return absl::InternalError(message);
}

class ExpiryFilter final : public rocksdb::CompactionFilter {
 public:
  explicit ExpiryFilter(std::unique_ptr<const ExpiryCheck> check) : check_(std::move(check)) {}
  const char* Name() const override { return "WeirExpiryFilter"; }
  bool Filter(int /*level*/, const rocksdb::Slice& key, const rocksdb::Slice& value,
              std::string* /*new_value*/, bool* /*value_changed*/) const override {
    return check_->IsExpired(ToView(key), ToView(value));
  }

 private:
  const std::unique_ptr<const ExpiryCheck> check_;
};

class ExpiryFilterFactory final : public rocksdb::CompactionFilterFactory {
 public:
  explicit ExpiryFilterFactory(std::shared_ptr<const ExpiryRules> rules)
      : rules_(std::move(rules)) {}
  const char* Name() const override { return "WeirExpiryFilterFactory"; }
  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context& /*context*/) override {
    std::unique_ptr<const ExpiryCheck> check = rules_->Check();
    if (check == nullptr) return nullptr;
    return std::make_unique<ExpiryFilter>(std::move(check));
  }

 private:
  const std::shared_ptr<const ExpiryRules> rules_;
};

rocksdb::Options MakeOptions(const RocksDbResources& resources,
                             std::shared_ptr<const ExpiryRules> expiry_rules) {
  const RocksDbOptions& settings = resources.options();
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = resources.block_cache();
  table.block_size = settings.block_bytes;
  table.cache_index_and_filter_blocks = true;
  // A snapshot's file may be gibibytes: its index as one block would be larger than a shard of the
  // cache, and be read and decompressed for every look-up.
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.enable_index_compression = false;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;

  rocksdb::Options options;
  options.env = ScratchEnv();
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.error_if_exists = true;
  options.write_buffer_size = settings.write_buffer_bytes;
  options.max_write_buffer_number = settings.num_write_buffers;
  options.arena_block_size = std::min(kWriteArenaBlockBytes, settings.write_buffer_bytes / 8);
  options.memtable_prefix_bloom_size_ratio = 0.02;
  options.memtable_whole_key_filtering = true;
  options.write_buffer_manager = resources.write_buffers();
  options.compression = rocksdb::kLZ4Compression;
  options.target_file_size_base = kTargetFileBytes;
  options.max_open_files = kMaxOpenFiles;
  options.max_file_opening_threads = 1;  // More would be started for every database.
  options.allow_fallocate = false;
  options.max_background_jobs = settings.num_threads;
  if (settings.compaction_style == RocksDbOptions::CompactionStyle::kUniversal) {
    options.compaction_style = rocksdb::kCompactionStyleUniversal;
  } else {
    // As long as files gather, there is the first level and the last one.
    options.level_compaction_dynamic_level_bytes = true;
    options.max_bytes_for_level_base = uint64_t{1} << 50;
    options.level0_file_num_compaction_trigger = kNever;
    options.level0_slowdown_writes_trigger = kNever;
    options.level0_stop_writes_trigger = kNever;
  }
  options.info_log_level = rocksdb::ERROR_LEVEL;
  options.keep_log_file_num = 1;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.skip_stats_update_on_db_open = true;
  options.avoid_flush_during_shutdown = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  if (expiry_rules != nullptr) {
    options.compaction_filter_factory =
        std::make_shared<ExpiryFilterFactory>(std::move(expiry_rules));
  }
  return options;
}

StateFile ToStateFile(const rocksdb::LiveFileMetaData& live) {
  StateFile file;
  file.size_bytes = live.size;
  file.level = live.level;
  file.smallest_sequence_number = live.smallest_seqno;
  file.largest_sequence_number = live.largest_seqno;
  file.smallest_key = live.smallestkey;
  file.largest_key = live.largestkey;
  file.local_name = live.relative_filename;
  file.key_group_min = KeyGroupOfEntry(live.smallestkey);
  file.key_group_max = KeyGroupOfEntry(live.largestkey);
  return file;
}

rocksdb::LiveFileMetaData ToLiveFile(const StateFile& file, const std::string& directory) {
  rocksdb::LiveFileMetaData live;
  live.column_family_name = kColumnFamily;
  live.level = file.level;
  live.size = file.size_bytes;
  live.smallest_seqno = file.smallest_sequence_number;
  live.largest_seqno = file.largest_sequence_number;
  live.smallestkey = file.smallest_key;
  live.largestkey = file.largest_key;
  live.relative_filename = file.local_name;
  live.name = StrCat("/", file.local_name);
  live.directory = directory;
  live.db_path = directory;
  return live;
}

/// Begins each file by the deletion of a key that no entry has: the first one's key group alone.
///
/// A file that is ingested has one sequence number for all of its entries, and they have none in
/// the file. Importing it, RocksDB 7.8 takes the first key's to be 0, and so an older file that
/// ends with the very key that the file begins with not to overlap it: a compaction moved both to
/// one level as they were, the older before the newer, and look-ups found the old value. No file
/// ends with this key.
class RocksFileWriter final : public StateDatabase::FileWriter {
 public:
  RocksFileWriter(const rocksdb::Options& options, std::string path)
      : writer_(rocksdb::EnvOptions(options), options), path_(std::move(path)) {}
  ~RocksFileWriter() override {
    std::error_code ignored;  // Ingesting has moved it away.
    std::filesystem::remove(path_, ignored);
  }

  absl::Status Open() {
    return ToStatus(writer_.Open(path_), StrCat("cannot write a file of state: path=", path_));
  }
  absl::Status Put(std::string_view key, std::string_view value) override {
    RETURN_IF_ERROR(Begin(key));
    return ToStatus(writer_.Put(ToSlice(key), ToSlice(value)), "cannot write a file of state");
  }
  absl::Status Delete(std::string_view key) override {
    RETURN_IF_ERROR(Begin(key));
    return ToStatus(writer_.Delete(ToSlice(key)), "cannot write a file of state");
  }
  absl::Status Finish() { return ToStatus(writer_.Finish(), "cannot write a file of state"); }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] bool empty() const { return empty_; }

 private:
  absl::Status Begin(std::string_view key) {
    if (!std::exchange(empty_, false)) return absl::OkStatus();
    DCHECK_GT(key.size(), kKeyGroupBytes);
    return ToStatus(writer_.Delete(ToSlice(key.substr(0, kKeyGroupBytes))),
                    "cannot write a file of state");
  }

  rocksdb::SstFileWriter writer_;
  const std::string path_;
  bool empty_ = true;
};

class RocksWriteBatch final : public StateDatabase::WriteBatch {
 public:
  explicit RocksWriteBatch(rocksdb::ColumnFamilyHandle* family) : family_(family) {}

  void Put(std::string_view key, std::string_view value) override {
    Check(batch_.Put(family_, ToSlice(key), ToSlice(value)));
  }
  void Delete(std::string_view key) override { Check(batch_.Delete(family_, ToSlice(key))); }

  rocksdb::WriteBatch& batch() { return batch_; }
  [[nodiscard]] const rocksdb::Status& status() const { return status_; }

 private:
  void Check(const rocksdb::Status& status) {
    if (!status.ok()) status_ = status;
  }

  rocksdb::WriteBatch batch_;
  rocksdb::ColumnFamilyHandle* const family_;
  rocksdb::Status status_;
};

class RocksStateDatabase final : public StateDatabase {
 public:
  RocksStateDatabase(std::string directory, std::shared_ptr<const ExpiryRules> expiry_rules,
                     MemoryBudget* budget)
      : directory_(std::move(directory)),
        resources_(RocksDbResources::Of(budget)),
        options_(MakeOptions(*resources_, std::move(expiry_rules))) {}

  ~RocksStateDatabase() override {
    if (database_ != nullptr) {
      if (family_ != nullptr) {
        const rocksdb::Status ignored = database_->DestroyColumnFamilyHandle(family_);
        ignored.PermitUncheckedError();
      }
      const rocksdb::Status ignored = database_->Close();
      ignored.PermitUncheckedError();
    }
    database_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
    resources_->UpdateCharge();
  }

  absl::Status Open() {
    std::error_code error;
    std::filesystem::create_directories(directory_, error);
    if (error) {
      return absl::UnavailableError(StrCat("cannot make the folder of a state database: path=",
                                           directory_, " error=", error.message()));
    }
    rocksdb::DB* database = nullptr;
    RETURN_IF_ERROR(ToStatus(rocksdb::DB::Open(options_, directory_, &database),
                             StrCat("cannot open a state database: path=", directory_)));
    database_.reset(database);
    return absl::OkStatus();
  }

  absl::Status MakeEmpty() {
    return ToStatus(database_->CreateColumnFamily(options_, kColumnFamily, &family_),
                    StrCat("cannot set up a state database: path=", directory_));
  }

  absl::Status Import(const std::string& source_directory, const std::vector<StateFile>& files) {
    rocksdb::ExportImportFilesMetaData metadata;
    metadata.db_comparator_name = rocksdb::BytewiseComparator()->Name();
    for (const StateFile& file : files) {
      metadata.files.push_back(ToLiveFile(file, source_directory));
    }
    rocksdb::ImportColumnFamilyOptions import;
    import.move_files = true;
    return ToStatus(database_->CreateColumnFamilyWithImport(options_, kColumnFamily, import,
                                                            metadata, &family_),
                    StrCat("cannot open the files of a snapshot: path=", source_directory));
  }

  absl::StatusOr<std::unique_ptr<FileWriter>> NewFile() override {
    const uint64_t number = next_file_.fetch_add(1, std::memory_order_relaxed);
    auto writer =
        std::make_unique<RocksFileWriter>(options_, StrCat(directory_, "/ingest-", number));
    RETURN_IF_ERROR(writer->Open());
    return writer;
  }

  absl::Status Ingest(std::unique_ptr<FileWriter> file) override {
    auto& writer = static_cast<RocksFileWriter&>(*file);
    if (writer.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(writer.Finish());
    rocksdb::IngestExternalFileOptions ingest;
    ingest.move_files = true;
    ingest.snapshot_consistency = false;
    ingest.write_global_seqno = false;  // The file stays as it is: its checksum holds.
    rocksdb::Status status = database_->IngestExternalFile(family_, {writer.path()}, ingest);
    if (!status.ok()) {
      // A full disk may have stopped the database's background work for good.
      const rocksdb::Status resumed = database_->Resume();
      if (resumed.ok() && std::filesystem::exists(writer.path())) {
        status = database_->IngestExternalFile(family_, {writer.path()}, ingest);
      }
    }
    resources_->UpdateCharge();
    return ToStatus(status, StrCat("cannot add a file of state: path=", writer.path()));
  }

  std::unique_ptr<WriteBatch> NewBatch() override {
    return std::make_unique<RocksWriteBatch>(family_);
  }

  absl::Status Write(WriteBatch& batch) override {
    auto& writes = static_cast<RocksWriteBatch&>(batch);
    RETURN_IF_ERROR(ToStatus(writes.status(), "cannot collect changes of state"));
    if (writes.batch().Count() == 0) return absl::OkStatus();
    RETURN_IF_ERROR(CompactForReading());
    rocksdb::WriteOptions write;
    write.disableWAL = true;
    RETURN_IF_ERROR(ToStatus(database_->Write(write, &writes.batch()),
                             StrCat("cannot write to a state database: path=", directory_)));
    writes.batch().Clear();
    resources_->UpdateCharge();
    return absl::OkStatus();
  }

  absl::Status Flush() override {
    return ToStatus(database_->Flush(rocksdb::FlushOptions(), family_),
                    StrCat("cannot write to a state database: path=", directory_));
  }

  absl::Status Compact() override {
    return ToStatus(
        database_->CompactRange(rocksdb::CompactRangeOptions(), family_, nullptr, nullptr),
        StrCat("cannot compact a state database: path=", directory_));
  }

  absl::StatusOr<bool> Get(std::string_view key,
                           absl::FunctionRef<void(std::string_view)> read) override {
    resources_->UpdateChargeSometimes();
    rocksdb::PinnableSlice value;
    const rocksdb::Status status =
        database_->Get(rocksdb::ReadOptions(), family_, ToSlice(key), &value);
    if (status.IsNotFound()) return false;
    RETURN_IF_ERROR(ToStatus(status, StrCat("cannot read a state database: path=", directory_)));
    read(ToView(value));
    return true;
  }

  uint64_t ApproximateBytes(const std::vector<KeyRange>& ranges) override {
    std::vector<rocksdb::Range> asked;
    for (const KeyRange& range : ranges)
      asked.emplace_back(ToSlice(range.begin), ToSlice(range.end));
    std::vector<uint64_t> sizes(ranges.size(), 0);
    rocksdb::SizeApproximationOptions options;
    options.files_size_error_margin = 0.1;
    // What cannot be told counts as nothing: it is for people to look at.
    database_
        ->GetApproximateSizes(options, family_, asked.data(), static_cast<int>(asked.size()),
                              sizes.data())
        .PermitUncheckedError();
    return std::accumulate(sizes.begin(), sizes.end(), uint64_t{0});
  }

  absl::Status VisitLiveFiles(
      absl::FunctionRef<void()> listed,
      absl::FunctionRef<absl::Status(const StateFile& file, const std::string& path)> visit)
      override {
    RETURN_IF_ERROR(ToStatus(database_->DisableFileDeletions(), "cannot pin files of state"));
    const absl::Status visited = VisitPinnedFiles(listed, visit);
    RETURN_IF_ERROR(ToStatus(database_->EnableFileDeletions(/*force=*/false),
                             "cannot let go of files of state"));
    RETURN_IF_ERROR(visited);
    return PaceCompaction();
  }

  absl::Status ForEach(
      std::string_view begin, std::string_view end,
      absl::FunctionRef<absl::Status(std::string_view, std::string_view)> visit) override {
    const rocksdb::Slice upper_bound = ToSlice(end);
    rocksdb::ReadOptions read;
    read.iterate_upper_bound = &upper_bound;
    read.fill_cache = false;
    const std::unique_ptr<rocksdb::Iterator> iterator(database_->NewIterator(read, family_));
    for (iterator->Seek(ToSlice(begin)); iterator->Valid(); iterator->Next()) {
      RETURN_IF_ERROR(visit(ToView(iterator->key()), ToView(iterator->value())));
    }
    return ToStatus(iterator->status(), "cannot read a state database");
  }

 private:
  [[nodiscard]] bool is_leveled() const {
    return options_.compaction_style == rocksdb::kCompactionStyleLevel;
  }

  absl::Status SetCompactionTrigger(int num_files) ABSL_EXCLUSIVE_LOCKS_REQUIRED(pace_mutex_) {
    if (trigger_ == num_files) return absl::OkStatus();
    trigger_ = num_files;
    return ToStatus(
        database_->SetOptions(family_, {{"level0_file_num_compaction_trigger", StrCat(num_files)}}),
        "cannot set up compaction of a state database");
  }

  // Lets the gathered files be compacted when it is time.
  absl::Status PaceCompaction() {
    const MutexLock lock(&pace_mutex_);
    if (!is_leveled() || compacts_for_reading_) return absl::OkStatus();
    std::vector<rocksdb::LiveFileMetaData> files;
    database_->GetLiveFilesMetaData(&files);
    size_t num_gathered = 0;
    size_t num_others = 0;
    uint64_t gathered_bytes = 0;
    uint64_t other_bytes = 0;
    for (const rocksdb::LiveFileMetaData& file : files) {
      ++(file.level == 0 ? num_gathered : num_others);
      (file.level == 0 ? gathered_bytes : other_bytes) += file.size;
    }
    const bool is_time = num_gathered > 1 && (num_gathered >= kFewFiles + num_others ||
                                              gathered_bytes * kGatheredShare >= other_bytes);
    // With the one file that the next snapshot brings it is not time again.
    return SetCompactionTrigger(is_time ? 2 : kNever);
  }

  // From the first entry on that has left memory.
  absl::Status CompactForReading() {
    if (compacts_for_reading_.load(std::memory_order_relaxed)) return absl::OkStatus();
    const MutexLock lock(&pace_mutex_);
    if (!is_leveled() || compacts_for_reading_.exchange(true)) return absl::OkStatus();
    return ToStatus(database_->SetOptions(
                        family_, {{"level0_file_num_compaction_trigger", StrCat(kCompactedFiles)},
                                  {"level0_slowdown_writes_trigger", StrCat(kSlowDownFiles)},
                                  {"level0_stop_writes_trigger", StrCat(kStopFiles)},
                                  {"max_bytes_for_level_base", StrCat(kBaseLevelBytes)}}),
                    "cannot set up compaction of a state database");
  }

  absl::Status VisitPinnedFiles(
      absl::FunctionRef<void()> listed,
      absl::FunctionRef<absl::Status(const StateFile& file, const std::string& path)> visit) {
    std::vector<rocksdb::LiveFileMetaData> live_files;
    database_->GetLiveFilesMetaData(&live_files);
    listed();
    // Deeper levels hold older data, and within the first level sequence numbers tell.
    std::sort(live_files.begin(), live_files.end(),
              [](const rocksdb::LiveFileMetaData& a, const rocksdb::LiveFileMetaData& b) {
                if (a.level != b.level) return a.level > b.level;
                if (a.largest_seqno != b.largest_seqno) return a.largest_seqno < b.largest_seqno;
                return a.smallestkey < b.smallestkey;
              });
    for (const rocksdb::LiveFileMetaData& live : live_files) {
      CHECK_GE(live.smallestkey.size(), kKeyGroupBytes);
      RETURN_IF_ERROR(
          visit(ToStateFile(live), StrCat(live.directory, "/", live.relative_filename)));
    }
    return absl::OkStatus();
  }

  const std::string directory_;
  const std::shared_ptr<RocksDbResources> resources_;
  const rocksdb::Options options_;
  std::unique_ptr<rocksdb::DB> database_;
  rocksdb::ColumnFamilyHandle* family_ = nullptr;
  std::atomic<uint64_t> next_file_{1};
  Mutex pace_mutex_;
  int trigger_ ABSL_GUARDED_BY(pace_mutex_) = kNever;
  std::atomic<bool> compacts_for_reading_{false};  // Written with the lock.
};

}  // namespace

absl::StatusOr<std::unique_ptr<StateDatabase>> StateDatabase::Create(
    const std::string& directory, std::shared_ptr<const ExpiryRules> expiry_rules,
    MemoryBudget* budget) {
  auto database = std::make_unique<RocksStateDatabase>(directory, std::move(expiry_rules), budget);
  RETURN_IF_ERROR(database->Open());
  RETURN_IF_ERROR(database->MakeEmpty());
  return database;
}

absl::StatusOr<std::unique_ptr<StateDatabase>> StateDatabase::Import(
    const std::string& directory, const std::string& source_directory,
    const std::vector<StateFile>& files, std::shared_ptr<const ExpiryRules> expiry_rules,
    MemoryBudget* budget) {
  auto database = std::make_unique<RocksStateDatabase>(directory, std::move(expiry_rules), budget);
  RETURN_IF_ERROR(database->Open());
  RETURN_IF_ERROR(database->Import(source_directory, files));
  return database;
}

}  // namespace weir::internal
