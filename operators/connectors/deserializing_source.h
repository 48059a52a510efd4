#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/api/source.h"
#include "operators/connectors/internal/malformed_records.h"
#include "runtime/metrics/metric_group.h"

namespace weir {

/// What a source does with a record that its deserializer refuses. Counted in any case:
/// numRecordsInErrors.
enum class OnMalformed : uint8_t {
  kFail,        ///< The job fails, with the record's place.
  kSkip,        ///< The record is left out.
  kDeadLetter,  ///< The record goes, raw and with its place, to the side output DeadLetterTag.
};

/// What dead letters keep of a raw record. Found by its name: a source with raw records of another
/// kind has a function like this beside their type.
[[nodiscard]] inline std::string_view RawBytes(const std::string& raw) { return raw; }

/// A source whose raw records (lines, Kafka records) become records of type T while they are read,
/// so that event times and watermarks are those of the split they come from.
///
///     DeserializingSource logins(FileSource({.path = path}), ParseLogin, OnMalformed::kSkip);
///
/// where `absl::StatusOr<Login> ParseLogin(const std::string& line)`. An error, or an exception of
/// type std::exception, means that the record is malformed. The deserializer is copied into every
/// subtask. Guarantees are those of the raw source.
template <class SourceType, class Fn>
class DeserializingSource final
    : public Source<typename std::invoke_result_t<const Fn&,
                                                  const typename SourceType::Record&>::value_type> {
 public:
  using Raw = typename SourceType::Record;
  using Record = typename std::invoke_result_t<const Fn&, const Raw&>::value_type;
  static_assert(std::same_as<std::invoke_result_t<const Fn&, const Raw&>, absl::StatusOr<Record>>,
                "a deserializer is a function absl::StatusOr<T>(const Raw&)");

  DeserializingSource(SourceType source, Fn deserialize, OnMalformed on_malformed)
      : source_(std::make_shared<const SourceType>(std::move(source))),
        deserialize_(std::move(deserialize)),
        on_malformed_(on_malformed) {}

  [[nodiscard]] std::unique_ptr<SplitEnumerator> CreateEnumerator() const override {
    return source_->CreateEnumerator();
  }
  [[nodiscard]] std::unique_ptr<SourceReader<Record>> CreateReader() const override {
    return std::make_unique<Reader>(source_, deserialize_, on_malformed_);
  }

 private:
  class Reader final : public SourceReader<Record>, public SourceOutput<Raw> {
   public:
    Reader(std::shared_ptr<const SourceType> source, Fn deserialize, OnMalformed on_malformed)
        : source_(std::move(source)),
          reader_(source_->CreateReader()),
          deserialize_(std::move(deserialize)),
          on_malformed_(on_malformed) {}

    // SourceReader:
    absl::Status Start(SourceReaderContext& context) override {
      errors_ = context.metrics()->AddCounter("numRecordsInErrors");
      return reader_->Start(context);
    }
    absl::Status AddSplits(std::vector<SourceSplit> splits) override {
      return reader_->AddSplits(std::move(splits));
    }
    void NotifyNoMoreSplits() override { reader_->NotifyNoMoreSplits(); }
    absl::StatusOr<ReadStatus> Poll(SourceOutput<Record>& output) override {
      output_ = &output;
      absl::StatusOr<ReadStatus> status = reader_->Poll(*this);
      if (status.ok() && !failure_.ok()) status = failure_;
      return status;
    }
    std::vector<SourceSplit> Snapshot(CheckpointId checkpoint) override {
      return reader_->Snapshot(checkpoint);
    }
    absl::Status NotifyCheckpointComplete(CheckpointId checkpoint) override {
      return reader_->NotifyCheckpointComplete(checkpoint);
    }
    absl::Status HandleEnumeratorEvent(std::string_view event) override {
      return reader_->HandleEnumeratorEvent(event);
    }
    [[nodiscard]] bool IsCaughtUp() const override { return reader_->IsCaughtUp(); }
    void Close() override { reader_->Close(); }

    // SourceOutput:
    void Collect(Raw raw, EventTime time, std::string_view split_id) override {
      CollectAt(std::move(raw), time, split_id, 0);
    }
    void CollectAt(Raw raw, EventTime time, std::string_view split_id, uint64_t position) override {
      if (!failure_.ok()) return;
      absl::StatusOr<Record> record = Deserialize(raw);
      if (record.ok()) {
        output_->CollectAt(*std::move(record), time, split_id, position);
      } else {
        OnError(raw, record.status(), split_id, position);
      }
    }
    void CollectDeadLetter(DeadLetter letter) override {
      output_->CollectDeadLetter(std::move(letter));
    }
    void SplitFinished(std::string_view split_id) override { output_->SplitFinished(split_id); }
    [[nodiscard]] bool Full() const override { return !failure_.ok() || output_->Full(); }

   private:
    absl::StatusOr<Record> Deserialize(const Raw& raw) const {
      try {
        return deserialize_(raw);
      } catch (const std::exception& exception) {
        return internal::ThrownByDeserializer(exception);
      }
    }

    void OnError(const Raw& raw, const absl::Status& error, std::string_view split_id,
                 uint64_t position) {
      errors_->Add();
      if (on_malformed_ == OnMalformed::kSkip) return;
      DeadLetter letter = internal::MakeDeadLetter(split_id, position, RawBytes(raw), error);
      if (on_malformed_ == OnMalformed::kDeadLetter) {
        output_->CollectDeadLetter(std::move(letter));
      } else {
        failure_ = internal::MalformedRecordError(letter);
      }
    }

    const std::shared_ptr<const SourceType> source_;
    const std::unique_ptr<SourceReader<Raw>> reader_;
    const Fn deserialize_;
    const OnMalformed on_malformed_;
    Counter* errors_ = nullptr;
    SourceOutput<Record>* output_ = nullptr;  // During Poll.
    absl::Status failure_;
  };

  std::shared_ptr<const SourceType> source_;
  Fn deserialize_;
  OnMalformed on_malformed_;
};

}  // namespace weir
