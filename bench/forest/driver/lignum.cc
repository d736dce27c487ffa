// lignum by its C API, built from its own sources: the interpreter, or its compiled trees.
#include <string>
#include <vector>

#include "library.h"
#include "rival.h"

namespace slipstream::bench {
namespace {

constexpr int kProbabilities = 0;  // raw_score
constexpr int kStrategyAuto = 0;

class Lignum final : public Rival {
 public:
  explicit Lignum(const LoadOptions& options)
      : library_(options.library),
        last_error_(library_.function<const char*()>("LignumGetLastError")),
        predict_(library_.function<Predict>("LignumModelPredict")),
        columns_(static_cast<std::size_t>(options.features)),
        threads_(options.threads) {
    check(library_.function<int(const char*, const char*, void**)>("LignumModelLoad")(
        options.artifact.c_str(), "auto", &model_));
    check(library_.function<int(void*, int, std::size_t*)>("LignumModelOutputWidth")(
        model_, kProbabilities, &outputs_));
    if (const auto compiled = options.extra.find("compiled"); compiled != options.extra.end()) {
      check(library_.function<int(void*, const char*)>("LignumModelLoadCompiled")(
          model_, compiled->second.c_str()));
    }
  }

  [[nodiscard]] Element element() const override { return Element::kFloat64; }
  [[nodiscard]] std::size_t outputs() const override { return outputs_; }
  void reserve(std::size_t rows) override { results_.resize(rows * outputs_); }

  void predict(const void* rows, std::size_t count) override {
    check(predict_(model_, static_cast<const double*>(rows), count, columns_, kProbabilities,
                   threads_, kStrategyAuto, results_.data()));
  }

  void answers(std::size_t count, std::span<double> out) const override {
    for (std::size_t i = 0; i < count * outputs_; ++i) out[i] = results_[i];
  }

 private:
  using Predict = int(void*, const double*, std::size_t, std::size_t, int, int, int, double*);

  void check(int status) const {
    if (status != 0) throw BenchError(std::string("lignum: ") + last_error_());
  }

  SharedLibrary library_;
  const char* (*last_error_)();
  Predict* predict_;
  std::size_t columns_;
  int threads_;
  std::size_t outputs_ = 1;
  void* model_ = nullptr;  // lives as long as the process, like the library
  std::vector<double> results_;
};

}  // namespace

std::unique_ptr<Rival> make_lignum(const LoadOptions& options) {
  return std::make_unique<Lignum>(options);
}

}  // namespace slipstream::bench
