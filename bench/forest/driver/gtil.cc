// GTIL, Treelite's interpreter of any tree model, by the C API of its wheel.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "library.h"
#include "rival.h"

namespace slipstream::bench {
namespace {

class Gtil final : public Rival {
 public:
  explicit Gtil(const LoadOptions& options)
      : library_(options.library),
        last_error_(library_.function<const char*()>("TreeliteGetLastError")),
        predict_(library_.function<Predict>("TreeliteGTILPredict")) {
    check(library_.function<int(const char*, void**)>("TreeliteDeserializeModelFromFile")(
        options.artifact.c_str(), &model_));
    const std::string config =
        R"({"predict_type":"default","nthread":)" + std::to_string(options.threads) + "}";
    check(library_.function<int(const char*, void**)>("TreeliteGTILParseConfig")(config.c_str(),
                                                                                 &config_));
    const char* type = nullptr;
    check(library_.function<int(void*, const char**)>("TreeliteGetInputType")(model_, &type));
    type_ = type;
    check(library_.function<int(void*, const char**)>("TreeliteGetOutputType")(model_, &type));
    if (type_ != type) throw BenchError("GTIL: input and output types differ");
    const std::uint64_t* shape = nullptr;
    std::uint64_t rank = 0;
    check(
        library_.function<int(void*, std::uint64_t, void*, const std::uint64_t**, std::uint64_t*)>(
            "TreeliteGTILGetOutputShape")(model_, 1, config_, &shape, &rank));
    for (std::uint64_t axis = 1; axis < rank; ++axis) outputs_ *= shape[axis];
  }

  [[nodiscard]] Element element() const override {
    return type_ == "float64" ? Element::kFloat64 : Element::kFloat32;
  }
  [[nodiscard]] std::size_t outputs() const override { return outputs_; }

  void reserve(std::size_t rows) override {
    float64_results_.resize(element() == Element::kFloat64 ? rows * outputs_ : 0);
    float32_results_.resize(element() == Element::kFloat32 ? rows * outputs_ : 0);
  }

  void predict(const void* rows, std::size_t count) override {
    void* const results = element() == Element::kFloat64
                              ? static_cast<void*>(float64_results_.data())
                              : static_cast<void*>(float32_results_.data());
    check(predict_(model_, rows, type_.c_str(), count, results, config_));
  }

  void answers(std::size_t count, std::span<double> out) const override {
    for (std::size_t i = 0; i < count * outputs_; ++i) {
      out[i] = element() == Element::kFloat64 ? float64_results_[i]
                                              : static_cast<double>(float32_results_[i]);
    }
  }

 private:
  using Predict = int(void*, const void*, const char*, std::uint64_t, void*, void*);

  void check(int status) const {
    if (status != 0) throw BenchError(std::string("GTIL: ") + last_error_());
  }

  SharedLibrary library_;
  const char* (*last_error_)();
  Predict* predict_;
  void* model_ = nullptr;  // lives as long as the process, like the library
  void* config_ = nullptr;
  std::string type_;
  std::size_t outputs_ = 1;
  std::vector<double> float64_results_;
  std::vector<float> float32_results_;
};

}  // namespace

std::unique_ptr<Rival> make_gtil(const LoadOptions& options) {
  return std::make_unique<Gtil>(options);
}

}  // namespace slipstream::bench
