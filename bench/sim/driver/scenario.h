// Scenario: a model's latency curve and a load of requests, as a line of text describes them. The
// same line gives the same requests, whoever serves them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/clock.h"

namespace sim {

using slipstream::Nanoseconds;

// Time of one execution: flat up to `knee_rows`, then a line.
struct Curve {
  double base_ns = 0;
  double per_row_ns = 0;
  std::int64_t knee_rows = 0;

  [[nodiscard]] Nanoseconds time_ns(std::int64_t rows) const noexcept;
};

struct RequestClass {
  std::string name;
  double share = 1;  // of all requests
  int priority = 0;
  Nanoseconds least_deadline_ns = 0;  // after arrival; log-uniform up to the next
  Nanoseconds most_deadline_ns = 0;
  bool has_large = false;  // one of sixteen requests has 8 rows, one of 64 has 32; the others one
};

struct Job {
  Nanoseconds arrival_ns = 0;
  Nanoseconds deadline_ns = 0;  // absolute
  std::int64_t rows = 1;
  std::uint32_t class_index = 0;
  int priority = 0;
};

struct Scenario {
  Curve curve;
  std::int64_t max_rows = 64;
  std::size_t instances = 1;
  double load = 1;                   // offered rows by the most that all instances can run
  std::string arrivals = "poisson";  // or gamma, trace
  std::size_t requests = 10'000;
  std::uint64_t seed = 1;
  Nanoseconds slo_ns = 0;  // the one objective that rivals without deadlines are given
  double noise = 0.05;     // standard deviation of an execution's time, relative
  std::vector<RequestClass> classes;

  [[nodiscard]] double peak_rows_per_s() const noexcept;
};

// "key=value key=value ..."; see the command's own text. Throws std::invalid_argument.
[[nodiscard]] Scenario parse_scenario(const std::map<std::string, std::vector<std::string>>& words);

// In order of arrival.
[[nodiscard]] std::vector<Job> make_jobs(const Scenario& scenario);

}  // namespace sim
