// The fuzzer of forest files: good files, mutated, loaded and run.
//
//   fuzz_forest                  a short run that is the same every time (what ctest does)
//   fuzz_forest SECONDS [SEED]   as long as that; a seed of your own
//
// Build it with -DSLIPSTREAM_SANITIZE=address,undefined for a run that means something. Before each
// file it notes the seed of the round in memory; on a broken promise it prints that and exits 1,
// and `fuzz_forest 0.001 SEED` repeats the round. Where clang is installed, fuzz_forest_libfuzzer
// does the same under libFuzzer.
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <string>

#include "forest/forest_writer.h"
#include "fuzz/forest_check.h"
#include "fuzz/forest_files.h"
#include "fuzz/forest_mutations.h"

namespace {

using Clock = std::chrono::steady_clock;

// A file that takes more of the processor hangs the load. Not by the wall clock, which goes on
// while the process is stopped.
constexpr std::clock_t kLongest = 30 * CLOCKS_PER_SEC;

struct Counts {
  std::uint64_t files = 0;
  std::uint64_t accepted = 0;
};

void check(const std::string& bytes, std::uint64_t seed, Counts& counts) {
  const std::clock_t start = std::clock();
  ++counts.files;
  if (fuzz::check_forest_file(bytes, seed)) ++counts.accepted;
  if (std::clock() - start > kLongest) throw fuzz::BrokenPromise("it takes too long");
}

// One good file and what can be done to it.
void run_round(std::uint64_t seed, Counts& counts) {
  fuzz::Random random(seed);
  const std::string base = fuzz::random_forest_file(random);
  const std::uint64_t accepted_before = counts.accepted;
  check(base, seed, counts);
  if (counts.accepted == accepted_before) throw fuzz::BrokenPromise("a good file is refused");
  for (int i = 0; i < 24; ++i) {
    std::string bytes = base;
    for (std::size_t mutations = 1 + fuzz::below(random, 3); mutations > 0; --mutations) {
      fuzz::mutate_forest_file(bytes, random);
    }
    if (!fuzz::chance(random, 16)) slipstream::forest::seal(bytes);
    check(bytes, random(), counts);
  }
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::uint64_t kShortRun = 400;
  const double seconds = argc > 1 ? std::atof(argv[1]) : 0;
  const std::uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  Counts counts;
  for (std::uint64_t seed = first; argc > 1 ? Clock::now() < end : seed < first + kShortRun;
       ++seed) {
    try {
      run_round(seed, counts);
    } catch (const std::exception& error) {
      std::cerr << "broken promise in the round of seed " << seed << ": " << error.what() << "\n";
      return EXIT_FAILURE;
    }
  }
  std::cout << counts.files << " files, " << counts.accepted << " accepted\n";
  // A fuzzer whose files are all refused, or all accepted, tests one half.
  const bool balanced =
      counts.accepted > counts.files / 20 && counts.accepted < counts.files - counts.files / 20;
  return balanced ? EXIT_SUCCESS : EXIT_FAILURE;
}
