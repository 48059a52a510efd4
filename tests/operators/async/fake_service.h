#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "operators/api/async_function.h"
#include "runtime/base/strings.h"

namespace weir {

/// A service whose questions wait until a test answers them. Threads: any.
class FakeService {
 public:
  struct Question {
    int64_t number = 0;
    ResultFuture<std::string> future;
  };

  void Ask(int64_t number, ResultFuture<std::string> future) {
    std::lock_guard<std::mutex> lock(mutex_);
    ++num_asked_;
    open_.push_back({number, std::move(future)});
  }
  [[nodiscard]] size_t num_asked() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return num_asked_;
  }
  [[nodiscard]] std::vector<int64_t> Open() const {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<int64_t> numbers;
    for (const Question& question : open_) numbers.push_back(question.number);
    return numbers;
  }
  /// Takes out the open question `index`, in the order they were asked.
  [[nodiscard]] Question Take(size_t index) {
    std::lock_guard<std::mutex> lock(mutex_);
    Question question = open_[index];
    open_.erase(open_.begin() + static_cast<int64_t>(index));
    return question;
  }
  /// Forgets the open questions, as a service that died would.
  void Forget() {
    std::lock_guard<std::mutex> lock(mutex_);
    open_.clear();
  }
  static std::string AnswerTo(int64_t number) { return StrCat("n", number); }
  void Answer(size_t index) {
    const Question question = Take(index);
    question.future.Complete({AnswerTo(question.number)});
  }

 private:
  mutable std::mutex mutex_;
  size_t num_asked_ = 0;
  std::vector<Question> open_;
};

/// Asks the service for each number.
class AskService : public AsyncFunction<int64_t, std::string> {
 public:
  explicit AskService(std::shared_ptr<FakeService> service) : service_(std::move(service)) {}
  void AsyncInvoke(const int64_t& number, ResultFuture<std::string> future) override {
    service_->Ask(number, std::move(future));
  }

 private:
  std::shared_ptr<FakeService> service_;
};

}  // namespace weir
