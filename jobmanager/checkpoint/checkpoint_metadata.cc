#include "jobmanager/checkpoint/checkpoint_metadata.h"

#include <xxhash.h>

#include <limits>

#include "jobmanager/proto_ids.h"
#include "proto/checkpoint_metadata.pb.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr std::string_view kMagic = "WEIRCKPT";
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderSize = 8 + 4 + 8;
constexpr size_t kChecksumSize = 8;

template <class Number>
void AppendNumber(std::string* out, Number value) {
  for (size_t i = 0; i < sizeof(Number); ++i) {
    out->push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  }
}

template <class Number>
Number ReadNumber(std::string_view bytes) {
  Number value = 0;
  for (size_t i = 0; i < sizeof(Number); ++i) {
    value |= static_cast<Number>(Number{static_cast<unsigned char>(bytes[i])} << (8 * i));
  }
  return value;
}

absl::Status Damaged(std::string_view what) {
  return absl::DataLossError(StrCat("checkpoint metadata is damaged: ", what));
}

CheckpointedOperator FromProto(const proto::CheckpointedOperator& in) {
  CheckpointedOperator out;
  out.id = IdFromBytes<OperatorId>(in.operator_id());
  out.uid = in.uid();
  out.name = in.name();
  out.max_parallelism = in.max_parallelism();
  out.subtasks.assign(in.subtasks().begin(), in.subtasks().end());
  if (in.has_coordinator_state()) out.coordinator_state = in.coordinator_state();
  return out;
}

}  // namespace

const CheckpointedOperator* CheckpointMetadata::FindOperator(OperatorId wanted) const {
  for (const CheckpointedOperator& op : operators) {
    if (op.id == wanted) return &op;
  }
  return nullptr;
}

std::string SerializeCheckpointMetadata(const CheckpointMetadata& metadata) {
  proto::CheckpointMetadata message;
  message.set_checkpoint_id(metadata.id.value());
  message.set_job_id(IdToBytes(metadata.job_id));
  message.set_job_name(metadata.job_name);
  message.set_trigger_time_ms(absl::ToUnixMillis(metadata.trigger_time));
  message.set_is_savepoint(metadata.is_savepoint);
  message.set_savepoint_format(metadata.savepoint_format);
  for (const CheckpointedOperator& op : metadata.operators) {
    proto::CheckpointedOperator* const out = message.add_operators();
    out->set_operator_id(IdToBytes(op.id));
    out->set_uid(op.uid);
    out->set_name(op.name);
    out->set_max_parallelism(op.max_parallelism);
    for (const std::string& state : op.subtasks) out->add_subtasks(state);
    out->set_has_coordinator_state(op.coordinator_state.has_value());
    if (op.coordinator_state.has_value()) out->set_coordinator_state(*op.coordinator_state);
  }
  const std::string payload = message.SerializeAsString();
  std::string bytes;
  bytes.reserve(kHeaderSize + payload.size() + kChecksumSize);
  bytes.append(kMagic);
  AppendNumber<uint32_t>(&bytes, kVersion);
  AppendNumber<uint64_t>(&bytes, payload.size());
  bytes.append(payload);
  AppendNumber<uint64_t>(&bytes, XXH3_64bits(bytes.data(), bytes.size()));
  return bytes;
}

absl::StatusOr<CheckpointMetadata> ParseCheckpointMetadata(std::string_view bytes) {
  if (bytes.substr(0, kMagic.size()) != kMagic) return Damaged("it does not begin as such a file");
  if (bytes.size() < kHeaderSize + kChecksumSize) return Damaged("it is cut short");
  const auto version = ReadNumber<uint32_t>(bytes.substr(8));
  if (version != kVersion) {
    return absl::FailedPreconditionError(
        StrCat("checkpoint metadata is of another version of weir; restore with that one: version=",
               version, " known=", kVersion));
  }
  const std::string_view body = bytes.substr(0, bytes.size() - kChecksumSize);
  if (ReadNumber<uint64_t>(bytes.substr(12)) != body.size() - kHeaderSize) {
    return Damaged("its length is not what its header says");
  }
  if (XXH3_64bits(body.data(), body.size()) != ReadNumber<uint64_t>(bytes.substr(body.size()))) {
    return Damaged("its checksum does not match");
  }
  const std::string_view payload = body.substr(kHeaderSize);
  proto::CheckpointMetadata message;
  if (payload.size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
      !message.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return Damaged("its content is no checkpoint");
  }
  CheckpointMetadata metadata;
  metadata.id = CheckpointId(message.checkpoint_id());
  metadata.job_id = IdFromBytes<JobId>(message.job_id());
  metadata.job_name = message.job_name();
  metadata.trigger_time = absl::FromUnixMillis(message.trigger_time_ms());
  metadata.is_savepoint = message.is_savepoint();
  metadata.savepoint_format = message.savepoint_format();
  for (const proto::CheckpointedOperator& op : message.operators()) {
    metadata.operators.push_back(FromProto(op));
  }
  return metadata;
}

}  // namespace weir
