#include "fuzz/forest_files.h"

#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "forest/forest_writer.h"
#include "forest/random_trees.h"

namespace fuzz {
namespace {

using namespace slipstream;
using namespace slipstream::forest;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double number(Random& random) {
  constexpr double kNumbers[] = {0.0, 1.0, -1.0, 0.5, 2.0, 1e-40, 1e300, -1e300, kNaN, 3.0};
  return kNumbers[below(random, std::size(kNumbers))];
}

std::vector<double> numbers(Random& random, std::size_t count) {
  std::vector<double> result(count);
  for (double& value : result) value = number(random);
  return result;
}

std::vector<double> ascending(std::size_t count) {
  std::vector<double> result;
  for (std::size_t i = 0; i < count; ++i) result.push_back(static_cast<double>(i) - 2);
  return result;
}

// A program in the making, with the types of its values.
class Grower {
 public:
  explicit Grower(Random& random) : random_(random) {}

  std::string grow() {
    constexpr DType kTypes[] = {DType::kFloat64, DType::kFloat64, DType::kFloat32,
                                DType::kInt64,   DType::kBool,    DType::kString};
    const std::size_t inputs = 1 + below(random_, 3);
    for (std::size_t i = 0; i < inputs; ++i) {
      const ValueType type{
          .dtype = i == 0 ? DType::kFloat64 : kTypes[below(random_, std::size(kTypes))],
          .width = static_cast<std::uint32_t>(1 + below(random_, 6))};
      (void)writer_.input("in" + std::to_string(i), type.dtype, type.width);
      types_.push_back(type);
    }
    const std::size_t steps = below(random_, 14);
    for (std::size_t i = 0; i < steps; ++i) add_any();
    const std::size_t outputs = 1 + below(random_, 4);
    for (std::size_t i = 0; i < outputs; ++i) {
      const auto value = static_cast<std::uint32_t>(
          chance(random_, 3) ? below(random_, types_.size()) : types_.size() - 1);
      writer_.output("out" + std::to_string(i), value,
                     types_[value].width == 1 && chance(random_, 2));
    }
    return writer_.bytes();
  }

 private:
  // A value of a type, and of a width if one is given, if there is any.
  std::optional<std::uint32_t> find(DType dtype, std::uint32_t width = 0) {
    const std::size_t start = below(random_, types_.size());
    for (std::size_t i = 0; i < types_.size(); ++i) {
      const std::size_t id = (start + i) % types_.size();
      if (types_[id].dtype == dtype && (width == 0 || types_[id].width == width)) {
        return static_cast<std::uint32_t>(id);
      }
    }
    return std::nullopt;
  }

  void add(Op op, const std::vector<std::uint32_t>& inputs, const ValueType& result,
           const std::vector<WrittenArray>& arrays = {}, const std::vector<double>& scalars = {}) {
    (void)writer_.step(op, inputs, arrays, scalars);
    types_.push_back(result);
  }

  void add_any() {
    switch (below(random_, 6)) {
      case 0:
        return add_columns();
      case 1:
        return add_numbers();
      case 2:
        return add_one_column();
      case 3:
        return add_trees();
      case 4:
        return add_scores();
      default:
        return add_labels();
    }
  }

  void add_columns() {
    const auto x = static_cast<std::uint32_t>(below(random_, types_.size()));
    const ValueType type = types_[x];
    if (chance(random_, 2)) {
      std::vector<std::int32_t> columns;
      for (std::size_t i = 0; i <= below(random_, 4); ++i) {
        columns.push_back(static_cast<std::int32_t>(below(random_, type.width)));
      }
      const auto width = static_cast<std::uint32_t>(columns.size());
      return add(Op::kTakeColumns, {x}, {.dtype = type.dtype, .width = width}, {array_of(columns)});
    }
    if (type.dtype == DType::kString || chance(random_, 2)) {
      const std::uint32_t y = find(type.dtype).value_or(x);
      return add(Op::kConcat, {x, y}, {.dtype = type.dtype, .width = type.width + types_[y].width});
    }
    constexpr DType kTargets[] = {DType::kFloat64, DType::kFloat32, DType::kInt64};
    const DType target = kTargets[below(random_, 3)];
    add(Op::kCast, {x}, {.dtype = target, .width = type.width}, {}, {static_cast<double>(target)});
  }

