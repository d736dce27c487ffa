// trees: the sums of an ensemble. The work is trees/evaluator.h's; this is where its arrays lie.
#include <algorithm>
#include <utility>

#include "backends/forest/steps/factories.h"
#include "backends/forest/trees/ensemble.h"
#include "backends/forest/trees/evaluator.h"

namespace slipstream::forest {
namespace {

class TreesScratch final : public StepScratch {
 public:
  explicit TreesScratch(std::unique_ptr<Evaluator::Scratch> scratch)
      : evaluator(std::move(scratch)) {}
  std::unique_ptr<Evaluator::Scratch> evaluator;
};

class TreesStep final : public Step {
 public:
  TreesStep(ValueType result, std::vector<std::uint32_t> inputs, bool is_float32,
            std::unique_ptr<Evaluator> evaluator)
      : Step(result, std::move(inputs)),
        is_float32_(is_float32),
        evaluator_(std::move(evaluator)) {}

  // Wherever x lies, a model's input included, the rows are read in place.
  void run(const StepCall& call) const override {
    const Columns& x = input(call);
    const RowsView rows{.data = x.data, .stride = x.stride, .is_float32 = is_float32_};
    auto& scratch = *static_cast<TreesScratch*>(call.scratch)->evaluator;
    evaluator_->sums(rows, call.rows, call.out, scratch);
  }

  [[nodiscard]] std::unique_ptr<StepScratch> make_scratch(std::size_t max_rows) const override {
    return std::make_unique<TreesScratch>(evaluator_->make_scratch(max_rows));
  }

 private:
  bool is_float32_;
  std::unique_ptr<Evaluator> evaluator_;
};

Ensemble read_ensemble(StepChecks& is) {
  Ensemble trees;
  trees.roots = is.array<std::int32_t>(0, "roots");
  trees.tree_output = is.array<std::int32_t>(1, "tree_output");
  trees.feature = is.array<std::int32_t>(2, "feature");
  trees.threshold = is.array<double>(3, "threshold");
  trees.left = is.array<std::int32_t>(4, "left");
  trees.right = is.array<std::int32_t>(5, "right");
  trees.missing_left = is.array<std::uint8_t>(6, "missing_left");
  trees.leaf_value = is.array<double>(7, "leaf_value");
  trees.rule = is.array<std::uint8_t>(8, "rule");
  trees.base = is.array<double>(9, "base");
  trees.set_start = is.array<std::uint32_t>(10, "set_start");
  trees.set_bits = is.array<std::uint32_t>(11, "set_bits");
  trees.category_count = is.array<std::uint32_t>(12, "category_count");
  trees.known_start = is.array<std::uint32_t>(13, "known_start");
  trees.known_bits = is.array<std::uint32_t>(14, "known_bits");
  trees.features = is.whole(0, "features", 1, kMaxWidth);
  trees.outputs = is.whole(1, "outputs", 1, kMaxWidth);
  trees.leaf_width = is.whole(2, "leaf_width", 1, kMaxWidth);
  trees.comparison = static_cast<Comparison>(is.whole(3, "comparison", 0, 2));
  trees.zero_flush = is.whole(4, "zero_flush", 0, 1) == 1;
  trees.float32_sums = is.whole(5, "float32_sums", 0, 1) == 1;
  return trees;
}

}  // namespace

StepResult make_trees(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 15, 6);
  is.is_floating();
  const Ensemble trees = read_ensemble(is);
  is.width_is(trees.features);
  const bool zero_is_special =
      trees.zero_flush ||
      std::ranges::find(trees.rule, static_cast<std::uint8_t>(Rule::kZeroToo)) != trees.rule.end();
  is.require(!zero_is_special || trees.comparison == Comparison::kLessEqual64,
             "zero_flush and rule 2 go with comparison 0 only");
  if (!is.ok()) return is.status();
  if (Status status = trees.validate(); !status.is_ok()) return status;
  Result<std::unique_ptr<Evaluator>> evaluator = compile(trees, *spec.trees);
  if (!evaluator.is_ok()) return evaluator.status();
  const ValueType type{.dtype = trees.float32_sums ? DType::kFloat32 : DType::kFloat64,
                       .width = trees.outputs};
  return std::unique_ptr<Step>(std::make_unique<TreesStep>(
      type, spec.inputs, is.type().dtype == DType::kFloat32, std::move(evaluator).value()));
}

}  // namespace slipstream::forest
