// lleaves: the function that it compiled a LightGBM model to, linked as a shared library.
#include <cstdint>
#include <vector>

#include "library.h"
#include "rival.h"
#include "row_pool.h"

namespace slipstream::bench {
namespace {

class Lleaves final : public Rival {
 public:
  explicit Lleaves(const LoadOptions& options)
      : library_(options.artifact),
        root_(library_.function<Root>("forest_root")),
        outputs_(static_cast<std::size_t>(std::stoul(options.require("outputs")))),
        pool_(options.threads, [this](std::size_t begin, std::size_t end) {
          root_(rows_, results_.data(), static_cast<std::int32_t>(begin),
                static_cast<std::int32_t>(end));
        }) {}

  [[nodiscard]] Element element() const override { return Element::kFloat64; }
  [[nodiscard]] std::size_t outputs() const override { return outputs_; }
  void reserve(std::size_t rows) override { results_.resize(rows * outputs_); }

  void predict(const void* rows, std::size_t count) override {
    rows_ = static_cast<const double*>(rows);
    pool_.run(count);
  }

  void answers(std::size_t count, std::span<double> out) const override {
    for (std::size_t i = 0; i < count * outputs_; ++i) out[i] = results_[i];
  }

 private:
  using Root = void(const double*, double*, std::int32_t, std::int32_t);

  SharedLibrary library_;
  Root* root_;
  std::size_t outputs_;
  const double* rows_ = nullptr;
  std::vector<double> results_;
  RowPool pool_;
};

}  // namespace

std::unique_ptr<Rival> make_lleaves(const LoadOptions& options) {
  return std::make_unique<Lleaves>(options);
}

}  // namespace slipstream::bench
