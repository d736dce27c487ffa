// FifoHistory: what several threads did to one bounded queue, and whether a sequential queue could
// have given the same answers (linearisability, by exhaustive search over a short history).
//
// Pushes and pops that succeeded must fit one FIFO order without ever exceeding the capacity. One
// that failed must fit it too (the queue was full, or empty, at some moment of the call), except
// where MpmcRing documents otherwise: when a successful operation of the opposite kind overlapped
// it.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace slipstream::schedule {

struct FifoOperation {
  enum class Kind : std::uint8_t { kPush, kPop };
  Kind kind;
  bool succeeded;
  int value;               // pushed, or popped if it succeeded
  std::uint64_t called;    // moments on one clock; an operation that returned at the moment at
  std::uint64_t returned;  // which another was called came before it
};

class FifoHistory {
 public:
  explicit FifoHistory(std::size_t capacity) : capacity_(capacity) {}

  // Calls happen one at a time (the deterministic scheduler sees to that).
  void add(const FifoOperation& operation) { all_.push_back(operation); }

  // Empty if a sequential queue explains the history, otherwise the history.
  [[nodiscard]] std::string complaint() const {
    std::vector<FifoOperation> binding;
    for (const FifoOperation& operation : all_) {
      if (!is_excused(operation)) binding.push_back(operation);
    }
    std::vector<bool> placed(binding.size(), false);
    std::deque<int> queue;
    return explains(binding, placed, queue, 0) ? std::string{} : describe();
  }

 private:
  [[nodiscard]] bool is_excused(const FifoOperation& failed) const {
    if (failed.succeeded) return false;
    for (const FifoOperation& other : all_) {
      const bool overlaps = other.called < failed.returned && failed.called < other.returned;
      if (other.succeeded && other.kind != failed.kind && overlaps) return true;
    }
    return false;
  }

  // Places one more operation that no unplaced one had to precede, and tries again from there.
  bool explains(const std::vector<FifoOperation>& operations, std::vector<bool>& placed,
                std::deque<int>& queue, std::size_t done) const {
    if (done == operations.size()) return true;
    for (std::size_t i = 0; i < operations.size(); ++i) {
      if (placed[i] || !may_come_next(operations, placed, i)) continue;
      const std::deque<int> before = queue;
      if (!apply(operations[i], queue)) continue;
      placed[i] = true;
      if (explains(operations, placed, queue, done + 1)) return true;
      placed[i] = false;
      queue = before;
    }
    return false;
  }

  static bool may_come_next(const std::vector<FifoOperation>& operations,
                            const std::vector<bool>& placed, std::size_t candidate) {
    for (std::size_t i = 0; i < operations.size(); ++i) {
      if (!placed[i] && i != candidate && operations[i].returned <= operations[candidate].called) {
        return false;
      }
    }
    return true;
  }

  // False: a sequential queue in this state would have answered otherwise.
  bool apply(const FifoOperation& operation, std::deque<int>& queue) const {
    if (operation.kind == FifoOperation::Kind::kPush) {
      if (operation.succeeded != (queue.size() < capacity_)) return false;
      if (operation.succeeded) queue.push_back(operation.value);
      return true;
    }
    if (operation.succeeded == queue.empty()) return false;
    if (!operation.succeeded) return true;
    if (queue.front() != operation.value) return false;
    queue.pop_front();
    return true;
  }

  [[nodiscard]] std::string describe() const {
    std::string text = "no sequential queue explains:";
    for (const FifoOperation& operation : all_) {
      text += operation.kind == FifoOperation::Kind::kPush ? " push(" : " pop(";
      text += operation.succeeded ? std::to_string(operation.value) : std::string("refused");
      text += ")@" + std::to_string(operation.called) + "-" + std::to_string(operation.returned);
    }
    return text;
  }

  std::size_t capacity_;
  std::vector<FifoOperation> all_;
};

}  // namespace slipstream::schedule
