#include "runtime/checkpoint/channel_state.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/record/byte_io.h"
#include "runtime/state/key_groups.h"

namespace weir {
namespace {

// Larger content goes to a file: with another parallelism every new subtask is sent every handle.
constexpr size_t kMaxInlineBytes = size_t{4} << 10;

uint64_t Checksum(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

// Runs what calls a user's Serde or partitioner, which may throw anything.
template <class Call>
auto Guarded(std::string_view what, Call&& call) -> decltype(call()) {
  try {
    return call();
  } catch (const std::exception& exception) {
    return absl::InternalError(StrCat(what, ": error=", exception.what()));
  } catch (...) {
    return absl::InternalError(StrCat(what, ": error of unknown type"));
  }
}

absl::Status WithOwner(const absl::Status& status, const ChannelStateOwner& owner) {
  return {status.code(), ToAbsl(StrCat(ToStd(status.message()), " (operator=", owner.operator_name,
                                       " subtask=", owner.subtask, "/", owner.parallelism, ")"))};
}

absl::Status Damaged(std::string_view what, const ChannelStateHandle& handle) {
  return absl::DataLossError(
      StrCat("the in-flight records of an unaligned checkpoint are damaged; restore from an older "
             "checkpoint: ",
             what, ": ", handle.file.path.empty() ? "inline" : handle.file.path,
             " old_subtask=", handle.subtask));
}

class RemoveAtEnd {
 public:
  explicit RemoveAtEnd(std::string path) : path_(std::move(path)) {}
  ~RemoveAtEnd() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  RemoveAtEnd(const RemoveAtEnd&) = delete;
  RemoveAtEnd& operator=(const RemoveAtEnd&) = delete;

 private:
  const std::string path_;
};

absl::Status AppendElements(const ChannelContent& channel, std::string* bytes) {
  return Guarded("writing in-flight records failed; mend the record's Serde", [&]() {
    for (const StreamElement& element : channel.elements) {
      const size_t begin = bytes->size();
      ByteWriter(bytes).WriteFixed(uint32_t{0});
      SerializeElement(element, bytes);
      const auto length = static_cast<uint32_t>(bytes->size() - begin - sizeof(uint32_t));
      std::memcpy(bytes->data() + begin, &length, sizeof(length));
    }
    return absl::OkStatus();
  });
}

absl::Status WriteLocally(const std::string& path, std::string_view bytes) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (out.good()) return absl::OkStatus();
  return absl::UnavailableError(StrCat("cannot write in-flight records: path=", path));
}

absl::StatusOr<std::string> ReadContent(const ChannelStateHandle& handle, StateFileStore& store,
                                        const std::string& local_path) {
  if (handle.file.path.empty()) {
    if (handle.inline_bytes.size() != handle.file.size_bytes ||
        Checksum(handle.inline_bytes) != handle.file.checksum) {
      return Damaged("the checksum does not match", handle);
    }
    return handle.inline_bytes;
  }
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(local_path).parent_path(), error);
  RETURN_IF_ERROR(store.Fetch(handle.file, local_path));
  const RemoveAtEnd remove(local_path);
  std::string bytes(handle.file.size_bytes, '\0');
  std::ifstream in(local_path, std::ios::binary);
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!in.good() || Checksum(bytes) != handle.file.checksum) {
    return Damaged("the file is not what was stored", handle);
  }
  return bytes;
}

bool SameEnds(const ChannelStateHandle::Edge& old, const ChannelEdge& edge) {
  return OperatorId(old.source_high, old.source_low) == edge.source &&
         old.source_port == edge.source_port && old.target_input == edge.target_input &&
         old.ordinal == edge.ordinal;
}

absl::StatusOr<size_t> FindEdge(const ChannelStateHandle::Edge& old,
                                const std::vector<ChannelEdge>& edges) {
  for (size_t i = 0; i < edges.size(); ++i) {
    if (!SameEnds(old, edges[i])) continue;
    const Schema schema = edges[i].type->GetSchema();
    if (schema == old.schema) return i;
    return absl::FailedPreconditionError(
        StrCat("cannot restore in-flight records: their type has changed; go back to the type of "
               "the checkpoint, or start from a savepoint, which holds none: checkpoint=",
               old.schema.ToString(), " job=", schema.ToString()));
  }
  return absl::FailedPreconditionError(StrCat(
      "cannot restore in-flight records: the job does not have the connection that they were on; "
      "give it back, or start from a savepoint, which holds none: source=",
      ToString(OperatorId(old.source_high, old.source_low)), " port=", old.source_port,
      " input=", old.target_input));
}

