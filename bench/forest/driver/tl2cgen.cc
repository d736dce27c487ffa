// TL2cgen: the C code that it generated for a model, compiled to a shared library.
//
// Its function takes one row as an array of a union of value and missing mark, which its callers
// fill for every row; that is counted.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "library.h"
#include "rival.h"
#include "row_pool.h"

namespace slipstream::bench {
namespace {

template <class T>
class Tl2cgen final : public Rival {
 public:
  Tl2cgen(const LoadOptions& options, const SharedLibrary& library)
      : predict_(library.function<Predict>("predict")),
        columns_(static_cast<std::size_t>(options.features)),
        pool_(options.threads,
              [this](std::size_t begin, std::size_t end) { predict_rows(begin, end); }) {
    const int targets = library.function<std::int32_t()>("get_num_target")();
    std::vector<std::int32_t> classes(static_cast<std::size_t>(targets));
    library.function<void(std::int32_t*)>("get_num_class")(classes.data());
    outputs_ = static_cast<std::size_t>(classes.front());
  }

  [[nodiscard]] Element element() const override {
    return sizeof(T) == sizeof(double) ? Element::kFloat64 : Element::kFloat32;
  }
  [[nodiscard]] std::size_t outputs() const override { return outputs_; }
  void reserve(std::size_t rows) override { results_.resize(rows * outputs_); }

  void predict(const void* rows, std::size_t count) override {
    rows_ = static_cast<const T*>(rows);
    pool_.run(count);
  }

  void answers(std::size_t count, std::span<double> out) const override {
    for (std::size_t i = 0; i < count * outputs_; ++i) out[i] = static_cast<double>(results_[i]);
  }

 private:
  union Entry {
    int missing;
    T value;
  };
  using Predict = void(Entry*, int, T*);

  void predict_rows(std::size_t begin, std::size_t end) {
    thread_local std::vector<Entry> row;
    row.resize(columns_);
    for (std::size_t r = begin; r < end; ++r) {
      const T* const values = rows_ + r * columns_;
      for (std::size_t c = 0; c < columns_; ++c) {
        if (std::isnan(values[c])) {
          row[c].missing = -1;
        } else {
          row[c].value = values[c];
        }
      }
      T* const result = results_.data() + r * outputs_;
      std::fill_n(result, outputs_, T{0});
      predict_(row.data(), 0, result);
    }
  }

  Predict* predict_;
  std::size_t columns_;
  std::size_t outputs_ = 1;
  const T* rows_ = nullptr;
  std::vector<T> results_;
  RowPool pool_;
};

}  // namespace

std::unique_ptr<Rival> make_tl2cgen(const LoadOptions& options) {
  const SharedLibrary library(options.artifact);
  const std::string_view type = library.function<const char*()>("get_threshold_type")();
  if (type == "float64") return std::make_unique<Tl2cgen<double>>(options, library);
  return std::make_unique<Tl2cgen<float>>(options, library);
}

}  // namespace slipstream::bench
