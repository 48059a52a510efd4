// Mistakes that the compiler finds. compile_mistakes_test.py compiles this file and looks for each
// text that follows "says" in what the compiler says.

#include <map>
#include <string>

#include "operators/api/job.h"
#include "operators/connectors/deserializing_source.h"
#include "operators/connectors/values_source.h"

namespace mistakes {

using namespace weir;
using Numbers = DataStream<int64_t>;

struct HasPointer {
  int* where = nullptr;
};
// says: a field of this type has no Serde: use a type that has one
auto Record1(Numbers in) {
  return in.Map([](int64_t) { return HasPointer{}; });
}

class Opaque {
 public:
  Opaque() = default;

 private:
  int secret_ = 0;
};
// says: this type cannot be the record of a stream, because it has no Serde: make it an aggregate
auto Record2(Numbers in) {
  return in.Map([](int64_t) { return Opaque(); });
}

// says: a floating-point value cannot be a key
auto Key1(Numbers in) {
  return in.KeyBy([](int64_t n) { return static_cast<double>(n); });
}

// says: this type cannot be a key: keys are integers, enums, strings
auto Key2(Numbers in) {
  return in.KeyBy([](int64_t) { return std::map<int, int>(); });
}

struct ByName final : KeyedProcessFunction<std::string, int64_t, int64_t> {
  void ProcessElement(const int64_t&, Context&, Collector<int64_t>&) override {}
};
// says: the function's key type is not the stream's
auto Key3(Numbers in) {
  return in.KeyBy([](int64_t n) { return n; }).Process(ByName{});
}

// says: only streams of one type can be united
auto Union(Numbers in, DataStream<std::string> other) { return in.Union(other); }

}  // namespace mistakes