// Returns the rows that are for subtask `owner`, of a batch that is the `ordinal`-th of `old`.
absl::StatusOr<std::vector<uint32_t>> RowsOf(const Batch& batch, const ChannelEdge& edge,
                                             const ChannelStateOwner& owner, uint64_t ordinal) {
  const auto size = static_cast<uint32_t>(batch.size());
  std::vector<uint32_t> channels(size);
  switch (edge.partitioning.strategy) {
    case ShipStrategy::kHash:
      if (batch.key_hashes().size() != size) {
        return absl::FailedPreconditionError(
            "cannot divide in-flight records by key: the connection was not keyed when the "
            "checkpoint was taken; restore with its parallelism, or start from a savepoint");
      }
      for (uint32_t row = 0; row < size; ++row) {
        channels[row] =
            SubtaskOfHash(batch.key_hashes()[row], owner.max_parallelism, owner.parallelism);
      }
      break;
    case ShipStrategy::kCustom:
      RETURN_IF_ERROR(Guarded("the partitioner failed on in-flight records", [&]() {
        edge.partitioning.partitioner->Partition(batch, owner.parallelism, &channels);
        return absl::OkStatus();
      }));
      break;
    case ShipStrategy::kGlobal:
      break;
    case ShipStrategy::kBroadcast:
      return absl::FailedPreconditionError(
          "cannot divide in-flight records: the connection is broadcast now; restore with the "
          "checkpoint's parallelism, or start from a savepoint");
    case ShipStrategy::kForward:  // Was a rebalance between different parallelisms.
    case ShipStrategy::kRebalance:
    case ShipStrategy::kRescale:
    case ShipStrategy::kShuffle:
      std::fill(channels.begin(), channels.end(),
                static_cast<uint32_t>(ordinal % owner.parallelism));
      break;
  }
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < size; ++row) {
    if (channels[row] == owner.subtask) rows.push_back(row);
  }
  return rows;
}

// Keeps what is for subtask `owner` of what was on its way to another parallelism.
absl::Status TakeShare(const ChannelEdge& edge, const ChannelStateOwner& owner, uint64_t* ordinal,
                       std::vector<StreamElement>* elements) {
  std::vector<StreamElement> share;
  for (StreamElement& element : *elements) {
    auto* const batch = std::get_if<BatchPtr>(&element);
    if (batch == nullptr) continue;
    ASSIGN_OR_RETURN(const std::vector<uint32_t> rows, RowsOf(**batch, edge, owner, (*ordinal)++));
    if (rows.size() == (*batch)->size()) {
      share.emplace_back(std::move(*batch));
    } else if (!rows.empty()) {
      share.emplace_back((*batch)->Select(rows));
    }
  }
  *elements = std::move(share);
  return absl::OkStatus();
}

absl::Status ReadElements(ByteReader& reader, uint32_t count, const BatchType& type,
                          const ChannelStateHandle& handle, std::vector<StreamElement>* elements) {
  return Guarded("reading in-flight records failed; mend the record's Serde",
                 [&]() -> absl::Status {
                   for (uint32_t i = 0; i < count; ++i) {
                     uint32_t length = 0;
                     if (!reader.ReadFixed(&length) || length > reader.remaining()) {
                       return Damaged("an element is cut short", handle);
                     }
                     std::string bytes(length, '\0');
                     reader.ReadBytes(bytes.data(), length);
                     absl::StatusOr<StreamElement> element = DeserializeElement(bytes, type);
                     if (!element.ok()) return Damaged(ToStd(element.status().message()), handle);
                     elements->push_back(*std::move(element));
                   }
                   return absl::OkStatus();
                 });
}

