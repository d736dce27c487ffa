// lookup_number, lookup_text: a category to the number that stands for it.
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <utility>

#include "backends/forest/steps/factories.h"
#include "backends/forest/steps/map_step.h"
#include "backends/forest/steps/text_table.h"

namespace slipstream::forest {
namespace {

// Keys that ascend, and what each stands for.
template <class Key>
struct Table {
  std::vector<Key> keys;
  std::span<const double> results;
  double otherwise = 0;

  double operator()(const Key& key) const noexcept {
    const auto found = std::ranges::lower_bound(keys, key);
    if (found == keys.end() || *found != key) return otherwise;
    return results[static_cast<std::size_t>(found - keys.begin())];
  }
};

template <class Key>
bool ascends_strictly(const std::vector<Key>& keys) {
  return std::ranges::adjacent_find(keys, std::greater_equal<>{}) == keys.end();
}

}  // namespace

StepResult make_lookup_number(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 2, 1);
  is.type_is(DType::kFloat64);
  is.width_is(1);
  std::span<const double> keys = is.array<double>(0, "the array of keys");
  const auto results = is.array<double>(1, "the array of results");
  is.require(keys.size() == results.size(), "there is not one result a key");
  if (!is.ok()) return is.status();
  const double otherwise = is.scalar(0);
  const bool knows_nan = !keys.empty() && std::isnan(keys.back());
  const double of_nan = knows_nan ? results.back() : otherwise;
  if (knows_nan) keys = keys.first(keys.size() - 1);
  Table<double> table{{keys.begin(), keys.end()}, results, otherwise};
  is.require(std::ranges::none_of(keys, [](double key) { return std::isnan(key); }) &&
                 ascends_strictly(table.keys),
             "the keys do not ascend, or a NaN is not the last");
  if (!is.ok()) return is.status();
  return make_map<double, double>(
      spec, DType::kFloat64,
      [table = std::move(table), of_nan](double x) { return std::isnan(x) ? of_nan : table(x); });
}

StepResult make_lookup_text(const StepSpec& spec) {
  StepChecks is(spec);
  is.shape(1, 3, 2);
  is.type_is(DType::kString);
  is.width_is(1);
  Table<std::string_view> table{text_table(is, 0), is.array<double>(2, "the array of results"),
                                is.scalar(0)};
  is.require(table.keys.size() == table.results.size(), "there is not one result a key");
  is.require(ascends_strictly(table.keys), "the keys do not ascend");
  if (!is.ok()) return is.status();
  const double of_missing = is.scalar(1);
  return make_map<std::string, double>(
      spec, DType::kFloat64, [table = std::move(table), of_missing](const std::string& text) {
        return text == kMissingString ? of_missing : table(text);
      });
}

}  // namespace slipstream::forest