  void add_numbers() {
    const std::uint32_t x = *find(DType::kFloat64);
    const ValueType type = types_[x];
    constexpr Op kArithmetic[] = {Op::kAdd, Op::kSubtract, Op::kMultiply, Op::kDivide};
    const Op arithmetic = kArithmetic[below(random_, 4)];
    const std::uint32_t y = *find(DType::kFloat64, type.width);
    const ValueType one{.dtype = DType::kFloat64, .width = 1};
    switch (below(random_, 9)) {
      case 0:
        return add(arithmetic, {x}, type, {array_of(numbers(random_, type.width))});
      case 1:
        return add(arithmetic, {x, y}, type);
      case 2:
        return add(Op::kClip, {x}, type, {}, {-1.0, 1.5});
      case 3:
        return add(Op::kMatmul, {x}, {.dtype = DType::kFloat64, .width = 2},
                   {array_of(numbers(random_, 2 * type.width))}, {2});
      case 4:
        return add(Op::kSumColumns, {x}, one);
      case 5:
        return add(Op::kWeightedMedian, {x}, one, {array_of(numbers(random_, type.width))});
      case 6:
        return add(Op::kIsMissing, {x}, type, {}, {number(random_)});
      case 7:
        return add(Op::kReplaceMissing, {x}, type, {array_of(numbers(random_, type.width))},
                   {number(random_)});
      default:
        return add(Op::kFunction, {x}, type, {}, {static_cast<double>(below(random_, 13))});
    }
  }

  void add_one_column() {
    const ValueType one{.dtype = DType::kFloat64, .width = 1};
    const std::size_t count = 1 + below(random_, 6);
    if (const auto text = find(DType::kString, 1); text && chance(random_, 2)) {
      std::vector<WrittenArray> keys = texts({"", "a", "b", "longer than any small string is"});
      keys.push_back(array_of(numbers(random_, 4)));
      return add(Op::kLookupText, {*text}, one, keys, {-1.0, kNaN});
    }
    const auto x = find(DType::kFloat64, 1);
    if (!x) return;
    switch (below(random_, 5)) {
      case 4:
        return add(Op::kRefuse, {*x}, one, {array_of<std::uint8_t>({'n', 'o'})}, {number(random_)});
      case 0:
        return add(Op::kInterpolate, {*x}, one,
                   {array_of(ascending(count)), array_of(numbers(random_, count))});
      case 1:
        return add(Op::kLookupNumber, {*x}, one,
                   {array_of(ascending(count)), array_of(numbers(random_, count))}, {-1.0});
      case 2:
        return add(Op::kOneHot, {*x},
                   {.dtype = DType::kFloat64, .width = static_cast<std::uint32_t>(count)}, {},
                   {static_cast<double>(count), -1.0});
      default:
        return add(Op::kDigitize, {*x}, one, {array_of(ascending(count))}, {1.0});
    }
  }

  void add_trees() {
    const auto x = chance(random_, 2) ? *find(DType::kFloat64)
                                      : find(DType::kFloat32).value_or(*find(DType::kFloat64));
    OwnedTrees trees = random_trees(
        random_, {.features = types_[x].width, .trees = 6, .leaves = 12, .categories = 40});
    if (trees.features != types_[x].width) trees = stump(types_[x].width, -1, 1);
    (void)writer_.trees(x, trees);
    types_.push_back(
        {.dtype = trees.float32_sums ? DType::kFloat32 : DType::kFloat64, .width = trees.outputs});
  }

  void add_scores() {
    const bool narrow = chance(random_, 2) && find(DType::kFloat32);
    const std::uint32_t x = *find(narrow ? DType::kFloat32 : DType::kFloat64);
    const ValueType type = types_[x];
    switch (below(random_, 4)) {
      case 0:
        return add(Op::kSigmoid, {x}, type, {}, {1.0, narrow ? 1.0 : 0.0});
      case 1:
        return add(Op::kSoftmax, {x}, type, {}, {narrow ? 2.0 : 0.0});
      case 2:
        return add(Op::kNormalize, {x}, type, {}, {static_cast<double>(below(random_, 2))});
      default:
        if (type.width != 1) return;
        return add(Op::kComplement, {x}, {.dtype = type.dtype, .width = 2});
    }
  }

  void add_labels() {
    const std::uint32_t x = *find(DType::kFloat64);
    const std::size_t classes = types_[x].width == 1 ? 2 : types_[x].width;
    const ValueType chosen{.dtype = DType::kInt64, .width = 1};
    if (types_[x].width == 1) {
      add(Op::kGreater, {x}, chosen, {}, {0.5, 1.0});
    } else {
      add(Op::kArgmax, {x}, chosen);
    }
    const auto best = static_cast<std::uint32_t>(types_.size() - 1);
    if (chance(random_, 2)) {
      return add(Op::kLabelNumber, {best}, {.dtype = DType::kFloat64, .width = 1},
                 {array_of(numbers(random_, classes))});
    }
    std::vector<std::string> labels(classes, "a label that is no small string");
    labels.front().clear();
    add(Op::kLabelText, {best}, {.dtype = DType::kString, .width = 1}, texts(labels));
  }

  Random& random_;
  ForestWriter writer_;
  std::vector<ValueType> types_;
};

}  // namespace

std::string random_forest_file(Random& random) {
  return Grower(random).grow();
}

}  // namespace fuzz