absl::StatusOr<std::vector<ChannelContent>> Read(const ChannelStateHandle& handle,
                                                 const std::vector<ChannelEdge>& edges,
                                                 const ChannelStateOwner& owner,
                                                 StateFileStore& store,
                                                 const std::string& local_path) {
  if (handle.format_version != ChannelStateHandle::kFormatVersion) {
    return absl::FailedPreconditionError(
        StrCat("cannot restore in-flight records: their format version is not known; use a version "
               "of weir that knows it: format_version=",
               handle.format_version, " known=", ChannelStateHandle::kFormatVersion));
  }
  ASSIGN_OR_RETURN(const std::string bytes, ReadContent(handle, store, local_path));
  std::vector<size_t> edge_of_old;
  for (const ChannelStateHandle::Edge& edge : handle.edges) {
    ASSIGN_OR_RETURN(edge_of_old.emplace_back(), FindEdge(edge, edges));
  }
  const bool rescaled = handle.parallelism != owner.parallelism;
  // Each old subtask begins elsewhere, so that few batches are spread too.
  uint64_t ordinal = handle.subtask;
  ByteReader reader(bytes);
  std::vector<ChannelContent> contents;
  for (const ChannelStateHandle::Channel& channel : handle.channels) {
    if (channel.edge >= edge_of_old.size()) return Damaged("it names no such edge", handle);
    ChannelContent content;
    content.edge = edge_of_old[channel.edge];
    content.producer = channel.producer;
    const ChannelEdge& edge = edges[content.edge];
    RETURN_IF_ERROR(
        ReadElements(reader, channel.num_elements, *edge.type, handle, &content.elements));
    if (rescaled) {
      RETURN_IF_ERROR(TakeShare(edge, owner, &ordinal, &content.elements));
    } else if (handle.edges[channel.edge].num_producers != edge.num_producers) {
      // Channels are joined or new: none knows how far its time had come.
      std::erase_if(content.elements, [](const StreamElement& e) { return !IsBatch(e); });
    }
    if (!content.elements.empty()) contents.push_back(std::move(content));
  }
  if (reader.remaining() != 0) return Damaged("it is longer than it should be", handle);
  return contents;
}

}  // namespace

bool SupportsChannelState(ShipStrategy strategy) {
  switch (strategy) {
    case ShipStrategy::kHash:
    case ShipStrategy::kRebalance:
    case ShipStrategy::kShuffle:
    case ShipStrategy::kGlobal:
    case ShipStrategy::kCustom:
      return true;
    case ShipStrategy::kForward:
    case ShipStrategy::kRescale:
    case ShipStrategy::kBroadcast:
      break;
  }
  return false;
}

absl::StatusOr<ChannelStateHandle> WriteChannelState(const std::vector<ChannelEdge>& edges,
                                                     const std::vector<ChannelContent>& channels,
                                                     const ChannelStateOwner& owner,
                                                     StateFileStore& store,
                                                     const std::string& local_path) {
  ChannelStateHandle handle;
  handle.subtask = owner.subtask;
  handle.parallelism = owner.parallelism;
  std::vector<std::optional<uint32_t>> index_of_edge(edges.size());
  std::string bytes;
  for (const ChannelContent& channel : channels) {
    if (channel.elements.empty()) continue;
    const ChannelEdge& edge = edges[channel.edge];
    std::optional<uint32_t>& index = index_of_edge[channel.edge];
    if (!index.has_value()) {
      index = static_cast<uint32_t>(handle.edges.size());
      handle.edges.push_back({edge.source.high(), edge.source.low(), edge.source_port,
                              edge.target_input, edge.ordinal, edge.num_producers,
                              edge.type->GetSchema()});
    }
    const absl::Status written = AppendElements(channel, &bytes);
    if (!written.ok()) return WithOwner(written, owner);
    handle.channels.push_back(
        {*index, channel.producer, static_cast<uint32_t>(channel.elements.size())});
  }
  handle.file.size_bytes = bytes.size();
  handle.file.checksum = Checksum(bytes);
  if (bytes.size() <= kMaxInlineBytes) {
    handle.inline_bytes = std::move(bytes);
    return handle;
  }
  const RemoveAtEnd remove(local_path);
  RETURN_IF_ERROR(WriteLocally(local_path, bytes));
  ASSIGN_OR_RETURN(handle.file, store.Store(local_path, "channels"));
  return handle;
}

absl::StatusOr<std::vector<ChannelContent>> ReadChannelState(const ChannelStateHandle& handle,
                                                             const std::vector<ChannelEdge>& edges,
                                                             const ChannelStateOwner& owner,
                                                             StateFileStore& store,
                                                             const std::string& local_path) {
  absl::StatusOr<std::vector<ChannelContent>> contents =
      Read(handle, edges, owner, store, local_path);
  if (!contents.ok()) return WithOwner(contents.status(), owner);
  return contents;
}

bool ReadsChannelState(const ChannelStateHandle& handle, uint32_t subtask, uint32_t parallelism) {
  return handle.parallelism != parallelism || handle.subtask == subtask;
}

}  // namespace weir
