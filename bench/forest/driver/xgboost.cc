// XGBoost by its C API: XGBoosterPredictFromDense, its quickest way from rows to answers.
#include <array>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "library.h"
#include "rival.h"

namespace slipstream::bench {
namespace {

constexpr const char* kConfig =
    R"({"type":0,"training":false,"iteration_begin":0,"iteration_end":0,"missing":NaN,)"
    R"("strict_shape":true,"cache_id":0})";

class XgBoost final : public Rival {
 public:
  explicit XgBoost(const LoadOptions& options)
      : library_(options.library),
        last_error_(library_.function<const char*()>("XGBGetLastError")),
        predict_(library_.function<Predict>("XGBoosterPredictFromDense")),
        columns_(static_cast<std::size_t>(options.features)) {
    check(library_.function<int(const void* const*, std::uint64_t, void**)>("XGBoosterCreate")(
        nullptr, 0, &booster_));
    check(library_.function<int(void*, const char*)>("XGBoosterLoadModel")(
        booster_, options.artifact.c_str()));
    check(library_.function<int(void*, const char*, const char*)>("XGBoosterSetParam")(
        booster_, "nthread", std::to_string(options.threads).c_str()));
    // Without one, every call would make a proxy of its own.
    check(library_.function<int(void**)>("XGProxyDMatrixCreate")(&proxy_));
    const std::vector<float> probe(columns_);
    predict(probe.data(), 1);
    outputs_ = shape_[1];
  }

  [[nodiscard]] Element element() const override { return Element::kFloat32; }
  [[nodiscard]] std::size_t outputs() const override { return outputs_; }
  void reserve(std::size_t) override {}

  void predict(const void* rows, std::size_t count) override {
    std::array<char, 160> array{};
    std::snprintf(array.data(), array.size(),
                  R"({"data":[%llu,true],"shape":[%zu,%zu],"typestr":"<f4","version":3})",
                  static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(rows)), count,
                  columns_);
    std::uint64_t rank = 0;
    check(predict_(booster_, array.data(), kConfig, proxy_, &shape_, &rank, &results_));
  }

  void answers(std::size_t count, std::span<double> out) const override {
    for (std::size_t i = 0; i < count * outputs_; ++i) out[i] = static_cast<double>(results_[i]);
  }

 private:
  using Predict = int(void*, const char*, const char*, void*, const std::uint64_t**, std::uint64_t*,
                      const float**);

  void check(int status) const {
    if (status != 0) throw BenchError(std::string("XGBoost: ") + last_error_());
  }

  SharedLibrary library_;
  const char* (*last_error_)();
  Predict* predict_;
  std::size_t columns_;
  std::size_t outputs_ = 1;
  void* booster_ = nullptr;  // lives as long as the process, like the library
  void* proxy_ = nullptr;
  const std::uint64_t* shape_ = nullptr;  // XGBoost's, valid until its next call
  const float* results_ = nullptr;
};

}  // namespace

std::unique_ptr<Rival> make_xgboost(const LoadOptions& options) {
  return std::make_unique<XgBoost>(options);
}

}  // namespace slipstream::bench
