// LightGBM by its C API: the single-row-fast path for one row, PredictForMat for more.
#include <cstdint>
#include <string>
#include <vector>

#include "library.h"
#include "rival.h"

namespace slipstream::bench {
namespace {

constexpr int kFloat64 = 1;        // C_API_DTYPE_FLOAT64
constexpr int kPredictNormal = 0;  // C_API_PREDICT_NORMAL: probabilities
constexpr int kRowMajor = 1;

class LightGbm final : public Rival {
 public:
  explicit LightGbm(const LoadOptions& options)
      : library_(options.library),
        last_error_(library_.function<const char*()>("LGBM_GetLastError")),
        predict_one_(library_.function<PredictOne>("LGBM_BoosterPredictForMatSingleRowFast")),
        predict_many_(library_.function<PredictMany>("LGBM_BoosterPredictForMat")),
        columns_(options.features),
        parameters_("num_threads=" + std::to_string(options.threads)) {
    int iterations = 0;
    check(library_.function<int(const char*, int*, void**)>("LGBM_BoosterCreateFromModelfile")(
        options.artifact.c_str(), &iterations, &booster_));
    int classes = 0;
    check(library_.function<int(void*, int*)>("LGBM_BoosterGetNumClasses")(booster_, &classes));
    outputs_ = static_cast<std::size_t>(classes);
    check(library_.function<int(void*, int, int, int, int, std::int32_t, const char*, void**)>(
        "LGBM_BoosterPredictForMatSingleRowFastInit")(booster_, kPredictNormal, 0, -1, kFloat64,
                                                      columns_, parameters_.c_str(), &fast_));
  }

  [[nodiscard]] Element element() const override { return Element::kFloat64; }
  [[nodiscard]] std::size_t outputs() const override { return outputs_; }
  void reserve(std::size_t rows) override { results_.resize(rows * outputs_); }

  void predict(const void* rows, std::size_t count) override {
    std::int64_t written = 0;
    if (count == 1) {
      check(predict_one_(fast_, rows, &written, results_.data()));
      return;
    }
    check(predict_many_(booster_, rows, kFloat64, static_cast<std::int32_t>(count), columns_,
                        kRowMajor, kPredictNormal, 0, -1, parameters_.c_str(), &written,
                        results_.data()));
  }

  void answers(std::size_t count, std::span<double> out) const override {
    for (std::size_t i = 0; i < count * outputs_; ++i) out[i] = results_[i];
  }

 private:
  using PredictOne = int(void*, const void*, std::int64_t*, double*);
  using PredictMany = int(void*, const void*, int, std::int32_t, std::int32_t, int, int, int, int,
                          const char*, std::int64_t*, double*);

  void check(int status) const {
    if (status != 0) throw BenchError(std::string("LightGBM: ") + last_error_());
  }

  SharedLibrary library_;
  const char* (*last_error_)();
  PredictOne* predict_one_;
  PredictMany* predict_many_;
  std::int32_t columns_;
  std::string parameters_;
  std::size_t outputs_ = 1;
  void* booster_ = nullptr;  // lives as long as the process, like the library
  void* fast_ = nullptr;
  std::vector<double> results_;
};

}  // namespace

std::unique_ptr<Rival> make_lightgbm(const LoadOptions& options) {
  return std::make_unique<LightGbm>(options);
}

}  // namespace slipstream::bench
