#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/forest/trees/blocks.h"
#include "backends/forest/trees/chosen.h"
#include "backends/forest/trees/evaluator.h"
#include "backends/forest/trees/lockstep.h"
#include "backends/forest/trees/plain.h"
#include "backends/forest/trees/prepared_trees.h"
#include "backends/forest/trees/sweep.h"
#include "backends/forest/trees/walk.h"

namespace slipstream::forest {
namespace {

constexpr std::size_t kManySets = 256;
constexpr const char* kExpected =
    "auto, plain, sweep, walk, lockstep or blocks, with @avx512, @avx2 or @portable after it to "
    "fix the "
    "instruction set";

std::unique_ptr<Evaluator> make(const std::string& algorithm,
                                const std::shared_ptr<const PreparedTrees>& prepared) {
  if (algorithm == "sweep") return can_sweep(*prepared) ? make_sweep(prepared) : nullptr;
  if (algorithm == "walk") return make_walk(prepared);
  if (algorithm == "blocks") return make_blocks(prepared);
  return make_lockstep(prepared);
}

}  // namespace

Result<std::unique_ptr<Evaluator>> compile(const Ensemble& ensemble,
                                           const CompileOptions& options) {
  const std::size_t mark = options.algorithm.find('@');
  const std::string algorithm = options.algorithm.substr(0, mark);
  const std::string set =
      mark == std::string::npos ? std::string() : options.algorithm.substr(mark + 1);
  const bool is_auto = algorithm == "auto";
  if (!is_auto && algorithm != "plain" && algorithm != "sweep" && algorithm != "walk" &&
      algorithm != "lockstep" && algorithm != "blocks") {
    return invalid_argument("forest backend: option algorithm is '" + options.algorithm +
                            "', expected " + kExpected);
  }
  const Kernels* kernels = find_kernels(set.c_str());
  if (kernels == nullptr) {
    return invalid_argument("forest backend: this processor or build has no '" + set +
                            "' kernels; expected " + kExpected);
  }
  if (algorithm == "plain") return std::unique_ptr<Evaluator>(new PlainEvaluator(ensemble));
  const auto prepared = std::make_shared<const PreparedTrees>(ensemble, *kernels);
  if (!is_auto) {
    std::unique_ptr<Evaluator> made = make(algorithm, prepared);
    if (made) return made;
    return invalid_argument("forest backend: these trees do not fit the algorithm " + algorithm +
                            "; use auto");
  }
  std::vector<std::unique_ptr<Evaluator>> candidates;
  for (const char* name : {"blocks", "lockstep", "walk", "sweep"}) {
    if (std::unique_ptr<Evaluator> made = make(name, prepared)) {
      candidates.push_back(std::move(made));
    }
  }
  // A plane for every set is made for every row; the plain walk tests the few that it meets.
  if (prepared->planes.sets.size() > kManySets) {
    candidates.push_back(std::make_unique<PlainEvaluator>(ensemble));
  }
  if (candidates.empty()) return std::unique_ptr<Evaluator>(new PlainEvaluator(ensemble));
  return choose(ensemble, prepared->planes, std::move(candidates));
}

}  // namespace slipstream::forest
