#include "scenario.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <sstream>
#include <stdexcept>

namespace sim {
namespace {

constexpr double kGammaShape = 1.0 / 16;  // intervals vary four times as much as Poisson's
constexpr double kWaves = 3;              // of the trace's day and night
constexpr double kSwing = 0.6;            // of the rate, up and down
constexpr std::size_t kSpikes = 6;
constexpr double kSpikeLength = 0.01;  // of the trace
constexpr double kSpikeFactor = 4;

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

const std::string& one(const std::map<std::string, std::vector<std::string>>& words,
                       const std::string& key) {
  const auto found = words.find(key);
  if (found == words.end() || found->second.size() != 1) {
    throw std::invalid_argument("a scenario has exactly one '" + key + "='");
  }
  return found->second.front();
}

double mean_rows(const RequestClass& each) {
  return each.has_large ? (60.0 - 1.0 + 4 * 8 + 32) / 64 : 1.0;
}

std::int64_t draw_rows(const RequestClass& each, std::mt19937_64& random) {
  const std::uint64_t draw = random() % 64;
  if (!each.has_large || draw >= 5) return 1;
  return draw == 0 ? 32 : 8;
}

// The rate at each moment by the mean rate; time runs from 0 to 1.
class Shape {
 public:
  Shape(bool is_trace, std::mt19937_64& random) : is_trace_(is_trace) {
    if (!is_trace) return;
    for (std::size_t i = 0; i < kSpikes; ++i) {
      spikes_.push_back(std::uniform_real_distribution<double>(0, 1 - kSpikeLength)(random));
    }
    double sum = 0;
    constexpr int kSteps = 10'000;
    for (int i = 0; i < kSteps; ++i) sum += raw(static_cast<double>(i) / kSteps);
    mean_ = sum / kSteps;
  }
  [[nodiscard]] double at(double time) const { return raw(time) / mean_; }
  [[nodiscard]] double most() const { return is_trace_ ? (1 + kSwing) * kSpikeFactor / mean_ : 1; }

 private:
  [[nodiscard]] double raw(double time) const {
    if (!is_trace_) return 1;
    const bool is_spike = std::ranges::any_of(
        spikes_, [time](double begin) { return time >= begin && time < begin + kSpikeLength; });
    const double wave = 1 + kSwing * std::sin(2 * std::numbers::pi * kWaves * time);
    return is_spike ? wave * kSpikeFactor : wave;
  }
  bool is_trace_;
  std::vector<double> spikes_;
  double mean_ = 1;
};

}  // namespace

Nanoseconds Curve::time_ns(std::int64_t rows) const noexcept {
  const std::int64_t beyond = std::max<std::int64_t>(rows - knee_rows, 0);
  return static_cast<Nanoseconds>(base_ns + per_row_ns * static_cast<double>(beyond));
}

double Scenario::peak_rows_per_s() const noexcept {
  double best = 0;
  for (std::int64_t rows = 1; rows <= max_rows; ++rows) {
    best =
        std::max(best, static_cast<double>(rows) * 1e9 / static_cast<double>(curve.time_ns(rows)));
  }
  return best * static_cast<double>(instances);
}

Scenario parse_scenario(const std::map<std::string, std::vector<std::string>>& words) {
  Scenario scenario;
  const std::vector<std::string> curve = split(one(words, "curve"));
  if (curve.size() != 3) throw std::invalid_argument("curve=BASE_NS,PER_ROW_NS,KNEE_ROWS");
  scenario.curve = {std::stod(curve[0]), std::stod(curve[1]), std::stoll(curve[2])};
  scenario.max_rows = std::stoll(one(words, "max_rows"));
  scenario.instances = std::stoul(one(words, "instances"));
  scenario.load = std::stod(one(words, "load"));
  scenario.arrivals = one(words, "arrivals");
  scenario.requests = std::stoul(one(words, "requests"));
  scenario.seed = std::stoull(one(words, "seed"));
  scenario.slo_ns = std::stoll(one(words, "slo_ns"));
  scenario.noise = std::stod(one(words, "noise"));
  const auto classes = words.find("class");
  if (classes == words.end()) throw std::invalid_argument("a scenario has at least one class");
  for (const std::string& text : classes->second) {
    const std::vector<std::string> parts = split(text);
    if (parts.size() != 6) {
      throw std::invalid_argument("class=NAME,SHARE,PRIORITY,LEAST_NS,MOST_NS,HAS_LARGE");
    }
    scenario.classes.push_back({.name = parts[0],
                                .share = std::stod(parts[1]),
                                .priority = std::stoi(parts[2]),
                                .least_deadline_ns = std::stoll(parts[3]),
                                .most_deadline_ns = std::stoll(parts[4]),
                                .has_large = parts[5] == "1"});
  }
  return scenario;
}

std::vector<Job> make_jobs(const Scenario& scenario) {
  std::mt19937_64 random(scenario.seed);
  std::vector<double> shares;
  double rows = 0;
  double sum = 0;
  for (const RequestClass& each : scenario.classes) {
    shares.push_back(each.share);
    rows += each.share * mean_rows(each);
    sum += each.share;
  }
  std::discrete_distribution<std::uint32_t> class_of(shares.begin(), shares.end());
  const double per_ns = scenario.load * scenario.peak_rows_per_s() / (rows / sum) / 1e9;
  const double span_ns = static_cast<double>(scenario.requests) / per_ns;
  const Shape shape(scenario.arrivals == "trace", random);
  const bool is_bursty = scenario.arrivals == "gamma";
  std::gamma_distribution<double> burst(kGammaShape, 1 / kGammaShape);
  std::exponential_distribution<double> gap(1.0);
  std::uniform_real_distribution<double> chance(0, 1);
  std::vector<Job> jobs;
  double now = 0;
  while (jobs.size() < scenario.requests) {
    now += (is_bursty ? burst(random) : gap(random)) / (per_ns * shape.most());
    if (chance(random) * shape.most() > shape.at(std::min(now / span_ns, 1.0))) continue;
    const std::uint32_t index = class_of(random);
    const RequestClass& each = scenario.classes[index];
    const double least = std::log(static_cast<double>(each.least_deadline_ns));
    const double most = std::log(static_cast<double>(each.most_deadline_ns));
    const auto arrival = static_cast<Nanoseconds>(now) + 1;
    jobs.push_back({.arrival_ns = arrival,
                    .deadline_ns = arrival + static_cast<Nanoseconds>(
                                                 std::exp(least + (most - least) * chance(random))),
                    .rows = draw_rows(each, random),
                    .class_index = index,
                    .priority = each.priority});
  }
  return jobs;
}

}  // namespace sim
