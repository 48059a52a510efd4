#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace weir::evtx {

/// A part of an event log that is damaged, and what became of it.
struct EvtxDamage {
  uint64_t offset = 0;            ///< In the file, in bytes.
  std::optional<uint64_t> chunk;  ///< Counted from zero; none for the file's header.
  bool skipped = false;           ///< Records may be missing; false: all were still read.
  std::string reason;

  /// Returns one line for people: what, and where.
  [[nodiscard]] std::string ToString() const;
};

/// What the header of a record says.
struct EvtxRecord {
  uint64_t id = 0;      ///< EventRecordID.
  absl::Time written;   ///< When the log's service wrote it.
  uint64_t chunk = 0;   ///< Counted from zero.
  uint64_t offset = 0;  ///< In the file, in bytes.
};

/// Reads Windows event logs (.evtx) record by record, in the order of the file, and writes them as
/// JSON.
///
/// Damage harms no more than it covers: a record that cannot be read is skipped, the next one is
/// searched for; checksums that do not fit (usual in logs that were copied while in use) are noted
/// and the records read all the same; chunks without a valid header are searched for records; a
/// file cut off anywhere gives what is whole. Records behind a chunk's stated end are read only
/// while their ids go on: what lies there otherwise is left from before the log went round.
///
///     ASSIGN_OR_RETURN(EvtxReader reader, EvtxReader::Open("Security.evtx"));
///     while (reader.Next()) RETURN_IF_ERROR(reader.AppendFlat(&line));
///
/// Memory: one chunk of 64 KiB and what its templates need, whatever the file's size. Threads: one
/// at a time. Blocks on file reads.
class EvtxReader {
 public:
  /// Opens a file. Errors: kNotFound; kUnavailable if it cannot be read; kInvalidArgument if it is
  /// no event log.
  [[nodiscard]] static absl::StatusOr<EvtxReader> Open(const std::string& path);

  /// Reads a log in memory; `bytes` must outlive the reader. Errors: kInvalidArgument.
  [[nodiscard]] static absl::StatusOr<EvtxReader> FromBytes(std::string_view bytes);

  /// Returns whether `bytes`, the beginning of a file, are those of an event log.
  [[nodiscard]] static bool IsEvtx(std::string_view bytes);

  ~EvtxReader();
  EvtxReader(EvtxReader&&) noexcept;
  EvtxReader& operator=(EvtxReader&&) noexcept;

  /// Goes to the next record that can be read; false at the end, and when the file cannot be read
  /// any further, which damages() then names.
  [[nodiscard]] bool Next();

  /// The record that Next went to.
  [[nodiscard]] const EvtxRecord& record() const;

  /// Appends the record in the shape of EVTX dumps, as SigmaHQ's regression data has it:
  /// `{"Event":{"#attributes":{…},"System":{…},"EventData":{…}}}`. Attributes are members of
  /// `#attributes`; text beside them is `#text`; named Data become members of EventData, the others
  /// one list; integers and booleans keep their type. Data that have one name become an array.
  /// Errors: kDataLoss if the record repeats itself to more than 16 MiB; `*out` is then as before.
  [[nodiscard]] absl::Status AppendJson(std::string* out);

  /// Appends the record as a flat object, for matching: the elements of System (EventID, Channel,
  /// Computer …) and the fields of EventData and UserData by their plain names, attributes behind
  /// an underscore (Provider_Name, TimeCreated_SystemTime). A name with spaces stands there without
  /// them too; fields of one name become an array. Errors: as AppendJson.
  [[nodiscard]] absl::Status AppendFlat(std::string* out);

  /// What was found damaged so far, in the order of the file.
  [[nodiscard]] const std::vector<EvtxDamage>& damages() const;

  /// Bytes read so far.
  [[nodiscard]] uint64_t bytes_read() const;

 private:
  class Impl;
  explicit EvtxReader(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::evtx
