// concat, take_columns, cast: columns put side by side, picked, or given another type.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "backends/forest/steps/factories.h"
#include "backends/forest/steps/map_step.h"

namespace slipstream::forest {
namespace {

// How elements are moved about: by their size, or as strings.
template <template <class> class StepOf, class... Args>
std::unique_ptr<Step> make_for(DType dtype, Args&&... args) {
  switch (dtype) {
    case DType::kString:
      return std::make_unique<StepOf<std::string>>(std::forward<Args>(args)...);
    case DType::kBool:
      return std::make_unique<StepOf<std::uint8_t>>(std::forward<Args>(args)...);
    case DType::kFloat32:
      return std::make_unique<StepOf<float>>(std::forward<Args>(args)...);
    case DType::kInt64:
      return std::make_unique<StepOf<std::int64_t>>(std::forward<Args>(args)...);
    default:
      return std::make_unique<StepOf<double>>(std::forward<Args>(args)...);
  }
}

template <class T>
class ConcatStep final : public Step {
 public:
  ConcatStep(ValueType result, std::vector<std::uint32_t> inputs, std::vector<std::uint32_t> widths)
      : Step(result, std::move(inputs)), widths_(std::move(widths)) {}

  void run(const StepCall& call) const override {
    T* out = call.out_as<T>();
    for (std::size_t i = 0; i < widths_.size(); ++i) {
      const Columns& x = input(call, i);
      const std::size_t width = widths_[i];
      for (std::size_t row = 0; row < call.rows; ++row) {
        T* const to = out + row * result().width;
        const T* const from = x.row<T>(row);
        for (std::size_t column = 0; column < width; ++column) to[column] = from[column];
      }
      out += width;
    }
  }

 private:
  std::vector<std::uint32_t> widths_;
};

// A run of columns is a view; anything else is copied.
template <class T>
class TakeStep final : public Step {
 public:
  TakeStep(ValueType result, std::vector<std::uint32_t> inputs,
           std::span<const std::int32_t> columns)
      : Step(result, std::move(inputs)), columns_(columns) {
    is_run_ = true;
    for (std::size_t i = 1; i < columns.size(); ++i) {
      is_run_ = is_run_ && columns[i] == columns[i - 1] + 1;
    }
  }

  void run(const StepCall& call) const override {
    const Columns& x = input(call);
    T* out = call.out_as<T>();
    for (std::size_t row = 0; row < call.rows; ++row) {
      const T* const from = x.row<T>(row);
      for (const std::int32_t column : columns_) *out++ = from[column];
    }
  }

  [[nodiscard]] std::optional<ColumnView> view() const noexcept override {
    if (!is_run_) return std::nullopt;
    return ColumnView{.source = inputs()[0], .first = static_cast<std::uint32_t>(columns_[0])};
  }

 private:
  std::span<const std::int32_t> columns_;
  bool is_run_ = false;
};

// What has no int64 becomes the smallest one, as in NumPy on x86.
template <class From>
std::int64_t to_int64(From x) {
  constexpr auto kBeyond = static_cast<From>(9223372036854775808.0);  // 2^63
  if (!(x >= -kBeyond && x < kBeyond)) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(x);
}

template <class From>
StepResult make_cast_from(const StepSpec& spec, DType target) {
  if (target == DType::kFloat64) {
    return make_map<From, double>(spec, target, [](From x) { return static_cast<double>(x); });
  }
  if (target == DType::kFloat32) {
    return make_map<From, float>(spec, target, [](From x) { return static_cast<float>(x); });
  }
  if constexpr (std::is_floating_point_v<From>) {
    return make_map<From, std::int64_t>(spec, target, [](From x) { return to_int64(x); });
  } else {
    return make_map<From, std::int64_t>(spec, target,
                                        [](From x) { return static_cast<std::int64_t>(x); });
  }
}

}  // namespace

StepResult make_concat(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(std::max<std::size_t>(spec.inputs.size(), 1), 0, 0);
  const DType dtype = is.type().dtype;
  std::uint64_t width = 0;
  std::vector<std::uint32_t> widths;
  for (std::size_t i = 0; i < spec.types.size(); ++i) {
    is.type_is(dtype, i);
    widths.push_back(spec.types[i].width);
    width += spec.types[i].width;
  }
  is.require(width <= kMaxWidth, "it would have more than 2^20 columns");
  if (!is.ok()) return is.status();
  const ValueType type{.dtype = dtype, .width = static_cast<std::uint32_t>(width)};
  return make_for<ConcatStep>(dtype, type, spec.inputs, std::move(widths));
}

StepResult make_take_columns(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 1, 0);
  const auto columns = is.array<std::int32_t>(0, "the array of columns");
  const auto width = static_cast<std::int64_t>(is.type().width);
  is.require(!columns.empty() && columns.size() <= kMaxWidth, "it takes no columns, or too many");
  is.require(std::ranges::all_of(columns, [width](std::int32_t c) { return c >= 0 && c < width; }),
             "it takes a column that its input does not have");
  if (!is.ok()) return is.status();
  const ValueType type{.dtype = is.type().dtype,
                       .width = static_cast<std::uint32_t>(columns.size()),
                       .labels = is.type().labels};
  return make_for<TakeStep>(type.dtype, type, spec.inputs, columns);
}

StepResult make_cast(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 0, 1);
  const auto target = static_cast<DType>(is.whole(0, "the dtype", 0, kDTypeCount - 1));
  const DType source = is.type().dtype;
  is.require(source != DType::kString, "strings cannot be cast; look them up");
  is.require(target == DType::kFloat64 || target == DType::kFloat32 || target == DType::kInt64,
             "the dtype is none of float64, float32 and int64");
  if (!is.ok()) return is.status();
  switch (source) {
    case DType::kBool:
      return make_cast_from<std::uint8_t>(spec, target);
    case DType::kInt64:
      return make_cast_from<std::int64_t>(spec, target);
    case DType::kFloat32:
      return make_cast_from<float>(spec, target);
    default:
      return make_cast_from<double>(spec, target);
  }
}

}  // namespace slipstream::forest
