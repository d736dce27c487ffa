#include "backends/forest/trees/chosen.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

#include "core/this_thread.h"

namespace slipstream::forest {
namespace {

using Clock = std::chrono::steady_clock;

// Batch sizes that are timed; a batch runs on what was best for the largest size not above its own.
constexpr std::array<std::size_t, 6> kSizes{1, 4, 16, 48, 128, 512};
constexpr std::size_t kMostRows = kSizes.back();
// Of the trial's rows, and of their answers: wide models are tried on fewer rows.
constexpr std::size_t kMostNumbers = std::size_t{1} << 20;
constexpr int kLeastRepeats = 3;
constexpr int kMostRepeats = 50;
constexpr std::chrono::microseconds kTimeForOne{1500};  // of one candidate at one size

// A small generator of our own: the choice must not depend on the library's random numbers.
class Random {
 public:
  [[nodiscard]] std::uint64_t next() noexcept {  // splitmix64 (Steele et al., OOPSLA 2014)
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  [[nodiscard]] std::size_t below(std::size_t limit) noexcept {
    return static_cast<std::size_t>(next() % limit);
  }

 private:
  std::uint64_t state_ = 1;
};

// Rows whose every value is near some threshold of its feature, so that walks go deep.
std::vector<double> trial_rows(const Ensemble& trees, const Planes& planes, std::size_t count) {
  std::vector<double> rows(count * trees.features, 0.0);
  Random random;
  for (const NumericColumn& column : planes.columns) {
    const std::span<const double> all(planes.exact.data() + column.first_exact, column.count);
    for (std::size_t row = 0; row < count; ++row) {
      const double a = all[random.below(all.size())];
      const double b = all[random.below(all.size())];
      rows[row * trees.features + column.feature] = static_cast<double>(
          static_cast<float>(a + (b - a) * static_cast<double>(random.below(1024)) / 1024.0));
    }
  }
  for (const SetPlane& plane : planes.sets) {
    if (plane.set < 0) continue;
    const std::size_t codes = trees.category_count[plane.feature] + std::size_t{1};
    for (std::size_t row = 0; row < count; ++row) {
      rows[row * trees.features + plane.feature] = static_cast<double>(random.below(codes));
    }
  }
  return rows;
}

// The quickest of some runs, in nanoseconds: what disturbs a run only ever makes it longer.
double time_of(const Evaluator& evaluator, const RowsView& x, std::size_t rows, void* out,
               Evaluator::Scratch& scratch) {
  evaluator.sums(x, rows, out, scratch);  // warms caches and branch predictors
  double quickest = std::numeric_limits<double>::infinity();
  const Clock::time_point end = Clock::now() + kTimeForOne;
  Clock::time_point start = Clock::now();
  for (int run = 0; run < kMostRepeats && (run < kLeastRepeats || start < end); ++run) {
    evaluator.sums(x, rows, out, scratch);
    const Clock::time_point now = Clock::now();
    quickest = std::min(quickest, std::chrono::duration<double, std::nano>(now - start).count());
    start = now;
  }
  return quickest;
}

class Chosen final : public Evaluator {
 public:
  Chosen(const Ensemble& trees, std::vector<std::unique_ptr<Evaluator>> candidates)
      : outputs_bytes_(trees.outputs * (trees.float32_sums ? sizeof(float) : sizeof(double))),
        candidates_(std::move(candidates)) {}

  void measure(const Ensemble& trees, const Planes& planes) {
    const std::size_t widest = std::max<std::size_t>(trees.features, trees.outputs);
    const std::size_t most = std::clamp<std::size_t>(kMostNumbers / widest, 1, kMostRows);
    const std::vector<double> rows = trial_rows(trees, planes, most);
    std::vector<double> out(most * trees.outputs);
    const RowsView x{rows.data(), trees.features, false};
    for (std::size_t c = 0; c < candidates_.size(); ++c) {
      const auto scratch = candidates_[c]->make_scratch(most);
      for (std::size_t s = 0; s < kSizes.size() && kSizes[s] <= most; ++s) {
        const double taken = time_of(*candidates_[c], x, kSizes[s], out.data(), *scratch);
        if (taken < best_[s].ns) best_[s] = {c, taken};
      }
    }
    for (std::size_t s = 1; s < kSizes.size(); ++s) {
      if (kSizes[s] > most) best_[s] = best_[s - 1];
    }
    // What nothing chose is only memory.
    for (std::size_t c = 0; c < candidates_.size(); ++c) {
      if (std::ranges::none_of(best_, [&](const Best& best) { return best.candidate == c; })) {
        candidates_[c].reset();
      }
    }
  }

  [[nodiscard]] std::unique_ptr<Scratch> make_scratch(std::size_t max_rows) const override {
    auto made = std::make_unique<ChosenScratch>();
    for (const auto& candidate : candidates_) {
      made->of.push_back(candidate ? candidate->make_scratch(max_rows) : nullptr);
    }
    return made;
  }

  void sums(const RowsView& x, std::size_t rows, void* out,
            Scratch& scratch) const noexcept override {
    auto& memory = static_cast<ChosenScratch&>(scratch);
    if (rows < kMostRows) {
      const std::size_t candidate = best_for(rows).candidate;
      return candidates_[candidate]->sums(x, rows, out, *memory.of[candidate]);
    }
    const std::size_t row_bytes = x.stride * (x.is_float32 ? sizeof(float) : sizeof(double));
    RowsView part = x;
    auto* to = static_cast<std::byte*>(out);
    while (rows > 0) {  // whole blocks first, then the rest as a batch of its own
      const std::size_t count = rows >= kMostRows ? rows / kMostRows * kMostRows : rows;
      const std::size_t candidate = best_for(count).candidate;
      candidates_[candidate]->sums(part, count, to, *memory.of[candidate]);
      part.data = static_cast<const std::byte*>(part.data) + count * row_bytes;
      to += count * outputs_bytes_;
      rows -= count;
    }
  }

 private:
  struct Best {
    std::size_t candidate = 0;
    double ns = std::numeric_limits<double>::infinity();
  };
  struct ChosenScratch final : Scratch {
    std::vector<std::unique_ptr<Scratch>> of;
  };

  [[nodiscard]] static std::size_t size_for(std::size_t rows) noexcept {
    std::size_t s = 0;  // few rows are in a hurry
    while (s + 1 < kSizes.size() && kSizes[s + 1] <= rows) ++s;
    return s;
  }
  [[nodiscard]] const Best& best_for(std::size_t rows) const noexcept {
    return best_[size_for(rows)];
  }

  std::size_t outputs_bytes_;
  std::vector<std::unique_ptr<Evaluator>> candidates_;
  std::array<Best, kSizes.size()> best_;
};

}  // namespace

std::unique_ptr<Evaluator> choose(const Ensemble& trees, const Planes& planes,
                                  std::vector<std::unique_ptr<Evaluator>> candidates) {
  auto chosen = std::make_unique<Chosen>(trees, std::move(candidates));
  run_behind([&] { chosen->measure(trees, planes); });  // beside traffic of other models
  return chosen;
}

}  // namespace slipstream::forest
