// Arrivals: when the requests of an open loop are due, whatever the server does meanwhile.
//
// Threads: one. Ownership: a value. Failure: none.
#pragma once

#include <cstdint>
#include <random>

#include "options.h"

namespace slipstream::load {

class Arrivals {
 public:
  // The first one is due one gap after `start_ns`.
  Arrivals(const ClassOptions& options, std::uint64_t start_ns);

  [[nodiscard]] std::uint64_t due_ns() const noexcept;
  void next();

 private:
  Rhythm rhythm_;
  double mean_ns_;
  std::mt19937_64 random_;
  std::exponential_distribution<double> exponential_{1.0};
  std::gamma_distribution<double> gamma_;  // of mean 1
  double due_ns_;
};

}  // namespace slipstream::load
