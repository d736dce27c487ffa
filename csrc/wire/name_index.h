// NameIndex: which column or input an object key names.
//
// Clients write the keys of every row in one order, so the position of a key predicts its name:
// find() first compares with what stood there in the row before (at first, the schema's order), one
// memcmp, and only then searches. Used by one request on one thread. Throws std::bad_alloc.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace slipstream::wire {

class NameIndex {
 public:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  // `names` must outlive the index.
  explicit NameIndex(std::vector<std::string_view> names)
      : names_(std::move(names)), predicted_(names_.size()) {
    std::iota(predicted_.begin(), predicted_.end(), std::size_t{0});
  }

  [[nodiscard]] std::size_t size() const noexcept { return names_.size(); }
  [[nodiscard]] std::string_view name(std::size_t i) const noexcept { return names_[i]; }

  // The place of `key` in the names, kNone if it is none of them; `position` counts the keys of
  // this object.
  [[nodiscard]] std::size_t find(std::string_view key, std::size_t position) {
    if (position >= predicted_.size()) return search(key);
    if (names_[predicted_[position]] == key) return predicted_[position];
    const std::size_t found = search(key);
    if (found != kNone) predicted_[position] = found;
    return found;
  }

 private:
  [[nodiscard]] std::size_t search(std::string_view key) {
    constexpr std::size_t kFew = 16;
    if (names_.size() <= kFew) {
      const auto found = std::ranges::find(names_, key);
      return found == names_.end() ? kNone : static_cast<std::size_t>(found - names_.begin());
    }
    const auto by_name = [this](std::size_t i) { return names_[i]; };
    if (sorted_.empty()) {
      sorted_.resize(names_.size());
      std::iota(sorted_.begin(), sorted_.end(), std::size_t{0});
      std::ranges::sort(sorted_, {}, by_name);
    }
    const auto found = std::ranges::lower_bound(sorted_, key, {}, by_name);
    return found != sorted_.end() && names_[*found] == key ? *found : kNone;
  }

  std::vector<std::string_view> names_;
  std::vector<std::size_t> predicted_;
  std::vector<std::size_t> sorted_;  // indices in the order of their names; made when first needed
};

}  // namespace slipstream::wire
