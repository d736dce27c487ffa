// Where instances are: the devices that a model was given, by name, and which of them the next
// instance goes to.
//
// Threads: any. Ownership: a Place may outlive the Places that gave it. Failure: none but those
// that are named.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace slipstream::device {

// The numbers in "cuda:0", "cuda" (which is cuda:0) or "cuda:0,cuda:1"; none for "cpu"; nullopt for
// anything else, and where a device is named twice.
[[nodiscard]] std::optional<std::vector<int>> parse_devices(std::string_view text);

// One instance at one of the devices, for as long as it lives.
class Place {
 public:
  Place(std::shared_ptr<std::vector<std::atomic<int>>> taken, std::size_t index) noexcept
      : taken_(std::move(taken)), index_(index) {}
  Place(Place&&) noexcept = default;
  Place& operator=(Place&&) noexcept = default;
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    if (taken_ != nullptr) (*taken_)[index_].fetch_sub(1);
  }

  [[nodiscard]] std::size_t index() const noexcept { return index_; }

 private:
  std::shared_ptr<std::vector<std::atomic<int>>> taken_;
  std::size_t index_;
};

class Places {
 public:
  explicit Places(std::size_t devices)
      : taken_(std::make_shared<std::vector<std::atomic<int>>>(devices)) {}

  // At the device, by its index among those that were given, where the fewest are.
  [[nodiscard]] Place take() noexcept;

 private:
  std::shared_ptr<std::vector<std::atomic<int>>> taken_;
};

}  // namespace slipstream::device
