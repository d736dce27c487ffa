#include "arrivals.h"

namespace slipstream::load {

Arrivals::Arrivals(const ClassOptions& options, std::uint64_t start_ns)
    : rhythm_(options.rhythm),
      mean_ns_(1e9 / options.rate),
      random_(options.seed),
      gamma_(options.shape, 1.0 / options.shape),
      due_ns_(static_cast<double>(start_ns)) {
  next();
}

std::uint64_t Arrivals::due_ns() const noexcept {
  return static_cast<std::uint64_t>(due_ns_);
}

void Arrivals::next() {
  double gap = 1.0;
  if (rhythm_ == Rhythm::kPoisson) gap = exponential_(random_);
  if (rhythm_ == Rhythm::kGamma) gap = gamma_(random_);
  due_ns_ += gap * mean_ns_;
}

}  // namespace slipstream::load
